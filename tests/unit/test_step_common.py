"""Otsu's threshold, the foreground and the region of statistics."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mriprep.core import GeometryError, Grid, InputError, MriprepWarning, Volume
from mriprep.steps._common import finite, foreground, otsu, otsu_threshold, region, varied


def two_classes(seed=0, shape=(30, 31, 32)):
    """Air around 10, an object around 100."""
    rng = np.random.default_rng(seed)
    inside = np.zeros(shape, bool)
    inside[8:22, 9:24, 7:25] = True
    return rng.normal(np.where(inside, 100, 10), 5).astype(np.float32), inside


@pytest.mark.parametrize("bins", [64, 256])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_otsu_chooses_the_bin_that_skimage_chooses(seed, bins):
    filters = pytest.importorskip("skimage.filters")
    values = np.random.default_rng(seed).gamma(2, 100, 20_000).astype(np.float32)
    centre = filters.threshold_otsu(values, nbins=bins)
    half = (values.max() - values.min()) / bins / 2
    ours = otsu(values, bins)
    assert centre - half <= ours < centre + half
    assert ours in values


def test_otsu_is_the_best_of_all_thresholds():
    values = np.random.default_rng(3).integers(0, 40, 3000).astype(np.float64) ** 1.5

    def between(threshold):
        low, high = values[values <= threshold], values[values > threshold]
        return low.size * high.size * (low.mean() - high.mean()) ** 2

    best = max(np.unique(values)[:-1], key=between)
    # With so many bins each holds one value: the histogram loses nothing.
    assert otsu(values, 100_000) == best


def test_a_value_on_the_border_of_two_bins_belongs_to_the_upper_class():
    values = np.repeat(np.arange(5, dtype=np.float32), [50, 1, 1, 1, 50])
    threshold = otsu(values, 4)  # borders at 1, 2 and 3
    assert threshold in values
    assert 0 <= threshold < 4


def test_a_spike_does_not_swallow_the_foreground():
    values, inside = two_classes()
    values[0, 0, 0] = 1e6
    kept = foreground(Volume(values, np.eye(4)), "test")
    inside[0, 0, 0] = True
    assert np.array_equal(kept, inside)


def test_the_layout_in_memory_does_not_matter():
    values = np.random.default_rng(5).gamma(2, 50, (80, 90, 100)).astype(np.float32)
    assert otsu_threshold(values, "test") == otsu_threshold(np.asfortranarray(values), "test")


def test_a_tiny_object_is_found():
    values = np.zeros((30, 30, 30), np.uint8)
    values[4, 5, 6] = 9  # less than a thousandth of the volume
    assert foreground(Volume(values, np.eye(4)), "test").nonzero() == ([4], [5], [6])


def test_nan_is_never_foreground_even_where_zero_would_be():
    values, _ = two_classes()
    values -= 200  # every intensity is negative: the 0 in place of NaN would be the brightest
    values[:2] = np.nan
    values[2, 0, 0] = np.inf
    assert not foreground(Volume(values, np.eye(4)), "test")[:2].any()
    assert foreground(Volume(np.array([[[np.nan, -1, -2]]]), np.eye(4)), "test").tolist() == [
        [[False, True, False]]
    ]


def test_finite_says_what_it_replaces_and_leaves_the_input():
    data = np.array([[[1.0, np.nan, np.inf]]])
    image = Volume(data, np.eye(4))
    with pytest.warns(MriprepWarning, match="test: 2 voxels of 3"):
        values = finite(image, "test")
    assert values.tolist() == [[[1, 0, 0]]]
    assert values.dtype == np.float32
    assert np.isnan(data[0, 0, 1])


def test_the_foreground_warns_of_nothing():
    values, _ = two_classes()
    values[0, 0, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        foreground(Volume(values, np.eye(4)), "test")


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_a_constant_image_has_no_foreground(value):
    image = Volume(np.full((3, 4, 5), value, np.float32), np.eye(4))
    with pytest.raises(InputError, match="test: the image is constant"):
        foreground(image, "test")


def test_no_values_at_all():
    with pytest.raises(InputError, match="holds no voxels"):
        varied(np.empty(0), "test")
    with pytest.raises(InputError, match="holds no voxels"):
        otsu_threshold(np.empty(0), "test")


def test_regions():
    values, inside = two_classes()
    values[0, 0, 0] = np.nan
    image = Volume(values, np.eye(4))
    assert np.array_equal(region(image, None, "test"), inside)
    assert np.array_equal(region(image, "foreground", "test"), inside)
    assert region(image, "whole", "test").sum() == values.size - 1
    mask = image.replace(np.ones(values.shape, bool), role="mask")
    assert region(image, mask, "test").sum() == values.size - 1
    with pytest.raises(InputError, match="mask is empty"):
        region(image, image.replace(np.zeros(values.shape, bool), role="mask"), "test")


def test_a_mask_elsewhere_is_refused_with_the_distance():
    values, inside = two_classes()
    affine = np.eye(4)
    affine[0, 3] = 2.5
    with pytest.raises(GeometryError, match=r"corners 2\.50 mm apart"):
        region(Volume(values, np.eye(4)), Volume(inside, affine, "mask"), "test")
    other = Volume(inside[1:], Grid((29, 31, 32), np.eye(4)), "mask")
    with pytest.raises(GeometryError, match="different shapes"):
        region(Volume(values, np.eye(4)), other, "test")
