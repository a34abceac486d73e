"""The search of fuzz_readers.py, half a minute for each reader: MRIPREP_RELIABILITY=long, pip install .[fuzz]."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tally

HERE = Path(__file__).parent
READERS = ("nifti", "mgh", "nrrd", "dicom", "series", "zip", "recipe", "table", "parquet", "transform",
           "sidecar", "ratings")  # fmt: skip


@pytest.mark.skipif(not tally.LONG, reason="a part of the long form: MRIPREP_RELIABILITY=long")
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="pip install .[fuzz]")
@pytest.mark.parametrize("reader", READERS)
def test_no_file_is_stumbled_over(reader, tmp_path):
    said = subprocess.run(
        [sys.executable, HERE / "fuzz_readers.py", reader, "30", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-4000:]
    assert [p.read_text() for p in (tmp_path / "faults").glob("*.txt")] == []
    tried = int(re.findall(r"number_of_executed_units: (\d+)", said.stderr)[-1])
    assert tried > 50
    tally.case(tried)
