"""The median filter and its kernel."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from scipy import ndimage

from mriprep.core import InputError, MriprepWarning, RecipeError, Volume
from mriprep.declare import get
from mriprep.kernels.median import SORT_9, median_3
from mriprep.phantom import head
from mriprep.steps._noise import noise_of
from mriprep.steps.denoise import denoise

SHAPES = [(9, 10, 11), (2, 12, 13), (12, 2, 13), (12, 13, 2), (1, 1, 7), (1, 1, 1), (3, 3, 40)]


def test_the_network_sorts():
    """A network that sorts all words of zeros and ones sorts everything (Knuth's 0-1 principle)."""
    for word in itertools.product((0, 1), repeat=9):
        wires = list(word)
        for a, b in SORT_9:
            wires[a], wires[b] = min(wires[a], wires[b]), max(wires[a], wires[b])
        assert wires == sorted(word)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("top", [2, 1000])
def test_kernel_is_scipy_to_the_bit(shape, top):
    """Few values make ties and zeros and ones make every order of ranks; many make none."""
    data = np.random.default_rng(0).integers(0, top, shape).astype(np.float32) / 7 - 3
    assert np.array_equal(median_3(data), ndimage.median_filter(data, 3, mode="nearest"))


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_as_scipy(dtype, size):
    rng = np.random.default_rng(1)
    data = rng.integers(0, 250, (12, 2, 9)).astype(dtype)
    before = data.copy()
    result = denoise(Volume(data, np.eye(4)), size=size)
    assert np.array_equal(result.data, ndimage.median_filter(data, size, mode="nearest"))
    assert result.data.dtype == dtype
    assert np.array_equal(data, before)


@pytest.mark.parametrize(
    ("dtype", "low"), [(np.int32, 2**30), (np.uint32, 2**32 - 60), (np.int64, -(2**40))]
)
def test_large_integers_are_not_rounded(dtype, low):
    data = (np.random.default_rng(2).integers(0, 50, (5, 6, 7)) + low).astype(dtype)
    result = denoise(Volume(data, np.eye(4)))
    assert np.array_equal(result.data, ndimage.median_filter(data, 3, mode="nearest"))


def test_any_layout_of_memory():
    data = np.asfortranarray(np.random.default_rng(3).normal(size=(6, 7, 8)))[::-1, :, ::2]
    result = denoise(Volume(data, np.eye(4))).data
    assert result.dtype == np.float32
    assert np.array_equal(result, ndimage.median_filter(data.astype(np.float32), 3, mode="nearest"))


def test_no_dark_frame_and_no_impulses():
    data = np.full((10, 10, 10), 100, np.int16)
    data[4, 4, 4], data[0, 0, 0] = 3000, 0
    assert (denoise(Volume(data, np.eye(4))).data == 100).all()


def test_nan_does_not_spread():
    data = np.full((6, 6, 6), 2, np.float32)
    data[3, 3, 3] = np.nan
    with pytest.warns(MriprepWarning, match="denoise: 1 voxels"):
        result = denoise(Volume(data, np.eye(4)))
    assert (result.data == 2).all()


def test_masks_and_labels_are_refused():
    inside = np.random.default_rng(4).random((8, 8, 8)) > 0.4
    for role in ("mask", "labels"):
        with pytest.raises(InputError, match="intensities"):
            denoise(Volume(inside, np.eye(4), role))


def test_geometry_and_facts_are_kept():
    affine = np.diag([2, 3, 4, 1.0])
    image = Volume(np.zeros((3, 3, 3)), affine, meta={"contrast": "T1w"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = denoise(image)
    assert result.grid == image.grid
    assert result.meta == image.meta


def test_another_size_is_refused():
    with pytest.raises(RecipeError, match=r"denoise\.size = 4"):
        get("denoise").validate({"size": 4})


@pytest.mark.parametrize("method", ["nlm", "tv"])
def test_error_to_the_clean_image_falls(method):
    scan = head("T1w", spacing=4, noise=0.08, bias=0, seed=1, labels=False)
    inside, clean = scan.brain.data, scan.clean.data
    before = np.sqrt(np.mean((scan.image.data - clean)[inside] ** 2))
    result = denoise(scan.image, method=method, noise=80.0).data
    assert result.dtype == np.float32
    assert np.sqrt(np.mean((result - clean)[inside] ** 2)) < 0.85 * before
    outside = clean == 0
    assert result[outside].mean() < 0.9 * scan.image.data[outside].mean()  # Rice's bias


def test_noise_is_estimated():
    rng = np.random.default_rng(5)
    for level, tolerance in ((100.0, 0.05), (50.0, 0.1)):
        channels = rng.normal(0, 10, (2, 30, 30, 30)) + np.array([level, 0]).reshape(2, 1, 1, 1)
        image = np.hypot(*channels).astype(np.float32)
        assert noise_of(np.pad(image, 6), True) == pytest.approx(10, rel=tolerance)


def test_an_image_without_noise_is_left():
    image = Volume(np.full((6, 6, 6), 4, np.float32), np.eye(4))
    with pytest.warns(MriprepWarning, match="no noise"):
        assert (denoise(image, method="tv").data == 4).all()
