"""Histogram equalisation."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from mriprep.declare import Image, Within, step

from ._common import finite, region, varied


@step(
    methods="The histogram of the foreground was equalised ({bins} bins).",
    seconds_per_megavoxel=0.06,
)
def equalize(
    image: Image, within: Within = None, *, bins: Annotated[int, Ge(2), Le(65536)] = 256
) -> Image:
    """Spread the intensities so that each is about as frequent as any other.

    An intensity becomes the share of the region's voxels that are as dark or
    darker, interpolated linearly between the centres of the bins.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities lie outside the region.
    within : Volume or {"foreground", "whole"}, optional
        What is equalised: a mask on the image's grid, what Otsu's threshold
        keeps (the default without a mask), or every voxel.
    bins : int
        Bins of the histogram between the least and the greatest intensity
        of the region.

    Returns
    -------
    Volume
        float32: above 0 and up to 1 within the region, 0 outside.

    Raises
    ------
    InputError
        If the region is empty or constant.
    """
    inside = region(image, within, "equalize")
    values = finite(image, "equalize")
    # In float32 the borders of narrow bins would be rounded into their neighbours.
    sample = values[inside].astype(np.float64)
    varied(sample, "equalize", "region")
    counts, edges = np.histogram(sample, bins)
    share = np.cumsum(counts) / sample.size
    equalized = np.zeros_like(values)
    equalized[inside] = np.interp(sample, (edges[:-1] + edges[1:]) / 2, share)
    return image.replace(equalized)
