"""The examples of docs/normalisers.md run as they stand, and its tables name what there is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

import mriprep as mp
from mriprep import declare
from mriprep.cli import main
from mriprep.fitting import kinds
from mriprep.phantom import head

PAGE = (Path(__file__).parents[2] / "docs" / "normalisers.md").read_text(encoding="utf-8")


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


@pytest.fixture
def here(tmp_path, monkeypatch):
    for n in (1, 2):
        scan = head("T1w", spacing=5, seed=n, labels=False)
        mp.write(scan.image, tmp_path / f"sub-0{n}_T1w.nii.gz")
        mp.write(scan.brain, tmp_path / f"sub-0{n}_brain_mask.nii.gz")
    mp.write(scan.brain, tmp_path / "brain_mask.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_run(here):
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(code, names)
    inside = names["brain"].data
    assert names["scores"].data[inside].mean() == pytest.approx(0, abs=1e-4)
    assert 0.5 < np.median(names["scaled"].data[inside]) < 1
    assert np.percentile(names["standard"].data, 99.9) > 80
    (recipe,) = blocks("yaml")
    (commands,) = blocks("")
    for line in commands.strip().splitlines():
        if "out/" in line:
            continue  # needs a folder of outputs: tests/unit/test_fit.py
        with pytest.raises(SystemExit) as end:
            main(shlex.split(line)[1:])
        assert end.value.code == 0
    assert json.loads((here / "standard.json").read_text())["states"][0]["kind"] == "nyul"
    steps = [s for s in yaml.safe_load(recipe)["steps"] if s != "skullstrip"]
    run = mp.recipe({"name": "docs", "steps": steps})(
        mp.read("sub-01_T1w.nii.gz"), mask=mp.read("sub-01_brain_mask.nii.gz", role="mask")
    )
    assert run.record["states"][0]["fitted_on"]["n"] == 2


def test_the_tables_name_what_there_is():
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE))
    assert rows <= set(declare.names())
    assert rows >= set(kinds())
    papers = re.findall(r"\[(10\.\S+?)\]\(https://doi\.org/(\S+?)\)(?=[;. |])", PAGE)
    assert len(papers) > 8
    assert all(shown == linked for shown, linked in papers)
    table = PAGE.split("<!-- table: normalisers.py -->")[1].split("<!-- end -->")[0]
    assert all(f"`{name}`" in table for name in rows - {"window"})
