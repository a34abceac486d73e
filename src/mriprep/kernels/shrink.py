"""Averages over blocks of voxels."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def block_means(values: Floats, factors: tuple[int, int, int]) -> Floats:
    """Averages over blocks of `factors` voxels (X, Y, Z); what is left at the end is left out."""
    shape = tuple(max(1, n // f) for n, f in zip(values.shape, factors, strict=True))
    out = np.empty(shape, np.float32)
    values = np.asarray(values).view()
    values.flags.writeable = False  # what can be written to and what can't would be compiled apart
    _block_means(values, *(min(f, n) for f, n in zip(factors, values.shape, strict=True)), out)
    return out


@nb.njit(parallel=True, cache=True)
def _block_means(values: Any, fx: int, fy: int, fz: int, out: Any) -> None:
    share = np.float32(1 / (fx * fy * fz))
    for i in nb.prange(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                total = np.float32(0)
                for a in range(i * fx, (i + 1) * fx):
                    for b in range(j * fy, (j + 1) * fy):
                        for c in range(k * fz, (k + 1) * fz):
                            total += values[a, b, c]
                out[i, j, k] = total * share
