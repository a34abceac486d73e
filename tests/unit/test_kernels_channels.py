"""Sums and scales of channels that lie innermost."""

from __future__ import annotations

import numba as nb
import numpy as np
import pytest

from mriprep.kernels import channels


@pytest.mark.parametrize("shape", [(1, 1), (63, 3), (4097, 8), (70_001, 16), (300_000, 5)])
def test_sums_are_numpys(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(1).normal(3, 2, shape).astype(np.float32)
    total, squares = channels.sums(rows)
    wide = rows.astype(np.float64)
    np.testing.assert_allclose(total, wide.sum(0), rtol=3e-6)
    np.testing.assert_allclose(squares, (wide**2).sum(0), rtol=3e-6)


def test_scaling_is_in_place_and_cut_off() -> None:
    rows = np.random.default_rng(2).normal(size=(1001, 4)).astype(np.float32)
    factor, shift = np.float32([1, -2, 0.5, 0]), np.float32([0, 1, -1, 3])
    for least in (-np.inf, 0.0):
        given = rows.copy()
        channels.scale(given, factor, shift, least=least)
        expected = np.maximum(rows.astype(np.float64) * factor + shift, least)
        np.testing.assert_allclose(given, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(nb.get_num_threads() < 2, reason="there is one thread")
def test_threads_do_not_show() -> None:
    rows = np.random.default_rng(3).normal(size=(200_003, 16)).astype(np.float32)
    many = channels.sums(rows)
    before = nb.get_num_threads()
    try:
        nb.set_num_threads(1)
        np.testing.assert_array_equal(channels.sums(rows), many)
    finally:
        nb.set_num_threads(before)
