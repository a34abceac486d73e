"""Records: hashes of voxels, and texts without paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriprep.core import Grid, Transform, Volume
from mriprep.record import named, public, voxel_hash

AFFINE = Transform.rigid((8, -5, 12), (10, -20, 30)).matrix @ np.diag([-1.2, 1.5, 2, 1])
GRID = Grid((12, 10, 8), AFFINE)


def head(dtype=np.float32):
    data = np.random.default_rng(0).uniform(0, 200, GRID.shape)
    return Volume(data.astype(dtype), GRID)


def test_hashes_tell_values_geometry_and_order_apart():
    image = head()
    data = image.data.copy()
    same = image.replace(np.asfortranarray(data))
    assert voxel_hash(same) == voxel_hash(image)
    data[3, 3, 3] += 1e-3
    moved = AFFINE.copy()
    moved[0, 3] += 0.01
    others = [
        image.replace(data),
        image.replace(grid=Grid(GRID.shape, moved)),
        image.replace(image.data[::-1]),
        image.replace(image.data.astype(np.int16)),
    ]
    assert len({voxel_hash(v) for v in [image, *others]}) == 5


def test_hashes_do_not_depend_on_how_numbers_are_stored():
    whole = head(dtype=np.int16)
    for dtype in (np.int32, np.int64, ">i2", np.uint16):
        assert voxel_hash(whole.replace(whole.data.astype(dtype))) == voxel_hash(whole)
    mask = Volume(head().data > 100, GRID, "mask")
    assert voxel_hash(mask) == voxel_hash(mask.replace(mask.data.astype(np.uint8), role="image"))


# -- texts without paths --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/jane/scan.nii.gz: odd", "scan.nii.gz: odd"),
        ("cannot read '/data/Jane Roe/t 1.nii'", "cannot read 't 1.nii'"),
        ("(/data/x/y.txt, /data/x/z.txt)", "(y.txt, z.txt)"),
        ("~/scans/a.nii is odd", "a.nii is odd"),
        (r"C:\Users\jane\a.nii is odd", "a.nii is odd"),
        ("https://doi.org/10.1109/TMI.2009.2035616", "https://doi.org/10.1109/TMI.2009.2035616"),
        ("10.1016/j.compbiomed.2024.108845", "10.1016/j.compbiomed.2024.108845"),
        ("1 mm/voxel and/or 3/4; n/a", "1 mm/voxel and/or 3/4; n/a"),
    ],
)
def test_paths_in_texts(text, expected):
    assert public({"a": [text]}, [Path("/data/Jane Roe")]) == {"a": [expected]}


def test_parameters_that_are_files():
    given = {"template": "../my templates/t.nii.gz", "to": (0, 1), "name": "mni152", "n": 3}
    assert named(given) == {"template": "t.nii.gz", "to": (0, 1), "name": "mni152", "n": 3}
    assert named({"template": r"C:\Jane Roe\t.nii"}) == {"template": "t.nii"}
