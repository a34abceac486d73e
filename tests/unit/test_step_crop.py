"""Only the part of the volume that shows something."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from mriprep.core import GeometryError, Grid, InputError, RecipeError, Volume
from mriprep.declare import get
from mriprep.steps.crop import crop

OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.3, -0.2, 0.1) @ np.diag([-1.5, 2, 3]), (12, -30, 7)
)


def boxed(shape=(30, 32, 34), dtype=np.int16):
    data = np.random.default_rng(0).integers(0, 10, shape).astype(dtype)
    data[10:20, 12:18, 14:24] += 200
    return data


def test_around_a_mask_as_nibabel_slices():
    data, inside = boxed(), np.zeros((30, 32, 34), bool)
    inside[10, 12, 14] = inside[19, 17, 23] = True
    result = crop(Volume(data, OBLIQUE), Volume(inside, OBLIQUE, "mask"), margin=3)
    # 3 mm are 2 voxels of 1.5 mm, 2 of 2 mm (rounded up) and 1 of 3 mm.
    expected = nib.Nifti1Image(data, OBLIQUE).slicer[8:22, 10:20, 13:25]
    assert np.array_equal(result.data, expected.dataobj)
    assert np.allclose(result.affine, expected.affine)
    assert result.data.dtype == np.int16
    assert result.data.flags.c_contiguous


def test_no_voxel_moves_in_the_world():
    data = np.arange(30 * 32 * 34).reshape(30, 32, 34)
    inside = np.zeros(data.shape, bool)
    inside[5:9, 20:30, 0:3] = True
    image = Volume(data, OBLIQUE)
    result = crop(image, Volume(inside, OBLIQUE, "mask"))
    for value in (result.data[0, 0, 0], result.data[3, 4, 1], result.data[-1, -1, -1]):
        there = np.argwhere(result.data == value)[0]
        here = np.argwhere(data == value)[0]
        assert np.allclose(result.grid.to_world(there), image.grid.to_world(here))


def test_without_a_mask_around_the_foreground_without_specks():
    data = boxed()
    data[0, 0, 0] = data[29, 31, 33] = 220
    result = crop(Volume(data, np.eye(4)), margin=0)
    assert np.array_equal(result.data, data[10:20, 12:18, 14:24])


def test_two_pieces_are_both_kept():
    data = boxed()
    data[25:28, 25:28, 28:31] = 220
    assert crop(Volume(data, np.eye(4)), margin=0).shape == (18, 16, 17)


def test_never_beyond_the_volume():
    image = Volume(boxed(), np.eye(4))
    result = crop(image, margin=1000)
    assert result.grid == image.grid
    assert np.array_equal(result.data, image.data)


@pytest.mark.parametrize("role", ["mask", "labels", "probability"])
def test_other_roles_are_boxed_by_what_they_hold(role):
    data = np.zeros((9, 9, 9), np.float32)
    data[2:5, 3:8, 6] = 1
    data[0, 0, 0] = 0 if role != "probability" else 0.3
    result = crop(Volume(data, np.eye(4), role), margin=0)
    assert result.role == role
    assert result.shape == (3, 5, 1)
    assert (result.data == 1).all()


def test_masks_that_cannot_be_meant():
    image = Volume(boxed(), np.eye(4))
    with pytest.raises(InputError, match="crop: the mask is empty"):
        crop(image, Volume(np.zeros(image.shape, bool), np.eye(4), "mask"))
    with pytest.raises(GeometryError, match="not on the image's grid"):
        crop(image, Volume(np.ones(image.shape, bool), np.diag([1, 2, 1, 1]), "mask"))
    with pytest.raises(InputError, match="crop: the image is constant"):
        crop(Volume(np.zeros((4, 4, 4)), np.eye(4)))
    with pytest.raises(RecipeError, match=r"crop\.margin"):
        crop(image, margin=-1)


def test_its_plan_depends_on_the_voxels():
    step = get("crop")
    assert step.each
    assert step.plan is not None
    assert step.plan({"image": Grid((3, 3, 3), np.eye(4))}, step.validate({})) is None
