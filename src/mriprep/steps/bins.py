"""Intensities as numbers of bins."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from mriprep.core import InputError
from mriprep.declare import Citation, Image, Within, step

from ._common import finite, region, varied


@step(
    methods=lambda words: (
        "Intensities were discretised into {count} bins of equal width."
        if words["width"] is None
        else "Intensities were discretised into bins of width {width:g}."
    ),
    citations=(
        Citation(
            "zwanenburg2020",
            "Zwanenburg A et al. The Image Biomarker Standardization Initiative: standardized"
            " quantitative radiomics for high-throughput image-based phenotyping."
            " Radiology 2020;295:328-338.",
            "10.1148/radiol.2020191145",
        ),
    ),
    seconds_per_megavoxel=0.08,
)
def bins(
    image: Image,
    within: Within = None,
    *,
    count: Annotated[int, Ge(2), Le(65535)] = 64,
    width: Annotated[float, Gt(0)] | None = None,
) -> Image:
    """Number the intensities by bins of equal width.

    By number, the bins lie between the least and the greatest intensity of
    the region (IBSI's fixed bin number): ``floor(count * (x - min) / (max -
    min)) + 1``, the greatest in the last bin. Texture features are usually
    taken from 32 to 128 bins. By width, as PyRadiomics numbers them:
    ``floor(x / width) - floor(min / width) + 1``, with borders at multiples
    of the width, the same for every image; IBSI's fixed bin size where the
    least intensity is such a multiple. A value on a border belongs to the
    upper bin.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities lie outside the region.
    within : Volume or {"foreground", "whole"}, optional
        What is numbered: a mask on the image's grid, what Otsu's threshold
        keeps (the default without a mask), or every voxel.
    count : int
        Number of bins. Not used where `width` is given.
    width : float, optional
        Width of a bin, in the image's unit. Intensities must be comparable
        among images for it to mean something: normalise first.

    Returns
    -------
    Volume
        1 and up within the region, 0 outside; uint8 up to 255 bins, else
        uint16.

    Raises
    ------
    InputError
        If the region is empty or constant, or `width` makes more than 65535
        bins.
    """
    inside = region(image, within, "bins")
    values = finite(image, "bins")
    sample = values[inside]
    varied(sample, "bins", "region")
    if width is not None:
        numbers = _by_width(sample, width)
        numbered = np.zeros(image.shape, np.min_scalar_type(int(numbers.max())))
        numbered[inside] = numbers
        return image.replace(numbered)
    borders = np.linspace(float(sample.min()), float(sample.max()), count + 1)[1:-1]
    numbered = np.zeros(image.shape, np.min_scalar_type(count))
    numbered[inside] = np.searchsorted(borders, sample, side="right") + 1
    return image.replace(numbered)


def _by_width(sample: npt.NDArray[np.float32], width: float) -> npt.NDArray[np.float64]:
    numbers = np.floor(sample.astype(np.float64) / width)
    numbers += 1 - numbers.min()
    if numbers.max() > 65535:
        raise InputError(
            f"bins: {numbers.max():.0f} bins of width {width:g} from {sample.min():g} to"
            f" {sample.max():g}; at most 65535 are made",
            hint="give a greater width",
        )
    return numbers
