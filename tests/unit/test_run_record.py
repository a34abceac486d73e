"""Records of steps that were called alone, and where records lie."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mriprep import run_record
from mriprep.core import Grid, Transform, Volume
from mriprep.declare import get
from mriprep.io.hashes import file_hash
from mriprep.io.images import read_image, write_image
from mriprep.record import voxel_hash

AFFINE = Transform.rigid((4, 5, -6), (-11.123456, 22.2, 3.3)).matrix @ np.diag([-1.0, 1.3, 1.6, 1])


@pytest.fixture
def scan(tmp_path):
    data = np.random.default_rng(0).normal(200, 30, (12, 10, 8)).astype(np.int16)
    path = tmp_path / "in" / "sub-07_T1w.nii.gz"
    path.parent.mkdir()
    write_image(Volume(data, Grid(data.shape, AFFINE)), path)
    return path


def test_the_record_of_a_step_alone(scan, tmp_path):
    import mriprep as mp

    image = read_image(scan)
    result = mp.denoise(image, size=5)
    path = tmp_path / "out.nii.gz"
    about = {"seconds": 0.1, "warnings": ["odd"], "facts": {"threshold": 3}}
    record = run_record.step_record(
        get("denoise"), {"size": 5}, {"image": image}, result, path, about
    )
    assert record == tmp_path / "out.json"
    content = json.loads(record.read_text())
    assert content["step"] == "denoise"
    assert {k: content[k] for k in about} == about
    assert content["parameters"] == {"size": 5}
    assert content["inputs"]["image"]["file"] == scan.name
    assert content["inputs"]["image"]["file_sha256"] == file_hash(scan)
    assert content["output"]["voxels_sha256"] == voxel_hash(result)
    assert content["references"][0]["doi"] == "10.1109/TASSP.1979.1163188"
    assert str(scan.parent) not in record.read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", "a.json"), ("a.nii", "a.json"), ("a.tfm", "a.json"), ("a.b.mha", "a.b.json"),
        ("sub-01_T1w.nii.gz", "sub-01_T1w.json"), ("a", "a.json"),
    ],
)  # fmt: skip
def test_the_name_of_a_record(name, expected):
    assert run_record.sidecar_path(Path("x") / name) == Path("x") / expected
