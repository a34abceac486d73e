"""Sampling kernels against scipy, and against the plain definition of a vote."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import ndimage

from mriprep.kernels import sample

SHAPE = (13, 11, 9)
OUT = (10, 12, 14)


def turned(seed=0, scale=1.0, shift=0.0):
    """An index map that turns, stretches and shifts: parts of the output lie outside."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(np.eye(3) + 0.3 * rng.standard_normal((3, 3)))
    linear = q * np.sign(np.diag(q)) * scale * rng.uniform(0.8, 1.2, 3)
    middle = (np.asarray(SHAPE) - 1) / 2 - linear @ ((np.asarray(OUT) - 1) / 2)
    return np.column_stack([linear, middle + shift])


def points(matrix, shape=OUT):
    """Fractional input index of every output voxel, (3, ...)."""
    index = np.indices(shape).reshape(3, -1)
    return (matrix[:, :3] @ index + matrix[:, 3:]).reshape(3, *shape)


def inside(at, shape=SHAPE):
    size = np.asarray(shape).reshape(3, 1, 1, 1)
    return ((at >= -0.5) & (at <= size - 0.5)).all(axis=0)


def clamped(at, shape=SHAPE):
    return np.clip(at, 0, np.asarray(shape).reshape(3, 1, 1, 1) - 1)


def noise(dtype=np.float32, seed=1, high=100):
    return np.random.default_rng(seed).uniform(0, high, SHAPE).astype(dtype)


def most_weight(data, at):
    """The vote as it is defined: every label's indicator interpolated linearly, the largest wins."""
    labels = np.unique(np.append(data, 0))
    within = inside(at)
    weights = np.stack(
        [
            np.where(
                within,
                ndimage.map_coordinates((data == n).astype(float), clamped(at), order=1),
                float(n == 0),
            )
            for n in labels
        ]
    )
    return labels, weights


@pytest.mark.parametrize("seed", range(4))
def test_linear_is_scipys(seed):
    matrix, data = turned(seed), noise()
    at = points(matrix)
    expected = ndimage.map_coordinates(data.astype(float), clamped(at), order=1)
    result = sample.linear(data, matrix, OUT)
    within = inside(at)
    assert 0.2 < within.mean() < 1
    assert np.allclose(result[within], expected[within], atol=1e-4)
    assert (result[~within] == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_cubic_is_scipys_within_the_range_of_the_input(seed):
    matrix, data = turned(seed), noise()
    at = points(matrix)
    expected = ndimage.map_coordinates(data.astype(float), clamped(at), order=3, mode="mirror")
    result = sample.cubic(data, matrix, OUT)
    within = inside(at)
    assert np.allclose(result[within], np.clip(expected[within], data.min(), data.max()), atol=2e-3)
    assert (expected[within] < data.min()).any(), "the case has no overshoot to clamp"
    assert (result[~within] == 0).all()


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "i4", "u8", "f2", "f4", ">f4", "f8", "?"])
def test_nearest_copies_any_type(dtype):
    matrix, data = turned(), noise().astype(dtype)
    at = points(matrix)
    a, b, c = (clamped(at) + 0.5).astype(int)
    expected = np.where(inside(at), data[a, b, c], np.zeros((), dtype))
    result = sample.nearest(data, matrix, OUT)
    assert result.dtype == data.dtype
    assert np.array_equal(result, expected)


def test_nearest_keeps_large_integers_and_nan():
    data = np.array([[[2**63 + 1]], [[2**53 + 1]]], np.uint64)
    assert np.array_equal(sample.nearest(data, np.eye(4)[:3], data.shape), data)
    floats = np.array([[[np.nan, -0.0, np.inf]]])
    copied = sample.nearest(floats, np.eye(4)[:3], floats.shape)
    assert copied.tobytes() == floats.tobytes()


def test_nearest_of_long_doubles_is_double():
    data = noise().astype(np.longdouble)
    assert sample.nearest(data, turned(), OUT).dtype == np.float64


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", "i4", "u8"])
def test_vote_is_the_label_with_most_linear_weight(seed, dtype):
    matrix = turned(seed)
    data = np.random.default_rng(seed).choice([0, 3, 7, 90], SHAPE).astype(dtype)
    labels, weights = most_weight(data, points(matrix))
    result = sample.vote(data, matrix, OUT)
    assert result.dtype == np.dtype(dtype)
    won = weights[np.searchsorted(labels, result), *np.indices(OUT)]
    assert np.allclose(won, weights.max(axis=0), atol=1e-9)


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_vote_of_labels_that_need_eight_bytes(dtype):
    small = np.random.default_rng(3).choice([0, 1, 2, 3], SHAPE)
    # In their order, so that the vote is the same; 0 is what lies outside.
    names = np.array([0, 7, 2**40, 2**62], dtype)
    matrix = turned(3)
    expected = names[sample.vote(small, matrix, OUT)]
    result = sample.vote(names[small], matrix, OUT)
    assert result.dtype == np.dtype(dtype)
    assert np.array_equal(result, expected)
    if dtype == "i8":
        names = np.array([0, 1, 2**40, 2**41]) - 2**40
        below = sample.vote(names[small], matrix, OUT)
        assert set(np.unique(below)) <= {0, *names}
        outside = sample.vote(np.ones(SHAPE, int), matrix, OUT) == 0
        assert outside.any()
        assert (below[outside] == 0).all()


def test_vote_within_coarse_voxels():
    matrix = turned(5, scale=2.6)
    data = np.random.default_rng(5).choice([0, 1, 2], SHAPE).astype(np.int16)
    parts = (3, 2, 3)
    total = 0
    for offset in np.ndindex(parts):
        shift = (np.asarray(offset) + 0.5) / parts - 0.5
        labels, weights = most_weight(
            data, points(matrix) + (matrix[:, :3] @ shift)[:, None, None, None]
        )
        total = total + weights
    result = sample.vote(data, matrix, OUT, parts)
    won = total[np.searchsorted(labels, result), *np.indices(OUT)]
    assert np.allclose(won, total.max(axis=0), atol=1e-9)


def test_equal_votes_go_to_the_smaller_label():
    between = np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0]])
    for pair in ((5, 2), (2, 5)):
        data = np.array(pair, np.uint8).reshape(2, 1, 1)
        assert sample.vote(data, between, (1, 1, 1)).item() == 2


@pytest.mark.parametrize("kernel", [sample.linear, sample.cubic, sample.nearest, sample.vote])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 1), (5, 1, 2)])
def test_thin_volumes_are_copied(kernel, shape):
    data = np.arange(1, np.prod(shape) + 1).reshape(shape).astype(np.float32)
    data = data if kernel is not sample.vote else data.astype(np.int32)
    result = kernel(data, np.eye(4)[:3], shape)
    assert np.allclose(result, data, atol=1e-5)


@pytest.mark.parametrize("kernel", [sample.linear, sample.cubic, sample.nearest, sample.vote])
def test_the_edge_of_the_field_of_view(kernel):
    """Half a voxel beyond the outermost centres the field ends: edge value inside, 0 outside."""
    data = np.full((4, 4, 4), 9, np.int32 if kernel is sample.vote else np.float32)
    matrix = np.eye(4)[:3].copy()
    for offset, value in ((-0.5, 9), (-0.501, 0), (3.5, 9), (3.501, 0)):
        matrix[0, 3] = offset
        assert kernel(data, matrix, (1, 1, 1)).item() == pytest.approx(value, abs=1e-4), offset


@pytest.mark.parametrize("kernel", [sample.linear, sample.cubic, sample.nearest, sample.vote])
def test_neither_order_in_memory_nor_threads_matter(kernel):
    data = noise(np.int32) if kernel is sample.vote else noise()
    kept = data.copy()
    first = kernel(data, turned(), OUT)
    again = kernel(np.asfortranarray(data), np.asfortranarray(turned()), OUT)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = kernel(data, turned(), OUT)
    finally:
        numba.set_num_threads(threads)
    assert first.tobytes() == again.tobytes() == alone.tobytes()
    assert np.array_equal(data, kept)
