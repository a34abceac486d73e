"""The mean of a tissue, found by fuzzy c-means, as the unit of intensity."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from mriprep.declare import Citation, Image, Tissues, Within, step

from ._common import finite, region
from ._tissue_means import REINHOLD, Contrast, positive, tissue_means


@step(
    methods="Intensities were divided by the mean of {tissue} found by fuzzy c-means.",
    citations=(
        REINHOLD,
        Citation(
            "bezdek1981",
            "Bezdek JC. Pattern recognition with fuzzy objective function algorithms. Plenum 1981.",
            "10.1007/978-1-4757-0450-1",
        ),
    ),
    seconds_per_megavoxel=0.06,
)
def fcm(
    image: Image,
    within: Within = None,
    tissues: Tissues | None = None,
    *,
    tissue: Literal["wm", "gm", "csf"] = "wm",
    contrast: Contrast = "auto",
    to: Annotated[float, Gt(0)] = 1.0,
) -> Image:
    """Divide by the mean intensity of white matter (or another tissue).

    The region's intensities are parted into three fuzzy classes; the contrast
    says which of them is which tissue. The mean is weighted by the membership.

    Parameters
    ----------
    image : Volume
        The image, intensities as measured: 0 must mean no signal. NaN and
        infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        The region that holds the three tissues: a brain mask on the image's
        grid, usually; what Otsu's threshold keeps (the default without a
        mask), or everywhere. All voxels are transformed.
    tissues : Volume, optional
        Labels of the tissues on the image's grid (1 CSF, 2 grey matter, 3
        white matter) in place of the classes; in a recipe, those that
        `tissues` found.
    tissue : {"wm", "gm", "csf"}
        Whose mean it is.
    contrast : {"auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"}
        Which says what tissues are dark and what are bright. ``auto``: the
        image's own.
    to : float
        What the mean becomes.

    Returns
    -------
    Volume
        float32.

    Raises
    ------
    InputError
        If the region is empty or constant, the contrast is not known, or the
        mean is not above 0.
    """
    values = finite(image, "fcm")
    inside = region(image, within, "fcm")
    found = tissue_means(image, values, inside, tissues, contrast, "fcm")
    mean = positive(found[tissue], f"the mean of {tissue}", "fcm")
    return image.replace((values * (to / mean)).astype(np.float32))
