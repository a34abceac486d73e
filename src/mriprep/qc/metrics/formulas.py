"""MRIQC's formulas, on numbers and arrays: what it defines, no masks and no files.

Esteban O et al. MRIQC: advancing the automatic prediction of image quality in
MRI from unseen sites. PLoS One 2017. doi:10.1371/journal.pone.0184661.
Where documentation and code of MRIQC 24.0 differ, the code is followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from mriprep.kernels.differences import steps
from mriprep.kernels.order import mad, middle, percentile

from .declared import Unmeasured

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Standard deviation of air, Rayleigh distributed, to that of the noise: 1 / sqrt(2 / (4 - pi)).
DIETRICH = 0.6551364
#: sqrt(8 ln 2), as AFNI rounds it.
_TO_FWHM = 2.35482


class Summary(NamedTuple):
    """Weighted statistics of the intensities of one tissue."""

    mean: float
    median: float
    p95: float
    p05: float
    k: float
    stdv: float
    mad: float
    n: float


def summary(image: npt.NDArray[Any], weights: npt.NDArray[Any]) -> Summary:
    """Statistics of intensities, weighted by a tissue's probability.

    Mean, deviation and percentiles of intensities rounded to whole numbers,
    with weights rounded to three decimals; kurtosis and median absolute
    deviation of the voxels of more than half the largest weight.

    Parameters
    ----------
    image : (X, Y, Z) array
        Not negative, of a scale where whole numbers are fine enough (white matter 1000).
    weights : (X, Y, Z) array
        In [0, 1].

    Raises
    ------
    Unmeasured
        If no voxel has any weight, or their intensities are too large for counting.
    """
    used = weights if weights.dtype == bool else weights > 0
    values = image[used]
    chance = None if weights.dtype == bool else weights[used].astype(np.float64)
    n = float(values.size if chance is None else chance.sum())
    w = None if chance is None else np.round(chance, 3)
    total = n if w is None else float(w.sum())
    if total <= 0:
        raise Unmeasured("no voxel belongs to it")
    rounded = np.rint(values)
    low, high = float(rounded.min()), float(rounded.max())
    if high - low > 2e7:
        raise Unmeasured(f"intensities span {high - low:.3g}, more than can be counted")
    counts = np.bincount((rounded - np.float32(low)).astype(np.int64), weights=w)
    levels = low + np.arange(len(counts))
    mean = float(counts @ levels) / total
    stdv = float(np.sqrt(float(counts @ (levels - mean) ** 2) / total))
    there = counts > 0
    p05, median, p95 = _quantiles(levels[there], counts[there], (0.05, 0.5, 0.95))
    sure = values if chance is None else values[chance > 0.5 * chance.max()]
    variance, fourth = _moments(sure)
    kurtosis = fourth / variance**2 - 3 if variance > 0 else 0.0
    numbers = (mean, median, p95, p05, kurtosis, stdv, mad(sure, median))
    a, b, c, d, e, f, g = (round(float(v), 4) for v in numbers)
    return Summary(a, b, c, d, e, f, g, n)


@nb.njit(cache=True)
def _moments(values):  # type: ignore[no-untyped-def]
    """Second and fourth central moment."""
    mean = 0.0
    for v in values:
        mean += v
    mean /= len(values)
    second, fourth = 0.0, 0.0
    for v in values:
        square = (v - mean) * (v - mean)
        second += square
        fourth += square * square
    return second / len(values), fourth / len(values)


def _quantiles(
    levels: npt.NDArray[Any], counts: npt.NDArray[Any], chances: tuple[float, ...]
) -> list[float]:
    """Quantiles of counted levels; where a share is met exactly, the mean of two levels."""
    sums = np.cumsum(counts)
    found = []
    for chance in chances:
        target = chance * sums[-1]
        at = min(int(np.searchsorted(sums, target)), len(sums) - 1)
        exact = abs(target - sums[at]) < 1e-10 and at + 1 < len(sums)
        found.append(float((levels[at] + levels[at + 1]) / 2 if exact else levels[at]))
    return found


def snr(mean: float, stdv: float, n: float) -> float:
    """Signal to noise, both of one tissue."""
    if stdv <= 0 or n <= 1:
        raise Unmeasured("the tissue's intensities do not vary, or it has one voxel")
    return mean / (stdv * float(np.sqrt(n / (n - 1))))


def snr_dietrich(mean: float, mad_air: float, stdv_air: float) -> float:
    """Signal of a tissue to noise of the air, corrected for magnitude images.

    Dietrich O et al. J Magn Reson Imaging 2007. doi:10.1002/jmri.20969
    """
    if mad_air > 1:
        return DIETRICH * mean / mad_air
    if stdv_air > 1e-3:
        return DIETRICH * mean / stdv_air
    raise Unmeasured("the air about the head is empty: no noise to compare with")


def cnr(wm: Summary, gm: Summary, stdv_air: float) -> float:
    """Distance of white from grey matter to their noise and that of the air."""
    spread = float(np.sqrt(stdv_air**2 + gm.stdv**2 + wm.stdv**2))
    if spread <= 0:
        raise Unmeasured("neither tissue varies")
    return abs(wm.median - gm.median) / spread


def cjv(wm: Summary, gm: Summary) -> float:
    """Spread of white and grey matter to their distance; by medians and MADs, as MRIQC's code has it."""
    if wm.median == gm.median:
        raise Unmeasured("white and grey matter have the same median")
    return (wm.mad + gm.mad) / abs(wm.median - gm.median)


def fber(image: Floats, head: Mask, empty: Mask) -> float:
    """Median energy of the head to that of the air (MRIQC's documentation says mean)."""
    air = image[~(head | empty)]
    if not air.size or not head.any():
        raise Unmeasured("there is no air about the head")
    # Of values that are not negative the middle squares are the squares of the middle ones.
    inside, outside = (float(np.mean(np.square(middle(v)))) for v in (image[head], air))
    if outside < 1e-3:
        raise Unmeasured("half the air about the head is empty: no noise to compare with")
    return round(inside / outside, 4)


def efc(image: Floats, empty: Mask) -> float:
    """Entropy of intensities, 1 where all are the same, 0 where one voxel has all.

    Atkinson D et al. IEEE Trans Med Imaging 1997. doi:10.1109/42.650886
    """
    values = image[~empty] if empty.any() else image.ravel()
    n = values.size
    energy = float(np.sqrt(_energy(values)))
    if n < 2 or energy <= 0:
        raise Unmeasured("the image is empty")
    most = np.sqrt(n) * np.log(1 / np.sqrt(n))
    return round(float(_entropy(values, energy) / most), 4)


@nb.njit(cache=True)
def _energy(values):  # type: ignore[no-untyped-def]
    total = 0.0
    for v in values:
        total += np.float64(v) * np.float64(v)
    return total


@nb.njit(cache=True)
def _entropy(values, energy):  # type: ignore[no-untyped-def]
    total = 0.0
    for v in values:
        if v > 0:
            share = np.float64(v) / energy
            total += share * np.log(share)
    return total


def wm2max(image: Floats, white: float) -> float:
    """White matter to the 99.95th percentile of all voxels (MRIQC's documentation also says 95)."""
    most = percentile(image, 99.95)
    if most <= 0:
        raise Unmeasured("the image is empty")
    return white / most


def qi_1(air: int, artifacts: int) -> float:
    """Share of artefacts among the voxels of the hat; `air` counts those without them."""
    if air < 1:
        raise Unmeasured("there is no air above the head's base")
    return artifacts / (air + artifacts)


def fractions(tissue: Mapping[str, Floats]) -> dict[str, float]:
    """Share of each tissue's volume in their sum."""
    sums = {t: float(p.sum(dtype=np.float64)) for t, p in tissue.items()}
    total = sum(sums.values())
    if total <= 0:
        raise Unmeasured("the tissue maps are empty")
    return {t: s / total for t, s in sums.items()}


def rpve(chance: Floats) -> float:
    """Residual partial volume of a tissue; voxels outside the brain count, as in MRIQC's code."""
    positive = chance[chance > 0]
    if not positive.size:
        raise Unmeasured("no voxel belongs to it")
    low, high = (float(v) for v in np.percentile(positive.astype(np.float64), (2, 98)))
    kept = positive[(positive >= low) & (positive <= high)].astype(np.float64)
    more = kept > 0.5
    nothing = chance.size - kept.size  # cut off, or no part of it: counted as a whole error
    error = float(kept[more].sum()) + float((1 - kept[~more]).sum()) + nothing
    return error / positive.size


def overlap(a: Floats, b: Floats, box: tuple[slice, slice, slice] | None = None) -> float:
    """Fuzzy Jaccard index of two maps of probability; the second may be a box of the first, 0 beyond."""
    here = a if box is None else a[box]
    beyond = 0.0
    if box is not None:
        beyond = float(a.sum(dtype=np.float64)) - float(here.sum(dtype=np.float64))
    most = float(np.maximum(here, b).sum(dtype=np.float64)) + beyond
    if most <= 0:
        raise Unmeasured("both maps are empty")
    return float(np.minimum(here, b).sum(dtype=np.float64)) / most


def fwhm(image: Floats, mask: Mask) -> tuple[float, float, float]:
    """Smoothness within a mask from first differences, voxels: AFNI's classic 3dFWHMx.

    Forman SD et al. Magn Reson Med 1995. doi:10.1002/mrm.1910330508. NaN
    along an axis where differences are no smaller than the image's spread.

    Parameters
    ----------
    image : (X, Y, Z) float32 array
    mask : (X, Y, Z) bool array
        Both voxels of a difference lie in it.
    """
    inside = image[mask].astype(np.float64)
    if inside.size < 9:
        return (np.nan,) * 3
    variance = float(inside.var(ddof=1))
    found = []
    for count, total, squares in steps(image, mask, 1):
        spread = (squares - total**2 / count) / (count - 1) if count >= 6 else 0.0
        likeness = 1 - spread / (2 * variance) if variance > 0 else 0.0
        usual = 0 < likeness < 1
        found.append(_TO_FWHM * float(np.sqrt(-1 / (4 * np.log(likeness)))) if usual else np.nan)
    return found[0], found[1], found[2]
