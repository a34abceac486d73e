"""What several steps need: finite voxels, the foreground, the region of statistics, tidy errors."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import GeometryError, Grid, InputError, MriprepWarning, Volume

FloatImage = npt.NDArray[np.float32]
BoolImage = npt.NDArray[np.bool_]


def finite(image: Volume, step: str) -> FloatImage:
    """A new float32 array of the voxels, with NaN and infinities set to 0 and said so."""
    values = image.floats()
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if count:
        warnings.warn(
            f"{step}: {count} voxels of {values.size} are NaN or infinite; taken as 0",
            MriprepWarning,
            stacklevel=3,
        )
        values[bad] = 0
    return values


def otsu(values: npt.NDArray[Any], bins: int = 256) -> float:
    """The threshold that best parts values into two classes.

    Otsu N. A threshold selection method from gray-level histograms. IEEE
    Trans Syst Man Cybern 1979. doi:10.1109/TSMC.1979.4310076

    Parameters
    ----------
    values : array
        Finite values, any shape. The histogram spans their range.
    bins : int
        Bins of the histogram.

    Returns
    -------
    float
        Values above it are the upper class.
    """
    counts, edges = np.histogram(values, bins)
    centres = (edges[:-1] + edges[1:]) / 2
    weight = counts.astype(np.float64)
    below = np.cumsum(weight)
    above = below[-1] - below
    moment = np.cumsum(weight * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = moment / below - (moment[-1] - moment) / above
        between = np.where((below > 0) & (above > 0), below * above * gap**2, -1.0)
    # Within a gap of the histogram every threshold is equally good: take the
    # upper edge of the first best bin.
    return float(edges[int(np.argmax(between)) + 1])


def foreground(image: Volume, step: str) -> BoolImage:
    """What Otsu's threshold keeps of an image: bool, the image's shape.

    Raises
    ------
    InputError
        If the image is empty or constant, so that nothing can be told apart.
    """
    values = finite(image, step)
    varied(values, step)
    return values > otsu(values)


def varied(values: npt.NDArray[Any], step: str, where: str = "image") -> None:
    """Refuse values that are all the same.

    Raises
    ------
    InputError
        If there is no value, or one only.
    """
    if values.size == 0:
        raise InputError(
            f"{step}: the {where} holds no voxels",
            hint="check the mask, and that it belongs to this image",
        )
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise InputError(
            f"{step}: the {where} is constant, every voxel is {low:g}",
            hint="the file may be damaged or empty; `mriprep inspect` shows what it holds",
        )


def on_grid(volume: Volume, grid: Grid, step: str) -> None:
    """Refuse a companion (a mask, labels) that does not lie on the image's grid.

    Raises
    ------
    GeometryError
        Says by how much they differ and how to bring one to the other.
    """
    if not volume.grid.matches(grid):
        apart = volume.grid.distance(grid)
        by = f"corners {apart:.2f} mm apart" if np.isfinite(apart) else "different shapes"
        raise GeometryError(
            f"{step}: the {volume.role} ({volume.grid}) is not on the image's grid ({grid}): {by}",
            hint="bring it there first: resample(mask, to=image)",
        )


def region(
    image: Volume, within: Volume | Literal["foreground", "whole"] | None, step: str
) -> BoolImage:
    """The voxels that statistics are taken from, bool, the image's shape.

    A mask is taken as it is; ``"foreground"`` (and None) is what Otsu's
    threshold keeps; ``"whole"`` is every finite voxel.
    """
    if isinstance(within, Volume):
        on_grid(within, image.grid, step)
        inside: BoolImage = np.asarray(within.data, dtype=bool) & np.isfinite(image.data)
        if not inside.any():
            raise InputError(f"{step}: the mask is empty", hint="check the brain extraction")
        return inside
    if within == "whole":
        return np.isfinite(image.data)
    return foreground(image, step)
