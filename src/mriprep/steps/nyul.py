"""Landmarks of the histogram onto a standard scale."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mriprep.declare import Citation, Image, Within, step

from ._cohort import Member, enough
from ._common import finite, region
from ._landmarks import NYUL, Doubles, landmarks, percentiles_of, piecewise
from ._state_use import in_use, planner
from ._states import State, StateFile, Values
from ._window import Range


def check(state: State) -> tuple[Doubles, Doubles]:
    """The percentiles of a state and where they go, read strictly."""
    values = Values(state, ("percentiles", "standard"))
    percentiles = percentiles_of(values)
    standard = values.numbers("standard", percentiles.shape, rising="never falling")
    if not standard[0] < standard[-1]:
        raise values.refuse("'standard' has no extent")
    return percentiles, standard


def fit(cases: Iterable[Member], *, to: Range = (0.0, 100.0)) -> dict[str, Any]:
    """The standard scale: the mean of all images' landmarks, each image's ends brought to the scale's.

    Parameters
    ----------
    cases : iterable of Member
        The cohort.
    to : (2,) floats
        The scale's ends: what percentiles 1 and 99 are mapped to.
    """
    scaled = []
    for case in cases:
        values = finite(case.image, "fit nyul")
        found = landmarks(values[region(case.image, case.within, "fit nyul")], NYUL, "fit nyul")
        scaled.append((found - found[0]) / (found[-1] - found[0]))
    enough(len(scaled), 1, "nyul")
    mean = np.mean(scaled, axis=0)
    mean[[0, -1]] = 0, 1
    standard = to[0] + (to[1] - to[0]) * mean
    return {"percentiles": list(NYUL), "standard": standard.tolist()}


@step(
    methods="Intensities were brought to a standard scale by piecewise linear maps between"
    " histogram landmarks (percentiles 1, 10 to 90, and 99).",
    citations=(
        Citation(
            "nyul2000",
            "Nyúl LG, Udupa JK, Zhang X. New variants of a method of MRI scale standardization. IEEE"
            " Trans Med Imaging 2000.",
            "10.1109/42.836373",
        ),
        Citation(
            "shah2011",
            "Shah M et al. Evaluating intensity normalization on MRIs of human brain with multiple"
            " sclerosis. Med Image Anal 2011.",
            "10.1016/j.media.2010.12.003",
        ),
    ),
    plan=planner("nyul", check),
    seconds_per_megavoxel=0.1,
)
def nyul(image: Image, within: Within = None, *, state: StateFile) -> Image:
    """Bring the histogram's landmarks to a cohort's standard scale.

    Percentiles 1, 10, 20 ... 90 and 99 of the region go exactly to the
    standard landmarks, what lies between them on straight lines; the first
    and the last line go on beyond. Fit the scale with ``mriprep fit nyul`` or
    ``mriprep.fit("nyul", images, masks)``.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        Where the percentiles are taken: a mask on the image's grid, what
        Otsu's threshold keeps (the default without a mask), or everywhere; as
        in the fit. All voxels are transformed.
    state : str or State
        The fitted scale: a file; ``{contrast}`` in its name stands for the
        image's contrast.

    Returns
    -------
    Volume
        float32; darker voxels never become brighter than others.

    Raises
    ------
    InputError
        If the region is empty, its percentiles coincide, or the state cannot
        be used.
    """
    _, (percentiles, standard) = in_use(state, "nyul", check, image, within)
    values = finite(image, "nyul")
    at = landmarks(values[region(image, within, "nyul")], percentiles, "nyul")
    return image.replace(piecewise(values, at, standard))
