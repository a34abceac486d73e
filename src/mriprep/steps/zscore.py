"""Standard scores."""

from __future__ import annotations

import numpy as np

from mriprep.declare import Image, Within, step

from ._common import finite, region, varied


@step(
    methods="Intensities were standardised to zero mean and unit variance.",
    seconds_per_megavoxel=0.01,
)
def zscore(image: Image, within: Within = None) -> Image:
    """Subtract the mean and divide by the standard deviation.

    Parameters
    ----------
    image : Volume
        The image.
    within : Volume or {"foreground", "whole"}, optional
        Where mean and deviation are taken: a mask on the image's grid, what
        Otsu's threshold keeps (the default without a mask), or everywhere.
        All voxels are transformed.

    Returns
    -------
    Volume
        float32, mean 0 and standard deviation 1 in the region.

    Raises
    ------
    InputError
        If the region is empty or constant.
    """
    values = finite(image, "zscore")
    sample = values[region(image, within, "zscore")].astype(np.float64)
    varied(sample, "zscore", "region")
    return image.replace(((values - sample.mean()) / sample.std()).astype(np.float32))
