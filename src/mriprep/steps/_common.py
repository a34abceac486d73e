"""What several steps need: finite voxels, the foreground, the region of statistics, tidy errors."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import GeometryError, Grid, InputError, MriprepWarning, Volume
from mriprep.kernels.otsu import otsu

FloatImage = npt.NDArray[np.float32]
BoolImage = npt.NDArray[np.bool_]

# Deviations of a smaller range fall below the least float32 (1.2e-38), and dividing by them
# gives infinities. No scanner's units are that small.
LEAST_RANGE = 1e-30


def finite(image: Volume, step: str) -> FloatImage:
    """A new float32 array of the voxels, with NaN and infinities set to 0 and said so."""
    values = image.floats()
    bad = ~np.isfinite(values)
    count = int(bad.sum())
    if count:
        warnings.warn(
            f"{step}: {count} voxels of {values.size} are NaN or infinite; taken as 0",
            MriprepWarning,
            stacklevel=4,  # this function, the step, its checks, the caller
        )
        values[bad] = 0
    return values


def otsu_threshold(values: npt.NDArray[Any], step: str) -> float:
    """Otsu's threshold of an image, not misled by a few extreme voxels.

    The histogram is cut at the 0.1 and 99.9 percentile (of evenly spread
    voxels, a few hundred thousand): a single spike would else stretch it
    until everything else lies in one bin.

    Raises
    ------
    InputError
        If the image is empty or constant, so that nothing can be told apart.
    """
    varied(values, step)
    # Every few voxels along each axis, so that the layout in memory does not matter.
    stride = int(max((values.size / 2**18) ** (1 / values.ndim), 1))
    sample = values[(slice(None, None, stride),) * values.ndim]
    low, high = np.percentile(sample, (0.1, 99.9))
    return otsu(values if low == high else np.clip(values, low, high))


def parted(image: Volume, step: str) -> tuple[BoolImage, float]:
    """The foreground of an image by Otsu's threshold, and the threshold.

    NaN and infinities are taken as the least value, so that they are never
    foreground.

    Raises
    ------
    InputError
        If the image is empty or constant, so that nothing can be told apart.
    """
    values = image.floats()
    known = np.isfinite(values)
    if not known.all():
        values[~known] = values[known].min() if known.any() else 0
    threshold = otsu_threshold(values, step)
    return values > threshold, threshold


def foreground(image: Volume, step: str) -> BoolImage:
    """What Otsu's threshold keeps of an image, see :func:`parted`: bool, the image's shape."""
    return parted(image, step)[0]


def varied(values: npt.NDArray[Any], step: str, where: str = "image") -> None:
    """Refuse values that are all the same.

    Raises
    ------
    InputError
        If there is no value, or one only, or values that differ by less than
        1e-30.
    """
    if values.size == 0:
        raise InputError(
            f"{step}: the {where} holds no voxels",
            hint="check the mask, and that it belongs to this image",
        )
    low, high = float(values.min()), float(values.max())
    if high - low < LEAST_RANGE:
        told = f"{low:g}" if low == high else f"within {low:g} to {high:g}"
        raise InputError(
            f"{step}: the {where} is constant, every voxel is {told}",
            hint="the file may be damaged or empty; `mriprep inspect` shows what it holds",
        )


def on_grid(volume: Volume, grid: Grid, step: str, what: str = "") -> None:
    """Refuse a companion (a mask, labels) that does not lie on the image's grid.

    `what` it is, in words; its role without it.

    Raises
    ------
    GeometryError
        Says by how much they differ and how to bring one to the other.
    """
    if not volume.grid.matches(grid):
        apart = volume.grid.distance(grid)
        by = f"corners {apart:.2f} mm apart" if np.isfinite(apart) else "different shapes"
        raise GeometryError(
            f"{step}: the {what or volume.role} ({volume.grid}) is not on the image's grid ({grid}): {by}",
            hint="bring it there first: resample(mask, to=image), or `mriprep resample MASK OUT --to IMAGE`",
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
        everywhere: BoolImage = np.isfinite(image.data)
        if not everywhere.any():
            raise InputError(f"{step}: every voxel of the image is NaN or infinite")
        return everywhere
    return foreground(image, step)
