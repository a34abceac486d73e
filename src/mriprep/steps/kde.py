"""The mode of white matter, in a density estimated by a kernel, as the unit of intensity."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt

from mriprep.declare import Image, Within, step

from . import _density as density
from ._common import finite, region, varied
from ._density import Peak
from ._tissue_means import REINHOLD, Contrast, contrast_for, positive, tell_other_peak


@step(
    methods="Intensities were divided by the mode of white matter in a kernel density estimate.",
    citations=(REINHOLD,),
    seconds_per_megavoxel=0.1,
)
def kde(
    image: Image,
    within: Within = None,
    *,
    contrast: Contrast = "auto",
    peak: Peak = "auto",
    to: Annotated[float, Gt(0)] = 1.0,
) -> Image:
    """Divide by the mode of white matter.

    The region's histogram is smoothed with a Gaussian kernel, its width by
    Silverman's rule. White matter is the last mode in T1w, the largest in T2w
    and FLAIR, the first in PDw.

    Parameters
    ----------
    image : Volume
        The image, intensities as measured: 0 must mean no signal. NaN and
        infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        The region of the histogram: a brain mask on the image's grid, usually;
        what Otsu's threshold keeps (the default without a mask), or
        everywhere. All voxels are transformed.
    contrast : {"auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"}
        Which says what mode is white matter's. ``auto``: the image's own.
    peak : {"auto", "first", "largest", "last"}
        Which mode it is, where the contrast's is not the one: of T2w the
        first, for instance, where grey matter is the more abundant.
    to : float
        What the mode becomes.

    Returns
    -------
    Volume
        float32.

    Raises
    ------
    InputError
        If the region is empty or constant, the contrast is not known, or the
        mode is not above 0.
    """
    values = finite(image, "kde")
    sample = values[region(image, within, "kde")].astype(np.float64)
    varied(sample, "kde", "region")
    known = contrast_for(image, contrast, "kde")
    which = density.MODES[known] if peak == "auto" else peak
    found = density.mode(*density.by_kernel(sample), which, "kde")
    if peak == "auto":
        tell_other_peak(found, sample, known, "kde")
    mode = positive(found, "the mode of white matter", "kde")
    return image.replace((values * (to / mode)).astype(np.float32))
