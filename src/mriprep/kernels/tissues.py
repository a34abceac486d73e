"""The loops of tissue segmentation: a Markov random field over voxels, and the sums that go with it.

All arrays are dense boxes (X, Y, Z) around a mask. The field is updated in
two colours, as a chess board: voxels of one colour are no neighbours, so that
their order, and with it the number of threads, does not matter. Sums are kept
by plane or by block and added in order.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bins = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]

#: States of a voxel: CSF, CSF and GM, GM, GM and WM, WM.
STATES = 5
#: Bins of corrected intensities.
BINS = 2048
#: Parts that histograms are gathered in, whatever the number of threads.
BLOCKS = 16


@nb.njit(parallel=True, cache=True)
def _bin(values: Any, mask: Any, lattice: Any, step: Any, low: float, scale: float, out: Any) -> None:  # fmt: skip
    """Bins of ``values * exp(-lattice)``; the lattice lies at the middles of blocks of `step`."""
    nx, ny, nz = values.shape
    mx, my, mz = lattice.shape
    for i in nb.prange(nx):
        line = np.empty(mz, np.float32)
        x = min(max((i + 0.5) / step[0] - 0.5, 0.0), mx - 1.0)
        a = min(int(x), max(mx - 2, 0))
        a1, u = min(a + 1, mx - 1), np.float32(x - a)
        for j in range(ny):
            y = min(max((j + 0.5) / step[1] - 0.5, 0.0), my - 1.0)
            b = min(int(y), max(my - 2, 0))
            b1, v = min(b + 1, my - 1), np.float32(y - b)
            for c in range(mz):
                d0 = lattice[a, b, c] + (lattice[a1, b, c] - lattice[a, b, c]) * u
                d1 = lattice[a, b1, c] + (lattice[a1, b1, c] - lattice[a, b1, c]) * u
                line[c] = d0 + (d1 - d0) * v
            for k in range(nz):
                if not mask[i, j, k]:
                    continue
                z = min(max((k + 0.5) / step[2] - 0.5, 0.0), mz - 1.0)
                c = min(int(z), max(mz - 2, 0))
                c1, w = min(c + 1, mz - 1), np.float32(z - c)
                field = line[c] + (line[c1] - line[c]) * w
                place = (values[i, j, k] * np.exp(-field) - low) * scale
                out[i, j, k] = np.uint16(min(max(place, 0.0), BINS - 1.0))


def binned(
    values: Floats,
    mask: Bools,
    lattice: Floats,
    step: tuple[int, int, int],
    low: float,
    high: float,
    out: Bins,
) -> None:
    """Put the bins of corrected intensities into `out`, within the mask."""
    scale = BINS / (high - low)
    _bin(values, mask, lattice, np.asarray(step, np.float64), low, scale, out)


@nb.njit(parallel=True, cache=True)
def _start(bins: Any, mask: Any, table: Any, place: Any, prior: Any, q: Any) -> None:
    nx, ny, nz = bins.shape
    for i in nb.prange(nx):
        e = np.empty(STATES, np.float32)
        for j in range(ny):
            for k in range(nz):
                if not mask[i, j, k]:
                    continue
                for s in range(STATES):
                    e[s] = table[bins[i, j, k], s] + prior[place[i, j, k], s]
                top = e.max()
                total = np.float32(0)
                for s in range(STATES):
                    e[s] = np.exp(e[s] - top)
                    total += e[s]
                for s in range(STATES):
                    q[i, j, k, s] = e[s] / total


@nb.njit(parallel=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _sweep(
    bins: Any, mask: Any, table: Any, place: Any, prior: Any, pull: Any, w: Any, colour: int, q: Any
) -> None:  # fmt: skip
    nx, ny, nz = bins.shape
    wx, wy, wz = w[0], w[1], w[2]
    for i in nb.prange(1, nx - 1):
        near = np.empty(STATES, np.float32)
        e = np.empty(STATES, np.float32)
        for j in range(1, ny - 1):
            for k in range(1 + (i + j + colour) % 2, nz - 1, 2):
                if not mask[i, j, k]:
                    continue
                for s in range(STATES):
                    near[s] = (
                        wx * (q[i - 1, j, k, s] + q[i + 1, j, k, s])
                        + wy * (q[i, j - 1, k, s] + q[i, j + 1, k, s])
                        + wz * (q[i, j, k - 1, s] + q[i, j, k + 1, s])
                    )
                here, expected = table[bins[i, j, k]], prior[place[i, j, k]]
                top = np.float32(-1e30)
                for s in range(STATES):
                    total = here[s] + expected[s]
                    for t in range(STATES):
                        total += pull[s, t] * near[t]
                    e[s] = total
                    top = max(top, total)
                total = np.float32(0)
                for s in range(STATES):
                    e[s] = np.exp(e[s] - top)
                    total += e[s]
                total = np.float32(1) / total
                for s in range(STATES):
                    q[i, j, k, s] = e[s] * total


def start(bins: Bins, mask: Bools, table: Floats, place: Bytes, prior: Floats, q: Floats) -> None:
    """States by intensity and place alone, without neighbours; as :func:`sweep`."""
    _start(bins, mask, table, place, prior, q)


def sweep(
    bins: Bins,
    mask: Bools,
    table: Floats,
    place: Bytes,
    prior: Floats,
    pull: Floats,
    weights: Floats,
    q: Floats,
) -> None:
    """One mean-field update of all voxels, in place; the box has a margin of a voxel.

    Parameters
    ----------
    bins : (X, Y, Z) uint16
        Of corrected intensities.
    mask : (X, Y, Z) bool
        Which voxels count.
    table : (BINS, STATES) float32
        Log likelihood of each state.
    place : (X, Y, Z) uint8
        What kind of place a voxel is.
    prior : (places, STATES) float32
        Log probability of each state there.
    pull : (STATES, STATES) float32
        What a neighbour in a state adds to the log probability of each state.
    weights : (3,) float32
        Of neighbours along each axis.
    q : (X, Y, Z, STATES) float32
        Probabilities, 0 outside the mask.
    """
    for colour in (0, 1):
        _sweep(bins, mask, table, place, prior, pull, weights, colour, q)


@nb.njit(parallel=True, cache=True)
def _count(bins: Any, mask: Any, q: Any, cuts: Any, out: Any) -> None:
    ny, nz = bins.shape[1], bins.shape[2]
    for b in nb.prange(cuts.size - 1):
        for i in range(cuts[b], cuts[b + 1]):
            for j in range(ny):
                for k in range(nz):
                    if mask[i, j, k]:
                        for s in range(STATES):
                            out[b, bins[i, j, k], s] += q[i, j, k, s]


def histograms(bins: Bins, mask: Bools, q: Floats) -> Doubles:
    """Histogram of corrected intensities by state, (BINS, STATES), weighted by probability."""
    cuts = np.linspace(0, bins.shape[0], BLOCKS + 1).astype(np.int64)
    out = np.zeros((BLOCKS, BINS, STATES))
    _count(bins, mask, q, cuts, out)
    total: Doubles = out.sum(axis=0)
    return total


@nb.njit(parallel=True, cache=True)
def _evidence(values: Any, mask: Any, q: Any, first: Any, second: Any, step: Any, out: Any) -> None:
    nx, ny, nz = values.shape
    for a in nb.prange(out.shape[1]):
        for i in range(a * step[0], min((a + 1) * step[0], nx)):
            for j in range(ny):
                b = j // step[1]
                for k in range(nz):
                    if not mask[i, j, k]:
                        continue
                    c = k // step[2]
                    p, d = np.float32(0), np.float32(0)
                    for s in range(STATES):
                        p += first[s] * q[i, j, k, s]
                        d += second[s] * q[i, j, k, s]
                    out[0, a, b, c] += p * values[i, j, k]
                    out[1, a, b, c] += d


def evidence(
    values: Floats,
    mask: Bools,
    q: Floats,
    first: Floats,
    second: Floats,
    step: tuple[int, int, int],
) -> Doubles:
    """Sums over blocks of voxels that a smooth factor is fitted to by least squares.

    The factor f minimises ``sum of weight * (value - f * expected)^2``.

    Parameters
    ----------
    values : (X, Y, Z) float32
        Intensities as they are.
    mask, q
        As of :func:`sweep`.
    first, second : (STATES,) float32
        Of each state ``weight * expected`` and ``weight * expected^2``.
    step : (3,) ints
        Voxels of a block along each axis.

    Returns
    -------
    (2, A, B, C) float64
        The two sums whose quotient is the factor.
    """
    counts = (-(-n // s) for n, s in zip(values.shape, step, strict=True))
    out = np.zeros((2, *counts))
    _evidence(values, mask, q, first, second, np.asarray(step, np.int64), out)
    return out


@nb.njit(parallel=True, cache=True)
def _part(bins: Any, mask: Any, q: Any, shares: Any, out: Any, labels: Any) -> None:
    nx, ny, nz = bins.shape
    for i in nb.prange(nx):
        p = np.empty(3, np.float32)
        for j in range(ny):
            for k in range(nz):
                if not mask[i, j, k]:
                    continue
                share = shares[bins[i, j, k]]
                for c in range(3):
                    p[c] = np.float32(0)
                    for s in range(STATES):
                        p[c] += share[s, c] * q[i, j, k, s]
                total = p[0] + p[1] + p[2]
                best = 0
                for c in range(3):
                    p[c] /= total
                    out[c, i, j, k] = p[c]
                    if p[c] > p[best]:
                        best = c
                labels[i, j, k] = best + 1


def parted(bins: Bins, mask: Bools, q: Floats, shares: Floats) -> tuple[Floats, Any]:
    """Fractions of CSF, GM and WM, (3, X, Y, Z), and labels 1, 2, 3 of the largest, (X, Y, Z) uint8.

    `shares` (BINS, STATES, 3) says what a voxel of each intensity and state holds.
    """
    out = np.zeros((3, *bins.shape), np.float32)
    labels = np.zeros(bins.shape, np.uint8)
    _part(bins, mask, q, shares, out, labels)
    return out, labels
