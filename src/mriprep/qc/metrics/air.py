"""How well the air's noise fits its theory: MRIQC's QI2."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import fmin
from scipy.special import gammaln

from .declared import Unmeasured

Doubles = npt.NDArray[np.float64]

_BANDWIDTH = 4.0
_COILS = 32.0  # where the fit begins
_FEWEST = 1000
_BINS = 2200
_TOP = 110.0


def qi_2(values: npt.NDArray[Any]) -> float:
    """Mean distance of the air's distribution from the chi-squared one that fits it best.

    Mortamet B et al. Magn Reson Med 2009. doi:10.1002/mrm.21992. As MRIQC,
    which draws 300 000 voxels; here all are counted in bins of a twentieth
    of its unit, so that the number is the same each time.

    Parameters
    ----------
    values : (N,) array
        Intensities of the air in the hat, as the scanner gave them.

    Raises
    ------
    Unmeasured
        If fewer than a thousand are positive.
    """
    data = np.clip(values, 0, None)
    if (data > 0).sum() < _FEWEST:
        raise Unmeasured(
            f"{int((data > 0).sum())} voxels of the air above the head's base are not 0"
        )
    scale = float(np.percentile(data, 99))
    if scale <= 0:
        raise Unmeasured("99 % of the air above the head's base is empty")
    data = data.astype(np.float64) * (100 / scale)
    at, counts = _counted(data)
    grid = np.linspace(0.0, _TOP, 1000)
    density = _smoothed(at, counts, grid)
    cut = int(np.argmax(density[::-1] > density.max() * 0.5))
    n, location, width = _fitted(at, counts)
    theory = _chi_squared(grid, n, location, width)
    return float(np.abs(density[-cut:] - theory[-cut:]).mean())


def _counted(data: Doubles) -> tuple[Doubles, Doubles]:
    """Values and how often: bins over what is usual, some wider ones over the tail."""
    usual = data[data <= 2 * _TOP]
    counts, _ = np.histogram(usual, 2 * _BINS, (0.0, 2 * _TOP))
    sums, _ = np.histogram(usual, 2 * _BINS, (0.0, 2 * _TOP), weights=usual)
    tail = np.sort(data[data > 2 * _TOP])
    if tail.size > 1000:
        parts = np.array_split(tail, 1000)
        tail_at = np.array([p.mean() for p in parts])
        tail_n = np.array([float(p.size) for p in parts])
    else:
        tail_at, tail_n = tail, np.ones(tail.size)
    filled = counts > 0
    at = np.concatenate([sums[filled] / counts[filled], tail_at])
    return at, np.concatenate([counts[filled].astype(np.float64), tail_n])


def _smoothed(at: Doubles, counts: Doubles, grid: Doubles) -> Doubles:
    """Density on a grid, blurred by a Gaussian."""
    near = at < _TOP + 8 * _BANDWIDTH
    distance = (grid[:, None] - at[None, near]) / _BANDWIDTH
    kernel = np.exp(-0.5 * distance**2) / (_BANDWIDTH * np.sqrt(2 * np.pi))
    density: Doubles = kernel @ counts[near] / counts.sum()
    return density


def _log_chi_squared(x: Doubles, n: float, location: float, width: float) -> Doubles:
    y = (x - location) / width
    out = np.full(x.shape, -np.inf)
    ok = y > 0
    out[ok] = (n / 2 - 1) * np.log(y[ok]) - y[ok] / 2 - (n / 2) * np.log(2) - gammaln(n / 2)
    return np.asarray(out - np.log(width))


def _chi_squared(x: Doubles, n: float, location: float, width: float) -> Doubles:
    density: Doubles = np.exp(_log_chi_squared(x, n, location, width))
    return density


def _fitted(at: Doubles, counts: Doubles) -> tuple[float, float, float]:
    """Degrees of freedom, shift and width of most likelihood, found as scipy's `fit` finds them."""
    total = counts.sum()
    mean = float(counts @ at) / total
    deviation = float(np.sqrt(counts @ (at - mean) ** 2 / total))
    # The start, as scipy's: shift and width by moments of one degree of freedom, held clear of the data.
    width = deviation / np.sqrt(2)
    location = mean - width
    least, most = float(at.min()), float(at.max())
    if location >= least:
        location, width = least - 0.1 * (most - least), 1.0

    def loss(theta: Doubles) -> float:
        n, shift, wide = theta
        if n <= 0 or wide <= 0:
            return float("inf")
        logs = _log_chi_squared(at, n, shift, wide)
        bad = ~np.isfinite(logs)
        penalty = float(counts[bad].sum()) * np.log(np.finfo(float).max) * 100
        return float(penalty - counts[~bad] @ logs[~bad])

    n, location, width = fmin(loss, [_COILS, location, width], disp=False)
    return float(n), float(location), float(width)
