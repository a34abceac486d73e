"""Registering two images with an engine from more than one start, and choosing by what can be measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Transform, Volume

from ._anatomy import center_of_mass, similarity, surroundings

#: Samples are drawn from what the fixed image shows and this much around it (mm): the empty space
#: of a wide field of view, or below a template's cut neck, would otherwise outvote the head.
_MARGIN_MM = 8.0

#: The brain is compared with this much around it (mm): its edge is what tells.
_BRAIN_MARGIN_MM = 3.0

#: Where the two ways to start lie nearer than this, one of them is enough (mm).
_SAME_START_MM = 10.0


def align(
    estimate: Callable[..., Transform],
    fixed: Volume,
    moving: Volume,
    *,
    brain: Volume | None,
    model: str,
    center: str,
) -> tuple[Transform, float, float]:
    """Register, from several starts if need be, and on the brain in the end.

    Skulls, necks and scalps differ more between people than brains do. Where
    the fixed image's brain is known, the result for the whole head is where a
    second registration begins, in which the brain alone counts; it is taken
    if it makes the brain's region more alike.

    Parameters
    ----------
    estimate : callable
        An engine's.
    fixed, moving : Volume
        Two heads or two brains.
    brain : Volume or None
        Mask of the fixed image's brain.
    model, center : str
        As the step's.

    Returns
    -------
    transform : Transform
        The best.
    before, after : float
        Normalised mutual information where it began and where it ended.
    """
    region = surroundings(fixed, _MARGIN_MM)
    shifts = {
        "mass": center_of_mass(moving) - center_of_mass(fixed),
        "fov": moving.grid.center - fixed.grid.center,
    }
    if center != "auto":
        shifts = {center: shifts[center]}
    elif np.linalg.norm(shifts["mass"] - shifts["fov"]) < _SAME_START_MM:
        shifts.pop("fov")
    candidates = [
        estimate(fixed, moving, fixed_mask=region, model=model, start=start) for start in shifts
    ]
    where = region if brain is None else surroundings(brain.replace(role="image"), _BRAIN_MARGIN_MM)

    def likeness(matrix: npt.NDArray[np.float64]) -> float:
        return similarity(fixed, moving, matrix, where)

    if brain is not None:
        begin = max(candidates, key=lambda c: similarity(fixed, moving, c.matrix, region))
        candidates.append(estimate(fixed, moving, fixed_mask=brain, model=model, start=begin))
    best = max(candidates, key=lambda c: likeness(c.matrix))
    before = max(likeness(_shift(by)) for by in shifts.values())
    return best, before, likeness(best.matrix)


def _shift(by: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    matrix: npt.NDArray[Any] = np.eye(4)
    matrix[:3, 3] = by
    return matrix
