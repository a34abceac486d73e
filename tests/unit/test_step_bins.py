"""Intensities as numbers of bins."""

from __future__ import annotations

import numpy as np
import pytest

from mriprep.core import InputError, MriprepWarning, RecipeError, Volume
from mriprep.declare import get
from mriprep.steps.bins import bins


def test_by_hand():
    data = np.array([0, 1, 2, 3, 4, 5, 6, 8], np.int16).reshape(2, 2, 2)
    result = bins(Volume(data, np.eye(4)), within="whole", count=4)
    # Borders at 2, 4 and 6; a value on a border belongs to the upper bin, the greatest to the last.
    assert result.data.ravel().tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("count", [2, 32, 64, 128, 300])
def test_within_a_mask_as_digitize(count):
    data = np.random.default_rng(0).normal(100, 30, (11, 12, 13))
    inside = np.zeros(data.shape, bool)
    inside[2:9, 2:9, 2:9] = True
    before = data.copy()
    result = bins(Volume(data, np.eye(4)), Volume(inside, np.eye(4), "mask"), count=count).data
    sample = data.astype(np.float32)[inside].astype(float)
    edges = np.linspace(sample.min(), sample.max(), count + 1)
    assert np.array_equal(result[inside], np.digitize(sample, edges).clip(1, count))
    assert result[inside].min() == 1
    assert result[inside].max() == count
    assert (result[~inside] == 0).all()
    assert np.array_equal(data, before)


@pytest.mark.parametrize(
    ("count", "dtype"), [(2, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)]
)
def test_the_smallest_type_that_holds_them(count, dtype):
    data = np.arange(1000.0).reshape(10, 10, 10)
    result = bins(Volume(data, np.eye(4)), within="whole", count=count).data
    assert result.dtype == dtype
    assert result.max() == count


def test_by_default_the_background_is_no_bin():
    data = np.random.default_rng(1).integers(0, 20, (10, 10, 10)).astype(np.uint8)
    data[3:7, 3:7, 3:7] += 200
    assert ((bins(Volume(data, np.eye(4))).data > 0) == (data > 100)).all()


def test_nan_is_outside():
    data = np.arange(27.0).reshape(3, 3, 3)
    data[0, 0, 0] = np.nan
    with pytest.warns(MriprepWarning, match="bins"):
        result = bins(Volume(data, np.eye(4)), within="whole").data
    assert result[0, 0, 0] == 0
    assert result[0, 0, 1] == 1


def test_a_constant_region_is_refused():
    with pytest.raises(InputError, match="bins: the region is constant"):
        bins(Volume(np.ones((3, 3, 3)), np.eye(4)), within="whole")


@pytest.mark.parametrize("count", [1, 0, 65536, 2.5])
def test_the_number_of_bins_is_checked(count):
    with pytest.raises(RecipeError, match=r"bins\.count"):
        bins(Volume(np.arange(8.0).reshape(2, 2, 2), np.eye(4)), count=count)


def test_by_width_as_radiomics():
    data = np.random.default_rng(2).normal(3, 40, (9, 9, 9)).astype(np.float32)
    result = bins(Volume(data, np.eye(4)), within="whole", width=12.5).data
    exact = data.astype(np.float64)
    assert np.array_equal(result, np.floor(exact / 12.5) - np.floor(exact.min() / 12.5) + 1)


def test_the_methods_say_number_or_width():
    sentence = get("bins").sentence
    assert sentence({"count": 32, "width": None}).endswith("into 32 bins of equal width.")
    assert sentence({"count": 64, "width": 0.5}).endswith("into bins of width 0.5.")


def test_too_many_bins_of_a_width():
    with pytest.raises(InputError, match="greater width"):
        bins(Volume(np.arange(27.0).reshape(3, 3, 3), np.eye(4)), within="whole", width=1e-5)
