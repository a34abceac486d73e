"""The loops of N4 over the voxels of a mask.

Voxels are kept as runs: stretches of a row (the last array axis) that lie in
the mask. Work is parted into a fixed number of blocks of runs, whose sums are added in
order, so that results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from . import twin
from .spline import Basis

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Parts that the work is divided into, whatever the number of threads.
BLOCKS = 16

#: Voxels below which the loops are left to one thread: a loop over so many takes about a millisecond,
#: and the threads of a busy machine are waited for longer than that, hundreds of times a field.
_FEW = 2**17

_FAST = {"reassoc", "contract", "nsz", "nnan"}

#: Up to this size of an update, a short series stands for the exponential (error below 2e-6).
_SMALL = 0.5


class Runs(NamedTuple):
    """Stretches of rows in a mask; voxels of a run are consecutive in all vectors of voxels.

    Parameters
    ----------
    rows : (R, 2) ints
        Indices ``(i, j)`` of each run's row.
    spans : (R, 2) ints
        First index along k, and one past the last.
    starts : (R,) ints
        Where its voxels begin in the vectors.
    blocks : (BLOCKS + 1,) ints
        Runs of block b: ``blocks[b]`` to ``blocks[b + 1]``.
    size : int
        Voxels in all.
    """

    rows: Integers
    spans: Integers
    starts: Integers
    blocks: Integers
    size: int


def runs_of(mask: npt.NDArray[np.bool_]) -> Runs:
    """The runs of a mask (X, Y, Z), parted into blocks of about as many voxels each."""
    padded = np.zeros((*mask.shape[:2], mask.shape[2] + 2), np.int8)
    padded[:, :, 1:-1] = mask
    steps = np.diff(padded, axis=2)
    first = np.argwhere(steps == 1)
    last = np.argwhere(steps == -1)
    spans = np.stack([first[:, 2], last[:, 2]], axis=1).astype(np.int64)
    ends = np.cumsum(spans[:, 1] - spans[:, 0])
    size = int(ends[-1]) if ends.size else 0
    starts = ends - (spans[:, 1] - spans[:, 0])
    cuts = np.searchsorted(ends, np.arange(1, BLOCKS) * size / BLOCKS)
    blocks = np.concatenate([[0], cuts, [len(spans)]]).astype(np.int64)
    return Runs(np.ascontiguousarray(first[:, :2]), spans, starts, blocks, size)


def _updated(
    v: Any, rows: Any, spans: Any, starts: Any, blocks: Any, cx: Any, wy: Any, fy: Any, wz: Any,
    lo: Any, hi: Any, small: bool, sums: Any,
) -> None:  # fmt: skip
    """Subtract a field from v; for each block: least, greatest, sum and sum of squares of exp(-f)."""
    depth = wz.shape[1]
    size = wz.shape[0]
    for b in nb.prange(blocks.size - 1):
        line = np.zeros(depth, np.float32)
        row_coefficients = np.zeros(size, np.float32)
        low: Any = np.inf
        high: Any = -np.inf
        total: Any = 0.0
        squares: Any = 0.0
        i_before, j_before = -1, -1
        for r in range(blocks[b], blocks[b + 1]):
            i, j = rows[r, 0], rows[r, 1]
            if i != i_before or j != j_before:
                i_before, j_before = i, j
                first = fy[j]
                for c in range(size):
                    row_coefficients[c] = (
                        wy[j, 0] * cx[i, first, c]
                        + wy[j, 1] * cx[i, first + 1, c]
                        + wy[j, 2] * cx[i, first + 2, c]
                        + wy[j, 3] * cx[i, first + 3, c]
                    )
                for k in range(depth):
                    line[k] = np.float32(0)
                for c in range(size):
                    weight = row_coefficients[c]
                    stretch = line[lo[c] : hi[c]]
                    kernel = wz[c, lo[c] : hi[c]]
                    for k in range(stretch.size):
                        stretch[k] += weight * kernel[k]
            length = spans[r, 1] - spans[r, 0]
            values = v[starts[r] : starts[r] + length]
            fields = line[spans[r, 0] : spans[r, 1]]
            run_low, run_high = np.float32(np.inf), np.float32(-np.inf)
            run_total, run_squares = np.float32(0), np.float32(0)
            for k in range(length):
                f = fields[k]
                new = values[k] - f
                values[k] = new
                run_low, run_high = min(run_low, new), max(run_high, new)
                # exp(-f) - 1, so that little is lost in sums of numbers near 1
                if small:
                    e = -f * (
                        np.float32(1)
                        - f * (np.float32(1 / 2) - f * (np.float32(1 / 6) - f * (
                            np.float32(1 / 24) - f * (np.float32(1 / 120) - f * np.float32(1 / 720)))))
                    )  # fmt: skip
                else:
                    e = np.float32(np.expm1(-f))
                run_total += e
                run_squares += e * e
            low, high = min(low, run_low), max(high, run_high)
            total += run_total
            squares += run_squares
        sums[b, 0], sums[b, 1], sums[b, 2], sums[b, 3] = low, high, total, squares


def _binned(
    v: Any, weights: Any, starts: Any, blocks: Any, low: float, scale: float, counts: Any
) -> None:
    """Linear binning of v; counts is (blocks, bins + 1). Weights of length 0 stand for ones."""
    weighted = weights.size > 0
    for b in nb.prange(blocks.size - 1):
        end = v.size if blocks[b + 1] >= starts.size else starts[blocks[b + 1]]
        begin = end if blocks[b] >= starts.size else starts[blocks[b]]
        for p in range(begin, end):
            x = (v[p] - low) * scale
            i = int(x)
            f = x - i
            w = weights[p] if weighted else np.float32(1)
            counts[b, i] += (1 - f) * w
            counts[b, i + 1] += f * w


def _projected(
    v: Any, weights: Any, table: Any, low: float, scale: float,
    rows: Any, spans: Any, starts: Any, blocks: Any,
    ux: Any, fx: Any, uy: Any, fy: Any, uz: Any, lo: Any, hi: Any, sums: Any,
) -> None:  # fmt: skip
    """Sum over voxels of (v - expected(v)) times a product of weights along the axes.

    With a table of length 1, of the weights along the axes alone.
    """
    weighted = weights.size > 0
    depth, size = uz.shape[1], uz.shape[0]
    last = table.size - 1
    one = np.uint32(1)
    for b in nb.prange(blocks.size - 1):
        line = np.zeros(depth, np.float32)
        along = np.zeros(size)
        plane = np.zeros((sums.shape[2], size))
        r = blocks[b]
        while r < blocks[b + 1]:
            i, j = rows[r, 0], rows[r, 1]
            for k in range(depth):
                line[k] = np.float32(0)
            while r < blocks[b + 1] and rows[r, 0] == i and rows[r, 1] == j:
                # Slices whose loops count from 0 need no care for negative indices: they vectorise.
                length = spans[r, 1] - spans[r, 0]
                here = line[spans[r, 0] : spans[r, 1]]
                values = v[starts[r] : starts[r] + length]
                if last > 0:
                    for k in range(length):
                        x = (values[k] - low) * scale
                        n = min(np.uint32(x), np.uint32(last - 1))
                        f = x - np.float32(n)
                        here[k] = values[k] - (table[n] + (table[n + one] - table[n]) * f)
                else:
                    for k in range(length):
                        here[k] = np.float32(1)
                if weighted:
                    share = weights[starts[r] : starts[r] + length]
                    for k in range(length):
                        here[k] *= share[k]
                r += 1
            for c in range(size):
                total = np.float32(0)
                stretch = line[lo[c] : hi[c]]
                kernel = uz[c, lo[c] : hi[c]]
                for k in range(stretch.size):
                    total += stretch[k] * kernel[k]
                along[c] = total
            for q in range(4):
                weight = uy[j, q]
                to = plane[fy[j] + q]
                for c in range(size):
                    to[c] += weight * along[c]
            if r == blocks[b + 1] or rows[r, 0] != i:
                for q in range(plane.shape[0]):
                    for c in range(size):
                        for a in range(4):
                            sums[b, fx[i] + a, q, c] += ux[i, a] * plane[q, c]
                        plane[q, c] = 0.0


_update_alone = nb.njit(cache=True, fastmath=_FAST)(_updated)
_update = nb.njit(parallel=True, cache=True, fastmath=_FAST)(twin(_updated))
_histogram_alone = nb.njit(cache=True)(_binned)
_histogram = nb.njit(parallel=True, cache=True)(twin(_binned))
_project_alone = nb.njit(cache=True, fastmath=_FAST)(_projected)
_project = nb.njit(parallel=True, cache=True, fastmath=_FAST)(twin(_projected))


class Voxels:
    """The log intensities in a mask, from which a field is taken step by step.

    Parameters
    ----------
    values : (N,) float32
        Log intensities of the mask's voxels, in C order; changed in place.
    mask : (X, Y, Z) bools
        The mask.
    weights : (N,) float32, optional
        Confidence in each voxel.
    """

    def __init__(
        self, values: Floats, mask: npt.NDArray[np.bool_], weights: Floats | None = None
    ) -> None:
        self.values = values
        self.weights = np.empty(0, np.float32) if weights is None else weights
        self.runs = runs_of(mask)

    def range(self) -> tuple[float, float]:
        """Least and greatest value."""
        return float(self.values.min()), float(self.values.max())

    def histogram(self, low: float, scale: float, bins: int) -> Doubles:
        """Counts of ``(value - low) * scale``, each voxel shared by the two nearest bins."""
        counts = np.zeros((BLOCKS, bins + 1))
        runs = self.runs
        work = _histogram if self.values.size > _FEW else _histogram_alone
        work(self.values, self.weights, runs.starts, runs.blocks, low, scale, counts)
        return np.asarray(counts.sum(0)[:bins])

    def fit(self, table: Doubles, low: float, scale: float, axes: list[Basis]) -> Doubles:
        """Numerator of the spline fit to ``value - table(value)``, on the lattice."""
        cubes = [(b.weights**3 / (b.weights**2).sum(1, keepdims=True)) for b in axes]
        return self._project(table.astype(np.float32), low, scale, axes, cubes)

    def density(self, axes: list[Basis]) -> Doubles:
        """Denominator of the fit: the squares of the weights, summed over the mask."""
        return self._project(np.zeros(1, np.float32), 0.0, 1.0, axes, [b.weights**2 for b in axes])

    def subtract(self, update: Doubles, axes: list[Basis]) -> tuple[float, float, float]:
        """Take a field off; least and greatest value then, and how the field varies.

        The last is the coefficient of variation of exp(-field).
        """
        x, y, z = axes
        small = np.asarray(update, dtype=np.float32)
        planes = np.zeros((len(x.first), y.size, z.size), np.float32)
        for tap in range(4):
            planes += x.weights[:, tap, None, None].astype(np.float32) * small[x.first + tap]
        sums = np.zeros((BLOCKS, 4))
        along = z.dense()
        work = _update if self.values.size > _FEW else _update_alone
        work(
            self.values, self.runs.rows, self.runs.spans, self.runs.starts, self.runs.blocks,
            planes, y.weights.astype(np.float32), y.first, along, *_support(along),
            bool(np.abs(update).max() <= _SMALL), sums,
        )  # fmt: skip
        count = self.values.size
        mean = sums[:, 2].sum() / count
        variance = max(sums[:, 3].sum() / count - mean**2, 0.0) * count / max(count - 1, 1)
        return (
            float(sums[:, 0].min()),
            float(sums[:, 1].max()),
            float(np.sqrt(variance) / (1 + mean)),
        )

    def _project(
        self, table: Floats, low: float, scale: float, axes: list[Basis], weights: list[Doubles]
    ) -> Doubles:
        x, y, z = axes
        sums = np.zeros((BLOCKS, x.size, y.size, z.size))
        along = z.dense(weights[2])
        work = _project if self.values.size > _FEW else _project_alone
        work(
            self.values, self.weights, table, np.float32(low), np.float32(scale),
            self.runs.rows, self.runs.spans, self.runs.starts, self.runs.blocks,
            weights[0].astype(np.float32), x.first, weights[1].astype(np.float32), y.first,
            along, *_support(along), sums,
        )  # fmt: skip
        return np.asarray(sums.sum(0))


def _support(along: Floats) -> tuple[Integers, Integers]:
    """Where each row of a matrix begins and ends to be other than 0."""
    there = along != 0
    some = there.any(1)
    low = np.where(some, there.argmax(1), 0)
    high = np.where(some, along.shape[1] - there[:, ::-1].argmax(1), 0)
    return low.astype(np.int64), high.astype(np.int64)
