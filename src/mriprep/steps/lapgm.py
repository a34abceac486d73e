"""Bias field correction by a mixture of classes, of one contrast or several together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mriprep import engines
from mriprep.core import InputError, Volume
from mriprep.declare import Citation, Image, Mask, Unit, step

from ._bias import enough, positive, scaled
from ._common import finite, on_grid


@step(
    kind="bias",
    methods="The bias field was corrected with LapGM ({engine}; at most {iterations} iterations,"
    " estimated at {shrink:g} mm).",
    citations=(
        Citation(
            "vinas2022",
            "Vinas L et al. LapGM: a multisequence MR bias correction and normalization model."
            " arXiv 2022.",
            "10.48550/arXiv.2209.13619",
        ),
    ),
    bytes_per_voxel=16,
)
def lapgm(
    image: Image,
    mask: Mask | None = None,
    *,
    engine: Literal["lapgm", "lapgm-reference"] = "lapgm",
    tau: Annotated[float, Gt(0), Le(1), Unit("1/mm²")] | None = None,
    classes: Annotated[int, Ge(2), Le(20)] | None = None,
    shrink: Annotated[float, Ge(1), Le(16), Unit("mm")] = 2.0,
    iterations: Annotated[int, Ge(1), Le(500)] = 25,
    convergence: Annotated[float, Ge(0), Le(0.1)] = 1e-4,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Image:
    """Remove the slow shading of intensities, as what a few classes of tissue leave unexplained.

    Log intensities are a smooth field plus draws from Gaussian classes; the
    most probable field and classes are found in turn. The image is divided by
    the field and not resampled; the field is kept beside the output of a run.

    Parameters
    ----------
    image : Volume
        The scan. Voxels that are not positive take no part in the estimate.
    mask : Volume, optional
        Where the field is estimated: the brain, usually. What Otsu's
        threshold keeps of the image, otherwise.
    engine : {"lapgm", "lapgm-reference"}
        What estimates the field: mriprep's own, or the package of the
        paper's authors, which is the same model and takes minutes.
    tau : float, optional
        Variance of the log field's gradient that is expected, 1/mm²: larger
        for fields that change faster. 5e-5 without it.
    classes : int, optional
        Gaussian classes of log intensity. 6 without it: tissues, and what
        lies between them.
    shrink : float
        Voxel size at which the field is estimated, mm. Axes that are coarser
        already are left as they are.
    iterations : int
        Most iterations of expectation-maximisation.
    convergence : float
        Relative change of the field below which it is done.
    device : {"auto", "cpu", "cuda"}
        Where mriprep's own runs; a GPU is taken when there is one.

    Returns
    -------
    Volume
        The corrected image, float32; its mean log intensity in the mask is
        the scan's.

    Raises
    ------
    InputError
        If the image is empty or constant, or nothing in the mask is positive.
    """
    values = finite(image, "lapgm")
    inside = positive(values, image, mask, "lapgm")
    enough(values, inside, "lapgm")
    field, _ = engines.load("bias", engine).field(
        image.replace(values),
        image.replace(inside, role="mask"),
        tau=tau,
        classes=classes,
        shrink=shrink,
        iterations=iterations,
        convergence=convergence,
        device=device,
    )
    field, _ = scaled(field, inside)
    return image.replace(values / field.data)


def lapgm_joint(
    images: Mapping[str, Volume],
    mask: Volume | None = None,
    *,
    normalise: Literal["each", "jointly"] | None = None,
    target: float = 1000.0,
    tau: float | None = None,
    classes: int | None = None,
    shrink: float = 2.0,
    iterations: int = 25,
    convergence: float = 1e-4,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> dict[str, Volume]:
    """Correct several contrasts of one head by the one field that they share.

    More contrasts tell tissues apart better, and so the field. It is taken to
    be the same in all of them, as in the paper: right for what the receiving
    coil leaves when nobody moved between the scans, not for what differs from
    sequence to sequence.

    Vinas L et al. LapGM: a multisequence MR bias correction and normalization
    model. 2022. doi:10.48550/arXiv.2209.13619

    Parameters
    ----------
    images : mapping of str to Volume
        Contrasts by name, co-registered and on one grid.
    mask : Volume, optional
        Where the field is estimated, on that grid. Where Otsu's threshold
        keeps all the images, otherwise.
    normalise : {"each", "jointly"}, optional
        Scale the corrected images, as the paper's package does: ``"each"`` so
        that the brightest class of each contrast has the `target` for its
        (geometric) mean; ``"jointly"`` by one factor, which leaves ratios
        between contrasts as they are and puts their brightest classes at the
        target on the whole, in the sense of least squares. Not at all without
        it.
    target : float
        Where to.
    tau, classes, shrink, iterations, convergence, device
        As in :func:`mriprep.lapgm`.

    Returns
    -------
    dict of str to Volume
        The corrected images, float32. The field is kept (see
        :func:`mriprep.declare.keeping`) as ``bias_field``: its mean logarithm
        where it was estimated is 0.

    Raises
    ------
    GeometryError
        If the images, or the mask, do not share a grid: resample them first.
    InputError
        If there is no image, one is constant, or too few voxels are positive
        in all of them.
    """
    from mriprep.engines.bias import lapgm as engine

    step = "lapgm_joint"
    if not images:
        raise InputError(f"{step} needs images", hint="a mapping of names to volumes on one grid")
    if normalise not in (None, "each", "jointly"):
        raise InputError(
            f"{step}: normalise = {normalise!r} is not accepted",
            hint="accepted: 'each', 'jointly', or None",
        )
    lapgm.step.validate(  # type: ignore[attr-defined]
        {"tau": tau, "classes": classes, "shrink": shrink, "iterations": iterations,
         "convergence": convergence, "device": device}
    )  # fmt: skip
    names = list(images)
    first = images[names[0]]
    inside = np.ones(first.shape, bool)
    values = {}
    for name in names:
        on_grid(images[name], first.grid, step)
        values[name] = finite(images[name], step)
        inside &= positive(values[name], images[name], mask, step)
    for name in names:
        enough(values[name], inside, step)
    found = engine.estimate(
        [images[n].replace(values[n]) for n in names], first.replace(inside, role="mask"),
        tau=tau, classes=classes, shrink=shrink, iterations=iterations, convergence=convergence,
        device=device,
    )  # fmt: skip
    field, scale = scaled(found.field, inside)
    factors = np.ones(len(names))
    if normalise is not None:
        mixture = found.mixture._replace(means=found.mixture.means + np.log(scale))
        factors = target / engine.scales(mixture, jointly=normalise == "jointly")
    return {
        n: images[n].replace(values[n] / field.data * np.float32(f))
        for n, f in zip(names, factors, strict=True)
    }
