"""All volumes of one shape."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mriprep.core import Grid, MriprepWarning, RecipeError, Volume
from mriprep.declare import get
from mriprep.steps.pad import pad

AFFINE = np.array([[-2, 0.1, 0, 5], [0, 1, 0.3, -7], [0.2, 0, 3, 11], [0, 0, 0, 1]])


def image(shape, dtype=np.int16):
    return Volume(np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape), AFFINE)


def test_as_numpy_pads():
    volume = image((4, 5, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = pad(volume, shape=(8, 5, 9), fill=-3)
    assert np.array_equal(
        result.data, np.pad(volume.data, ((2, 2), (0, 0), (1, 2)), constant_values=-3)
    )
    assert result.data.dtype == np.int16
    # The voxel that was first is now at (2, 0, 1), and still where it was.
    assert np.allclose(result.grid.to_world((2, 0, 1)), AFFINE[:3, 3])


def test_one_number_is_a_cube():
    assert pad(image((4, 5, 6)), shape=7).shape == (7, 7, 7)


def test_larger_volumes_are_cut_in_the_middle_and_said_so():
    volume = image((10, 3, 7))
    with pytest.warns(MriprepWarning, match=r"pad: .*10x3x7.*6x6x6.*4 x 0 x 1 voxels were cut"):
        result = pad(volume, shape=6)
    assert np.array_equal(result.data[:, 2:5], volume.data[2:8, :, :6])
    assert np.allclose(result.grid.to_world((0, 2, 0)), volume.grid.to_world((2, 0, 0)))


@pytest.mark.parametrize("role", ["mask", "labels", "probability"])
def test_other_roles_are_filled_with_zero(role):
    volume = Volume(np.ones((3, 3, 3), np.uint8), AFFINE, role)
    result = pad(volume, shape=5, fill=-1000)
    assert result.role == role
    assert result.data.dtype == volume.data.dtype
    assert result.data.sum() == 27


def test_a_fill_that_does_not_fit_is_refused():
    with pytest.raises(RecipeError, match=r"pad\.fill = -1 does not fit voxels of type uint8"):
        pad(image((2, 2, 2), np.uint8), shape=4, fill=-1)


@pytest.mark.parametrize("shape", [0, (3, 3), (3, -1, 3), "big", 100_000, 2.5])
def test_the_shape_is_checked(shape):
    with pytest.raises(RecipeError, match=r"pad\.shape"):
        pad(image((2, 2, 2)), shape=shape)


def test_the_plan_is_what_comes_out():
    step, volume = get("pad"), image((4, 9, 6))
    assert step.each
    assert step.plan is not None
    planned = step.plan({"image": volume.grid}, step.validate({"shape": [8, 8, 7]}))
    with pytest.warns(MriprepWarning):
        assert planned == pad(volume, shape=(8, 8, 7)).grid
    assert step.plan({"image": None}, step.validate({"shape": 8})) is None
    assert isinstance(planned, Grid)
