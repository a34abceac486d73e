"""Only what a mask holds."""

from __future__ import annotations

import numpy as np

from mriprep.core import InputError, Volume
from mriprep.declare import Mask, step

from ._common import on_grid
from ._fill import fitting


@step(methods="Voxels outside the mask were set to {fill:g}.", seconds_per_megavoxel=0.005)
def apply_mask(image: Volume, mask: Mask, *, fill: float = 0.0) -> Volume:
    """Set everything outside a mask to one value.

    Parameters
    ----------
    image : Volume
        The image.
    mask : Volume
        What to keep, on the image's grid.
    fill : float
        The value outside.

    Returns
    -------
    Volume
        The voxels inside as they were, NaN included, and of the same type.

    Raises
    ------
    GeometryError
        If the mask is not on the image's grid.
    InputError
        If the mask is empty.
    RecipeError
        If voxels of the image's type cannot hold the fill.
    """
    on_grid(mask, image.grid, "apply_mask")
    if not mask.data.any():
        raise InputError(
            "apply_mask: the mask is empty, nothing would be left",
            hint="check the brain extraction",
        )
    outside = fitting(fill, image.data.dtype, "apply_mask")
    return image.replace(np.where(mask.data, image.data, outside))
