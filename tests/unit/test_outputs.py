"""Where outputs may go, and that outputs are never taken for scans."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import mriprep as mp
from mriprep import derivatives
from mriprep.cases import list_cases
from mriprep.cli.pipeline import run
from mriprep.core import InputError, MriprepWarning


def scan(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4)), path)
    return path


@pytest.fixture
def bids(tmp_path):
    root = tmp_path / "bids"
    for s in ("1", "2"):
        scan(root / f"sub-{s}/anat/sub-{s}_T1w.nii.gz")
    (root / "dataset_description.json").write_text('{"Name": "x", "DatasetType": "raw"}')
    return root


@pytest.fixture
def flat(tmp_path):
    for s in ("1", "2"):
        scan(tmp_path / f"flat/sub-{s}_T1w.nii.gz")
    return tmp_path / "flat"


def everything(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["bids", "flat"])
def test_the_input_is_no_output(kind, request, tmp_path):
    source = request.getfixturevalue(kind)
    before = everything(source)
    (tmp_path / "link").symlink_to(source)
    for out in (source, tmp_path / "link", source / "." / "x" / ".."):
        if ".." in out.parts:
            out = tmp_path / "link" / ".." / source.name
        with pytest.raises(InputError, match="OUT is the input folder"):
            CliRunner().invoke(
                run, [str(source), str(out), "-r", "adult-t1"], catch_exceptions=False
            )
        with pytest.raises(InputError, match="OUT is the input folder"):
            mp.cohort({"steps": ["zscore"]}, source, out)
    assert everything(source) == before


@pytest.mark.parametrize(
    "text", ['{"DatasetType": "raw"}', '{"GeneratedBy": [{"Name": "a"}]}', "{"]
)
def test_another_dataset_is_not_written_to(tmp_path, flat, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset_description.json").write_text(text)
    with pytest.raises(InputError, match="mriprep did not make"):
        derivatives.describe_dataset(out)
    with pytest.raises(InputError, match="mriprep did not make"):
        mp.cohort({"steps": ["zscore"]}, flat, out)
    assert [p.name for p in out.iterdir()] == ["dataset_description.json"]
    assert (out / "dataset_description.json").read_text() == text


def test_its_own_description_is_written_again(tmp_path):
    derivatives.describe_dataset(tmp_path)
    path = derivatives.describe_dataset(tmp_path)
    assert json.loads(path.read_text())["DatasetType"] == "derivative"


@pytest.mark.parametrize("kind", ["bids", "flat"])
def test_outputs_are_no_scans(kind, request):
    source = request.getfixturevalue(kind)
    there = source / "sub-1/anat" if kind == "bids" else source
    for part in ("desc-preproc_T1w", "desc-biasfield_T1w", "desc-biaslattice_T1w", "space-X_FLAIR"):
        scan(there / f"sub-1_{part}.nii.gz")
    scan(source / "made/sub-3/anat/sub-3_T1w.nii.gz")
    derivatives.describe_dataset(source / "made")
    with pytest.warns(MriprepWarning, match=r"left out 4 images made of scans"):
        found = list_cases(source)
    assert [Path(i.path).name for c in found for i in c.images] == [
        "sub-1_T1w.nii.gz",
        "sub-2_T1w.nii.gz",
    ]


def test_a_folder_of_outputs_alone_is_told(tmp_path):
    scan(tmp_path / "sub-1_space-X_T1w.nii.gz")
    with pytest.raises(InputError, match="no scan in"):
        list_cases(tmp_path)
