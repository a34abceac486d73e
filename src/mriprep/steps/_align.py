"""Registering two images, judging the result, and trying again another way if it is not trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep import engines
from mriprep.core import EngineError, EngineMissing, Transform, Volume

from ._anatomy import center_of_mass, looks_stripped, surroundings
from ._trust import Trust, trust

Doubles = npt.NDArray[np.float64]

#: elastix draws its samples from what the fixed image shows and this much around it (mm): the
#: empty space of a wide field of view, or below a cut neck, would otherwise outvote the head.
_MARGIN_MM = 8.0
#: A brain's reach from its middle, where no mask tells (mm).
_BRAIN_MM = 70.0
_POINTS = 2000
#: Of a head that is registered to another person's, this much around its middle counts (mm): necks
#: and jaws differ more between people, and between fields of view, than heads do.
_HEAD_MM = 105.0


def align(
    fixed: Volume,
    moving: Volume,
    *,
    engine: str,
    model: str,
    same_anatomy: bool,
    brain: Volume | None = None,
    device: str = "auto",
) -> tuple[Transform, Trust, list[str]]:
    """Register; if the result is not trusted, search longer, then with another engine.

    Between different people, a rigid transform is the rigid part of an
    affine one: mutual information alone does not say which of many rotations
    is best for two heads of different shape, an affine fit does.

    Parameters
    ----------
    fixed, moving : Volume
        Two heads or two brains, finite voxels.
    engine, model : str
        As the step's.
    same_anatomy : bool
        Whether both show the same person.
    brain : Volume, optional
        The fixed image's brain mask.
    device : str
        As the step's.

    Returns
    -------
    transform : Transform
        The best; fixed mm to moving mm.
    trust : Trust
        How far it can be trusted.
    tried : list of str
        What was tried, in order.

    Raises
    ------
    EngineError
        If no engine finds anything.
    """
    points = landmarks(fixed, brain)
    through_affine = model == "rigid" and not same_anatomy
    results: list[tuple[Trust, Transform]] = []
    tried: list[str] = []
    failure: EngineError | None = None
    region = None if same_anatomy or looks_stripped(fixed, brain) else head_alone(fixed, points)
    from mriprep.engines.registration._pyramid import Pyramid

    pyramids = (Pyramid(fixed, region), Pyramid(moving))  # for the engine and for its judge
    for name, run in _attempts(fixed, moving, region, engine, device, pyramids):
        try:
            found = run("affine" if through_affine else model)
        except EngineMissing:
            if not tried:
                raise
            continue
        except EngineError as error:
            failure = failure or error
            tried.append(name)
            continue
        tried.append(name)
        results.append((trust(fixed, moving, found, points, region, pyramids), found))
        if results[-1][0].trusted:
            break
    if not results:
        raise failure or EngineError("no engine could register the images")
    judged, best = max(results, key=lambda r: r[0].score)
    return best.rigid_part(points) if through_affine else best, judged, tried


def landmarks(fixed: Volume, brain: Volume | None) -> Doubles:
    """Points spread over the brain of an image, mm (N, 3); over the middle of a head without a mask."""
    if brain is not None and brain.data.any():
        index = np.argwhere(brain.data)
        chosen = index[:: max(1, len(index) // _POINTS)]
        return np.asarray(brain.grid.to_world(chosen), dtype=np.float64)
    shown = surroundings(fixed, 0.0)
    index = np.argwhere(shown.data)
    points = shown.grid.to_world(index[:: max(1, len(index) // (4 * _POINTS))])
    # The crown is seen in nearly every image of a head, the neck in some: a brain's length below
    # the highest point there is neck.
    top = np.percentile(points[:, 2], 99.5)
    upper = points[points[:, 2] > top - 2 * _BRAIN_MM]
    near = np.linalg.norm(upper - upper.mean(axis=0), axis=1) <= _BRAIN_MM
    return np.asarray(upper[near] if near.sum() > 3 else points, dtype=np.float64)


def head_alone(fixed: Volume, points: Doubles) -> Volume:
    """A ball around the middle of some points (N, 3): a mask on the image's grid."""
    middle = fixed.grid.to_index(points.mean(axis=0))
    axes = fixed.affine[:3, :3]
    index = np.ogrid[tuple(slice(n) for n in fixed.shape)]
    offset = [i - m for i, m in zip(index, middle, strict=True)]
    square = sum((sum(a * o for a, o in zip(row, offset, strict=True))) ** 2 for row in axes)
    return fixed.replace(np.asarray(square <= _HEAD_MM**2), role="mask")


def _attempts(
    fixed: Volume, moving: Volume, region: Volume | None, engine: str, device: str, pyramids: Any
) -> Iterator[tuple[str, Callable[[str], Transform]]]:
    """What to try, in order: the engine, a longer search, another engine."""

    def native(model: str, **more: Any) -> Transform:
        found: Transform = engines.load("registration", "native").estimate(
            fixed, moving, fixed_mask=region, model=model, device=device, pyramids=pyramids, **more
        )
        return found

    def other(name: str, model: str, start: Transform | None = None) -> Transform:
        inside = region
        if name == "elastix":
            shown = surroundings(fixed, _MARGIN_MM)
            inside = shown if region is None else shown.replace(shown.data & region.data)
        found: Transform = engines.load("registration", name).estimate(
            fixed, moving, fixed_mask=inside, model=model, start=start
        )
        return found

    def from_mass(model: str) -> Transform:
        shift = Transform.rigid(translation=center_of_mass(moving) - center_of_mass(fixed))
        return other("elastix", model, shift)

    if engine == "native":
        yield "native", native
    else:
        yield engine, lambda model: other(engine, model)
    yield "native, longer", lambda model: native(model, thorough=True)
    if engine != "elastix":
        yield "elastix", lambda model: from_mass("affine" if model == "affine" else "rigid")
