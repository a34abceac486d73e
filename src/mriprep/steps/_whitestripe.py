"""The stripe of white matter about its mode: what `whitestripe` and `ravel` go by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError
from mriprep.declare import Citation

from . import _density as density
from ._common import LEAST_RANGE, varied

SHINOHARA = Citation(
    "shinohara2014",
    "Shinohara RT et al. Statistical normalization techniques for magnetic resonance imaging."
    " NeuroImage Clin 2014.",
    "10.1016/j.nicl.2014.08.008",
)


def stripe(
    sample: npt.NDArray[np.floating], which: density.Mode, width: float, step: str
) -> tuple[float, float, float]:
    """Mode of white matter; mean and standard deviation of the voxels about white matter's mode.

    Parameters
    ----------
    sample : (N,) array
        Intensities of the brain.
    which : {"first", "largest", "last"}
        Which mode it is.
    width : float
        How far the stripe goes to either side of the mode, as a share of the
        voxels.
    step : str
        Who asks, for errors.
    """
    varied(sample, step, "region")
    values = sample.astype(np.float64)
    peak = density.mode(*density.by_spline(values), which, step)
    at = float(np.mean(values < peak))
    low, high = np.quantile(values, (max(at - width, 0.0), min(at + width, 1.0)))
    white = values[(values > low) & (values < high)]
    if not white.size or white.min() == white.max():
        # So few intensities that none lies between the two: those at the ends count too.
        white = values[(values >= low) & (values <= high)]
    deviation = float(white.std())
    if not deviation > LEAST_RANGE:
        raise InputError(
            f"{step}: the stripe about white matter's mode ({peak:g}) has one intensity only",
            hint="the image has too few intensities: take it before it was binned, or a larger width",
        )
    return peak, float(white.mean()), deviation
