"""Standard scores that a few extreme voxels do not move."""

from __future__ import annotations

import warnings

import numpy as np

from mriprep.core import MriprepWarning
from mriprep.declare import Citation, Image, Within, step

from ._common import LEAST_RANGE, finite, region, varied

#: The median absolute deviation of a normal distribution is its deviation over this.
_NORMAL = 1.482602218505602
#: And its mean absolute deviation over this.
_NORMAL_MEAN = 1.2533141373155001


@step(
    methods="Intensities were standardised by the median and the median absolute deviation.",
    citations=(
        Citation(
            "leys2013",
            "Leys C et al. Detecting outliers: do not use standard deviation around the mean, use"
            " absolute deviation around the median. J Exp Soc Psychol 2013.",
            "10.1016/j.jesp.2013.03.013",
        ),
    ),
    seconds_per_megavoxel=0.02,
)
def robust_zscore(image: Image, within: Within = None) -> Image:
    """Subtract the median and divide by the median absolute deviation.

    As :func:`zscore`, but vessels, fat and artefacts, up to almost half of
    the voxels, do not pull at it. The deviation is multiplied by 1.4826, so
    that normally distributed intensities get the same scores. Where more than
    half of the region has one value, the median deviation is 0 and the mean
    one is taken (times 1.2533), which is said.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        Where median and deviation are taken: a mask on the image's grid, what
        Otsu's threshold keeps (the default without a mask), or everywhere.
        All voxels are transformed.

    Returns
    -------
    Volume
        float32, median 0 in the region.

    Raises
    ------
    InputError
        If the region is empty or constant.
    """
    values = finite(image, "robust_zscore")
    sample = values[region(image, within, "robust_zscore")].astype(np.float64)
    varied(sample, "robust_zscore", "region")
    middle = float(np.median(sample))
    apart = np.abs(sample - middle)
    deviation = _NORMAL * float(np.median(apart))
    if not deviation > LEAST_RANGE:
        warnings.warn(
            f"robust_zscore: half of the region and more has one value, {middle:g}, so that its"
            " median absolute deviation is 0: the mean one is taken",
            MriprepWarning,
            stacklevel=3,
        )
        deviation = _NORMAL_MEAN * float(apart.mean())
    return image.replace(((values - middle) / deviation).astype(np.float32))
