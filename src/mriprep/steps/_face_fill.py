"""What is put where a face was: nothing, or what is left of it after averaging over centimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.kernels.extent import bounds

Bools = npt.NDArray[np.bool_]


def blank(image: Volume, gone: Bools, zero: float = 0.0) -> npt.NDArray[Any]:
    """The image's voxels with those of a face at 0, or at the least value where that is negative.

    Parameters
    ----------
    image : Volume
    gone : (X, Y, Z) bool
        The face; everything else is copied.
    zero : float
        What is stored for 0, where the image holds stored numbers that a
        header scales.
    """
    data = np.asarray(image.data)
    out = data.copy(order="K")
    if data.dtype.kind == "f":
        low = float(data.min(initial=np.inf, where=np.isfinite(data)))
    else:
        low = int(data.min())
        limits = np.iinfo(data.dtype)
        zero = min(max(round(zero), limits.min), limits.max)
    out[gone] = min(low, zero)
    return out


def blur(image: Volume, gone: Bools, fwhm: float) -> npt.NDArray[Any]:
    """The image's voxels with those of a face averaged.

    Means over blocks of half the width, smoothed by a Gaussian, interpolated
    linearly in between: what is finer than a block is gone for good, however
    sharp the image is made again.

    Parameters
    ----------
    image : Volume
    gone : (X, Y, Z) bool
        The face; everything else is copied.
    fwhm : float
        Full width at half maximum of the smoothing, mm.
    """
    from scipy import ndimage

    from mriprep.kernels import sample
    from mriprep.kernels.shrink import block_means

    out = np.asarray(image.data).copy(order="K")
    box = bounds(gone)
    part = np.nan_to_num(np.asarray(image.data[box], np.float32), posinf=0.0, neginf=0.0)
    a, b, c = (max(1, round(fwhm / 2 / s)) for s in image.spacing)
    blocks = (a, b, c)
    # Whole blocks, and one around: outside of its input the sampler gives 0.
    padded = np.pad(
        part, [(f, f + (-n) % f) for f, n in zip(blocks, part.shape, strict=True)], mode="edge"
    )
    means = block_means(np.ascontiguousarray(padded), blocks)
    widths = [
        fwhm / np.sqrt(8 * np.log(2)) / (s * f) for s, f in zip(image.spacing, blocks, strict=True)
    ]
    means = ndimage.gaussian_filter(means, widths, mode="nearest")
    matrix = np.zeros((3, 4))
    for axis, f in enumerate(blocks):
        matrix[axis, axis], matrix[axis, 3] = 1 / f, 1 + 0.5 / f - 0.5
    x, y, z = part.shape
    smooth = sample.linear(means, matrix, (x, y, z))
    if out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        smooth = np.clip(np.rint(smooth.astype(np.float64)), limits.min, limits.max)
    inside = gone[box]
    out[box][inside] = smooth[inside].astype(out.dtype)
    return out
