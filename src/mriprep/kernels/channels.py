"""Sums, and sums of squares, of each channel of many values."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

#: Sums are over blocks of this many values, so that they do not depend on the threads.
_BLOCK = 4096


@nb.njit(parallel=True, cache=True)
def _sums(values: Any, sums: Any, squares: Any) -> None:
    n, channels = values.shape
    for block in nb.prange(sums.shape[0]):
        for row in range(block * _BLOCK, min((block + 1) * _BLOCK, n)):
            for c in range(channels):
                v = np.float64(values[row, c])
                sums[block, c] += v
                squares[block, c] += v * v


def sums_and_squares(values: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], ...]:
    """Sum, and sum of squares, of each column of an (N, C) array; the same for any threads."""
    blocks = -(-values.shape[0] // _BLOCK)
    sums = np.zeros((blocks, values.shape[1]))
    squares = np.zeros_like(sums)
    _sums(values, sums, squares)
    return sums.sum(0), squares.sum(0)
