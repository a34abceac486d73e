# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
#
#   make demo     make the environment, run the whole pipeline on a digital head, say where the report is
#   make test     lint, types, layers, tests
#   make lint     ruff, mypy, import-linter alone
#   make bench    the benchmarks' short form (real scans: MRIPREP_TEST_DATA=folder)
#   make clean    remove the environment and what was built

# The first of these that is there and new enough; or name one: make PYTHON=...
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint pytest bench clean env

env: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "mriprep needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "making the environment in $(VENV) with $$($(PYTHON) --version) (a few minutes, about 4 GB) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(READY)

demo: env
	$(BIN)/mriprep demo demo-output

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One thread a worker in BLAS and torch: threads that wait for each other starve on full cores.
pytest: env
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

test: lint pytest

bench: env
	$(BIN)/python benchmarks/bias.py --short
	$(BIN)/python benchmarks/guide_chain.py --short

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
