"""Otsu's threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def otsu(values: npt.NDArray[Any], bins: int = 256) -> float:
    """The threshold that best parts values into two classes.

    Otsu N. A threshold selection method from gray-level histograms. IEEE
    Trans Syst Man Cybern 1979. doi:10.1109/TSMC.1979.4310076

    Parameters
    ----------
    values : array
        Finite values, not all the same, any shape. The histogram spans their range.
    bins : int
        Bins of the histogram.

    Returns
    -------
    float
        The largest value of the lower class: what lies above it is the upper class.
    """
    values = values.ravel(order="K")  # no copy, whichever way the array lies in memory
    low, high = float(values.min()), float(values.max())
    counts, edges = np.histogram(values, bins, (low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    weight = counts.astype(np.float64)
    below = np.cumsum(weight)
    above = below[-1] - below
    moment = np.cumsum(weight * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = moment / below - (moment[-1] - moment) / above
        between = np.where((below > 0) & (above > 0), below * above * gap**2, -1.0)
    # Within a gap of the histogram every threshold is equally good: take the first.
    best = int(np.argmax(between))
    return float(values.max(where=values < edges[best + 1], initial=low))
