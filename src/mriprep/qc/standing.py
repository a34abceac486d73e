"""Where an image stands among the others of its contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .meanings import number

Array = npt.NDArray[np.float64]

#: With fewer images than this no rank is told.
FEWEST = 6


@dataclass(frozen=True)
class Standing:
    """The images of one contrast, for the pages of each.

    Parameters
    ----------
    contrast : str
        Which.
    images : int
        How many.
    values : mapping of str to (N,) array
        Values of each metric, ascending.
    histograms : mapping of str to Band
        ``after`` and, of scans that share a scale, nothing else.
    """

    contrast: str
    images: int
    values: Mapping[str, Array]
    histograms: Mapping[str, Band] = field(default_factory=dict)

    def rank(self, name: str, value: float) -> float | None:
        """The share of images that are lower, equal ones by half, or None where too few are known."""
        known = self.values.get(name)
        if known is None or len(known) < FEWEST:
            return None
        below, at_most = np.searchsorted(known, value), np.searchsorted(known, value, "right")
        return float(below + at_most) / 2 / len(known)


@dataclass(frozen=True)
class Band:
    """Density of the voxels at each of (N,) intensities: the middle of all images, and most of them."""

    at: Array
    low: Array
    middle: Array
    high: Array


def standing(qualities: Sequence[Mapping[str, Any]]) -> dict[str, Standing]:
    """How the images of each contrast are spread."""
    found = {}
    for contrast in dict.fromkeys(str(q["contrast"]) for q in qualities):
        mine = [q for q in qualities if q["contrast"] == contrast and q.get("metrics")]
        if not mine:
            continue
        names = dict.fromkeys(n for q in mine for n in q["metrics"])
        values = {}
        for name in names:
            numbers = [number(q["metrics"].get(name)) for q in mine]
            values[name] = np.sort([v for v in numbers if v is not None])
        shapes = [h for q in mine if (h := histogram(q, "after"))]
        band = {"after": _band(shapes)} if len(shapes) >= FEWEST else {}
        found[contrast] = Standing(contrast, len(mine), values, band)
    return found


def histogram(quality: Mapping[str, Any], when: str) -> tuple[Array, Array] | None:
    """Edges (N + 1,) and density (N,) of an image's histogram, or None where it has none."""
    told = (quality.get("histograms") or {}).get(when)
    if not isinstance(told, Mapping):
        return None
    low, high = number(told.get("low")), number(told.get("high"))
    counts = np.asarray(told.get("counts", ()), dtype=np.float64)
    if low is None or high is None or high <= low or counts.size == 0 or counts.sum() <= 0:
        return None
    edges = np.linspace(low, high, counts.size + 1)
    return edges, counts / counts.sum() / np.diff(edges)


def _band(shapes: Sequence[tuple[Array, Array]]) -> Band:
    at = np.linspace(min(e[0] for e, _ in shapes), max(e[-1] for e, _ in shapes), 128)
    drawn = np.stack([np.interp(at, (e[1:] + e[:-1]) / 2, d, left=0, right=0) for e, d in shapes])
    low, middle, high = np.quantile(drawn, (0.05, 0.5, 0.95), axis=0)
    return Band(at, low, middle, high)
