"""Median filter."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.declare import Citation, Image, step

from ._common import finite

#: Whole numbers up to here are exact in float32.
EXACT = 2**24


@step(
    methods="Noise was reduced with a median filter of {size} x {size} x {size} voxels.",
    citations=(
        Citation(
            "huang1979",
            "Huang TS, Yang GJ, Tang GY. A fast two-dimensional median filtering algorithm."
            " IEEE Trans Acoust Speech Signal Process 1979;27:13-18.",
            "10.1109/TASSP.1979.1163188",
        ),
    ),
    bytes_per_voxel=12,
    seconds_per_megavoxel=0.03,
)
def denoise(image: Image, *, size: Literal[3, 5, 7] = 3) -> Image:
    """Replace every voxel by the median of its neighbourhood.

    Beyond an edge the voxels of the edge repeat, so that the borders of the
    volume stay as bright as they are. The window is counted in voxels, not
    millimetres: with thick slices it reaches further across them.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    size : {3, 5, 7}
        Edge of the cubic window, voxels.

    Returns
    -------
    Volume
        The same integer type, or float32.
    """
    data = image.data
    if data.dtype.kind == "f":
        return image.replace(_median(finite(image, "denoise"), size))
    if size == 3 and _exact_in_float32(data):
        return image.replace(_median(image.floats(), size).astype(data.dtype))
    whole = data.view(np.uint8) if data.dtype == bool else data
    return image.replace(_median(whole, size).astype(data.dtype))


def _median(data: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    if size == 3 and data.dtype == np.float32:
        from mriprep.kernels.median import median_3

        return median_3(data)
    from scipy import ndimage

    filtered: npt.NDArray[Any] = ndimage.median_filter(data, size, mode="nearest")
    return filtered


def _exact_in_float32(data: npt.NDArray[Any]) -> bool:
    if data.dtype.itemsize <= 2:
        return True
    low, high = int(data.min()), int(data.max())
    return -low <= EXACT and high <= EXACT
