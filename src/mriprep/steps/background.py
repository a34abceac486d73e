"""Head against air."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from mriprep.core import MriprepWarning
from mriprep.declare import Citation, Image, Mask, Only, keep, step
from mriprep.kernels import thresholds

from ._common import otsu_threshold, varied

Method = Literal["otsu", "multi_otsu", "li", "triangle"]

NAMES: dict[Method, str] = {
    "otsu": "Otsu's threshold",
    "multi_otsu": "the lowest of Otsu's thresholds between {classes} classes",
    "li": "Li's threshold of least cross-entropy",
    "triangle": "the triangle threshold",
}


@step(
    methods=lambda words: f"Background was removed with {NAMES[words['method']]}.",
    citations=(
        Citation(
            "otsu1979",
            "Otsu N. A threshold selection method from gray-level histograms."
            " IEEE Trans Syst Man Cybern 1979;9:62-66.",
            "10.1109/TSMC.1979.4310076",
            methods=("otsu", "multi_otsu"),
        ),
        Citation(
            "li1998",
            "Li CH, Tam PKS. An iterative algorithm for minimum cross entropy thresholding."
            " Pattern Recognit Lett 1998;19:771-776.",
            "10.1016/S0167-8655(98)00057-9",
            methods=("li",),
        ),
        Citation(
            "zack1977",
            "Zack GW, Rogers WE, Latt SA. Automatic measurement of sister chromatid exchange"
            " frequency. J Histochem Cytochem 1977;25:741-753.",
            "10.1177/25.7.70454",
            methods=("triangle",),
        ),
    ),
    seconds_per_megavoxel=0.03,
)
def background(
    image: Image,
    *,
    method: Method = "otsu",
    classes: Annotated[int, Ge(2), Le(4), Only("method", "multi_otsu")] = 3,
    output: Literal["image", "mask"] = "image",
) -> Image | Mask:
    """Tell the head from the air around it by a threshold of the histogram.

    By Otsu's, dark tissue (fluid and bone on a T1w image) lies below the
    threshold as well and goes with the background; a brain mask keeps it, and
    so do mostly the lower thresholds of the other methods. The threshold is
    handed on as the by-product ``threshold``.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities count as background.
    method : {"otsu", "multi_otsu", "li", "triangle"}
        Otsu's threshold between two classes; the lowest one between several
        (``multi_otsu``); the least cross-entropy (``li``); the corner between
        the peak and the tail (``triangle``).
    classes : int
        Classes of ``multi_otsu``: the darkest one is the background.
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
    inside, threshold = _parted(image, method, classes)
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
            f"background: the threshold is {threshold:g}, so the 0 that replaces the background"
            " is brighter than some tissue; remove the background before standardising",
            MriprepWarning,
            stacklevel=3,
        )
    return image.replace(np.where(inside, image.data, np.zeros((), image.data.dtype)))


def _parted(image: Image, method: Method, classes: int) -> tuple[npt.NDArray[np.bool_], float]:
    values = image.floats()
    known = np.isfinite(values)
    if not known.all():  # taken as the least value: never foreground
        values[~known] = values[known].min() if known.any() else 0
    threshold = _threshold(values, method, classes)
    return values > threshold, threshold


def _threshold(values: npt.NDArray[Any], method: Method, classes: int) -> float:
    if method == "otsu":
        return otsu_threshold(values, "background")
    varied(values, "background")
    if method == "li":
        return thresholds.li(values)
    # As for Otsu's: single spikes must not stretch the histogram.
    low, high = np.percentile(values, (0.1, 99.9))
    cut = values if low == high else np.clip(values, low, high)
    if method == "triangle":
        return thresholds.triangle(cut)
    return thresholds.multi_otsu(cut, classes)[0]
