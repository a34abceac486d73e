"""How much noise an image holds."""

from __future__ import annotations

import numpy as np
from scipy.special import i0e, i1e

from mriprep.kernels.otsu import otsu

from ._common import BoolImage, FloatImage


def noise_of(values: FloatImage, magnitude: bool) -> float:
    """Standard deviation of the noise, from the finest differences within the foreground.

    The finest diagonal details of a Haar transform (blocks of 2 x 2 x 2
    voxels) hold little anatomy: their median size over 0.6745 is the
    deviation. Of magnitudes it is corrected for the signal's strength, as
    Rician noise is narrower where there is little.

    Coupé P et al. Robust Rician noise estimation for MR images. Med Image
    Anal 2010. doi:10.1016/j.media.2010.03.001; Koay CG, Basser PJ.
    Analytically exact correction scheme for signal extraction from noisy
    magnitude MR signals. J Magn Reson 2006. doi:10.1016/j.jmr.2006.01.016

    Parameters
    ----------
    values : (X, Y, Z) float32 array
        Finite values.
    magnitude : bool
        Whether noise is Rician.

    Returns
    -------
    float
        0 for an image without noise, or with fewer than two voxels along an axis.
    """
    if min(values.shape) < 2 or values.min() == values.max():
        return 0.0
    inside = values > otsu(values)
    detail = values
    whole: BoolImage = inside
    for axis in range(3):
        detail = np.diff(detail, axis=axis)
        low = whole.take(range(whole.shape[axis] - 1), axis)
        whole = low & whole.take(range(1, whole.shape[axis]), axis)
    sample = np.abs(detail[whole] if whole.sum() >= 100 else detail) / np.sqrt(8)
    sigma = float(np.median(sample)) / 0.6745
    if not magnitude or sigma == 0:
        return sigma
    mean = float(values[inside].mean(dtype=np.float64))
    measured = sigma
    for _ in range(20):
        sigma = measured / narrowing(max(mean**2 / sigma**2 - 1, 0.0) ** 0.5) ** 0.5
    return sigma


def narrowing(ratio: float) -> float:
    """Variance of Rician noise over that of its channels, at a signal-to-noise ratio (Koay)."""
    q = ratio**2 / 4
    bessel = (2 + ratio**2) * float(i0e(q)) + ratio**2 * float(i1e(q))
    return max(2 + ratio**2 - np.pi / 8 * bessel**2, 0.4)
