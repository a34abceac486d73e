"""Noise reduction: median, non-local means, total variation."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le

from mriprep.core import MriprepWarning
from mriprep.declare import Citation, Image, Only, keep, step

from ._common import finite

#: Whole numbers up to here are exact in float32.
EXACT = 2**24
INT32 = 2**31 - 1
#: Weight of the total variation for each unit of noise: least error on the digital head.
TV_WEIGHT = 0.5

Method = Literal["median", "nlm", "tv"]

SENTENCES: dict[Method, str] = {
    "median": "Noise was reduced with a median filter of {size} x {size} x {size} voxels.",
    "nlm": "Noise was reduced by non-local means (strength {strength:g}).",
    "tv": "Noise was reduced by total variation (strength {strength:g}).",
}


@step(
    methods=lambda words: SENTENCES[words["method"]],
    citations=(
        Citation(
            "huang1979",
            "Huang TS, Yang GJ, Tang GY. A fast two-dimensional median filtering algorithm."
            " IEEE Trans Acoust Speech Signal Process 1979;27:13-18.",
            "10.1109/TASSP.1979.1163188",
            methods=("median",),
        ),
        Citation(
            "coupe2008",
            "Coupé P et al. An optimized blockwise nonlocal means denoising filter for 3-D magnetic"
            " resonance images. IEEE Trans Med Imaging 2008;27:425-441.",
            "10.1109/TMI.2007.906087",
            methods=("nlm",),
        ),
        Citation(
            "beck2009",
            "Beck A, Teboulle M. Fast gradient-based algorithms for constrained total variation"
            " image denoising and deblurring problems. IEEE Trans Image Process 2009;18:2419-2434.",
            "10.1109/TIP.2009.2028250",
            methods=("tv",),
        ),
    ),
    bytes_per_voxel=44,
    seconds_per_megavoxel=0.03,
)
def denoise(
    image: Image,
    *,
    method: Method = "median",
    size: Annotated[Literal[3, 5, 7], Only("method", "median")] = 3,
    noise: Annotated[float, Gt(0), Only("method", "nlm", "tv")] | None = None,
    strength: Annotated[float, Gt(0), Le(10), Only("method", "nlm", "tv")] = 1.0,
) -> Image:
    """Reduce noise: by the median, non-local means or total variation.

    The median replaces every voxel by the median of its neighbourhood.
    Beyond an edge the voxels of the edge repeat, so that the borders of the
    volume stay as bright as they are. The window is counted in voxels, not
    millimetres: with thick slices it reaches further across them.

    Non-local means (``nlm``) averages voxels whose surroundings are alike;
    total variation (``tv``) looks for the image of least variation near the
    given one. Both go by the noise's standard deviation. An image without
    negative values is taken as magnitudes, whose noise is Rician, and what
    noise adds to the mean is taken off.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    method : {"median", "nlm", "tv"}
        Which filter.
    size : {3, 5, 7}
        Edge of the median's cubic window, voxels.
    noise : float, optional
        Standard deviation of the noise for ``nlm`` and ``tv``, in the image's
        unit. Without it, it is estimated, and handed on as the by-product
        ``noise``. Images that were interpolated look less noisy than they are.
    strength : float
        Times the noise: more than 1 smooths more.

    Returns
    -------
    Volume
        The median: the same integer type, or float32. Else float32.
    """
    data = image.data
    if method != "median":
        return image.replace(_by_noise(image, method, noise, strength))
    if data.dtype.kind == "f":
        return image.replace(_median(finite(image, "denoise"), size))
    if size == 3 and _within(data, EXACT):
        return image.replace(_median(image.floats(), size).astype(data.dtype))
    whole = data.view(np.uint8) if data.dtype == bool else data
    return image.replace(_median(whole, size).astype(data.dtype))


def _by_noise(
    image: Image, method: Method, noise: float | None, strength: float
) -> npt.NDArray[np.float32]:
    from mriprep.kernels.denoise import non_local_means, total_variation

    from ._noise import noise_of

    values = finite(image, "denoise")
    rician = bool(values.min() >= 0)
    sigma = noise_of(values, rician) if noise is None else noise
    keep(noise=sigma)
    if sigma == 0:
        warnings.warn(
            "denoise: no noise was found, the image is left as it is; give noise=...",
            MriprepWarning,
            stacklevel=4,
        )
        return values
    sigma *= strength
    if method == "nlm":
        return non_local_means(values, sigma, rician)
    smooth = total_variation(values, TV_WEIGHT * sigma, image.spacing)
    if rician:  # the mean of a magnitude is too large by sigma² / 2 over the signal
        smooth = np.sqrt(np.maximum(np.maximum(smooth, 0) ** 2 - np.float32(sigma**2), 0))
    return smooth


def _median(data: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    if size == 3 and data.dtype == np.float32:
        from mriprep.kernels.median import median_3

        return median_3(data)
    if data.dtype == np.float32 or _within(data, INT32):
        from mriprep.kernels.median_cube import median_cube

        return median_cube(data, size)
    from scipy import ndimage

    filtered: npt.NDArray[Any] = ndimage.median_filter(data, size, mode="nearest")
    return filtered


def _within(data: npt.NDArray[Any], limit: int) -> bool:
    return data.dtype.itemsize <= 2 or (-limit <= int(data.min()) and int(data.max()) <= limit)
