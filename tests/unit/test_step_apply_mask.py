"""Only what a mask holds."""

from __future__ import annotations

import numpy as np
import pytest

from mriprep.core import GeometryError, InputError, RecipeError, Volume
from mriprep.steps.apply_mask import apply_mask


def masked(dtype):
    rng = np.random.default_rng(0)
    data = rng.integers(1, 200, (6, 7, 8)).astype(dtype)
    return Volume(data, np.eye(4)), Volume(rng.random((6, 7, 8)) > 0.5, np.eye(4), "mask")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("fill", [0, 7])
def test_outside_is_filled_and_inside_untouched(dtype, fill):
    image, mask = masked(dtype)
    before = np.array(image.data)
    result = apply_mask(image, mask, fill=fill).data
    assert result.dtype == dtype
    assert np.array_equal(result[mask.data], image.data[mask.data])
    assert (result[~mask.data] == fill).all()
    assert np.array_equal(image.data, before)


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [(np.uint8, -1), (np.uint8, 256), (np.int16, 0.5), (np.int16, 40_000), (np.float32, 1e39)],
)
def test_a_fill_that_does_not_fit_is_refused(dtype, fill):
    image, mask = masked(dtype)
    with pytest.raises(RecipeError, match=rf"apply_mask\.fill = .* {np.dtype(dtype)}"):
        apply_mask(image, mask, fill=fill)


def test_negative_and_broken_fills_of_floats():
    image, mask = masked(np.float32)
    assert apply_mask(image, mask, fill=-1.5).data[~mask.data].max() == -1.5


def test_nan_inside_stays_and_outside_goes():
    data = np.full((2, 2, 2), np.nan)
    inside = np.zeros((2, 2, 2), bool)
    inside[0] = True
    result = apply_mask(Volume(data, np.eye(4)), Volume(inside, np.eye(4), "mask")).data
    assert np.isnan(result[0]).all()
    assert (result[1] == 0).all()


def test_labels_stay_labels():
    _, mask = masked(np.uint8)
    labels = Volume(np.full(mask.shape, 300, np.int32), np.eye(4), "labels")
    result = apply_mask(labels, mask)
    assert result.role == "labels"
    assert set(np.unique(result.data)) == {0, 300}


def test_masks_that_cannot_be_meant():
    image, mask = masked(np.uint8)
    with pytest.raises(InputError, match="mask is empty"):
        apply_mask(image, mask.replace(np.zeros(mask.shape, bool)))
    with pytest.raises(GeometryError, match="not on the image's grid"):
        apply_mask(image, Volume(mask.data, np.diag([1, 1, 2, 1]), "mask"))
    with pytest.raises(InputError, match="must be a mask"):
        apply_mask(image, image)
