"""The loops of LapGM: a Gaussian mixture at each voxel, and sums of cosines along the axes.

Every number is added up in an order of its own, whatever the number of
threads: voxels in a fixed number of blocks, cosines one after another.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from . import twin
from .lapgm_model import Mixture

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Parts that the voxels are divided into, whatever the number of threads.
BLOCKS = 16

_FAST = {"reassoc", "contract", "nsz", "nnan"}

#: Columns that a thread works on at a time: the rows that it adds to stay in its cache.
_TILE = 64

#: Multiplications below which a product is left to one thread, and voxels times classes below
#: which a loop over them is: 10 ms and more are worth waking others, who may be busy elsewhere.
_SMALL = 2**25
_FEW = 2**21

#: Voxels whose posteriors are worked out together.
_RUN = 256


def _product(a: Any, c: Any, out: Any) -> None:
    """Set out (P, m) to the sum over x of a (n, P) times c (x, m); rows of c come by fours."""
    n, columns = a.shape
    rows, m = c.shape
    for tile in nb.prange((columns + _TILE - 1) // _TILE):
        begin = tile * _TILE
        width = min(_TILE, columns - begin)
        mine = np.zeros((rows, _TILE), np.float32)
        for x in range(n):
            for p in range(width):
                mine[x, p] = a[x, begin + p]
        sums = np.zeros((m, _TILE), np.float32)
        # Loops of a length that is known when this is compiled become vector instructions.
        for k in range(m):
            to = sums[k]
            for x in range(0, rows, 4):
                c0, c1, c2, c3 = c[x, k], c[x + 1, k], c[x + 2, k], c[x + 3, k]
                a0, a1, a2, a3 = mine[x], mine[x + 1], mine[x + 2], mine[x + 3]
                for p in range(_TILE):
                    to[p] += (a0[p] * c0 + a1[p] * c1) + (a2[p] * c2 + a3[p] * c3)
        for p in range(width):
            for k in range(m):
                out[begin + p, k] = sums[k, p]


_contract_alone = nb.njit(cache=True, fastmath=_FAST)(_product)
_contract = nb.njit(parallel=True, cache=True, fastmath=_FAST)(twin(_product))


def contract(volume: Floats, matrices: list[Floats]) -> Floats:
    """Multiply each axis of a volume by a matrix, float32.

    Parameters
    ----------
    volume : (a, b, c) float32
    matrices : three of (a, i), (b, j), (c, k) float32

    Returns
    -------
    (i, j, k) float32
    """
    result = np.ascontiguousarray(volume, dtype=np.float32)
    for matrix in matrices:
        # The axis worked on goes to the end: after three turns the order is as before.
        rest = result.shape[1:]
        out = np.empty((int(np.prod(rest)), matrix.shape[1]), np.float32)
        rows = np.zeros((-(-matrix.shape[0] // 4) * 4, matrix.shape[1]), np.float32)
        rows[: matrix.shape[0]] = matrix
        # Waking threads takes longer than a small product.
        work = _contract if rows.size * out.shape[0] > _SMALL else _contract_alone
        work(result.reshape(result.shape[0], -1), rows, out)
        result = out.reshape(*rest, matrix.shape[1])
    return result


@nb.njit(inline="always")
def _exp(x: Any) -> Any:
    """E to the x, for x from -87 to 0, to 4e-6: of powers of two, so that loops over it vectorise."""
    t = x * np.float32(1.4426950408889634)
    whole = np.int32(t) - np.int32(1)
    f = t - np.float32(whole)
    power = np.float32(1.8775767e-3)
    power = power * f + np.float32(8.9893397e-3)
    power = power * f + np.float32(5.5826318e-2)
    power = power * f + np.float32(2.4015361e-1)
    power = power * f + np.float32(6.9315308e-1)
    power = power * f + np.float32(9.9999994e-1)
    return power * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


def _posteriors(
    logs: Any, field: Any, heights: Any, means: Any, precisions: Any, w: Any, sums: Any
) -> None:
    """Posteriors w (K, N) and, for each block and class, their sum, moments 1 and 2 about the mean."""
    contrasts, size = logs.shape
    classes = heights.size
    for b in nb.prange(sums.shape[0]):
        last = (b + 1) * size // sums.shape[0]
        rest = np.empty((contrasts, _RUN), np.float32)
        score = np.empty((classes, _RUN), np.float32)
        best = np.empty(_RUN, np.float32)
        for begin in range(b * size // sums.shape[0], last, _RUN):
            run = min(_RUN, last - begin)
            here = field[begin : begin + run]
            best[:] = np.float32(-np.inf)
            for k in range(classes):
                s = score[k, :run]
                s[:] = heights[k]
                for i in range(contrasts):
                    r, values = rest[i, :run], logs[i, begin : begin + run]
                    mean = means[k, i]
                    for n in range(run):
                        r[n] = values[n] - here[n] - mean
                for i in range(contrasts):
                    for j in range(contrasts):
                        half = precisions[k, i, j] / np.float32(2)
                        ri, rj = rest[i, :run], rest[j, :run]
                        for n in range(run):
                            s[n] -= ri[n] * half * rj[n]
                for n in range(run):
                    best[n] = max(best[n], s[n])
            total = rest[0, :run]
            total[:] = 0
            for k in range(classes):
                s = score[k, :run]
                for n in range(run):
                    s[n] = _exp(max(s[n] - best[n], np.float32(-80)))
                    total[n] += s[n]
            for n in range(run):
                best[n] = np.float32(1) / total[n]
            for k in range(classes):
                s, share = score[k, :run], w[k, begin : begin + run]
                count = np.float32(0)
                for n in range(run):
                    share[n] = s[n] * best[n]
                    count += share[n]
                sums[b, k, 0] += count
                for i in range(contrasts):
                    r, values = rest[i, :run], logs[i, begin : begin + run]
                    mean = means[k, i]
                    moment = np.float32(0)
                    for n in range(run):
                        r[n] = values[n] - here[n] - mean
                        moment += share[n] * r[n]
                    sums[b, k, 1 + i] += moment
                    for j in range(i + 1):
                        ri, rj = rest[i, :run], rest[j, :run]
                        square = np.float32(0)
                        for n in range(run):
                            square += share[n] * ri[n] * rj[n]
                        sums[b, k, 1 + contrasts + i * contrasts + j] += square
                        if j < i:
                            sums[b, k, 1 + contrasts + j * contrasts + i] += square


def _pulled(logs: Any, w: Any, means: Any, rows: Any, weights: Any, pulls: Any) -> None:
    """At each voxel, how strongly the classes hold the field, and that times where to."""
    contrasts, size = logs.shape
    for b in nb.prange(BLOCKS):
        begin, end = b * size // BLOCKS, (b + 1) * size // BLOCKS
        weight, pull = weights[begin:end], pulls[begin:end]
        weight[:] = 0
        pull[:] = 0
        for k in range(means.shape[0]):
            share = w[k, begin:end]
            for i in range(contrasts):
                values = logs[i, begin:end]
                row, mean = rows[k, i], means[k, i]
                for n in range(end - begin):
                    held = share[n] * row
                    weight[n] += held
                    pull[n] += held * (values[n] - mean)


_expect_alone = nb.njit(cache=True, fastmath=_FAST)(_posteriors)
_expect = nb.njit(parallel=True, cache=True, fastmath=_FAST)(twin(_posteriors))
_pull_alone = nb.njit(cache=True, fastmath=_FAST)(_pulled)
_pull = nb.njit(parallel=True, cache=True, fastmath=_FAST)(twin(_pulled))


class Voxels:
    """The log intensities in a mask and the field's cosines there, on a CPU.

    Parameters
    ----------
    logs : (M, N) float32
        Log intensities of the mask's voxels, in C order, one row a contrast.
    inside : (X, Y, Z) bools
        The mask.
    bases : three of (X, i), (Y, j), (Z, k) float32
        Cosines along each axis that the field is made of, one column each.
    finer : three of (X, a), (Y, b), (Z, c) float32
        The same and quicker ones, for the voxels' weights.
    """

    def __init__(
        self,
        logs: Floats,
        inside: npt.NDArray[np.bool_],
        bases: list[Floats],
        finer: list[Floats],
    ) -> None:
        self.logs = logs
        self.bases = bases
        self.turned = [np.ascontiguousarray(b.T) for b in bases]
        self.finer = finer
        self.where = np.flatnonzero(inside)
        self.volume = np.zeros(inside.shape, np.float32)
        self.w = np.empty((0, 0), np.float32)

    def expect(self, waves: Doubles, mixture: Mixture) -> Doubles:
        """Posteriors of the classes given the field (kept), and their sums and moments.

        Returns
        -------
        (K, 1 + M + M * M) doubles
            For each class the sum of its posteriors, of those times the
            distance from its mean, and times the products of distances.
        """
        classes, contrasts = mixture.means.shape
        field = contract(waves.astype(np.float32), self.turned).reshape(-1)[self.where]
        if self.w.shape[0] != classes:
            self.w = np.empty((classes, self.logs.shape[1]), np.float32)
        sums = np.zeros((BLOCKS, classes, 1 + contrasts + contrasts**2))
        work = _expect if self.w.size > _FEW else _expect_alone
        work(
            self.logs, field, mixture.heights().astype(np.float32),
            mixture.means.astype(np.float32), mixture.precisions().astype(np.float32),
            self.w, sums,
        )  # fmt: skip
        return np.asarray(sums.sum(0))

    def hold(self, mixture: Mixture) -> tuple[Doubles, Doubles]:
        """How strongly the classes hold the field at the voxels, and where they pull it.

        Returns
        -------
        (a, b, c) doubles
            The voxels' weights, in the finer cosines.
        (i, j, k) doubles
            Weights times what the field would be there alone, in the field's cosines.
        """
        rows = mixture.precisions().sum(1).astype(np.float32)
        weights, pulls = (np.empty(self.logs.shape[1], np.float32) for _ in range(2))
        work = _pull if self.w.size > _FEW else _pull_alone
        work(self.logs, self.w, mixture.means.astype(np.float32), rows, weights, pulls)
        return self._waves(weights, self.finer), self._waves(pulls, self.bases)

    def _waves(self, values: Floats, bases: list[Floats]) -> Doubles:
        self.volume.reshape(-1)[self.where] = values
        return contract(self.volume, bases).astype(np.float64)
