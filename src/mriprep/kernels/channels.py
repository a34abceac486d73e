"""Sums and scales of channels that lie innermost in memory, in one pass over the voxels."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Rows that are summed in float32 before the sum goes on in float64.
_STRETCH = 64
_FAST = {"reassoc", "contract", "nsz"}


@nb.njit(parallel=True, cache=True, fastmath=_FAST)
def _sums(rows: Any, out: Any) -> None:
    n, channels = rows.shape
    blocks = out.shape[0]
    for b in nb.prange(blocks):
        first, last = b * n // blocks, (b + 1) * n // blocks
        total, squares = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        for start in range(first, last, _STRETCH):
            for c in range(channels):
                total[c] = np.float32(0)
                squares[c] = np.float32(0)
            for i in range(start, min(start + _STRETCH, last)):
                row = rows[i]
                for c in range(channels):
                    v = row[c]
                    total[c] += v
                    squares[c] += v * v
            for c in range(channels):
                out[b, 0, c] += total[c]
                out[b, 1, c] += squares[c]


@nb.njit(parallel=True, cache=True, fastmath={"contract"})
def _scaled(rows: Any, scale: Any, shift: Any, least: Any, blocks: int) -> None:
    n, channels = rows.shape
    for b in nb.prange(blocks):
        for i in range(b * n // blocks, (b + 1) * n // blocks):
            row = rows[i]
            for c in range(channels):
                row[c] = max(row[c] * scale[c] + shift[c], least)


def sums(rows: Rows) -> Doubles:
    """Sum, and sum of squares, of each channel: (2, C) from (N, C), the same whatever the number of threads."""
    blocks = max(min(len(rows), 64), len(rows) // 4096)
    out = np.zeros((blocks, 2, rows.shape[1]))
    _sums(rows, out)
    return np.asarray(out.sum(0))


def scale(rows: Rows, factor: Rows, shift: Rows, *, least: float = -np.inf) -> None:
    """``max(rows * factor + shift, least)`` in place: rows (N, C), factor and shift (C,)."""
    _scaled(rows, factor, shift, np.float32(least), max(min(len(rows), 64), 1))
