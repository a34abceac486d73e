"""Median of the 27 neighbours of every voxel."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]

#: A sorting network of nine wires: 25 compare-exchanges (Floyd 1964).
SORT_9 = (
    *((0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7)),
    *((0, 3), (3, 6), (0, 3), (1, 4), (4, 7), (1, 4), (2, 5), (5, 8), (2, 5)),
    *((1, 3), (5, 7), (2, 6), (4, 6), (2, 4), (2, 3), (5, 6)),
)


def median_3(data: FloatImage) -> FloatImage:
    """Median in a window of 3 x 3 x 3 voxels; beyond an edge its voxels repeat.

    The same, to the bit, as ``scipy.ndimage.median_filter(data, 3,
    mode="nearest")``, ten times as fast: the nine voxels across a line are
    sorted once and shared by three neighbours, and all comparisons of a line
    run side by side.

    Parameters
    ----------
    data : (X, Y, Z) float32 array
        Finite values.

    Returns
    -------
    (X, Y, Z) float32 array
    """
    result: FloatImage = _median_3(np.ascontiguousarray(data, dtype=np.float32))
    return result


@numba.njit(cache=True)
def _low(a, b):  # type: ignore[no-untyped-def]
    return a if a < b else b


@numba.njit(cache=True)
def _high(a, b):  # type: ignore[no-untyped-def]
    return b if a < b else a


@numba.njit(cache=True)
def _middle(a, b, c):  # type: ignore[no-untyped-def]
    return _high(_low(a, b), _low(_high(a, b), c))


@numba.njit(parallel=True, cache=True)
def _median_3(data):  # type: ignore[no-untyped-def]
    nx, ny, nz = data.shape
    out = np.empty_like(data)
    for i in numba.prange(nx):
        # Nine lines along z, one voxel longer at either end.
        lines = np.empty((9, nz + 2), np.float32)
        for j in range(ny):
            for a in range(3):
                x = min(max(i + a - 1, 0), nx - 1)
                for b in range(3):
                    y = min(max(j + b - 1, 0), ny - 1)
                    for k in range(nz):
                        lines[3 * a + b, k + 1] = data[x, y, k]
            for s in range(len(SORT_9)):
                p, q = lines[SORT_9[s][0]], lines[SORT_9[s][1]]
                for k in range(1, nz + 1):
                    u, v = p[k], q[k]
                    p[k] = _low(u, v)
                    q[k] = _high(u, v)
            for s in range(9):
                lines[s, 0] = lines[s, 1]
                lines[s, nz + 1] = lines[s, nz]
            for k in range(nz):
                out[i, j, k] = _middle_27(lines, k)
    return out


@numba.njit(cache=True)
def _middle_27(lines, k):  # type: ignore[no-untyped-def]
    """The median of three sorted columns of nine.

    Sort each row of three as well: the columns stay sorted, seven values are
    then surely below the median and seven surely above. The median of the 27
    is the seventh of the 13 that are left: four least, five middle and four
    greatest of a row, each a sorted list.
    """
    m, n = k + 1, k + 2
    a0 = _low(_low(lines[5, k], lines[5, m]), lines[5, n])
    a1 = _low(_low(lines[6, k], lines[6, m]), lines[6, n])
    a2 = _low(_low(lines[7, k], lines[7, m]), lines[7, n])
    a3 = _low(_low(lines[8, k], lines[8, m]), lines[8, n])
    b0 = _middle(lines[2, k], lines[2, m], lines[2, n])
    b1 = _middle(lines[3, k], lines[3, m], lines[3, n])
    b2 = _middle(lines[4, k], lines[4, m], lines[4, n])
    b3 = _middle(lines[5, k], lines[5, m], lines[5, n])
    b4 = _middle(lines[6, k], lines[6, m], lines[6, n])
    c0 = _high(_high(lines[0, k], lines[0, m]), lines[0, n])
    c1 = _high(_high(lines[1, k], lines[1, m]), lines[1, n])
    c2 = _high(_high(lines[2, k], lines[2, m]), lines[2, n])
    c3 = _high(_high(lines[3, k], lines[3, m]), lines[3, n])
    # Batcher's merge of the two lists of four; its first and last are not needed.
    c0 = _high(a0, c0)
    a1, c1 = _low(a1, c1), _high(a1, c1)
    a2, c2 = _low(a2, c2), _high(a2, c2)
    a3 = _low(a3, c3)
    a2, c0 = _low(a2, c0), _high(a2, c0)
    a3, c1 = _low(a3, c1), _high(a3, c1)
    a1, a2 = _low(a1, a2), _high(a1, a2)
    a3, c0 = _low(a3, c0), _high(a3, c0)
    c1, c2 = _low(c1, c2), _high(c1, c2)
    # The seventh of two sorted lists: least, over all ways to take seven, of the last taken.
    seventh = _low(c2, _high(c1, b0))
    seventh = _low(seventh, _high(c0, b1))
    seventh = _low(seventh, _high(a3, b2))
    seventh = _low(seventh, _high(a2, b3))
    return _low(seventh, _high(a1, b4))
