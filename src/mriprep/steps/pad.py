"""All volumes of one shape."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from mriprep.core import Grid, MriprepWarning, Role, Volume
from mriprep.declare import Unit, step

from ._fill import fitting

Size = Annotated[int, Ge(1), Le(4096)]
Shape = Annotated[Size | tuple[Size, Size, Size], Unit("voxels")]


def _padded(grid: Grid, shape: int | tuple[int, int, int]) -> tuple[Grid, tuple[int, int, int]]:
    """The grid of that shape around the same middle, and the voxel it starts at (or before)."""
    x, y, z = (shape, shape, shape) if isinstance(shape, int) else shape
    # Voxel n // 2 stays the middle whether a side grows or shrinks: one undoes the other.
    a, b, c = (n // 2 - wanted // 2 for n, wanted in zip(grid.shape, (x, y, z), strict=True))
    return grid.window((a, b, c), (x, y, z)), (a, b, c)


def _plan(inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Grid | None:
    grid = inputs.get("image")
    return _padded(grid, parameters["shape"])[0] if isinstance(grid, Grid) else None


@step(
    methods="Volumes were padded to a shape of {shape} voxels.",
    each=True,
    plan=_plan,
    seconds_per_megavoxel=0.01,
)
def pad(image: Volume, *, shape: Shape, fill: float = 0.0) -> Volume:
    """Pad a volume on all sides to exactly one shape.

    No voxel moves in the world. Where the volume is larger than the shape it
    is cut, centrally, and a warning says so.

    Parameters
    ----------
    image : Volume
        Any volume: image, mask, labels or probability.
    shape : int or (3,) ints
        The shape along the volume's own axes; one number for a cube.
    fill : float
        The value around an image. Masks, labels and probabilities are
        filled with 0.

    Returns
    -------
    Volume
        Of that shape, its type and role kept.

    Raises
    ------
    RecipeError
        If voxels of the image's type cannot hold the fill.
    """
    grid, start = _padded(image.grid, shape)
    cut = tuple(max(old - new, 0) for old, new in zip(image.shape, grid.shape, strict=True))
    if any(cut):
        warnings.warn(
            f"pad: the volume ({'x'.join(map(str, image.shape))}) is larger than the shape"
            f" ({'x'.join(map(str, grid.shape))}); {' x '.join(map(str, cut))} voxels were cut off",
            MriprepWarning,
            stacklevel=3,
        )
    value = fitting(fill if image.role is Role.IMAGE else 0, image.data.dtype, "pad")
    padded = np.full(grid.shape, value, image.data.dtype)
    old, new = [], []
    for first, n, wanted in zip(start, image.shape, grid.shape, strict=True):
        length = min(n, wanted)
        old.append(slice(max(first, 0), max(first, 0) + length))
        new.append(slice(max(-first, 0), max(-first, 0) + length))
    padded[tuple(new)] = image.data[tuple(old)]
    return image.replace(padded, grid=grid)
