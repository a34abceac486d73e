"""A fixed window of intensities into a range."""

from __future__ import annotations

import numpy as np

from mriprep.core import InputError
from mriprep.declare import Image, step

from ._common import finite
from ._window import Range


@step(
    methods="Intensities from {limits} were scaled linearly to the range {to}.",
    seconds_per_megavoxel=0.02,
)
def window(image: Image, *, limits: Range, to: Range = (0.0, 1.0), clip: bool = True) -> Image:
    """Scale a fixed range of intensities linearly to another.

    The same line for every image: for intensities that mean the same in all
    of them, as after `zscore` or `whitestripe`, or in quantitative maps. Where
    the range should follow the image, take `rescale`, whose percentiles 0 and
    100 are the least and the greatest intensity.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    limits : (2,) floats
        The intensities that are mapped to the two ends of the range, the
        lower first.
    to : (2,) floats
        The range, its lower end first.
    clip : bool
        Whether what lies beyond the limits is set to the ends of the range;
        otherwise it goes on linearly.

    Returns
    -------
    Volume
        float32.

    Raises
    ------
    InputError
        If no voxel lies within the limits, so that nothing would be left.
    """
    values = finite(image, "window")
    (low, high), (first, last) = limits, to
    least, most = float(values.min()), float(values.max())
    if clip and (most <= low or least >= high):
        raise InputError(
            f"window: no intensity lies within the limits {low:g} to {high:g}: the image's are"
            f" {least:g} to {most:g}",
            hint="normalise first (zscore, whitestripe), give other limits, or take rescale",
        )
    scaled = (values.astype(np.float64) - low) * ((last - first) / (high - low)) + first
    if clip:
        np.clip(scaled, first, last, out=scaled)
    return image.replace(scaled.astype(np.float32))
