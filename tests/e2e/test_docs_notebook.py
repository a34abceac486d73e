"""The notebook runs from top to bottom, and is kept without outputs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient is in the extra 'dev'")
NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def test_there_is_one():
    assert NOTEBOOKS
    assert all(importlib.util.find_spec(name) for name in ("ipyniivue", "ipykernel", "nbclient"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("MRIPREP_OFFLINE", "1")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = [o for c in notebook.cells for o in c.get("outputs", ())]
    assert any("application/vnd.jupyter.widget-view+json" in o.get("data", {}) for o in shown)
    said = "".join(o.get("text", "") for o in shown)
    assert 1000 < float(said.partition("brain: ")[2].split()[0]) < 2500  # ml
    assert "N4" in said
