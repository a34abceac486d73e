"""How far a registration can be trusted: a score from 0 to 1 of things that can be checked.

Whatever engine found it, a right pose is a sharp optimum (nudged or turned, the
images are less alike), stays where it is when it is searched for again from
beside it, lays edges on edges, and lets each image show most of what the other
shows. :data:`WEIGHTS` say how much each counts; `benchmarks/registration_trust.py`
fitted them on right and on spoilt registrations of real heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Transform, Volume

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

#: Below this a registration is tried another way, and flagged if that does not help.
THRESHOLD = 0.5

#: Of the logistic model, by measure; ``bias`` is its constant.
WEIGHTS = {
    "bias": -17.459,
    "near": 7.819,
    "far": 0.957,
    "drift": -0.713,
    "edges": 6.053,
    "cover": 17.978,
}

#: The least `near` that does not count against a result; right ones of real heads have 0.076 and
#: more.
_SHARP = 0.07

#: How far a pose is nudged (mm) and tilted (degrees) to see whether it is the best of its
#: neighbourhood, and turned to see whether it stands out at all.
_NUDGES_MM = (8.0, 16.0)
_TILTS = (10.0, 20.0)
_TURNS = (90.0, -90.0, 180.0)
#: Where the search begins again: shift (mm) and tilt (degrees) about an oblique axis.
_AGAIN = ((6.0, 8.0), (-8.0, -6.0))
_AXES = np.array([[0.6, 0.64, 0.48], [0.48, -0.6, 0.64]])
#: More drift than this (mm) says no more.
_MOST_DRIFT = 15.0


#: What each measure is of right registrations, in the middle; and what to say of it.
_USUAL = {"near": 0.21, "far": 0.58, "drift": 0.96, "edges": 0.75, "cover": 0.89}
_WORDS = {
    "near": "nudged by a centimetre the images would be as alike: loss {:.2f}",
    "far": "turned by 90 or 180 degrees the images would be as alike: loss {:.2f}",
    "drift": "searched for again, it comes to lie {:.1f} mm away",
    "edges": "edges do not lie on edges: agreement {:.2f}",
    "cover": "one image shows what the other does not: overlap {:.2f}",
}


@dataclass(frozen=True)
class Trust:
    """What was measured of a registration, and what follows.

    Parameters
    ----------
    score : float
        0 to 1.
    near : float
        How much less alike the images are when nudged by 8 to 16 mm or tilted by 10 to 20
        degrees: relative loss of mutual information at the best of these.
    far : float
        The same for quarter and half turns.
    drift : float
        How far searching again from beside it ends from it, mm over the fixed image; the
        largest of several.
    edges : float
        Agreement of the directions of edges, 0 to 1; a third by chance.
    cover : float
        What either image shows that the other shows too: overlap of the foregrounds (Dice).
    scale : float
        How far from 1 the stretch along any axis is (log), of the affine fit.
    """

    score: float
    near: float
    far: float
    drift: float
    edges: float
    cover: float
    scale: float

    @property
    def trusted(self) -> bool:
        """Whether the score reaches the threshold."""
        return self.score >= THRESHOLD

    @property
    def weakest(self) -> str:
        """The measure that speaks most against it, in words."""
        worst = min(_USUAL, key=lambda k: WEIGHTS[k] * (getattr(self, k) - _USUAL[k]))
        return _WORDS[worst].format(getattr(self, worst))

    def facts(self) -> dict[str, float]:
        """For the record."""
        return {k: round(float(v), 4) for k, v in vars(self).items()}


def trust(
    fixed: Volume,
    moving: Volume,
    transform: Transform,
    points: Doubles,
    region: Volume | None = None,
    pyramids: Any = None,
) -> Trust:
    """Measure a registration.

    Parameters
    ----------
    fixed, moving : Volume
        As they were registered: two heads, or two brains; finite.
    transform : Transform
        Fixed mm to moving mm; of different people, the affine one that fits.
    points : (N, 3) floats
        Where distances are measured: a brain's points, fixed mm.
    region : Volume, optional
        What of the fixed image was registered, a mask on its grid.
    pyramids : pair of Pyramid, optional
        Of the fixed image with that mask and of the moving one, where they have been made before.
    """
    from mriprep.engines.registration._pyramid import Pyramid
    from mriprep.engines.registration.native import COARSE, Pair

    still, floating = pyramids or (Pyramid(fixed, region), Pyramid(moving))
    shown, affine = still.shown
    pair = Pair(still, floating, COARSE)
    matrix = np.asarray(transform.matrix)
    here, *around = pair.values([matrix, *_near(matrix, still.center), *_far(matrix, still.center)])
    count = 2 * 3 * (len(_NUDGES_MM) + len(_TILTS))
    drift, scale = _again(pair, transform, points, still.center)
    measures = {
        "near": _loss(here, np.array(around[:count])),
        "far": _loss(here, np.array(around[count:])),
        "drift": drift,
        "edges": _edges(still, floating, matrix),
        "cover": _cover(shown, affine, floating, matrix, still.region if region else None),
        "scale": scale,
    }
    return Trust(_logistic(measures), **measures)


def _logistic(measures: dict[str, float]) -> float:
    total = WEIGHTS["bias"] + sum(w * measures[k] for k, w in WEIGHTS.items() if k != "bias")
    # A pose that is not the best of its neighbourhood is not trusted, whatever else speaks for it.
    sharp = float(np.clip(measures["near"] / _SHARP, 0.01, 1))
    return float(sharp / (1 + np.exp(-np.clip(total, -50, 50))))


def _loss(here: float, others: Doubles) -> float:
    return float(np.clip((here - others.max()) / max(here, 1e-9), -1, 1))


def _near(matrix: Doubles, center: Doubles) -> list[Doubles]:
    nudges = [
        Transform.rigid(translation=sign * mm * axis).matrix
        for mm in _NUDGES_MM
        for axis in np.eye(3)
        for sign in (1, -1)
    ]
    tilts = [
        Transform.rigid(sign * angle * axis, center=center).matrix
        for angle in _TILTS
        for axis in np.eye(3)
        for sign in (1, -1)
    ]
    return [matrix @ m for m in (*nudges, *tilts)]


def _far(matrix: Doubles, center: Doubles) -> list[Doubles]:
    return [
        matrix @ Transform.rigid(angle * axis, center=center).matrix
        for angle in _TURNS
        for axis in np.eye(3)
    ]


def _again(
    pair: Any, transform: Transform, points: Doubles, center: Doubles
) -> tuple[float, float]:
    """The largest distance (mm) to where searches from beside a pose end, and the stretch there."""
    model = "rigid" if transform.is_rigid else "affine"
    starts = [np.asarray(transform.matrix)] + [
        np.asarray(transform.matrix)
        @ Transform.rigid(angle * axis, shift * axis[::-1], center=center).matrix
        for (shift, angle), axis in zip(_AGAIN, _AXES, strict=True)
    ]
    ends = [Transform(f.matrix) for f in pair.refined(starts, model, True)]
    stretch = (
        Transform(pair.refined(starts[:1], "affine", True)[0].matrix)
        if model == "rigid"
        else ends[0]
    )
    drifts = [transform.distance(e, points) for e in ends]
    scale = float(np.abs(np.log(np.maximum(stretch.scales, 1e-3))).max())
    return min(max(drifts), _MOST_DRIFT), scale


def _edges(still: Any, floating: Any, matrix: Doubles) -> float:
    """Mean squared cosine between the gradients of both images, where the fixed one has edges.

    Haber E, Modersitzki J. Intensity gradient based registration and fusion of
    multi-modal images. Methods Inf Med 2007. doi:10.1160/ME9046
    """
    from scipy import ndimage

    level, other = still.level(4.0, 1.0), floating.level(4.0, 1.0)
    points, _ = still.samples(level, 20000)
    there = points @ matrix[:3, :3].T + matrix[:3, 3]

    def gradients(of: Any, at: Doubles) -> Doubles:
        inverse = np.linalg.inv(of.affine)
        index = (at @ inverse[:3, :3].T + inverse[:3, 3]).T
        parts = [
            ndimage.map_coordinates(part, index, order=1, mode="constant")
            for part in np.gradient(of.data)
        ]
        world: Doubles = np.stack(parts, axis=1) @ inverse[:3, :3]
        return world

    fixed, moving = gradients(level, points), gradients(other, there) @ matrix[:3, :3]
    strong = np.linalg.norm(fixed, axis=1)
    weak = np.linalg.norm(moving, axis=1)
    chosen = strong > np.percentile(strong, 60)
    noise = 0.05 * float(np.percentile(weak, 95)) + 1e-9
    cosine = (fixed * moving).sum(axis=1)[chosen] / (
        strong[chosen] * np.sqrt(weak[chosen] ** 2 + noise**2) + 1e-12
    )
    return float((cosine**2).mean())


def _cover(
    shown: npt.NDArray[np.bool_],
    affine: Doubles,
    floating: Any,
    matrix: Doubles,
    region: npt.NDArray[np.bool_] | None,
) -> float:
    """Dice overlap of what the two images show, on the fixed image's 4 mm grid, within the region."""
    from mriprep.kernels import sample

    other, other_affine = floating.shown
    to_other = (np.linalg.inv(other_affine) @ matrix @ affine)[:3]
    seen = sample.nearest(other.view(np.uint8), to_other, shown.shape) > 0
    if region is not None:
        shown, seen = shown & region, seen & region
    return float(2 * (shown & seen).sum() / max(int(shown.sum() + seen.sum()), 1))
