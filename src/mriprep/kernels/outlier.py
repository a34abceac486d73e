"""The point of a spectrum that stands out most from those about it."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

#: Only points this much above their block's mean are looked at closely.
_WORTH = 4.0
_BLOCK = 8


def outlier(
    power: npt.NDArray[np.float32],
    radius: tuple[Doubles, Doubles, Doubles],
    small: tuple[npt.NDArray[np.bool_], ...],
    axes: tuple[int, ...],
    least: float,
) -> float:
    """Largest ratio of a point's power to the mean of its neighbours, three to each side.

    Those next to it do not count among them. Neighbours go round at the ends of
    the first two axes, as frequencies do; the third, half a spectrum, ends.

    Parameters
    ----------
    power : (X, Y, Z) float32 array
    radius : three arrays
        Squared distance from the centre that each index adds.
    small : three bool arrays
        Where a frequency counts as small.
    axes : tuple of int
        Along which there are neighbours.
    least : float
        The mean of the neighbours is taken to be no less.
    """
    reach = tuple(3 if a in axes else 0 for a in range(3))
    size = tuple(_BLOCK if a in axes else 1 for a in range(3))
    return float(
        _outlier(
            power, *radius, *(s.astype(np.int64) for s in small), reach, size, len(axes) - 2, least
        )
    )


@nb.njit(cache=True)
def _outlier(power, rx, ry, rz, sx, sy, sz, reach, size, most_small, least):  # type: ignore[no-untyped-def]
    nx, ny, nz = power.shape
    blocks = np.zeros(((nx - 1) // size[0] + 1, (ny - 1) // size[1] + 1, (nz - 1) // size[2] + 1))
    counts = np.zeros(blocks.shape)
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                blocks[i // size[0], j // size[1], k // size[2]] += power[i, j, k]
                counts[i // size[0], j // size[1], k // size[2]] += 1
    best = 0.0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                p = power[i, j, k]
                if (
                    p < best * least
                    or rx[i] + ry[j] + rz[k] <= 0.09
                    or sx[i] + sy[j] + sz[k] > most_small
                ):
                    continue
                a, b, c = i // size[0], j // size[1], k // size[2]
                if p < _WORTH * (blocks[a, b, c] - p) / max(counts[a, b, c] - 1, 1):
                    continue
                total, count = 0.0, 0
                for u in range(-reach[0], reach[0] + 1):
                    for v in range(-reach[1], reach[1] + 1):
                        for w in range(-reach[2], reach[2] + 1):
                            if abs(u) <= 1 and abs(v) <= 1 and abs(w) <= 1:
                                continue
                            if k + w < 0 or k + w >= nz:
                                continue
                            total += power[(i + u) % nx, (j + v) % ny, k + w]
                            count += 1
                ratio = p / max(total / max(count, 1), least)
                best = max(best, ratio)
    return best
