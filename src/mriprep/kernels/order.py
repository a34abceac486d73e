"""Percentiles of millions of values, exact, without sorting them.

A sample brackets the rank that is wanted; only what lies between is sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: Of a normal distribution, the median absolute deviation over the standard deviation.
_NORMAL_MAD = 0.6744897501960817

_FEW = 200_000
_SAMPLE = 20_000


def percentile(values: npt.NDArray[Any], percent: float, *, without: int = 0) -> float:
    """As ``numpy.percentile`` of all values, linear between two of them.

    Parameters
    ----------
    values : array
        Without NaN, at least one, any shape.
    percent : float
        0 to 100.
    without : int
        So many of the least values do not count.
    """
    rank = without + percent / 100 * (values.size - without - 1)
    low = int(np.floor(rank))
    a, b = _pair(values, low)
    return a + (b - a) * (rank - low)


def middle(values: npt.NDArray[Any]) -> tuple[float, float]:
    """The two values in the middle; the same one twice where their number is odd."""
    low = (values.size - 1) // 2
    a, b = _pair(values, low)
    return a, (b if values.size % 2 == 0 else a)


def median(values: npt.NDArray[Any]) -> float:
    """The median, as ``numpy.median``."""
    a, b = middle(values)
    return (a + b) / 2


def mad(values: npt.NDArray[Any], center: float | None = None) -> float:
    """Median absolute deviation (from the median, or another `center`), scaled to a normal distribution's standard deviation."""
    middle_one = median(values) if center is None else center
    return median(np.abs(values - np.float64(middle_one))) / _NORMAL_MAD


def _pair(values: npt.NDArray[Any], low: int) -> tuple[float, float]:
    """The value of rank `low`, counted from 0, and the next one."""
    flat = values.ravel(order="K")
    n = flat.size
    if n > _FEW:
        sample = np.sort(flat[:: n // _SAMPLE])
        at = low / n * len(sample)
        slack = 4 * np.sqrt(len(sample) * 0.25) * 0.5 + 4
        i, j = int(at - slack), int(at + slack) + 1
        least = sample[i] if i > 0 else None
        most = sample[j] if j < len(sample) else None
        below = 0 if least is None else int(np.count_nonzero(flat < least))
        chosen = np.ones(n, bool) if least is None else flat >= least
        if most is not None:
            chosen &= flat <= most
        count = int(np.count_nonzero(chosen))
        if below <= low and low + 1 < below + count:
            flat, low = flat[chosen], low - below
            n = count
    high = min(low + 1, n - 1)
    parted = np.partition(flat, (low, high))
    return float(parted[low]), float(parted[high])
