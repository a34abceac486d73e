"""The tutorial that goes from real scans to data sets, word by word."""

from __future__ import annotations

import pytest
from test_docs_blocks import DOCS

from docs_blocks import run_page
from mriprep.cli import main


def test_eleven_older_adults(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("monai", reason='MONAI is not installed: pip install -e ".[dev]"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRIPREP_OFFLINE", "1")
    (tmp_path / "older-adults").symlink_to(data / "nifti" / "older-adults")

    def read() -> str:
        said = capsys.readouterr()
        return said.out + said.err

    assert run_page(DOCS / "tutorials" / "dataset.md", main, read)
