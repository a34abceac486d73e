"""Ranges of intensities by percentiles."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le, Predicate

from mriprep.core import InputError
from mriprep.declare import Unit

from ._common import LEAST_RANGE

Percent = Annotated[float, Ge(0), Le(100)]


def low_below_high(pair: tuple[float, float]) -> bool:
    """Whether a range has its lower end first and some width."""
    return pair[0] < pair[1]


Range = Annotated[tuple[float, float], Predicate(low_below_high)]
Percentiles = Annotated[tuple[Percent, Percent], Predicate(low_below_high), Unit("%")]


def extent(sample: npt.NDArray[Any]) -> tuple[float, float]:
    """Where intensities lie but for one in a thousand at either end; all of them, if those coincide."""
    low, high = np.percentile(sample, (0.1, 99.9))
    if not high - low > LEAST_RANGE:
        low, high = sample.min(), sample.max()
    return float(low), float(high)


def window(
    low_of: npt.NDArray[Any],
    high_of: npt.NDArray[Any],
    percentiles: tuple[float, float],
    step: str,
) -> tuple[float, float]:
    """The intensities at two percentiles, each of its own sample.

    Raises
    ------
    InputError
        If the lower is not below the upper, so that no contrast is left.
    """
    low = float(np.percentile(low_of, percentiles[0]))
    high = float(np.percentile(high_of, percentiles[1]))
    if not high - low > LEAST_RANGE:
        raise InputError(
            f"{step}: the {percentiles[0]:g} percentile ({low:g}) is not below"
            f" the {percentiles[1]:g} percentile ({high:g})",
            hint="most voxels have one value; give a mask or within='foreground',"
            " or percentiles further apart",
        )
    return low, high
