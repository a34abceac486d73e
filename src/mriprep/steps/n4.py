"""Bias field correction."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mriprep import engines
from mriprep.core import InputError, Volume
from mriprep.declare import Citation, Image, Mask, Unit, keep, step

from ._bias import enough, positive, scaled
from ._common import finite, on_grid

#: Control points that are always accepted: those of six levels from one element an axis.
MOST_POINTS = 35**3


@step(
    kind="bias",
    methods="The bias field was corrected with N4 ({engine}; {levels} levels of at most"
    " {iterations} iterations, estimated at {shrink:g} mm).",
    citations=(
        Citation(
            "tustison2010",
            "Tustison NJ et al. N4ITK: improved N3 bias correction. IEEE Trans Med Imaging 2010.",
            "10.1109/TMI.2010.2046908",
        ),
    ),
    bytes_per_voxel=16,
)
def n4(
    image: Image,
    mask: Mask | None = None,
    weights: Annotated[Volume, "weights"] | None = None,
    *,
    engine: Literal["native", "sitk"] = "native",
    shrink: Annotated[float, Ge(1), Le(16), Unit("mm")] = 1.0,
    levels: Annotated[int, Ge(1), Le(6)] = 4,
    iterations: Annotated[int, Ge(1), Le(500)] = 50,
    fwhm: Annotated[float, Gt(0), Le(2)] = 0.15,
    noise: Annotated[float, Gt(0), Le(1)] = 0.01,
    convergence: Annotated[float, Ge(0), Le(0.1)] = 1e-3,
    spline_distance: Annotated[float, Ge(5), Le(1000), Unit("mm")] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Image:
    """Remove the slow shading of intensities that coils leave.

    The field is a spline, evaluated at every voxel of the image, which is
    divided by it; the image itself is not resampled. Field and spline are
    kept beside the output of a run.

    Parameters
    ----------
    image : Volume
        The scan. Voxels that are not positive take no part in the estimate.
    mask : Volume, optional
        Where the field is estimated: the brain, usually. What Otsu's
        threshold keeps of the image, otherwise.
    weights : Volume, optional
        Confidence in each voxel, not negative, on the image's grid.
    engine : {"native", "sitk"}
        What estimates the field: mriprep's own, or ITK's, which is the same
        method and a hundred times slower.
    shrink : float
        Voxel size at which the field is estimated, mm. Axes that are coarser
        already are left as they are.
    levels : int
        Resolution levels of the field's spline lattice; each doubles it.
    iterations : int
        Most iterations on a level.
    fwhm : float
        Full width at half maximum of the field's histogram, in log intensity.
    noise : float
        Noise of the Wiener filter that sharpens the histogram.
    convergence : float
        Coefficient of variation of an update below which a level is done.
    spline_distance : float, optional
        Spacing of the first level's mesh, mm; one element over the whole
        field of view without it.
    device : {"auto", "cpu", "cuda"}
        Where the native engine runs; a GPU is taken when there is one.

    Returns
    -------
    Volume
        The corrected image, float32; its mean log intensity in the mask is
        the scan's.

    Raises
    ------
    InputError
        If the image is empty or constant, too little of the mask is positive, or
        the spline would have more control points than there are voxels.
    """
    values = finite(image, "n4")
    inside = positive(values, image, mask, "n4")
    if weights is not None:
        on_grid(weights, image.grid, "n4", "weights")
        confidence = finite(weights, "n4")
        if confidence.min() < 0:
            raise InputError(
                f"n4: weights must not be negative, the least is {confidence.min():g}",
                hint="give a confidence in each voxel, 0 for none",
            )
        weights = weights.replace(confidence)
        if inside.any() and not (inside & (confidence > 0)).any():
            raise InputError(
                "n4: the weights are 0 wherever the field is to be estimated",
                hint="check that they belong to this image, or leave them out",
            )
        inside &= confidence > 0
    if spline_distance is not None:
        _affordable(image, spline_distance, levels, int(inside.sum()))
    enough(values, inside, "n4")
    field, lattice = engines.load("bias", engine).field(
        image.replace(values),
        image.replace(inside, role="mask"),
        levels=levels,
        iterations=iterations,
        shrink=shrink,
        fwhm=fwhm,
        noise=noise,
        convergence=convergence,
        spline_distance=spline_distance,
        weights=weights,
        device=device,
    )
    field, scale = scaled(field, inside)
    if lattice is not None:
        shifted = (lattice.data - np.log(scale)).astype(np.float32)
        keep(bias_lattice=lattice.replace(shifted))
    return image.replace(values / field.data)


def _affordable(image: Volume, spline_distance: float, levels: int, voxels: int) -> None:
    """Refuse a spline whose finest lattice is beyond reason, and beyond memory."""
    points = [
        2 ** (levels - 1) * max(1, round((n - 1) * s / spline_distance)) + 3
        for n, s in zip(image.shape, image.spacing, strict=True)
    ]
    if math.prod(points) > max(voxels, MOST_POINTS):
        by = "x".join(str(p) for p in points)
        raise InputError(
            f"n4: spline_distance = {spline_distance:g} mm and levels = {levels} make a lattice of"
            f" {by} control points for {voxels} voxels",
            hint="each level halves the distance: give a larger one, or fewer levels",
        )
