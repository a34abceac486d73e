"""Intensities into a range."""

from __future__ import annotations

import numpy as np
import pytest

from mriprep.core import GeometryError, InputError, MriprepWarning, RecipeError, Volume
from mriprep.steps.rescale import rescale


def image(dtype=np.int16):
    data = np.random.default_rng(0).gamma(2, 80, (12, 13, 14)).round()
    return Volume(data.clip(0, 250).astype(dtype), np.eye(4))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("to", [(0, 1), (-1, 1), (0, 255)])
def test_whole_image_as_numpy(dtype, to):
    volume = image(dtype)
    low, high = np.percentile(volume.data, (1, 99))
    expected = np.interp(volume.data, (low, high), to)
    result = rescale(volume, percentiles=(1, 99), to=to)
    assert result.data.dtype == np.float32
    assert np.allclose(result.data, expected, atol=1e-5 * 255)
    assert result.data.min() == to[0]
    assert result.data.max() == to[1]


def test_without_clipping_the_line_goes_on():
    volume = image()
    low, high = np.percentile(volume.data, (5, 80))
    result = rescale(volume, percentiles=(5, 80), clip=False).data
    assert np.allclose(result, (volume.data - low) / (high - low), atol=1e-5)
    assert result.min() < 0
    assert result.max() > 1


def test_full_range_is_least_to_greatest():
    result = rescale(Volume(np.arange(8.0).reshape(2, 2, 2), np.eye(4)), percentiles=(0, 100))
    assert np.allclose(result.data.ravel(), np.arange(8) / 7, atol=1e-7)


def test_percentiles_within_a_mask():
    volume = image()
    inside = np.zeros(volume.shape, bool)
    inside[2:5, 3:9] = True
    low, high = np.percentile(volume.data[inside], (10, 90))
    result = rescale(volume, Volume(inside, np.eye(4), "mask"), percentiles=(10, 90))
    assert np.allclose(result.data, np.interp(volume.data, (low, high), (0, 1)), atol=1e-5)


def test_the_default_region_is_the_whole_image():
    volume = image()
    assert np.array_equal(rescale(volume).data, rescale(volume, within="whole").data)
    assert not np.array_equal(rescale(volume).data, rescale(volume, within="foreground").data)


def test_nan_becomes_the_low_end_and_does_not_count():
    data = np.array(image(np.float32).data)
    expected = rescale(Volume(data[1:], np.eye(4))).data
    data[0] = np.nan
    with pytest.warns(MriprepWarning, match="rescale"):
        result = rescale(Volume(data, np.eye(4))).data
    assert np.array_equal(result[1:], expected)
    assert (result[0] == 0).all()


def test_coinciding_percentiles_are_refused():
    data = np.zeros((10, 10, 10), np.uint8)
    data[0, 0, :3] = 50
    with pytest.raises(
        InputError, match=r"(?s)0\.5 percentile \(0\) is not below.*within='foreground'"
    ):
        rescale(Volume(data, np.eye(4)))
    with pytest.raises(InputError):
        rescale(Volume(np.ones((3, 3, 3)), np.eye(4)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"percentiles": (90, 10)},
        {"percentiles": (-1, 50)},
        {"percentiles": (1, 101)},
        {"to": (1, 1)},
    ],
)
def test_ranges_are_checked(wrong):
    with pytest.raises(RecipeError, match=f"rescale.{next(iter(wrong))} = "):
        rescale(image(), **wrong)


def test_a_mask_elsewhere_is_refused():
    volume = image()
    with pytest.raises(GeometryError):
        rescale(volume, Volume(np.ones(volume.shape, bool), np.diag([2, 2, 2, 1]), "mask"))
