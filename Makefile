# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
#
#   make demo     make the environment, run the whole pipeline on a digital head, say where the report is
#   make test     lint, types, layers, tests
#   make lint     ruff, mypy, import-linter alone
#   make web      build the page of `mriprep view` (needs Node.js 20 or newer)
#   make docs     build the documentation's site in docs/_build/html (a broken link is an error)
#   make bench    all benchmarks' short forms, into docs/benchmarks.md (real scans: MRIPREP_TEST_DATA=folder)
#   make clean    remove the environment and what was built

# The first of these that is there and new enough; or name one: make PYTHON=...
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint pytest kernels docs bench clean env web page-for-tests

env: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "mriprep needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "making the environment in $(VENV) with $$($(PYTHON) --version) (a few minutes, about 4 GB) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(READY)

NPM := $(shell command -v npm 2>/dev/null)
PAGE := src/mriprep/viewer/static/index.html

web: $(PAGE)

$(PAGE): web/node_modules/.ready $(wildcard web/src/*) web/index.html web/build.mjs web/tsconfig.json
	cd web && npm run --silent check && npm run --silent build
	@touch $@

# Exactly what the lock file says, checked by its hashes; no package runs anything when it is installed.
web/node_modules/.ready: web/package.json web/package-lock.json web/.npmrc
	@test -n "$(NPM)" || { echo "npm was not found: install Node.js 20 or newer, https://nodejs.org"; exit 1; }
	cd web && npm ci --ignore-scripts --silent
	@touch $@

# Tests run without the page, and say which of them were skipped; a page that cannot be built is a fault.
page-for-tests:
	@if test -z "$(NPM)"; then echo "npm is not there: tests of the viewer in a browser will be skipped"; \
	elif $(MAKE) --no-print-directory web/node_modules/.ready; then $(MAKE) --no-print-directory web; \
	else echo "the packages of the viewer's page could not be fetched: its tests in a browser will be skipped"; fi

demo: env
	$(BIN)/mriprep demo demo-output

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Once, not in each of the tests' workers.
kernels: env
	$(BIN)/python tests/compile_kernels.py

# One thread a worker in BLAS and torch: threads that wait for each other starve on full cores;
# and those of numba that wait sleep, where they would keep a core from another worker.
RUN_TESTS = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive \
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

pytest: env page-for-tests kernels
	$(RUN_TESTS)

test: env page-for-tests
	$(MAKE) --no-print-directory -j2 lint kernels
	$(RUN_TESTS)

docs: env
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: env
	$(BIN)/python benchmarks/all.py --write docs/benchmarks.md

clean:
	rm -rf web/node_modules src/mriprep/viewer/static docs/_build $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
