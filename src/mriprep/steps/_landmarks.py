"""Intensities at percentiles, and maps between them that never fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError

from ._common import FloatImage
from ._states import Values

Doubles = npt.NDArray[np.float64]

#: Nyúl's landmarks: the ends of what is kept, and the deciles.
NYUL = (1.0, *(float(p) for p in range(10, 100, 10)), 99.0)


def percentiles_of(values: Values) -> Doubles:
    """The percentiles of a state, read strictly: two or more, rising, from 0 to 100."""
    percentiles = values.numbers("percentiles", rising="always")
    if percentiles.size < 2 or percentiles[0] < 0 or percentiles[-1] > 100:
        raise values.refuse("'percentiles' must be two or more, from 0 to 100")
    return percentiles


def landmarks(
    sample: npt.NDArray[np.float32], percentiles: Sequence[float] | Doubles, step: str
) -> Doubles:
    """The intensities at percentiles, float64.

    Raises
    ------
    InputError
        If the first is not below the last, so that nothing can be told apart.
    """
    found: Doubles = np.percentile(sample.astype(np.float64), percentiles)
    if not found[0] < found[-1]:
        first, last = np.asarray(percentiles)[[0, -1]]
        raise InputError(
            f"{step}: the {first:g} and the {last:g} percentile of the region are both {found[0]:g}",
            hint="most of its voxels have one value; give a mask of the object",
        )
    return found


def piecewise(
    values: FloatImage, at: Doubles, to: Doubles, ends: float | None = None
) -> FloatImage:
    """Map intensities by a line through landmarks; it goes on beyond the first and the last.

    Parameters
    ----------
    values : (X, Y, Z) float32 array
        Intensities.
    at, to : (N,) float64 arrays
        Landmarks of the image, and where they go; neither falls. Landmarks
        at one intensity, as images of whole numbers have them, go to the mean
        of their targets.
    ends : float, optional
        The slope beyond the ends; that of the first and of the last segment
        without it.
    """
    places, which = np.unique(at, return_inverse=True)
    targets = np.bincount(which, to) / np.bincount(which)
    low, high = (ends, ends) if ends is not None else _slopes(places, targets)
    flat = values.astype(np.float64)
    mapped = np.interp(flat, places, targets)
    mapped += low * np.minimum(flat - places[0], 0)
    mapped += high * np.maximum(flat - places[-1], 0)
    return mapped.astype(np.float32)


def _slopes(places: Doubles, targets: Doubles) -> tuple[float, float]:
    if places.size < 2:
        return 1.0, 1.0
    slope = np.diff(targets) / np.diff(places)
    return float(slope[0]), float(slope[-1])
