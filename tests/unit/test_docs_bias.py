"""The Python examples of docs/bias.md run as they stand, and do what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mriprep as mp
from mriprep.phantom import head

PAGE = Path(__file__).parents[2] / "docs" / "bias.md"
PARTS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"noise": 0.02, "bias": 0.5, "labels": False, "seed": 4}
    scan = head("T1w", spacing=(4, 5, 6), orientation="LPS", **settings).image
    mp.write(scan, tmp_path / "sub-01_T1w.nii.gz")
    grid = scan.grid.reoriented("PSR").with_spacing((5, 4, 4))
    truth = head("T2w", grid=grid, bias=0, noise=0, labels=False)
    mp.write(truth.image, tmp_path / "sub-01_T2w.nii.gz")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert len(PARTS) == 3
    exec(PARTS[0], names)
    first = names["corrected"]
    exec(PARTS[1], names)
    run, corrected, restored = names["run"], names["corrected"], names["restored"]
    assert first.grid == corrected.grid == run.image.grid
    assert np.ptp(names["field"].data) > 0.1
    np.testing.assert_allclose(corrected.data, run.image.data, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(restored.data, scan.data, rtol=1e-5, atol=1e-3)
    exec(PARTS[2], names)
    assert names["corrected"].grid == names["other"].grid
    assert names["other"].grid.matches(grid, 0.02)


def test_links_and_pictures_are_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text(encoding="utf-8"))
    assert "images/bias.png" in links
    for link in links:
        assert (PAGE.parent / link).is_file(), link
