"""Scores in units of normal-appearing white matter."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from mriprep.declare import Image, Within, step

from ._common import finite, region
from ._density import MODES, Peak
from ._tissue_means import Contrast, contrast_for, tell_other_peak
from ._whitestripe import SHINOHARA, stripe


@step(
    methods="Intensities were normalised with WhiteStripe (width {width:g}).",
    citations=(SHINOHARA,),
    seconds_per_megavoxel=0.2,
)
def whitestripe(
    image: Image,
    within: Within = None,
    *,
    width: Annotated[float, Gt(0), Le(0.5)] = 0.05,
    contrast: Contrast = "auto",
    peak: Peak = "auto",
) -> Image:
    """Standard scores by the voxels about the mode of white matter.

    The region's histogram is smoothed by a penalised spline; white matter's
    mode is the last one in T1w, the largest in T2w and FLAIR, the first in
    PDw. The stripe is what lies within `width` of the mode's quantile; its
    mean becomes 0 and its standard deviation 1.

    Parameters
    ----------
    image : Volume
        The image, its bias field corrected. NaN and infinities are taken as 0,
        with a warning.
    within : Volume or {"foreground", "whole"}, optional
        The region of the histogram: a brain mask on the image's grid, usually;
        what Otsu's threshold keeps (the default without a mask), or
        everywhere. All voxels are transformed.
    width : float
        How far the stripe reaches to either side of the mode, as a share of
        the region's voxels.
    contrast : {"auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"}
        Which says what mode is white matter's. ``auto``: the image's own.
    peak : {"auto", "first", "largest", "last"}
        Which mode it is, where the contrast's is not the one: of T2w the
        first, for instance, where grey matter is the more abundant.

    Returns
    -------
    Volume
        float32, mean 0 and standard deviation 1 in the stripe.

    Raises
    ------
    InputError
        If the region is empty or constant, the contrast is not known, or the
        histogram has no peak.
    """
    values = finite(image, "whitestripe")
    sample = values[region(image, within, "whitestripe")]
    known = contrast_for(image, contrast, "whitestripe")
    which = MODES[known] if peak == "auto" else peak
    mode, mean, deviation = stripe(sample, which, width, "whitestripe")
    if peak == "auto":
        tell_other_peak(mode, sample, known, "whitestripe")
    return image.replace(((values - mean) / deviation).astype(np.float32))
