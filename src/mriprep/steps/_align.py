"""Registering two images with an engine from more than one start, choosing by what can be measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mriprep.core import Transform, Volume

from ._anatomy import Matrix, center_of_mass, likeness, surroundings

#: Samples are drawn from what the fixed image shows and this much around it (mm): the empty space
#: of a wide field of view, or below a template's cut neck, would otherwise outvote the head.
_MARGIN_MM = 8.0

#: Where the two ways to start lie nearer than this, one of them is enough (mm).
_SAME_START_MM = 10.0

#: A result is trusted if it makes the images more alike, by this factor, than any turn of it by a
#: wide angle. Right results lie at 1.3 and more, wrong ones (5 mm off and worse) hardly above 1.2.
STANDS_OUT = 1.25

#: Degrees about each axis: half and quarter turns, which headers get wrong, and a tilt.
_TURNS = (180, 90, -90, 25, -25)


def align(
    estimate: Callable[..., Transform],
    fixed: Volume,
    moving: Volume,
    *,
    model: str,
    center: str,
) -> tuple[Transform, dict[str, float]]:
    """Register, from more than one start if need be.

    A result that does not stand out from turns of itself is tried again from
    the best of these.

    Parameters
    ----------
    estimate : callable
        An engine's.
    fixed, moving : Volume
        Two heads or two brains.
    model, center : str
        As the step's.

    Returns
    -------
    transform : Transform
        The best.
    scores : dict
        Normalised mutual information where it began (``nmi_before``), where
        it ended (``nmi_after``), and the most at any turn (``nmi_turned``).
    """
    region = surroundings(fixed, _MARGIN_MM)
    alike = likeness(fixed, moving, region)
    middle = center_of_mass(fixed)
    shifts = {
        "mass": center_of_mass(moving) - middle,
        "fov": moving.grid.center - fixed.grid.center,
    }
    if center != "auto":
        shifts = {center: shifts[center]}
    elif np.linalg.norm(shifts["mass"] - shifts["fov"]) < _SAME_START_MM:
        shifts.pop("fov")

    def refined(start: str | Transform) -> Transform:
        return estimate(fixed, moving, fixed_mask=region, model=model, start=start)

    best = max((refined(start) for start in shifts), key=lambda found: alike(found.matrix))
    turned, at_turn = _turned(best.matrix, middle, alike)
    if not stands_out(alike(best.matrix), at_turn):
        again = refined(Transform(turned))
        if alike(again.matrix) > alike(best.matrix):
            best, (_, at_turn) = again, _turned(again.matrix, middle, alike)
    return best, {
        "nmi_before": max(alike(_shift(by)) for by in shifts.values()),
        "nmi_after": alike(best.matrix),
        "nmi_turned": at_turn,
    }


def stands_out(after: float, turned: float) -> bool:
    """Whether a result is clearly more alike than any turn of it."""
    return after - 1 > STANDS_OUT * (turned - 1)


def _turned(
    matrix: Matrix, middle: Matrix, alike: Callable[[Matrix], float]
) -> tuple[Matrix, float]:
    """The turn of a transform about the fixed image's middle that is most alike, and how much."""
    turns = [
        matrix @ Transform.rigid(angle * axis, center=middle).matrix
        for axis in np.eye(3)
        for angle in _TURNS
    ]
    scores = [alike(t) for t in turns]
    best = int(np.argmax(scores))
    return turns[best], scores[best]


def _shift(by: Matrix) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return matrix
