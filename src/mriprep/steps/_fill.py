"""Values to fill in where there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import RecipeError


def fitting(fill: float, dtype: np.dtype[Any], step: str) -> npt.NDArray[Any]:
    """The fill as an array of one value of that type.

    Raises
    ------
    RecipeError
        If the type cannot hold it: a fraction or a value out of range for
        whole numbers, an overflow for floats.
    """
    with np.errstate(over="ignore"):
        if dtype.kind == "f":
            held = bool(np.isfinite(np.float64(fill).astype(dtype)))
        else:
            lowest, highest = (0, 1) if dtype.kind == "b" else _range(dtype)
            held = float(fill).is_integer() and lowest <= fill <= highest
        if not held:
            raise RecipeError(
                f"{step}.fill = {fill:g} does not fit voxels of type {dtype}",
                hint="choose a fill that they can hold, or turn the image into floats first:"
                " volume.replace(volume.floats())",
            )
        return np.asarray(fill).astype(dtype)


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
