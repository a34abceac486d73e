"""Mutual information of two images under an affine map, and its gradient, over scattered samples.

Mattes D et al. PET-CT image registration in the chest using free-form
deformations. IEEE Trans Med Imaging 2003. doi:10.1109/TMI.2003.809072: the
fixed image's intensities fall into bins, the moving image's into a Parzen
window (here a quadratic B-spline), so that the joint histogram, and with it
mutual information, has an analytic gradient.

Samples are parted into a fixed number of blocks whose histograms are added in
order, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bins = npt.NDArray[np.uint8]

#: Bins of each image's intensities.
BINS = 32

#: Parts that samples are divided into, whatever the number of threads.
BLOCKS = 8

# The window of a moving intensity reaches one bin to either side.
_COLUMNS = BINS + 2
_NO_MASK = np.zeros((0, 0, 0), np.uint8)


class Samples:
    """Samples of a fixed image, and the moving image that they are looked up in; numba.

    Parameters
    ----------
    points : (N, 3) floats
        Where the samples lie in the fixed image's world, mm.
    bins : (N,) uint8
        The bin of each sample's intensity, below :data:`BINS`.
    moving : (X, Y, Z) float32
        The moving image in units of bins: 0 to ``BINS - 1``.
    mask : (X, Y, Z) uint8, optional
        Where the moving image counts.
    """

    def __init__(
        self, points: Doubles, bins: Bins, moving: Floats, mask: Bins | None = None
    ) -> None:
        self.points = np.ascontiguousarray(points, dtype=np.float32)
        self.bins = np.ascontiguousarray(bins)
        self.moving = np.ascontiguousarray(moving)
        self.mask = _NO_MASK if mask is None else np.ascontiguousarray(mask)

    def values(self, matrices: npt.ArrayLike, overlap: bool = True) -> Doubles:
        """Mutual information under each of many maps (M, 3, 4), fixed mm to moving index."""
        maps = np.ascontiguousarray(matrices, dtype=np.float64)
        out = np.empty(len(maps))
        _values(self.points, self.bins, self.moving, self.mask, maps, overlap, out)
        return out

    def gradient(self, matrix: npt.ArrayLike, overlap: bool = True) -> tuple[float, Doubles]:
        """Mutual information under one map, and its derivative by the map's twelve numbers.

        Parameters
        ----------
        matrix : (3, 4) array_like
            Fixed mm to moving index.
        overlap : bool
            Multiply by the share of samples that fall into the moving image's
            field of view: sliding apart is then no way to become alike.

        Returns
        -------
        value : float
            In nats.
        derivative : (3, 4) floats
        """
        m = np.ascontiguousarray(matrix, dtype=np.float64)
        histograms = np.zeros((BLOCKS, BINS, _COLUMNS))
        seen = np.empty((len(self.points), 8), np.float32)
        histograms_of, derivatives_of = _LOOPS[len(self.points) > _FEW]
        histograms_of(self.points, self.bins, self.moving, self.mask, m, histograms, seen)
        table = np.empty((BINS, _COLUMNS))
        value = information(histograms.sum(axis=0), len(self.points), overlap, table)
        parts = np.zeros((BLOCKS, 3, 4))
        derivatives_of(self.points, self.bins, seen, table, parts)
        return value, parts.sum(axis=0)


@nb.njit(cache=True)
def information(joint: Any, samples: int, overlap: bool, table: Any) -> float:
    """Mutual information of a joint histogram; `table` takes its derivative by each cell.

    Parameters
    ----------
    joint, table : (BINS, BINS + 2) floats
        Weights of samples; the derivative, written.
    samples : int
        How many samples there are, seen by the moving image or not.
    overlap : bool
        As in :meth:`Samples.gradient`.

    Returns
    -------
    float
        In nats.
    """
    rows, columns = joint.shape
    total = joint.sum()
    table[:] = 0
    if total <= 0:
        return 0.0
    by_row, by_column = np.zeros(rows), np.zeros(columns)
    for i in range(rows):
        for j in range(columns):
            by_row[i] += joint[i, j]
            by_column[j] += joint[i, j]
    value = 0.0
    for i in range(rows):
        for j in range(columns):
            if joint[i, j] > 0:
                ratio = np.log(joint[i, j] * total / (by_row[i] * by_column[j]))
                table[i, j] = ratio
                value += joint[i, j] * ratio
    value /= total
    scale = 1 / samples if overlap else 1 / total
    shift = 0.0 if overlap else -value
    for i in range(rows):
        for j in range(columns):
            table[i, j] = (table[i, j] + shift) * scale
    return float(value * total / samples if overlap else value)


@nb.njit(inline="always")
def _look_up(moving: Any, mask: Any, x: float, y: float, z: float, out: Any) -> bool:
    """Value, weight and their derivatives by x, y and z; False where the moving image does not see.

    The weight falls from 1 to 0 within one voxel beyond the outermost
    centres, so that there is no step at the edge of the field of view.
    """
    nx, ny, nz = moving.shape
    if not (x > -1 and y > -1 and z > -1 and x < nx and y < ny and z < nz):
        return False
    wx, wy, wz = min(x + 1, nx - x, 1.0), min(y + 1, ny - y, 1.0), min(z + 1, nz - z, 1.0)
    sx = 1.0 if x < 0 else (-1.0 if x > nx - 1 else 0.0)
    sy = 1.0 if y < 0 else (-1.0 if y > ny - 1 else 0.0)
    sz = 1.0 if z < 0 else (-1.0 if z > nz - 1 else 0.0)
    cx, cy, cz = min(max(x, 0.0), nx - 1.0), min(max(y, 0.0), ny - 1.0), min(max(z, 0.0), nz - 1.0)
    if mask.size > 0 and mask[int(cx + 0.5), int(cy + 0.5), int(cz + 0.5)] == 0:
        return False
    a, b, c = int(cx), int(cy), int(cz)
    a1, b1, c1 = min(a + 1, nx - 1), min(b + 1, ny - 1), min(c + 1, nz - 1)
    u, v, w = cx - a, cy - b, cz - c
    d00 = moving[a1, b, c] - moving[a, b, c]
    d10 = moving[a1, b1, c] - moving[a, b1, c]
    d01 = moving[a1, b, c1] - moving[a, b, c1]
    d11 = moving[a1, b1, c1] - moving[a, b1, c1]
    e00 = moving[a, b, c] + d00 * u
    e10 = moving[a, b1, c] + d10 * u
    e01 = moving[a, b, c1] + d01 * u
    e11 = moving[a, b1, c1] + d11 * u
    f0 = e00 + (e10 - e00) * v
    f1 = e01 + (e11 - e01) * v
    out[0] = f0 + (f1 - f0) * w
    out[1] = wx * wy * wz
    g0, g1 = d00 + (d10 - d00) * v, d01 + (d11 - d01) * v
    out[2] = g0 + (g1 - g0) * w if sx == 0 else 0.0
    out[3] = (e10 - e00) * (1 - w) + (e11 - e01) * w if sy == 0 else 0.0
    out[4] = f1 - f0 if sz == 0 else 0.0
    out[5], out[6], out[7] = sx * wy * wz, wx * sy * wz, wx * wy * sz
    return True


@nb.njit(inline="always")
def _add(row: Any, q: float, weight: float) -> None:
    """Add a sample's weight to its row of the histogram: a quadratic B-spline over three columns."""
    m = int(q + 0.5)
    f = q - m
    row[m] += weight * 0.5 * (0.5 - f) * (0.5 - f)
    row[m + 1] += weight * (0.75 - f * f)
    row[m + 2] += weight * 0.5 * (0.5 + f) * (0.5 + f)


def _histograms(
    points: Any, bins: Any, moving: Any, mask: Any, m: Any, joint: Any, seen: Any
) -> None:
    count = len(points)
    for block in nb.prange(joint.shape[0]):
        first = block * count // joint.shape[0]
        last = (block + 1) * count // joint.shape[0]
        for n in range(first, last):
            p, q, r = points[n, 0], points[n, 1], points[n, 2]
            x = m[0, 0] * p + m[0, 1] * q + m[0, 2] * r + m[0, 3]
            y = m[1, 0] * p + m[1, 1] * q + m[1, 2] * r + m[1, 3]
            z = m[2, 0] * p + m[2, 1] * q + m[2, 2] * r + m[2, 3]
            if _look_up(moving, mask, x, y, z, seen[n]):
                _add(joint[block, bins[n]], seen[n, 0], seen[n, 1])
            else:
                seen[n, 1] = 0


def _derivatives(points: Any, bins: Any, seen: Any, table: Any, parts: Any) -> None:
    count = len(points)
    for block in nb.prange(parts.shape[0]):
        part = np.zeros((3, 4))
        first = block * count // parts.shape[0]
        last = (block + 1) * count // parts.shape[0]
        for n in range(first, last):
            weight = seen[n, 1]
            if weight == 0:
                continue
            m = int(seen[n, 0] + 0.5)
            f = seen[n, 0] - m
            t0, t1, t2 = table[bins[n], m], table[bins[n], m + 1], table[bins[n], m + 2]
            by_value = weight * (-(0.5 - f) * t0 - 2 * f * t1 + (0.5 + f) * t2)
            by_weight = 0.0
            if weight < 1:
                by_weight = (
                    0.5 * (0.5 - f) * (0.5 - f) * t0
                    + (0.75 - f * f) * t1
                    + 0.5 * (0.5 + f) * (0.5 + f) * t2
                )
            for axis in range(3):
                d = by_value * seen[n, 2 + axis] + by_weight * seen[n, 5 + axis]
                part[axis, 0] += d * points[n, 0]
                part[axis, 1] += d * points[n, 1]
                part[axis, 2] += d * points[n, 2]
                part[axis, 3] += d
        parts[block] = part


# Starting threads costs more than a few thousand samples: those take the serial form of the same
# loops, over the same blocks.
_LOOPS = {
    False: (nb.njit(cache=True)(_histograms), nb.njit(cache=True)(_derivatives)),
    True: (
        nb.njit(parallel=True, cache=True)(_histograms),
        nb.njit(parallel=True, cache=True)(_derivatives),
    ),
}
_FEW = 10000


@nb.njit(parallel=True, cache=True)
def _values(
    points: Any, bins: Any, moving: Any, mask: Any, maps: Any, overlap: bool, out: Any
) -> None:
    rows, columns = BINS, _COLUMNS
    for k in nb.prange(len(maps)):
        m = maps[k]
        joint, table = np.zeros((rows, columns)), np.empty((rows, columns))
        seen = np.zeros(8, np.float32)
        for n in range(len(points)):
            p, q, r = points[n, 0], points[n, 1], points[n, 2]
            x = m[0, 0] * p + m[0, 1] * q + m[0, 2] * r + m[0, 3]
            y = m[1, 0] * p + m[1, 1] * q + m[1, 2] * r + m[1, 3]
            z = m[2, 0] * p + m[2, 1] * q + m[2, 2] * r + m[2, 3]
            if _look_up(moving, mask, x, y, z, seen):
                _add(joint[bins[n]], seen[0], seen[1])
        out[k] = information(joint, len(points), overlap, table)
