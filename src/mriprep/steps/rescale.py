"""Intensities into a range."""

from __future__ import annotations

import numpy as np

from mriprep.declare import Image, Within, step

from ._common import finite, region
from ._window import Percentiles, Range, window


@step(
    methods="Intensities from percentile {percentiles} were scaled linearly to the range {to}.",
    seconds_per_megavoxel=0.03,
)
def rescale(
    image: Image,
    within: Within = None,
    *,
    percentiles: Percentiles = (0.5, 99.5),
    to: Range = (0.0, 1.0),
    clip: bool = True,
) -> Image:
    """Scale the intensities between two percentiles linearly to a range.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        Where the percentiles are taken: a mask on the image's grid, what
        Otsu's threshold keeps, or every voxel, which is the default: the
        dark end is then the background's and no dark tissue is cut off. All
        voxels are transformed.
    percentiles : (2,) floats
        What is mapped to the two ends of the range, the lower first.
    to : (2,) floats
        The range, its lower end first.
    clip : bool
        Whether what lies beyond the percentiles is set to the ends of the
        range; otherwise it goes on linearly.

    Returns
    -------
    Volume
        float32.

    Raises
    ------
    InputError
        If the region is empty or the percentiles coincide.
    """
    values = finite(image, "rescale")
    sample = values[region(image, "whole" if within is None else within, "rescale")]
    low, high = window(sample, sample, percentiles, "rescale")
    first, last = to
    values -= np.float32(low)
    values *= np.float32((last - first) / (high - low))
    values += np.float32(first)
    return image.replace(np.clip(values, first, last, out=values) if clip else values)
