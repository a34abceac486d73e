"""Standard scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mriprep.core import InputError, MriprepWarning, Volume
from mriprep.steps.zscore import zscore


def head(dtype=np.int16):
    rng = np.random.default_rng(0)
    data = rng.normal(20, 3, (12, 13, 14))
    data[3:9, 3:9, 3:9] += 300
    return data.round().astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.float64])
def test_whole_image_as_scipy(dtype):
    data = head(dtype)
    result = zscore(Volume(data, np.eye(4)), "whole")
    assert result.data.dtype == np.float32
    assert np.allclose(result.data, stats.zscore(data.astype(float), axis=None), atol=1e-5)


def test_within_a_mask_all_voxels_are_transformed():
    data, inside = head(), np.zeros((12, 13, 14), bool)
    inside[3:9, 3:9, 3:8] = True
    image = Volume(data, np.eye(4))
    result = zscore(image, Volume(inside, np.eye(4), "mask")).data
    assert result[inside].mean() == pytest.approx(0, abs=1e-5)
    assert result[inside].std() == pytest.approx(1, abs=1e-5)
    slope = (result.max() - result.min()) / (float(data.max()) - float(data.min()))
    assert np.allclose(result, (data - data[inside].mean()) * slope, atol=1e-4)


def test_the_default_is_the_foreground():
    image = Volume(head(), np.eye(4))
    default = zscore(image).data
    assert np.array_equal(default, zscore(image, within="foreground").data)
    assert default[3:9, 3:9, 3:9].mean() == pytest.approx(0, abs=1e-5)


def test_nan_is_taken_as_zero_and_said_once():
    data = head(np.float32)
    data[0, 0, 0] = np.nan
    with pytest.warns(MriprepWarning, match="zscore: 1 voxels") as seen:
        result = zscore(Volume(data, np.eye(4)))
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert np.isfinite(result.data).all()


def test_a_constant_region_is_refused():
    data = head()
    data[0] = 5
    inside = np.zeros(data.shape, bool)
    inside[0] = True
    with pytest.raises(InputError, match="zscore: the region is constant, every voxel is 5"):
        zscore(Volume(data, np.eye(4)), Volume(inside, np.eye(4), "mask"))
