"""Head against air."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np

from mriprep.core import MriprepWarning
from mriprep.declare import Citation, Image, Mask, keep, step

from ._common import parted


@step(
    methods="Background was removed with Otsu's threshold.",
    citations=(
        Citation(
            "otsu1979",
            "Otsu N. A threshold selection method from gray-level histograms."
            " IEEE Trans Syst Man Cybern 1979;9:62-66.",
            "10.1109/TSMC.1979.4310076",
        ),
    ),
    seconds_per_megavoxel=0.03,
)
def background(image: Image, *, output: Literal["image", "mask"] = "image") -> Image | Mask:
    """Tell the head from the air around it by Otsu's threshold.

    Dark tissue (fluid and bone on a T1w image) lies below the threshold as
    well and goes with the background; a brain mask keeps it. The threshold
    is handed on as the by-product ``threshold``.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities count as background.
    output : {"image", "mask"}
        The image with the background set to 0, or the foreground as a mask.

    Returns
    -------
    Volume
        The image, its type kept, or a mask.

    Raises
    ------
    InputError
        If the image is constant: there is nothing to tell apart.
    """
    inside, threshold = parted(image, "background")
    unknown = image.data.size - int(np.isfinite(image.data).sum())
    if unknown:
        warnings.warn(
            f"background: {unknown} voxels of {image.data.size} are NaN or infinite;"
            " taken as background",
            MriprepWarning,
            stacklevel=3,
        )
    keep(threshold=threshold)
    if output == "mask":
        return image.replace(inside, role="mask")
    if threshold < 0:
        warnings.warn(
            f"background: Otsu's threshold is {threshold:g}, so the 0 that replaces the background"
            " is brighter than some tissue; remove the background before standardising",
            MriprepWarning,
            stacklevel=3,
        )
    return image.replace(np.where(inside, image.data, np.zeros((), image.data.dtype)))
