"""Shearing tilted slices back, and verdicts on series that no fixture has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriprep.core import Grid, Volume
from mriprep.io.dicom_series import Series
from mriprep.io.dicom_shear import upright
from mriprep.io.dicom_verdict import judge, undecoded


def leaning(axis: int, shift: tuple[float, float], dtype="float32") -> Volume:
    """A ramp, seen on a grid that leans by a shift (voxels a slice)."""
    shape = [20, 22, 24]
    shape[axis] = 6
    spacing = np.array([1.0, 1.5, 2.0])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-10, 5, 7)
    others = [a for a in range(3) if a != axis]
    tilted = affine.copy()
    for a, s in zip(others, shift, strict=True):
        tilted[:3, axis] += s * affine[:3, a]

    a, b, c = shape
    grid = Grid((a, b, c), tilted)
    points = np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine[:3, :3].T
    x, y, z = np.moveaxis(points + grid.affine[:3, 3], -1, 0)
    data = 1000 + 20 * x - 7 * y + 13 * z  # what linear interpolation leaves as it is
    return Volume(data.astype(dtype), grid)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift", [(0.0, 0.4), (0.0, -0.7), (1.0, 0.0), (0.3, -0.2)])
def test_what_leaned_stands_where_it_was(axis, shift):
    tilted = leaning(axis, shift)
    found = upright(tilted, axis)
    assert np.allclose(found.grid.direction.T @ found.grid.direction, np.eye(3), atol=1e-9)
    assert "leaned by" in found.meta["interpolated"]
    index = np.moveaxis(np.indices(found.shape), 0, -1)
    points = index @ found.affine[:3, :3].T + found.affine[:3, 3]
    expected = 1000 + points @ np.array([20, -7, 13])
    # Inside, away from where a slice ends and zeros begin.
    inside = np.abs(found.data - expected) < 0.01
    assert inside.sum() > 0.8 * (tilted.data.size - 2 * tilted.data.size / 20)
    assert ((found.data == 0) | inside).mean() > 0.85
    corner = tilted.grid.to_world([0, 0, 0])
    assert (found.grid.to_index(corner) > -1e-6).all()
    far = tilted.grid.to_world(np.array(tilted.shape) - 1)
    assert (found.grid.to_index(far) < np.array(found.shape) - 1 + 1e-6).all()


def test_whole_voxels_are_moved_without_a_change():
    tilted = leaning(2, (2.0, -1.0), "int16")
    found = upright(tilted, 2)
    assert found.data.dtype == np.int16
    assert found.shape == (20 + 10, 22 + 5, 6)
    for k in range(6):
        slice_ = found.data[:, :, k]
        rows, columns = np.flatnonzero(slice_.any(1)), np.flatnonzero(slice_.any(0))
        np.testing.assert_array_equal(
            slice_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], tilted.data[:, :, k]
        )


def series(**changes) -> Series:
    about = {
        "key": "5", "number": 5, "description": "x", "contrast": "T1w", "files": (Path("a"),), "rows": 8,
        "columns": 8, "slices": 40, "volumes": 1, "spacing": (1, 1, 1), "is_3d_anatomical": True,
        "derived": False, "usable": True, "problems": (), "grid": None,
    }  # fmt: skip
    return Series(**{**about, **changes})


@pytest.mark.parametrize(
    ("changes", "kind", "why"),
    [
        ({}, "good", ""),
        ({"slices": 39, "missing": (7,), "problems": ("1 missing",)}, "repair", "filled in"),
        ({"slices": 37, "missing": (7, 9, 11)}, "refuse", "incomplete"),
        ({"slices": 60, "missing": (7, 8, 9)}, "refuse", "incomplete"),
        ({"lost": 1, "slices": 39, "problems": ("1 cut off",)}, "repair", "cut off are left out"),
        ({"lost": 4, "slices": 36, "problems": ("4 cut off",)}, "refuse", "4 cut off"),
        ({"volumes": 3}, "refuse", "3 volumes"),
        ({"slices": 2}, "refuse", "too few slices: 2"),
        ({"contrast": "screenshot"}, "refuse", "picture of a screen"),
        ({"problems": ("colour: 3 values a pixel",)}, "refuse", "colour"),
        ({"problems": ("irregular: x",), "even": False}, "repair", "resampled to even spacing"),
        ({"syntax": "1.2.840.10008.1.2.4.100"}, "refuse", "MPEG2"),
    ],
)
def test_verdicts(changes, kind, why):
    found = judge(series(**changes))
    assert found.kind == kind
    assert why in found.why
    assert bool(found.hint) == (kind == "refuse")


def test_a_missing_decoder_is_named(monkeypatch):

    undecoded.cache_clear()
    from pydicom import pixels

    class Decoder:
        is_available = False
        missing_dependencies = ("pylibjpeg - requires pylibjpeg>=2.0 and pylibjpeg-openjpeg>=2.0",)

    monkeypatch.setattr(pixels, "get_decoder", lambda uid: Decoder())
    why, hint = undecoded("1.2.840.10008.1.2.4.201")
    assert "High-Throughput JPEG 2000" in why
    assert "pylibjpeg>=2.0 and pylibjpeg-openjpeg>=2.0" in why
    assert "dicom2nifti" in hint
    undecoded.cache_clear()
    assert undecoded("1.2.840.10008.1.2.4.90") is None
