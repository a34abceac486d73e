"""The whole pipeline, from files to files, on a sample of real scans and on the digital head."""

from __future__ import annotations

import csv
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Said

import mriprep as mp

Cli = Callable[..., Said]


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    assert len(found) == 1, f"{pattern}: {[f.name for f in found]}"
    return found[0]


@pytest.mark.slow
def test_guide_on_a_scan_with_labels(data: Path, tmp_path: Path, cli: Cli) -> None:
    case = data / "nifti" / "older-adults" / "sub-01"
    template = data / "templates" / "mni152-2009"
    done = cli(
        "run", case / "T1w.nii.gz", tmp_path / "out", "--recipe", "guide",
        "--template", template / "head.nii.gz", "--labels", case / "dlmuse.nii.gz",
    )  # fmt: skip
    assert done.code == 0, done.err
    anat = tmp_path / "out" / "sub-01" / "anat"
    image = mp.read(only(anat, "*_desc-preproc_T1w.nii.gz"))
    mask = mp.read(only(anat, "*_desc-brain_mask.nii.gz"), role="mask")
    labels = mp.read(only(anat, "*_dseg.nii.gz"), role="labels")
    head = mp.read(template / "head.nii.gz")
    brain = mp.read(template / "brain.nii.gz", role="mask")
    assert image.grid.matches(head.grid)
    assert np.allclose(image.spacing, 1)
    # The guide ends in 64 bins, 0 outside the brain.
    assert set(np.unique(image.data)) <= set(range(65))
    assert (image.data[~mask.data] == 0).all()
    # Labels came along in one interpolation, and the brain found is the brain they cover.
    before = mp.read(case / "dlmuse.nii.gz", role="labels")
    assert set(np.unique(labels.data)) <= set(np.unique(before.data))
    assert dice(mask.data, labels.data > 0) > 0.95
    # The brain lies on the template's.
    assert dice(mask.data, mp.resample(brain, to=image).data) > 0.85
    table = only(tmp_path / "out" / "sub-01" / "slices", "*_slices.csv")
    rows = list(csv.DictReader(table.open()))
    assert rows
    assert all((table.parent / row["file"]).is_file() for row in rows)
    report = (tmp_path / "out" / "sub-01_T1w.html").read_text("utf-8")
    assert "sub-01" in report
    record = json.loads(only(anat, "*_desc-preproc_T1w.json").read_text("utf-8"))
    assert [s["step"] for s in record["steps"]][:2] == ["register", "resample"]
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.slow
def test_adult_t1_from_dicom(data: Path, tmp_path: Path, cli: Cli) -> None:
    with tarfile.open(data / "dicom" / "adult-41y-philips-elition.tar.xz") as archive:
        archive.extractall(tmp_path / "dicom", filter="data")
    done = cli("run", tmp_path / "dicom", tmp_path / "out", "--name", "elition")
    assert done.code == 0, done.err
    anat = tmp_path / "out" / "sub-elition" / "anat"
    image = mp.read(only(anat, "*_desc-preproc_T1w.nii.gz"))
    mask = mp.read(only(anat, "*_desc-brain_mask.nii.gz"), role="mask")
    inside = image.data[mask.data]
    assert abs(float(inside.mean())) < 1e-3
    assert abs(float(inside.std()) - 1) < 1e-3
    # Another tool's mask of the same scan, brought along by the transform that was written.
    pose = mp.read_transform(only(anat, "*_xfm.tfm"), reference=image)
    theirs = mp.read(data / "dicom" / "adult-41y-philips-elition.hdbet-mask.nii.gz", role="mask")
    assert dice(mask.data, mp.resample(theirs, to=pose).data) > 0.95
    record = json.loads(only(anat, "*_desc-preproc_T1w.json").read_text("utf-8"))
    assert record["facts"]["MagneticFieldStrength"] == 3


@pytest.mark.slow
def test_the_demo_is_near_the_truth(tmp_path: Path, cli: Cli) -> None:
    done = cli("demo", tmp_path / "demo")
    assert done.code == 0, done.err
    pose = float(re.search(r"pose:\s+([\d.]+) mm", done.out)[1])
    overlap = float(re.search(r"Dice ([\d.]+)", done.out)[1])
    field = float(re.search(r"correlation ([\d.]+)", done.out)[1])
    assert pose < 0.5
    assert overlap > 0.97
    assert field > 0.9
    assert (tmp_path / "demo" / "out" / "sub-phantom_T1w.html").is_file()
