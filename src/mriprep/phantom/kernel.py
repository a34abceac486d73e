"""The hot loop of the phantom. It stands apart from mriprep.kernels, which the phantom tests."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


def _mean_linear(source: Any, matrix: Any, parts: Any, out: Any) -> None:
    """Fill every output voxel with the mean of linear interpolations at its sub-samples.

    Parameters
    ----------
    source : (A, B, C) array
        What is interpolated; 0 outside.
    matrix : (3, 4) float64 array
        Index of an output voxel's centre to a fractional index of `source`.
    parts : (3,) int array
        Number of sub-samples along each output axis.
    out : (X, Y, Z) float32 array
        Written to.
    """
    for i in nb.prange(out.shape[0]):
        _plane(source, matrix, parts, out, np.int64(i))


def _plane_of(source: Any, matrix: Any, parts: Any, out: Any, i: int) -> None:
    na, nb_, nc = source.shape
    pi, pj, pk = parts
    for j in range(out.shape[1]):
        for k in range(out.shape[2]):
            total = 0.0
            for si in range(pi):
                x = i + (si + 0.5) / pi - 0.5
                for sj in range(pj):
                    y = j + (sj + 0.5) / pj - 0.5
                    a0 = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 3]
                    b0 = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 3]
                    c0 = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 3]
                    for sk in range(pk):
                        z = k + (sk + 0.5) / pk - 0.5
                        a = a0 + matrix[0, 2] * z
                        b = b0 + matrix[1, 2] * z
                        c = c0 + matrix[2, 2] * z
                        if 0 <= a < na - 1 and 0 <= b < nb_ - 1 and 0 <= c < nc - 1:
                            total += _linear(source, a, b, c)
            out[i, j, k] = total / (pi * pj * pk)


def _linear_at(source: Any, a: float, b: float, c: float) -> float:
    i, j, k = int(a), int(b), int(c)
    u, v, w = np.float32(a - i), np.float32(b - j), np.float32(c - k)
    p00 = np.float32(source[i, j, k])
    p01 = np.float32(source[i, j, k + 1])
    p10 = np.float32(source[i, j + 1, k])
    p11 = np.float32(source[i, j + 1, k + 1])
    q00 = np.float32(source[i + 1, j, k])
    q01 = np.float32(source[i + 1, j, k + 1])
    q10 = np.float32(source[i + 1, j + 1, k])
    q11 = np.float32(source[i + 1, j + 1, k + 1])
    p0, p1 = p00 + (p01 - p00) * w, p10 + (p11 - p10) * w
    q0, q1 = q00 + (q01 - q00) * w, q10 + (q11 - q10) * w
    p, q = p0 + (p1 - p0) * v, q0 + (q1 - q0) * v
    return float(p + (q - p) * u)


_linear: Any = nb.njit(inline="always")(_linear_at)
_plane: Any = nb.njit(_plane_of)
mean_linear: Any = nb.njit(parallel=True, cache=True)(_mean_linear)
