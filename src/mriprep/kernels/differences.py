"""Sums over pairs of voxels along the axes."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt


def steps(
    values: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], step: int
) -> npt.NDArray[np.float64]:
    """Count, sum and sum of squares of the differences of voxels `step` apart, both in a mask.

    Parameters
    ----------
    values : (X, Y, Z) float32 array
    inside : (X, Y, Z) bool array
    step : int
        Voxels.

    Returns
    -------
    (3, 3) float64 array
        One row an axis: number of pairs, sum, sum of squares.
    """
    found: npt.NDArray[np.float64] = _steps(
        np.ascontiguousarray(values), np.ascontiguousarray(inside), step
    )
    return found


@nb.njit(cache=True)
def _steps(values, inside, step):  # type: ignore[no-untyped-def]
    nx, ny, nz = values.shape
    out = np.zeros((3, 3))
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if not inside[i, j, k]:
                    continue
                here = np.float64(values[i, j, k])
                if i + step < nx and inside[i + step, j, k]:
                    d = values[i + step, j, k] - here
                    out[0, 0] += 1
                    out[0, 1] += d
                    out[0, 2] += d * d
                if j + step < ny and inside[i, j + step, k]:
                    d = values[i, j + step, k] - here
                    out[1, 0] += 1
                    out[1, 1] += d
                    out[1, 2] += d * d
                if k + step < nz and inside[i, j, k + step]:
                    d = values[i, j, k + step] - here
                    out[2, 0] += 1
                    out[2, 1] += d
                    out[2, 2] += d * d
    return out
