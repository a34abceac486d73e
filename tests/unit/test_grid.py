"""Grids: what they refuse, what they say of themselves, when two are the same."""

from __future__ import annotations

import numpy as np
import pytest

from mriprep.core import GeometryError, Grid, Transform
from mriprep.core.grid import parse_orientation

LPS = np.diag([-2.0, -3, 4, 1])


@pytest.mark.parametrize(
    "shape",
    [(4, 5), (4, 5, 6, 7), (4, 0, 6), (4, -1, 6), (2.5, 3, 4), 4, "abc", (4, 5, np.nan), ()],
)
def test_bad_shapes_are_refused(shape):
    with pytest.raises(GeometryError, match="three positive whole sizes"):
        Grid(shape, np.eye(4))


def broken(row, column, value):
    affine = np.eye(4)
    affine[row, column] = value
    return affine


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.eye(3), "4x4 matrix"),
        ("abc", "4x4 matrix"),
        ([[1, 2], [3]], "4x4 matrix"),
        (None, "4x4 matrix"),
        (broken(0, 3, np.nan), "NaN or infinity"),
        (broken(2, 2, np.inf), "NaN or infinity"),
        (broken(3, 0, 0.5), "last row"),
        (broken(1, 1, 0.0), "no size"),
        (broken(0, 1, 1.0) @ np.diag([1, 1e-9, 1, 1]), "no size|parallel"),
        (np.array([[1, 1, 0, 0], [0, 1e-6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "parallel"),
    ],
)
def test_bad_affines_are_refused(affine, message):
    with pytest.raises(GeometryError, match=message):
        Grid((4, 5, 6), affine)


def test_facts():
    grid = Grid((10, 20, 30), LPS)
    assert grid.spacing == (2, 3, 4)
    assert grid.orientation == "LPS"
    assert grid.voxel_volume == pytest.approx(24)
    assert grid.obliquity == 0
    assert np.allclose(grid.center, (-9, -28.5, 58))
    assert grid.corners.shape == (8, 3)
    assert np.allclose(grid.corners[-1], (-18, -57, 116))
    assert "10x20x30 voxels of 2x3x4 mm, LPS" in str(grid)


def test_obliquity_is_the_angle_turned():
    turned = Transform.rigid((0, 0, 12)).matrix @ np.diag([1, 2, 3, 1.0])
    assert Grid((3, 3, 3), turned).obliquity == pytest.approx(12)
    assert "oblique 12.0°" in str(Grid((3, 3, 3), turned))


def test_the_affine_is_a_copy_and_cannot_be_changed():
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine)
    affine[0, 0] = 7
    assert grid.spacing == (1, 1, 1)
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 2


def test_equal_grids_have_equal_hashes():
    minus_zero = np.eye(4)
    minus_zero[0, 1] = -0.0
    a, b = Grid((2, 3, 4), np.eye(4)), Grid((2, 3, 4), minus_zero)
    assert a == b
    assert hash(a) == hash(b)
    assert a != Grid((2, 3, 5), np.eye(4))
    assert a != Grid((2, 3, 4), LPS)
    assert a != "a grid"
    assert len({a, b, a.reoriented("LPS").reoriented("RAS")}) == 1


def test_matches_within_a_hundredth_of_a_millimetre():
    grid = Grid((100, 100, 100), np.eye(4))
    near, far = np.eye(4), np.eye(4)
    near[0, 3], far[0, 3] = 0.009, 0.011
    assert grid.matches(Grid((100, 100, 100), near))
    assert not grid.matches(Grid((100, 100, 100), far))
    assert grid.distance(Grid((100, 100, 100), far)) == pytest.approx(0.011)
    # A spacing off by 0.0002 mm is off by 0.02 mm at the far corner.
    assert not grid.matches(Grid((100, 100, 100), np.diag([1.0002, 1, 1, 1])))
    assert grid.distance(Grid((100, 100, 99), np.eye(4))) == np.inf


@pytest.mark.parametrize("spacing", [0, -1, np.nan, np.inf, (1, 2), (1, 0, 1), [[1, 1, 1]]])
def test_bad_spacings_are_refused(spacing):
    with pytest.raises(GeometryError, match="one positive number or three"):
        Grid((4, 4, 4), np.eye(4)).with_spacing(spacing)


@pytest.mark.parametrize("code", ["RA", "RAR", "RAX", "RASL", "", "RLS"])
def test_bad_orientations_are_refused(code):
    with pytest.raises(GeometryError, match="is not an orientation") as error:
        Grid((4, 4, 4), np.eye(4)).reoriented(code)
    assert "RAS or LPS" in error.value.hint


def test_orientations_in_any_case():
    assert parse_orientation("lpI") == "LPI"


def test_one_slice_is_a_grid():
    assert Grid((5, 6, 1), LPS).with_spacing(1).shape == (10, 18, 4)


def test_whole_sizes_of_any_type():
    shape = Grid((np.int16(3), 4.0, 5), np.eye(4)).shape
    assert shape == (3, 4, 5)
    assert all(type(n) is int for n in shape)
