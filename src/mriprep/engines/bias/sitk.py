"""N4 as ITK implements it, through SimpleITK."""

from __future__ import annotations

import numpy as np

from mriprep.core import EngineError, InputError, Volume
from mriprep.engines import Engine

ENGINE = Engine(
    title="N4 of ITK, through SimpleITK: the classic, slow",
    packages=("SimpleITK",),
    licence="Apache-2.0",
    memory_mb=250,
    seconds_per_megavoxel=20.0,
)


def field(
    image: Volume,
    mask: Volume,
    *,
    levels: int,
    iterations: int,
    shrink: float,
    fwhm: float,
    noise: float,
    convergence: float,
    spline_distance: float | None = None,
    weights: Volume | None = None,
    device: str = "cpu",  # engines of a kind are called alike
) -> tuple[Volume, None]:
    """Estimate the multiplicative bias field.

    Parameters
    ----------
    image : Volume
        Finite voxels; those of the mask positive.
    mask : Volume
        Where the field is estimated, on the image's grid.
    levels, iterations : int
        Resolution levels of the B-spline field, and iterations on each.
    shrink : float
        Voxel size at which the field is estimated, mm.
    fwhm, noise, convergence : float
        Deconvolution kernel's width, Wiener filter's noise, and the
        coefficient of variation of an update below which a level is done.
    spline_distance : float, optional
        Spacing of the first level's mesh, mm; one element without it.
    weights : None
        SimpleITK takes none.
    device : str
        Not used.

    Returns
    -------
    field : Volume
        At every voxel of the image's grid, float32; the corrected image is
        the image divided by it.
    lattice : None
        SimpleITK does not give its lattice away.
    """
    import SimpleITK as sitk

    if weights is not None:
        raise InputError("SimpleITK's N4 takes no weights", hint="use engine='native', which does")
    full = _to_sitk(image.data.astype(np.float32), image.spacing)
    region = _to_sitk(mask.data.astype(np.uint8), image.spacing)
    factors = [
        max(1, min(int(shrink / s + 1e-3), n // 4))
        for s, n in zip(image.spacing, image.shape, strict=True)
    ]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([iterations] * levels)
    n4.SetBiasFieldFullWidthAtHalfMaximum(fwhm)
    n4.SetWienerFilterNoise(noise)
    n4.SetConvergenceThreshold(convergence)
    # The order of ITK's sums follows its threads: a fixed number makes results repeatable.
    n4.SetNumberOfThreads(2)
    if spline_distance:
        extents = [(n - 1) * s for n, s in zip(image.shape, image.spacing, strict=True)]
        n4.SetNumberOfControlPoints([max(1, round(e / spline_distance)) + 3 for e in extents])
    try:
        n4.Execute(sitk.Shrink(full, factors), sitk.Shrink(region, factors))
        # A copy: a view would outlive the image that it looks at.
        log_field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(full))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise EngineError(
            f"SimpleITK's N4 failed: {reason}",
            hint="is the mask large enough? a smaller shrink keeps more of it",
        ) from error
    return image.replace(np.ascontiguousarray(np.exp(log_field, dtype=np.float32).T)), None


def _to_sitk(array: np.ndarray, spacing: tuple[float, float, float]) -> object:
    import SimpleITK as sitk

    # Only the spacing matters to N4: its lattice follows the array's axes.
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(spacing)
    return image
