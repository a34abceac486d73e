"""Verify: a sample of cases run again, and what differs from what was written."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import mriprep as mp
from frozen_home import make_home, run, scan, written
from mriprep.core import InputError


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def out(home, tmp_path):
    return shutil.copytree(home / "out", tmp_path / "out")


def test_verify_says_same_where_it_is(home, capsys):
    code = run("verify", home / "out", "--inputs", home / "scans", "--sample", 2, "--seed", 3)
    said = capsys.readouterr().out
    assert code == 0, said
    assert "2 cases" in said
    assert said.count("same: sub-") == len([x for x in said.splitlines() if "difference 0" in x])
    again = mp.verify(home / "out", home / "scans", sample=2, seed=3)
    assert {v.case for v in again} == {x.split()[1] for x in said.splitlines() if x[:5] == "same:"}


def test_verify_finds_what_is_not(home, out, tmp_path):
    scans = shutil.copytree(home / "scans", tmp_path / "scans")
    path = written(out, "sub-01", "T1w")
    volume = mp.read(path)
    data = np.array(volume.data)
    data[3, 3, 3] += 7
    mp.write(volume.replace(data), path)
    about = path.with_name(path.name.replace(".nii.gz", ".json"))
    other = written(out, "sub-02", "T1w").with_suffix("").with_suffix(".json")
    content = json.loads(other.read_text())
    content["recipe"]["steps"][1]["resample"]["antialias"] = False
    other.write_text(json.dumps(content))
    mp.write(scan(77), scans / "sub-03_FLAIR.nii.gz")
    assert about.is_file()
    found = {(v.case, "T1w" in v.file): v for v in mp.verify(out, scans, sample=3) if not v.same}
    assert found["sub-01", True].why.startswith("the file is not what its record says")
    assert found["sub-01", True].difference == pytest.approx(7, abs=1e-3)
    assert found["sub-02", True].why == "other voxels"
    assert found["sub-02", True].difference > 0
    assert "sub-03_FLAIR.nii.gz has another SHA-256" in found["sub-03", False].why
    assert run("verify", out, "--inputs", scans) == 1
    with pytest.raises(InputError, match="do not exist"):
        mp.verify(out, tmp_path / "nowhere")


def test_verify_without_inputs(home, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    mp.write(scan(1), tmp_path / "others" / "sub-77_T1w.nii.gz")
    for name in ("empty", "others"):
        assert run("verify", home / "out", "--inputs", tmp_path / name) == 2
        said = capsys.readouterr().err
        assert "no inputs are in" in said
        assert str(tmp_path / name) in said
        assert "none of the 6 scans that the records name (sub-01_FLAIR.nii.gz, ...)" in said


def test_verify_takes_what_was_given_with_the_scan(home, tmp_path):
    source = mp.read(home / "scans" / "sub-01_T1w.nii.gz")
    mask = source.replace(np.asarray(source.data) > 60, role="mask")
    labels = source.replace((np.asarray(source.data) > 90).astype(np.uint8), role="labels")
    folder = tmp_path / "scans"
    files = {
        k: mp.write(v, folder / f"{k}.nii.gz") for k, v in (("mask", mask), ("labels", labels))
    }
    shutil.copy(home / "scans" / "sub-01_T1w.nii.gz", folder)
    recipe = tmp_path / "r.yaml"
    recipe.write_text("steps: [{resample: {spacing: 1.5}}, zscore]")
    companions = [x for k, f in files.items() for x in (f"--{k}", f)]
    scan_at = folder / "sub-01_T1w.nii.gz"
    code = run(
        "run", scan_at, tmp_path / "out", "-r", recipe, "--no-quality", "--no-report", *companions
    )
    assert code in (0, 4)
    found = mp.verify(tmp_path / "out", folder)
    assert [v for v in found if not v.same] == []
    assert len(found) == 3  # image, mask and labels
    files["mask"].unlink()
    (missing,) = mp.verify(tmp_path / "out", folder)
    assert "mask.nii.gz is not among the inputs" in missing.why
