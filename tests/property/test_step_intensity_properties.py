"""Intensity steps on any image: ranges, order, and inputs as they were."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from mriprep.core import InputError, Volume
from mriprep.steps.apply_mask import apply_mask
from mriprep.steps.background import background
from mriprep.steps.bins import bins
from mriprep.steps.clahe import clahe
from mriprep.steps.denoise import denoise
from mriprep.steps.equalize import equalize
from mriprep.steps.fcm import fcm
from mriprep.steps.kde import kde
from mriprep.steps.match_histogram import match_histogram
from mriprep.steps.rescale import rescale
from mriprep.steps.robust_zscore import robust_zscore
from mriprep.steps.whitestripe import whitestripe
from mriprep.steps.zscore import zscore

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)
images = st.one_of(
    hnp.arrays(np.uint8, shapes),
    hnp.arrays(np.int16, shapes),
    hnp.arrays(
        np.float64,
        shapes,
        elements=st.one_of(st.floats(-1e4, 1e4, width=32), st.sampled_from([np.nan, np.inf])),
    ),
).map(lambda data: Volume(data, np.eye(4)))


@settings(max_examples=60, deadline=None)
@given(images)
def test_every_step_gives_a_right_answer_or_says_why_not(image):
    before = np.array(image.data)
    reasons: list[str] = []
    mask = image.replace(np.ones(image.shape, bool), role="mask")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in (
            *(denoise, background, rescale, equalize, bins, zscore),
            lambda i: apply_mask(i, mask),
        ):
            try:
                result, again = step(image), step(image)
            except InputError as error:
                reasons.append(str(error))
                continue
            assert result.grid == image.grid
            assert np.array_equal(result.data, again.data, equal_nan=True)
            assert result.data.dtype.kind != "f" or result.data.dtype in (np.float32, before.dtype)
    assert np.array_equal(image.data, before, equal_nan=True)
    known = ("is constant", "percentile", "every voxel of the image is NaN")
    assert all(any(k in reason for k in known) for reason in reasons)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, shapes, elements=st.floats(-1e6, 1e6, width=32)))
def test_the_median_is_scipys(data):
    result = denoise(Volume(data, np.eye(4))).data
    assert np.array_equal(result, ndimage.median_filter(data, 3, mode="nearest"))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int16, shapes),
    st.floats(-100, 100),
    st.floats(0.01, 100),
    st.booleans(),
)
def test_rescale_stays_in_range_and_keeps_order(data, first, width, clip):
    try:
        result = rescale(Volume(data, np.eye(4)), to=(first, first + width), clip=clip).data
    except InputError:
        return
    order = np.argsort(data, axis=None)
    assert (np.diff(result.ravel()[order]) >= 0).all()
    if clip:
        ends = np.float32([first, first + width])
        assert ends[0] <= result.min() <= result.max() <= ends[1]


@settings(max_examples=60, deadline=None)
@given(images)
@example(Volume(np.array([[[1.4e-45, 0.0]]]), np.eye(4)))
def test_every_normaliser_gives_a_right_answer_or_says_why_not(image):
    reasons: list[str] = []
    image = image.replace(contrast="T1w")
    whole = image.replace(np.ones(image.shape, bool), role="mask")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in (
            *(robust_zscore, clahe, fcm, kde, whitestripe),
            lambda i, m: match_histogram(i, m, i, m),
        ):
            try:
                result, again = step(image, whole), step(image, whole)
            except InputError as error:
                reasons.append(str(error))
                continue
            assert result.grid == image.grid
            assert result.data.dtype == np.float32
            assert np.isfinite(result.data).all()
            assert np.array_equal(result.data, again.data)
    known = ("is constant", "percentile", "mask is empty", "divided by", "no peak", "one intensity")
    assert all(any(k in reason for k in known) for reason in reasons)


@settings(max_examples=60, deadline=None)
@given(images)
def test_an_images_own_histogram_leaves_it_as_it_is(image):
    finite = np.nan_to_num(image.data.astype(np.float64), posinf=0, neginf=0)
    image = image.replace(finite)
    try:
        result = match_histogram(image, "whole", image).data
    except InputError:
        return
    assert np.abs(result - finite).max() <= 1e-4 * max(np.ptp(finite), 1)
