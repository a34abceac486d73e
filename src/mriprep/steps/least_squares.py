"""One factor that brings the means of the tissues nearest to a standard."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from mriprep.core import InputError, MriprepWarning, RecipeError, Volume
from mriprep.declare import Image, Tissues, Within, step

from ._cohort import Member, enough
from ._common import FloatImage, finite, region
from ._landmarks import Doubles
from ._state_use import Region, in_use, planner
from ._states import State, StateFile, Values
from ._tissue_means import NAMES, REINHOLD, Contrast, positive, tissue_means

_PLACES = "CSF, grey matter, white matter"


def check(state: State) -> Doubles:
    """The standard means of a state, (3,), read strictly."""
    values = Values(state, ("tissues", "standard"))
    if list(values["tissues"]) != list(NAMES):
        raise values.refuse(f"'tissues' must be {', '.join(NAMES)}")
    standard = values.numbers("standard", (len(NAMES),))
    if (standard <= 0).any():
        raise values.refuse("'standard' must be above 0")
    return standard


def _own_means(
    image: Volume,
    values: FloatImage,
    within: Region,
    tissues: Volume | None,
    contrast: str,
    step: str,
) -> Doubles:
    """An image's means of CSF, grey and white matter, (3,), each above 0."""
    found = tissue_means(image, values, region(image, within, step), tissues, contrast, step)
    return np.array([positive(found[n], f"the mean of {n}", step) for n in NAMES])


def fit(cases: Iterable[Member], *, contrast: Contrast = "auto") -> dict[str, Any]:
    """The standard means: the direction that all images' means have in common, white matter at 1.

    Each image counts the same, however bright it is.

    Parameters
    ----------
    cases : iterable of Member
        The cohort.
    contrast : {"auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"}
        Which says what tissues are dark and what are bright. ``auto``: the
        images' own.
    """
    name = "fit least_squares"
    directions = []
    for case in cases:
        values = finite(case.image, name)
        means = _own_means(case.image, values, case.within, case.tissues, contrast, name)
        directions.append(means / np.linalg.norm(means))
    enough(len(directions), 1, "least_squares")
    standard = np.mean(directions, axis=0)
    return {"tissues": list(NAMES), "standard": (standard / standard[-1]).tolist()}


@step(
    methods="Intensities were scaled by the factor that brings the means of CSF, grey and white matter"
    " nearest to a standard, in the least squares.",
    citations=(REINHOLD,),
    plan=planner("least_squares", check),
    seconds_per_megavoxel=0.06,
)
def least_squares(
    image: Image,
    within: Within = None,
    tissues: Tissues | None = None,
    *,
    state: StateFile = "",
    means: tuple[float, float, float] | None = None,
    contrast: Contrast = "auto",
) -> Image:
    """Scale the image so that its tissues' means are nearest to a standard.

    With the image's means t and the standard s, the factor is
    ``t @ s / t @ t``. The standard is a cohort's (``mriprep fit
    least_squares``), or three numbers.

    Parameters
    ----------
    image : Volume
        The image, intensities as measured: 0 must mean no signal. NaN and
        infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        The region that holds the three tissues: a brain mask on the image's
        grid, usually; what Otsu's threshold keeps (the default without a
        mask), or everywhere. All voxels are transformed.
    tissues : Volume, optional
        Labels of the tissues on the image's grid (1 CSF, 2 grey matter, 3
        white matter), in a recipe those that `tissues` found; fuzzy c-means
        parts them without. As in the fit.
    state : str or State
        The fitted standard: a file; ``{contrast}`` in its name stands for the
        image's contrast.
    means : (3,) floats, optional
        A standard in place of a fitted one: CSF, grey matter, white matter.
    contrast : {"auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"}
        Which says what tissues are dark and what are bright. ``auto``: the
        image's own.

    Returns
    -------
    Volume
        float32.

    Raises
    ------
    InputError
        If the region is empty or constant, the contrast is not known, a mean
        is not above 0, or there is no standard.
    """
    if bool(state) == (means is not None):
        raise RecipeError(
            "least_squares: give one standard, state or means; got "
            + ("both" if state else "neither"),
            hint=f"fit a state (mriprep fit least_squares), or give three means: {_PLACES}",
        )
    if means is not None:
        standard = np.array(means, dtype=np.float64)
        if (standard <= 0).any():
            raise InputError(f"least_squares: means must be above 0, got {means}", hint=_PLACES)
    else:
        fitted, standard = in_use(state, "least_squares", check, image, within)
        _tell_other_tissues(fitted, tissues is not None)
    values = finite(image, "least_squares")
    own = _own_means(image, values, within, tissues, contrast, "least_squares")
    # Scaled first: squares of very small or large intensities would leave the range of numbers.
    unit = own / own.max()
    factor = float(unit @ standard / (unit @ unit)) / float(own.max())
    return image.replace((values * factor).astype(np.float32))


def _tell_other_tissues(state: State, labelled: bool) -> None:
    """Warn where tissues were found one way in the fit, and another way here."""
    then = state.parameters.get("tissues")
    if isinstance(then, bool) and then != labelled:
        ways = ("by fuzzy c-means", "by labels")
        warnings.warn(
            f"least_squares: tissues were found {ways[then]} in the fit, and {ways[labelled]} here:"
            " their means differ",
            MriprepWarning,
            stacklevel=4,
        )
