"""Head against air."""

from __future__ import annotations

import numpy as np
import pytest

from mriprep.core import InputError, MriprepWarning, Volume
from mriprep.declare import keeping
from mriprep.kernels import thresholds
from mriprep.phantom import head
from mriprep.steps.background import background


def scan(dtype=np.int16, seed=0):
    inside = np.zeros((20, 22, 24), bool)
    inside[5:15, 6:17, 4:20] = True
    noise = np.random.default_rng(seed).normal(0, 4, inside.shape)
    return (np.where(inside, 200, 30) + noise).round().astype(dtype), inside


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_what_lies_below_is_zero_and_the_rest_untouched(dtype):
    data, inside = scan(dtype)
    before = data.copy()
    result = background(Volume(data, np.eye(4)))
    assert result.data.dtype == dtype
    assert np.array_equal(result.data, np.where(inside, data, 0))
    assert np.array_equal(data, before)


def test_as_a_mask():
    data, inside = scan()
    mask = background(Volume(data, np.eye(4)), output="mask")
    assert mask.role == "mask"
    assert np.array_equal(mask.data, inside)


def test_the_threshold_is_a_by_product():
    data, inside = scan()
    with keeping() as kept:
        background(Volume(data, np.eye(4)))
    assert data[~inside].max() <= kept["threshold"] < data[inside].min()


def test_real_scan_as_skimage(data):
    filters = pytest.importorskip("skimage.filters")
    nib = pytest.importorskip("nibabel")
    scan = nib.load(data / "nifti/chris/T1w.nii.gz")
    voxels = np.asarray(scan.dataobj)
    mask = background(Volume(voxels, scan.affine), output="mask").data
    assert (mask != (voxels > filters.threshold_otsu(voxels))).mean() < 0.005


def test_nan_is_background():
    data, inside = scan(np.float32)
    data[5] = np.nan
    inside[5] = False
    with pytest.warns(MriprepWarning, match="background"):
        result = background(Volume(data, np.eye(4)))
    assert np.array_equal(result.data, np.where(inside, data, 0))


def test_standardised_images_are_warned_of():
    data, _ = scan(np.float32)
    with pytest.warns(MriprepWarning, match="brighter than some tissue"):
        background(Volume(data - 1000, np.eye(4)))


def test_a_constant_image_is_refused():
    with pytest.raises(InputError, match="background: the image is constant"):
        background(Volume(np.full((4, 4, 4), 9, np.uint8), np.eye(4)))


def test_thresholds_as_skimage():
    filters = pytest.importorskip("skimage.filters")
    for sign in (1, -1):
        values = sign * head("T1w", spacing=5, labels=False).image.data
        assert thresholds.li(values) == pytest.approx(filters.threshold_li(values), rel=1e-3)
        assert thresholds.triangle(values) == pytest.approx(filters.threshold_triangle(values))
        for classes in (2, 3, 4):
            expected = filters.threshold_multiotsu(values, classes)
            assert thresholds.multi_otsu(values, classes) == pytest.approx(expected, rel=1e-5)


def test_a_triangle_does_not_take_empty_bins_for_corners():
    values = head("T1w", spacing=4, labels=False).image.data
    step = float(values.max()) / 90  # 91 grey values: empty bins between them otherwise
    coarse = (np.round(values / step) * step).astype(np.float32)
    fine = coarse + np.random.default_rng(0).uniform(-step / 2, step / 2, coarse.shape)
    assert abs(thresholds.triangle(coarse) - thresholds.triangle(fine)) < 2 * step


@pytest.mark.parametrize("method", ["multi_otsu", "li", "triangle"])
def test_other_methods_part_the_head(method):
    data, inside = scan()
    classes = {"classes": 2} if method == "multi_otsu" else {}
    mask = background(Volume(data, np.eye(4)), method=method, **classes, output="mask").data
    assert (mask & inside).sum() == inside.sum()
    assert method == "triangle" or np.array_equal(mask, inside)
