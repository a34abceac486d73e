"""Unwanted variation between images, as cerebrospinal fluid shows it, removed."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from mriprep.core import GeometryError, Grid, InputError
from mriprep.declare import Citation, Image, Within, step

from . import _tissue_means as tissue
from ._cohort import Member, enough
from ._combat import Covariates, design
from ._common import BoolImage, FloatImage, finite, region
from ._density import MODES
from ._state_use import in_use, planner
from ._states import State, StateFile, Values
from ._whitestripe import SHINOHARA, stripe

Doubles = npt.NDArray[np.float64]

_STEP = "fit ravel"
#: Fewer control voxels than this tell nothing.
_LEAST_CONTROLS = 50


# -- the state --------------------------------------------------------------------------------


def _packed(array: npt.NDArray[Any], dtype: str) -> dict[str, Any]:
    """An array as text: JSON's own numbers would be ten times as long."""
    data = zlib.compress(np.ascontiguousarray(array, dtype).tobytes(), 6)
    return {"dtype": dtype, "shape": list(array.shape), "zlib": base64.b64encode(data).decode()}


def _unpacked(
    values: Values, name: str, dtype: str, shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """The array of a text, of this type and shape exactly; -1 stands for any length."""
    held = values[name]
    if not isinstance(held, dict) or set(held) != {"dtype", "shape", "zlib"}:
        raise values.refuse(f"'{name}' is no packed array")
    lengths = held["shape"]
    fits = isinstance(lengths, list) and len(lengths) == len(shape)
    if not fits or not all(
        isinstance(have, int) and have > 0 and want in (-1, have)
        for have, want in zip(lengths, shape, strict=True)
    ):
        raise values.refuse(f"'{name}' has another shape than it should have")
    size = int(np.prod(lengths, dtype=object)) * np.dtype(dtype).itemsize
    if held["dtype"] != dtype or not isinstance(held["zlib"], str) or size > 2**33:
        raise values.refuse(f"'{name}' is of another type than it should be")
    try:
        unzip = zlib.decompressobj()
        data = unzip.decompress(base64.b64decode(held["zlib"], validate=True), size + 1)
    except (ValueError, zlib.error):
        raise values.refuse(f"'{name}' is damaged") from None
    if len(data) != size or not unzip.eof:
        raise values.refuse(f"'{name}' is damaged: it holds another number of bytes")
    return values.array(name, np.frombuffer(data, dtype).reshape(lengths), shape)


def check(state: State) -> tuple[Grid, BoolImage, dict[str, Any]]:
    """The values of a state, read strictly: the grid, the group's mask, and all else."""
    names = ("shape", "affine", "contrast", "width", "mask", "controls", "mean", "loadings", "maps")
    values = Values(state, names)
    lengths = values["shape"]
    if not (
        isinstance(lengths, list)
        and len(lengths) == 3
        and all(isinstance(n, int) and 0 < n < 10000 for n in lengths)
    ):
        raise values.refuse("'shape' is no shape of a volume")
    shape = tuple(lengths)
    if values["contrast"] not in tissue.ORDER:
        raise values.refuse("'contrast' is unknown")
    width = values["width"]
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 0.5:
        raise values.refuse("'width' lies beyond its range")
    grid = Grid(shape, values.numbers("affine", (4, 4)))
    bits = _unpacked(values, "mask", "|u1", (-1,)).astype(np.uint8)
    if bits.size != (int(np.prod(shape)) + 7) // 8:
        raise values.refuse("'mask' is of another size than the grid")
    mask = np.unpackbits(bits)[: int(np.prod(shape))].reshape(shape).astype(bool)
    controls = _unpacked(values, "controls", "<i4", (-1,)).astype(np.intp)
    loadings = _unpacked(values, "loadings", "<f4", (controls.size, -1))
    found = {
        "controls": controls,
        "mean": _unpacked(values, "mean", "<f4", (controls.size,)),
        "loadings": loadings,
        "maps": _unpacked(values, "maps", "<f4", (int(mask.sum()), loadings.shape[1])),
    }
    if controls.min() < 0 or controls.max() >= mask.sum():
        raise values.refuse("'controls' lie outside of the mask")
    return grid, mask, found


# -- fitting ----------------------------------------------------------------------------------


def fit(
    cases: Iterable[Member],
    *,
    factors: Annotated[int, Ge(1), Le(10)] = 1,
    membership: Annotated[float, Gt(0.5), Le(1)] = 0.99,
    share: Annotated[float, Gt(0), Le(1)] = 1.0,
    width: Annotated[float, Gt(0), Le(0.5)] = 0.05,
    contrast: tissue.Contrast = "auto",
    covariates: Covariates = "none",
) -> dict[str, Any]:
    """The factors that control voxels share, and how every voxel follows them.

    After WhiteStripe, control voxels are those that are fluid in all images.
    Their variation about each voxel's mean is split into factors by a
    singular value decomposition; every voxel of the group's mask is regressed
    on the first of them, and on the covariates.

    Parameters
    ----------
    cases : iterable of Member
        The cohort, all on one grid and registered, best deformably. Every
        image is kept in memory until the fit is done.
    factors : int
        How many factors are unwanted.
    membership : float
        Membership in fluid, by fuzzy c-means, from which a voxel counts as
        such; labels of tissues are taken where they are given.
    share : float
        In how large a share of the images a control voxel must be fluid.
    width : float
        Of WhiteStripe's stripe.
    contrast : {"auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"}
        The images'. ``auto``: their own.
    covariates : {"none", "age", "sex", "age,sex"}
        What images may differ by: it is estimated beside the factors and not
        removed.
    """
    images: list[FloatImage] = []
    facts = []
    grid: Grid | None = None
    kind, fluid, mask = "", np.zeros(0), np.zeros(0, bool)
    for case in cases:
        if grid is None:
            grid = case.image.grid
            fluid, mask = np.zeros(grid.shape, np.int32), np.ones(grid.shape, bool)
        _same_grid(case.image.grid, grid, _STEP)
        own = tissue.contrast_for(case.image, contrast, _STEP)
        if kind not in ("", own):
            raise InputError(f"{_STEP}: the images are of two contrasts, {kind} and {own}")
        kind = own
        values, inside = finite(case.image, _STEP), region(case.image, case.within, _STEP)
        fluid += _fluid(case, values, inside, kind, membership)
        mask &= inside
        _, mean, deviation = stripe(values[inside], MODES[kind], width, _STEP)
        images.append(((values - mean) / deviation).astype(np.float32))
        facts.append(case.facts)
    enough(len(images), factors + 2, "ravel")
    assert grid is not None
    if not mask.any():
        raise InputError(
            f"{_STEP}: no voxel lies in every image's mask", hint="are the images registered?"
        )
    controls = np.flatnonzero((fluid >= share * len(images) - 1e-9)[mask])
    if controls.size < _LEAST_CONTROLS:
        raise InputError(
            f"{_STEP}: {controls.size} voxels are fluid in {share:.0%} of the images, at least"
            f" {_LEAST_CONTROLS} are needed",
            hint="register the images deformably, give tissues, or lower share (0.9) or membership",
        )
    matrix = np.stack([v[mask] for v in images])  # images by voxels
    known = design(facts, covariates, _STEP)
    return {
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "contrast": kind,
        "width": width,
        "mask": _packed(np.packbits(mask), "|u1"),
        "controls": _packed(controls, "<i4"),
        **_factors(matrix, controls, known, factors),
    }


def _factors(
    matrix: FloatImage, controls: npt.NDArray[np.intp], known: Doubles, factors: int
) -> dict[str, Any]:
    """Mean and loadings of the control voxels, and the maps of the factors over all voxels."""
    held = matrix[:, controls].astype(np.float64)
    mean = held.mean(axis=0)
    # Factors are values of the images, (n, factors); loadings project a new image onto them.
    left, size, right = np.linalg.svd(held - mean, full_matrices=False)
    if not size[factors - 1] > 1e-6 * max(size[0], 1e-300) or not size[0] > 0:
        raise InputError(
            f"{_STEP}: the control voxels vary in fewer than {factors} ways between the images",
            hint="are these different images? ask for fewer factors",
        )
    loadings = right[:factors].T
    for k in range(factors):  # of either sign, the one whose largest number is positive
        if loadings[np.argmax(np.abs(loadings[:, k])), k] < 0:
            loadings[:, k] *= -1
            left[:, k] *= -1
    z = left[:, :factors] * size[:factors]
    columns = np.column_stack([np.ones(len(matrix)), known, z])
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise InputError(
            f"{_STEP}: factors and covariates cannot be told apart on {len(matrix)} images",
            hint="give more images, or ask for fewer factors or covariates",
        )
    slopes = np.linalg.pinv(columns) @ matrix
    return {
        "mean": _packed(mean, "<f4"),
        "loadings": _packed(loadings, "<f4"),
        "maps": _packed(slopes[-factors:].T, "<f4"),
    }


def _fluid(
    case: Member, values: FloatImage, inside: BoolImage, contrast: str, membership: float
) -> BoolImage:
    """Where an image's region is cerebrospinal fluid."""
    if case.tissues is not None:
        labelled: BoolImage = inside & (tissue.labels_of(case.image, case.tissues, _STEP) == 1)
        return labelled
    centres, _ = tissue.fuzzy_centres(values[inside])
    belongs = np.zeros(values.shape, bool)
    shares = tissue.fuzzy_tissue(values[inside].astype(np.float64), centres, "csf", contrast)
    order = tissue.ORDER[contrast]
    extreme = centres[0] if order[0] == "csf" else centres[-1]
    # Beyond the centre memberships fall again, though nothing is more of the class than that.
    beyond = values[inside] <= extreme if order[0] == "csf" else values[inside] >= extreme
    belongs[inside] = (shares >= membership) | beyond
    return belongs


def _same_grid(grid: Grid, wanted: Grid, name: str) -> None:
    if not grid.matches(wanted):
        raise GeometryError(
            f"{name}: an image's grid ({grid}) is not the cohort's ({wanted})",
            hint="RAVEL compares voxels: register all images to one template and resample them to"
            " its grid first",
        )


# -- applying ---------------------------------------------------------------------------------


@step(
    methods="Intensities were normalised with WhiteStripe, and unwanted variation was removed by RAVEL.",
    citations=(
        Citation(
            "fortin2016",
            "Fortin JP et al. Removing inter-subject technical variability in magnetic resonance"
            " imaging studies. NeuroImage 2016.",
            "10.1016/j.neuroimage.2016.02.036",
        ),
        SHINOHARA,
    ),
    plan=planner("ravel", check),
    bytes_per_voxel=24,
    seconds_per_megavoxel=0.5,
)
def ravel(image: Image, within: Within = None, *, state: StateFile) -> Image:
    """WhiteStripe, then removal of what varies with cerebrospinal fluid across a cohort.

    The image's factors are read off its control voxels; what each voxel owes
    to them is subtracted. Outside of the cohort's common mask the image is
    WhiteStripe's. Fit with ``mriprep fit ravel`` or ``mriprep.fit("ravel",
    images, masks)``.

    Parameters
    ----------
    image : Volume
        The image, registered to the template and on the grid that the state
        was fitted on. NaN and infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        The region of WhiteStripe's histogram: the brain mask on the image's
        grid, usually; what Otsu's threshold keeps (the default without a
        mask), or everywhere; as in the fit.
    state : str or State
        The fitted factors: a file; ``{contrast}`` in its name stands for the
        image's contrast.

    Returns
    -------
    Volume
        float32.

    Raises
    ------
    GeometryError
        If the image is not on the cohort's grid.
    InputError
        If the region is empty or constant, or the state cannot be used.
    """
    opened, (grid, mask, found) = in_use(state, "ravel", check, image, within)
    _same_grid(image.grid, grid, "ravel")
    values = finite(image, "ravel")
    sample = values[region(image, within, "ravel")]
    _, mean, deviation = stripe(
        sample, MODES[opened.values["contrast"]], float(opened.values["width"]), "ravel"
    )
    result: FloatImage = ((values - mean) / deviation).astype(np.float32)
    brain = result[mask].astype(np.float64)
    apart = brain[found["controls"]] - found["mean"]
    z = (apart[:, None] * found["loadings"]).sum(axis=0)
    result[mask] = brain - found["maps"] @ z
    return image.replace(result)
