"""Where the array axes point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mriprep.core import Grid, Volume
from mriprep.core.slices import arranged
from mriprep.declare import step


def _plan(inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Grid | None:
    grid = inputs.get("image")
    return grid.reoriented(parameters["to"]) if isinstance(grid, Grid) else None


@step(
    methods="Array axes were permuted and flipped to {to}, without interpolation.",
    each=True,
    plan=_plan,
    seconds_per_megavoxel=0.01,
)
def reorient(image: Volume, *, to: str = "RAS") -> Volume:
    """Permute and flip the array axes to point along an orientation.

    Neither a value nor a voxel's place in the world changes; an oblique
    volume stays oblique.

    Parameters
    ----------
    image : Volume
        Any volume: image, mask, labels or probability.
    to : str
        Three letters, where the axes point: one each of R/L, A/P and S/I.

    Returns
    -------
    Volume
        Its type and role kept, the array contiguous.

    Raises
    ------
    GeometryError
        If `to` is not an orientation.
    """
    order, flip = image.grid.axes_to(to)
    data = np.ascontiguousarray(arranged(image.data, order, flip))
    return image.replace(data, grid=image.grid.reoriented(to))
