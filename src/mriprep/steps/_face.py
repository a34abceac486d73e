"""Finding a face by the brain: where the head lies, what may go, and whether there is a face at all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, Transform, Volume
from mriprep.core.grid import FloatArray
from mriprep.declare import keeping
from mriprep.kernels.otsu import otsu

from . import _face_region, _face_shear

Bools = npt.NDArray[np.bool_]

#: Of the points where every head has face, so many show tissue at least, if there is one.
LEAST_SHOWN = 0.25
#: Of them, so many lie in the field of view at least, if it holds a face.
LEAST_SEEN = 0.25


@dataclass(frozen=True)
class Place:
    """Where a head lies in a scan's world.

    Parameters
    ----------
    brain : Volume
        Mask of the brain, on any grid of that world.
    pose : (4, 4) float
        MNI152 mm to the scan's mm, affine.
    score : float
        How far the pose is to be trusted, 0 to 1.
    facts : mapping
        What was found out about the brain, where it was looked for.
    """

    brain: Volume
    pose: FloatArray
    score: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    def moved(self, matrix: FloatArray) -> Place:
        """The same in another world; `matrix` (4, 4) maps this world's mm to that one's.

        No voxel is interpolated: the mask's grid is turned.
        """
        grid = Grid(self.brain.shape, matrix @ self.brain.affine)
        return Place(self.brain.replace(grid=grid), matrix @ self.pose, self.score, self.facts)

    def brain_on(self, grid: Grid) -> Volume:
        """The brain on a grid; interpolated (by the rule for masks) if it lies on another one."""
        from .resample import resample

        if self.brain.grid.matches(grid):
            return self.brain
        on_it: Volume = resample(self.brain, None, grid)
        return on_it


def place(image: Volume, brain: Volume, facts: Mapping[str, Any]) -> Place:
    """Register a brain to the shipped template.

    Raises
    ------
    EngineError
        If that can't be done.
    """
    from .register import register

    with keeping(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a doubt is told by whoever uses it
        found = register(image, brain, template="mni152", model="affine", contrast="T1w")
    return Place(brain, np.asarray(found.matrix), float(found.meta.get("score", 0.0)), facts)


def removable(
    grid: Grid, where: Place, brain: Bools, *, shear: bool, ears: bool, margin: float
) -> Bools:
    """The voxels to take away; none of the brain, and none within `margin` mm of it.

    Parameters
    ----------
    grid : Grid
        Of the scan.
    where : Place
        Where the head lies in it.
    brain : (X, Y, Z) bool
        Its brain, on the grid.
    shear : bool
        By a plane, not by the template's face.
    ears : bool
        With the ears.
    margin : float
        mm.
    """
    back = np.asarray(np.linalg.inv(where.pose), dtype=np.float64)
    if shear:
        inside = where.brain.grid.to_world(_ends(np.argwhere(where.brain.data)))
        upright = Transform(back)(inside)
        normal, offset = _face_shear.plane(upright)
        gone = _face_shear.beyond(grid, back, normal, offset + margin)
        if ears:
            whole = _face_region.region(grid, back, margin, ears=True)
            gone |= whole & ~_face_region.region(grid, back, margin, ears=False)
    else:
        gone = _face_region.region(grid, back, margin, ears=ears)
    return gone & ~grown(brain, gone, grid, margin)


def _ends(index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of the voxels of a mask, in order: the ends of rows along the last axis, which make the hull."""
    first = np.concatenate([[True], (np.diff(index[:, :2], axis=0) != 0).any(axis=1)])
    last = np.concatenate([first[1:], [True]])
    ends: npt.NDArray[np.int64] = index[first | last]
    return ends


def grown(mask: Bools, near: Bools, grid: Grid, margin: float) -> Bools:
    """A mask grown by `margin` mm, where it comes near to another one; by its bounding box."""
    from scipy import ndimage

    from mriprep.kernels.extent import bounds

    out = np.array(mask)
    if not near.any() or not mask.any():
        return out
    steps = [int(np.ceil(margin / s)) + 1 for s in grid.spacing]
    box = tuple(
        slice(max(max(a.start, b.start - n) - n, 0), min(a.stop, b.stop + n) + n)
        for a, b, n in zip(bounds(near), bounds(mask), steps, strict=True)
    )
    part = mask[box]
    if not part.any():
        return out
    # Voxels have a size: a voxel counts by its nearest side, not by its middle.
    reach = margin + max(grid.spacing) / 2 if max(grid.spacing) > margin else margin
    out[box] |= ndimage.distance_transform_edt(~part, grid.spacing) <= reach
    return out


def shown(image: Volume, where: Place) -> tuple[float, float]:
    """Of the points where every head has face: the share in the field of view, and what of that shows tissue."""
    index = np.round(image.grid.to_index(Transform(where.pose)(_face_region.places())))
    within = ((index >= 0) & (index < image.shape)).all(axis=1)
    if not within.any():
        return 0.0, 0.0
    values = image.floats()
    values[~np.isfinite(values)] = 0
    least = float(values.min())
    threshold = least + (otsu(values[::2, ::2, ::2]) - least) / 3
    there = values[tuple(index[within].astype(int).T)]
    return float(within.mean()), float((there > threshold).mean())
