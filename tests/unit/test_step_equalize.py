"""Histogram equalisation."""

from __future__ import annotations

import numpy as np
import pytest

from mriprep.core import InputError, MriprepWarning, Volume
from mriprep.steps.equalize import equalize


def image():
    data = np.random.default_rng(0).gamma(2, 60, (14, 15, 16)).astype(np.float32)
    return Volume(data, np.eye(4))


@pytest.mark.parametrize("bins", [2, 64, 256, 4096])
def test_within_a_mask_as_skimage(bins):
    exposure = pytest.importorskip("skimage.exposure")
    volume = image()
    inside = np.zeros(volume.shape, bool)
    inside[3:11, 2:12, 4:15] = True
    # Where skimage takes the range from the whole image, ours takes it from the region.
    data = np.where(inside, volume.data, volume.data[inside].min())
    expected = exposure.equalize_hist(data.astype(np.float64), nbins=bins, mask=inside)
    result = equalize(volume.replace(data), Volume(inside, np.eye(4), "mask"), bins=bins).data
    assert np.allclose(result[inside], expected[inside], atol=1e-6)
    assert (result[~inside] == 0).all()


def test_the_result_is_flat():
    volume = image()
    result = equalize(volume, within="whole", bins=4096).data
    assert result.dtype == np.float32
    counts, _ = np.histogram(result, 10, (0, 1))
    assert np.abs(counts / result.size - 0.1).max() < 0.01
    assert result.min() > 0
    assert result.max() == 1


def test_order_is_kept():
    volume = image()
    result = equalize(volume, within="whole").data.ravel()
    assert (np.diff(result[np.argsort(volume.data.ravel())]) >= 0).all()


def test_by_default_the_background_is_black():
    data = np.random.default_rng(1).integers(0, 20, (10, 10, 10)).astype(np.uint8)
    data[3:7, 3:7, 3:7] += 200
    result = equalize(Volume(data, np.eye(4))).data
    inside = np.zeros(data.shape, bool)
    inside[3:7, 3:7, 3:7] = True
    assert (result[inside] > 0).all()
    assert (result[~inside] == 0).all()


def test_nan_is_outside():
    data = np.array(image().data)
    data[0] = np.nan
    with pytest.warns(MriprepWarning, match="equalize"):
        result = equalize(Volume(data, np.eye(4)), within="whole").data
    assert (result[0] == 0).all()
    assert np.array_equal(result[1:], equalize(Volume(data[1:], np.eye(4)), within="whole").data)


def test_a_constant_region_is_refused():
    volume = Volume(np.ones((3, 3, 3)), np.eye(4))
    with pytest.raises(InputError, match="equalize: the region is constant"):
        equalize(volume, within="whole")
    with pytest.raises(InputError, match="equalize: the image is constant"):
        equalize(volume)
