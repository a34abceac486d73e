"""Thresholds of histograms other than Otsu's."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

Histogram = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def histogram(values: npt.NDArray[Any], bins: int = 256) -> Histogram:
    """Counts of equal bins over the range of finite values, and the bins' centres."""
    low, high = float(values.min()), float(values.max())
    counts, edges = np.histogram(values.ravel(order="K"), bins, (low, high))
    return counts.astype(np.float64), (edges[:-1] + edges[1:]) / 2


def multi_otsu(values: npt.NDArray[Any], classes: int = 3, bins: int = 256) -> list[float]:
    """The thresholds that best part values into several classes, ascending.

    Liao PS, Chen TS, Chung PC. A fast algorithm for multilevel thresholding.
    J Inf Sci Eng 2001;17:713-727. Every set of borders between bins is tried.

    Parameters
    ----------
    values : array
        Finite values, not all the same.
    classes : {2, 3, 4}
        Number of classes.
    bins : int
        Bins of the histogram.

    Returns
    -------
    list of float
        Centres of bins; what lies above one belongs to a higher class.
    """
    counts, centres = histogram(values, bins)
    share = np.concatenate([[0.0], np.cumsum(counts)])
    moment = np.concatenate([[0.0], np.cumsum(counts * centres)])
    first, last = np.ogrid[: bins + 1, : bins + 1]
    within = share[last] - share[first]
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.where(within > 0, (moment[last] - moment[first]) ** 2 / within, 0.0)
    gain[last < first] = -np.inf
    best = -np.inf
    borders: tuple[int, ...] = (0,)
    # All but the last two borders one by one; those two at once.
    for ahead in itertools.combinations(range(1, bins), max(classes - 3, 0)):
        fixed = sum(gain[a, b] for a, b in itertools.pairwise((0, *ahead)))
        start = ahead[-1] if ahead else 0
        if classes == 2:
            total = gain[0, 1:bins] + gain[1:bins, bins]
            best, borders = 0.0, (int(np.argmax(total)) + 1,)
            continue
        pairs = fixed + gain[start, :bins, None] + gain[:bins, :bins] + gain[None, :bins, bins]
        pairs[: start + 1] = -np.inf
        pairs[np.tril_indices(bins)] = -np.inf
        at = int(np.argmax(pairs))
        if pairs.flat[at] > best:
            best, borders = float(pairs.flat[at]), (*ahead, *(int(b) for b in divmod(at, bins)))
    return [float(centres[b - 1]) for b in borders]


def li(values: npt.NDArray[Any]) -> float:
    """The threshold of least cross-entropy between an image and its two mean levels.

    Li CH, Tam PKS. An iterative algorithm for minimum cross entropy
    thresholding. Pattern Recognit Lett 1998. doi:10.1016/S0167-8655(98)00057-9

    Parameters
    ----------
    values : array
        Finite values, not all the same. They are counted from the least one.

    Returns
    -------
    float
        What lies above it is foreground.
    """
    low = float(values.min())
    found, numbers = np.unique(values, return_counts=True)
    level = found.astype(np.float64) - low
    if level.size < 2:
        return low
    tolerance = float(np.diff(level).min()) / 2
    share = np.cumsum(numbers.astype(np.float64))
    moment = np.cumsum(numbers * level)
    guess, last = float(moment[-1] / share[-1]), -np.inf
    while abs(guess - last) > tolerance:
        last = guess
        at = int(np.searchsorted(level, guess, side="right")) - 1
        below = moment[at] / share[at]
        above = (moment[-1] - moment[at]) / (share[-1] - share[at])
        if below <= 0:
            break  # only the least value lies below
        guess = float((below - above) / (np.log(below) - np.log(above)))
    return guess + low


def triangle(values: npt.NDArray[Any], bins: int = 256) -> float:
    """The bin furthest from the line between the histogram's peak and its longer tail.

    Zack GW, Rogers WE, Latt SA. Automatic measurement of sister chromatid
    exchange frequency. J Histochem Cytochem 1977. doi:10.1177/25.7.70454

    Parameters
    ----------
    values : array
        Finite values, not all the same.
    bins : int
        Bins of the histogram, at most: fewer grey values than that have a bin each, since
        empty bins between them would be corners.

    Returns
    -------
    float
        The centre of a bin; what lies above it is foreground.
    """
    counts, centres = histogram(values, _no_comb(values, bins))
    peak = int(np.argmax(counts))
    filled = np.flatnonzero(counts)
    flipped = peak - filled[0] < filled[-1] - peak
    if flipped:  # so that the tail is on the left
        counts, centres, peak = counts[::-1], centres[::-1], counts.size - 1 - peak
    first = int(np.flatnonzero(counts)[0])
    steps = np.arange(peak - first)
    distance = counts[peak] * steps - (peak - first) * counts[first:peak]
    return float(centres[first + int(np.argmax(distance)) if steps.size else first])


def _no_comb(values: npt.NDArray[Any], bins: int) -> int:
    """At most so many bins, and no more than there are grey values at their usual distance."""
    levels = np.unique(values)
    if levels.size > bins:
        return bins
    level = np.diff(levels.astype(np.float64))
    return min(bins, 1 + round(float(levels[-1] - levels[0]) / float(np.median(level))))
