"""Only the part of the volume that shows something."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge

from mriprep.core import Volume
from mriprep.declare import Mask, Unit, step

from ._box import bounding_box, shown, widened
from ._common import on_grid


@step(
    methods="Volumes were cropped to the region of interest with a margin of {margin:g} mm.",
    each=True,
    plan=lambda inputs, parameters: None,
    seconds_per_megavoxel=0.05,
)
def crop(
    image: Volume, mask: Mask | None = None, *, margin: Annotated[float, Ge(0), Unit("mm")] = 5.0
) -> Volume:
    """Cut a volume down to the box around a mask, or around what it shows.

    No voxel moves in the world. To cut several volumes alike, give each the
    same mask.

    Parameters
    ----------
    image : Volume
        Any volume: image, mask, labels or probability.
    mask : Volume, optional
        What the box is drawn around, on the volume's grid. Without it: of
        an image what Otsu's threshold keeps, less specks of noise; of masks
        and labels what is not 0; of probabilities what is above one half.
    margin : float
        What is left around on each side at the least, as far as the volume
        reaches.

    Returns
    -------
    Volume
        The part, its type and role kept.

    Raises
    ------
    InputError
        If the mask is empty or, without a mask, the volume shows nothing.
    GeometryError
        If the mask is not on the volume's grid.
    """
    if mask is not None:
        on_grid(mask, image.grid, "crop")
    inside = shown(image, "crop") if mask is None else mask.data
    start, shape = widened(bounding_box(inside, "crop"), image.grid, margin)
    part = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    # A copy, so that the rest of the volume can be given back.
    return image.replace(
        np.array(image.data[part], order="C"), grid=image.grid.window(start, shape)
    )
