"""The box around a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def extent(mask: npt.NDArray[np.bool_], axis: int) -> slice:
    """From the first to the last plane along an axis that holds any of the mask, (X, Y, Z)."""
    rows = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    return slice(int(rows[0]), int(rows[-1]) + 1)
