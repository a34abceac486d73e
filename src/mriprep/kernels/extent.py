"""The box around a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def extent(mask: Mask, axis: int) -> slice:
    """From the first to the last plane along an axis that holds any of the mask, (X, Y, Z)."""
    rows = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    return slice(int(rows[0]), int(rows[-1]) + 1)


def bounds(mask: Mask) -> tuple[slice, slice, slice]:
    """The bounding box of a mask (X, Y, Z) that is not empty."""
    return extent(mask, 0), extent(mask, 1), extent(mask, 2)
