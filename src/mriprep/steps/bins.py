"""Intensities as numbers of bins."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from mriprep.declare import Image, Within, step

from ._common import finite, region, varied


@step(
    methods="Intensities were discretised into {count} bins of equal width.",
    seconds_per_megavoxel=0.08,
)
def bins(
    image: Image, within: Within = None, *, count: Annotated[int, Ge(2), Le(65535)] = 64
) -> Image:
    """Number the intensities by bins of equal width.

    The bins lie between the least and the greatest intensity of the region;
    a value on the border of two belongs to the upper one. Texture features
    are usually taken from 32 to 128 bins.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities lie outside the region.
    within : Volume or {"foreground", "whole"}, optional
        What is numbered: a mask on the image's grid, what Otsu's threshold
        keeps (the default without a mask), or every voxel.
    count : int
        Number of bins.

    Returns
    -------
    Volume
        1 to `count` within the region, 0 outside; uint8 up to 255 bins,
        else uint16.

    Raises
    ------
    InputError
        If the region is empty or constant.
    """
    inside = region(image, within, "bins")
    values = finite(image, "bins")
    sample = values[inside]
    varied(sample, "bins", "region")
    borders = np.linspace(float(sample.min()), float(sample.max()), count + 1)[1:-1]
    numbered = np.zeros(image.shape, np.min_scalar_type(count))
    numbered[inside] = np.searchsorted(borders, sample, side="right") + 1
    return image.replace(numbered)
