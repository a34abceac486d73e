"""What the how-tos add to mriprep, a step and an engine, keeps the contract that all others keep."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs_blocks import blocks

ROOT = Path(__file__).parents[2]
#: A checkout with these files in it, without touching this one.
PLUGIN = """
from pathlib import Path
import mriprep.steps, mriprep.engines.bias
HERE = Path(__file__).parent / "src" / "mriprep"
for package, below in ((mriprep.steps, "steps"), (mriprep.engines.bias, "engines/bias")):
    package.__path__ = [str(HERE / below), *package.__path__]

def pytest_collection_modifyitems(config, items):
    import contract_calls
    contract_calls.EXAMPLES["n4"] = {"engine": "homomorphic"}
"""


def saved(page: str, folder: Path) -> str:
    """Save the files of a page; gives its text."""
    text = (ROOT / "docs" / "howto" / page).read_text(encoding="utf-8")
    (folder / "src" / "mriprep" / "steps").mkdir(parents=True)
    (folder / "src" / "mriprep" / "engines" / "bias").mkdir(parents=True)
    for block in blocks(text):
        if block.key == "file":
            (folder / block.value).write_text(block.code)
    return text


def contract(folder: Path, *arguments: str) -> int:
    """Run tests with the folder's files in place; gives how many passed, and fails if one did not."""
    (folder / "added.py").write_text(PLUGIN)
    path = [str(folder), str(ROOT / "tests"), str(ROOT / "tests" / "contract"), *sys.path]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "added", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    return int(passed[1])


def test_the_new_step_keeps_the_contract(tmp_path):
    saved("add-a-step.md", tmp_path)
    assert contract(tmp_path, "tests/contract", "-k", "gamma") > 30


def test_the_new_engine_keeps_the_contract(tmp_path):
    text = saved("add-an-engine.md", tmp_path)
    (word,) = re.findall(r"^    engine: Literal.*$", text, flags=re.M)
    step = (ROOT / "src" / "mriprep" / "steps" / "n4.py").read_text()
    changed, times = re.subn(r"^    engine: Literal.*$", word, step, flags=re.M)
    assert times == 1
    (tmp_path / "src" / "mriprep" / "steps" / "n4.py").write_text(changed)
    chosen = "bias or homomorphic or (n4 and not recipe)"
    assert contract(tmp_path, "tests/unit/test_engines.py", "tests/contract", "-k", chosen) > 20


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    def said(**environment: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "mriprep"], capture_output=True, text=True, check=False,
            env={**os.environ, **environment},
        ).stdout  # fmt: skip

    page = (ROOT / "docs" / "howto" / "completion.md").read_text()
    assert f"_MRIPREP_COMPLETE={shell}_source mriprep" in page
    if shell == "bash":  # its script asks bash for its version, which a test's machine may lack
        typed = {"COMP_WORDS": "mriprep n4 --engine ", "COMP_CWORD": "3"}
        assert "plain,sitk" in said(_MRIPREP_COMPLETE="bash_complete", **typed)
        return
    assert "_mriprep_completion" in said(_MRIPREP_COMPLETE=f"{shell}_source")
