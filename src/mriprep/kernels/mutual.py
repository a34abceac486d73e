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

#: Bins of each image's intensities where very many poses are only looked at.
_LOOK = 16

#: Less than this (nats) is nothing, where sums of whole numbers' logarithms cancel.
_NOTHING = 1e-9

#: As many samples or fewer are not parted.
_FEW = 25000

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
        self._dense: Bins | None = None

    def values(self, matrices: npt.ArrayLike, overlap: bool = True) -> Doubles:
        """Mutual information under each of many maps (M, 3, 4), fixed mm to moving index."""
        return self.gradients(matrices, overlap)[0]

    def gradients(self, matrices: npt.ArrayLike, overlap: bool = True) -> tuple[Doubles, Doubles]:
        """Mutual information under many maps, and its derivative by the twelve numbers of each.

        Parameters
        ----------
        matrices : (M, 3, 4) array_like
            Fixed mm to moving index.
        overlap : bool
            Multiply by the share of samples that fall into the moving image's
            field of view: sliding apart is then no way to become alike.

        Returns
        -------
        values : (M,) floats
            In nats.
        derivatives : (M, 3, 4) floats
        """
        maps = np.ascontiguousarray(matrices, dtype=np.float64)
        number, count = len(maps), len(self.points)
        values, slopes = np.empty(number), np.empty((number, 3, 4))
        arrays = (self.points, self.bins, self.moving, self.mask)
        if count > _FEW:
            # The samples are parted between the threads, as there are few maps of so many.
            seen = np.empty((count, 8), np.float32)
            slopes[:] = 0
            for k in range(number):
                values[k] = _gradient(*arrays, maps[k], overlap, seen, slopes[k])
        else:
            all_seen = np.empty((number, count, 8), np.float32)
            _gradients(*arrays, maps, overlap, all_seen, values, slopes)
        return values, slopes

    def look(self, matrices: npt.ArrayLike) -> Doubles:
        """About the mutual information times overlap under very many maps (M, 3, 4), quickly.

        Fewer bins, and the nearest voxel of a moving image twice as fine in
        place of interpolation: enough to tell where it is worth to begin.
        """
        maps = np.ascontiguousarray(matrices, dtype=np.float64)
        if self._dense is None:
            self._dense = _dense(self.moving, self.mask)
        out = np.empty(len(maps))
        # n log n of whole numbers, added up, is all that mutual information needs.
        number = np.arange(len(self.points) + 1)
        entropy = number * np.log(np.maximum(number, 1))
        bins = self.bins // np.uint8(BINS // _LOOK)
        _look(self.points, bins, self._dense, 2 * maps, entropy, out)
        out[out < _NOTHING] = 0  # what is left of sums that cancel
        return out


def _dense(moving: Floats, mask: Bins) -> Bins:
    """The coarse bin at each voxel and half-way between them; ``_LOOK`` where nothing counts."""
    out = moving
    for axis in range(3):
        first = np.moveaxis(out, axis, 0)
        both = np.empty((2 * len(first) - 1, *first.shape[1:]), np.float32)
        both[::2], both[1::2] = first, (first[1:] + first[:-1]) / 2
        out = np.moveaxis(both, 0, axis)
    bins = (out * np.float32(_LOOK / BINS)).astype(np.uint8).clip(0, _LOOK - 1)
    if mask.size:
        index = np.ix_(*((np.arange(n) + 1) // 2 for n in bins.shape))
        bins[mask[index] == 0] = _LOOK
    return np.ascontiguousarray(bins)


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
        As in :meth:`Samples.gradients`.

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


@nb.njit(cache=True)
def _count(
    points: Any, bins: Any, moving: Any, mask: Any, m: Any, first: int, last: int, joint: Any, seen: Any
) -> None:  # fmt: skip
    """Look some samples up under a map, and add them to the histogram."""
    for n in range(first, last):
        p, q, r = points[n, 0], points[n, 1], points[n, 2]
        x = m[0, 0] * p + m[0, 1] * q + m[0, 2] * r + m[0, 3]
        y = m[1, 0] * p + m[1, 1] * q + m[1, 2] * r + m[1, 3]
        z = m[2, 0] * p + m[2, 1] * q + m[2, 2] * r + m[2, 3]
        if _look_up(moving, mask, x, y, z, seen[n]):
            _add(joint[bins[n]], seen[n, 0], seen[n, 1])
        else:
            seen[n, 1] = 0


@nb.njit(cache=True)
def _slope(points: Any, bins: Any, table: Any, first: int, last: int, seen: Any, part: Any) -> None:
    """Add what some samples contribute to the derivative by the map's numbers."""
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


@nb.njit(parallel=True, cache=True)
def _gradients(
    points: Any, bins: Any, moving: Any, mask: Any, maps: Any,
    overlap: bool, seen: Any, values: Any, slopes: Any,
) -> None:  # fmt: skip
    """Each map by one thread: threads meet once."""
    count = len(points)
    for k in nb.prange(len(maps)):
        joint, table = np.zeros((BINS, _COLUMNS)), np.empty((BINS, _COLUMNS))
        _count(points, bins, moving, mask, maps[k], 0, count, joint, seen[k])
        values[k] = information(joint, count, overlap, table)
        slopes[k] = 0
        _slope(points, bins, table, 0, count, seen[k], slopes[k])


@nb.njit(parallel=True, cache=True)
def _gradient(
    points: Any, bins: Any, moving: Any, mask: Any, m: Any, overlap: bool, seen: Any, slope: Any
) -> float:
    """One map by all threads: each does blocks of the samples, which are added in order."""
    count = len(points)
    joint = np.zeros((BLOCKS, BINS, _COLUMNS))
    for block in nb.prange(BLOCKS):
        first, last = block * count // BLOCKS, (block + 1) * count // BLOCKS
        _count(points, bins, moving, mask, m, first, last, joint[block], seen)
    for block in range(1, BLOCKS):
        for i in range(BINS):
            for j in range(_COLUMNS):
                joint[0, i, j] += joint[block, i, j]
    table = np.empty((BINS, _COLUMNS))
    value = information(joint[0], count, overlap, table)
    parts = np.zeros((BLOCKS, 3, 4))
    for block in nb.prange(BLOCKS):
        first, last = block * count // BLOCKS, (block + 1) * count // BLOCKS
        _slope(points, bins, table, first, last, seen, parts[block])
    for block in range(BLOCKS):
        for i in range(3):
            for j in range(4):
                slope[i, j] += parts[block, i, j]
    return float(value)


@nb.njit(parallel=True, cache=True)
def _look(points: Any, bins: Any, dense: Any, maps: Any, entropy: Any, out: Any) -> None:
    nx, ny, nz = dense.shape
    for k in nb.prange(len(maps)):
        m = maps[k]
        joint = np.zeros((_LOOK, _LOOK), np.int32)
        for n in range(len(points)):
            p, q, r = points[n, 0], points[n, 1], points[n, 2]
            # Half a voxel further than the middle of the outermost one, as where it is interpolated.
            x = m[0, 0] * p + m[0, 1] * q + m[0, 2] * r + m[0, 3] + 1.0
            y = m[1, 0] * p + m[1, 1] * q + m[1, 2] * r + m[1, 3] + 1.0
            z = m[2, 0] * p + m[2, 1] * q + m[2, 2] * r + m[2, 3] + 1.0
            if x >= 0 and y >= 0 and z >= 0 and x < nx + 1 and y < ny + 1 and z < nz + 1:
                a = min(max(int(x - 0.5), 0), nx - 1)
                b = min(max(int(y - 0.5), 0), ny - 1)
                c = min(max(int(z - 0.5), 0), nz - 1)
                column = dense[a, b, c]
                if column < _LOOK:
                    joint[bins[n], column] += 1
        total, value = 0, 0.0
        for i in range(_LOOK):
            row = column = 0
            for j in range(_LOOK):
                row += joint[i, j]
                column += joint[j, i]
                value += entropy[joint[i, j]]
            value -= entropy[row] + entropy[column]
            total += row
        out[k] = (value + entropy[total]) / len(points)
