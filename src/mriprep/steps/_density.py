"""Smooth histograms of intensities, and their modes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError

from ._window import extent

Doubles = npt.NDArray[np.float64]

Mode = Literal["first", "largest", "last"]
Peak = Literal["auto", "first", "largest", "last"]

#: Which mode is white matter's, by contrast: it is the brightest tissue of T1w, the darkest of PDw,
#: and the most abundant intensity of the others (Shinohara 2014; Reinhold 2019).
MODES: dict[str, Mode] = {
    "T1w": "last",
    "T1c": "last",
    "T2w": "largest",
    "FLAIR": "largest",
    "PDw": "first",
}

_BINS = 1024
#: A mode is no less than this share of the largest one ...
_LEAST_HEIGHT = 0.2
#: ... and rises above the valleys beside it by this share.
_LEAST_RISE = 0.02
_SEGMENTS = 60


def bandwidth(sample: npt.NDArray[np.floating]) -> float:
    """Silverman's rule (1986, eq. 3.31), but no less than half the distance of neighbouring values."""
    quarter, three = np.percentile(sample, (25, 75))
    spread = float(np.std(sample, dtype=np.float64))
    width = min(spread, (three - quarter) / 1.349) or spread
    return float(max(0.9 * width * sample.size**-0.2, _gap(sample) / 2))


def _gap(sample: npt.NDArray[np.floating]) -> float:
    """The distance of neighbouring values where there are few, as of whole numbers; 0 otherwise."""
    known = np.unique(sample)
    return float(np.median(np.diff(known))) if 1 < known.size <= _BINS else 0.0


def histogram(sample: npt.NDArray[np.floating], margin: float) -> tuple[Doubles, Doubles]:
    """Centres of at most 1024 bins and their counts, over all but one in a thousand at either end.

    No bin is narrower than the distance of neighbouring values: else, of
    whole numbers, every few bins would be empty, which looks like noise.
    """
    low, high = extent(sample)
    low, high = low - margin, high + margin
    gap = _gap(sample)
    if gap > (high - low) / _BINS:
        # Values lie at the centres of bins.
        first = float(sample.min())
        start = first + (np.floor((low - first) / gap) - 0.5) * gap
        edges = start + gap * np.arange(np.ceil((high - start) / gap) + 1)
    else:
        edges = np.linspace(low, high, _BINS + 1)
    counts, edges = np.histogram(sample, edges)
    return (edges[:-1] + edges[1:]) / 2, counts.astype(np.float64)


def by_kernel(sample: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """A density estimated with a Gaussian kernel: where, and how much."""
    from scipy import ndimage

    width = bandwidth(sample)
    centres, counts = histogram(sample, 4 * width)
    smooth = ndimage.gaussian_filter1d(
        counts, width / (centres[1] - centres[0]), mode="constant", truncate=6
    )
    return centres, smooth


def by_spline(sample: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """A histogram smoothed by a penalised spline, its penalty by restricted likelihood.

    As Shinohara (2014) smooth theirs; Eilers PHC, Marx BD. Flexible smoothing
    with B-splines and penalties. Stat Sci 1996. doi:10.1214/ss/1038425655
    """
    from scipy.interpolate import BSpline

    centres, counts = histogram(sample, 4 * bandwidth(sample))
    segments = max(min(_SEGMENTS, centres.size // 2), 1)
    step = (centres[-1] - centres[0]) / segments
    knots = centres[0] + step * np.arange(-3, segments + 4)
    knots[-4] = np.nextafter(centres[-1], np.inf)  # the last centre lies inside
    basis = BSpline.design_matrix(np.clip(centres, knots[3], None), knots, 3).toarray()
    rough = np.diff(np.eye(basis.shape[1]), 2, axis=0)
    # In the basis of Demmler and Reinsch data and penalty are both diagonal.
    q, r = np.linalg.qr(basis)
    half = np.linalg.solve(r.T, rough.T)
    penalty, turn = np.linalg.eigh(half @ half.T)
    q = q @ turn
    z = (q * counts[:, None]).sum(axis=0)  # not by a library whose threads may change the sum
    penalty, free = np.maximum(penalty[2:], 0), z[2:]  # lines are not penalised
    rest = float(counts @ counts - z @ z)
    scale = 1 / penalty.mean()
    best = min(
        (_restricted(lam * scale, penalty, free, rest, counts.size), lam * scale)
        for lam in np.logspace(-8, 8, 65)
    )[1]
    z[2:] = free / (1 + best * penalty)
    return centres, q @ z


def _restricted(lam: float, penalty: Doubles, free: Doubles, rest: float, n: int) -> float:
    """-2 log restricted likelihood of a smoothing parameter, but for constants."""
    share = lam * penalty / (1 + lam * penalty)
    error = max(rest + float(np.sum(free**2 * share)), np.finfo(float).tiny)
    return float((n - 2) * np.log(error) - np.sum(np.log(np.maximum(share, 1e-300))))


def mode(centres: Doubles, smooth: Doubles, which: Mode, step: str) -> float:
    """The last, the largest or the first mode of a smooth histogram.

    A mode is a peak of at least a fifth of the largest one's height; it lies
    at the vertex of the parabola through the three bins about it.

    Raises
    ------
    InputError
        If there is none.
    """
    from scipy.signal import find_peaks

    top = float(smooth.max())
    padded = np.concatenate([[min(smooth.min(), 0.0)], smooth, [min(smooth.min(), 0.0)]])
    peaks = find_peaks(padded, height=_LEAST_HEIGHT * top, prominence=_LEAST_RISE * top)[0] - 1
    if top <= 0 or not peaks.size:
        raise InputError(
            f"{step}: the histogram of the region has no peak", hint="give a mask of the brain"
        )
    peak = {"last": peaks[-1], "first": peaks[0], "largest": peaks[np.argmax(smooth[peaks])]}[which]
    if not 0 < peak < smooth.size - 1:
        return float(centres[peak])
    before, here, after = smooth[peak - 1 : peak + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(centres[peak] + shift * (centres[1] - centres[0]))
