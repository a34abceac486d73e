"""Slices that lean against their stacking (gantry tilt), moved back into an upright volume."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, Volume
from mriprep.core.grid import FloatArray


def upright(leaning: Volume, axis: int) -> Volume:
    """Shear a volume whose slices lean against the direction they are stacked in.

    Every slice is moved within its own plane, by linear interpolation where
    the way is no whole number of voxels; nothing is interpolated between
    slices. The slices' planes and their distance stay what they are.

    Parameters
    ----------
    leaning : Volume
        Rows and columns of its slices are at right angles.
    axis : int
        The axis along which slices are stacked, which leans.

    Returns
    -------
    Volume
        Axes at right angles, with as many more rows and columns as it takes
        to hold all slices; what was not measured is zero.
        ``meta["interpolated"]`` says so.
    """
    others = [a for a in range(3) if a != axis]
    steps = leaning.grid.affine[:3, :3]
    normal = np.cross(steps[:, others[0]], steps[:, others[1]])
    normal /= np.linalg.norm(normal)
    step = steps[:, axis]
    straight = normal * (step @ normal)
    # How far each slice is from where it would be if it did not lean, in voxels.
    lean = np.linalg.lstsq(steps[:, others], step - straight, rcond=None)[0]
    count = leaning.shape[axis]
    shifts = np.arange(count)[:, None] * lean
    low = np.floor(shifts.min(axis=0) + 1e-9).astype(int)
    high = np.ceil(shifts.max(axis=0) - 1e-9).astype(int)
    slices = np.moveaxis(leaning.data, axis, 0)
    data = slices.astype(np.float64)
    for dimension in (0, 1):
        data = _moved(data, shifts[:, dimension], low[dimension], high[dimension], dimension + 1)
    if slices.dtype.kind != "f":
        data = np.round(data)
    affine = leaning.grid.affine.copy()
    affine[:3, axis] = straight
    affine[:3, 3] += steps[:, others] @ low
    whole = np.moveaxis(data.astype(slices.dtype), 0, axis)
    a, b, c = whole.shape
    degrees = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    return leaning.replace(
        whole,
        grid=Grid((a, b, c), affine),
        interpolated=f"slices moved within their planes: they leaned by {min(degrees, 180 - degrees):.1f}°",
    )


def _moved(
    data: FloatArray, shifts: FloatArray, low: int, high: int, axis: int
) -> npt.NDArray[np.float64]:
    """Slices (first axis) moved along an axis by a number of voxels each, and widened to hold them."""
    shape = list(data.shape)
    length = shape[axis]
    shape[axis] = length + high - low
    wide = np.zeros(shape)
    for k, shift in enumerate(shifts):
        whole = int(np.floor(shift + 1e-9))
        part = float(np.clip(shift - whole, 0, 1))
        source = np.moveaxis(data[k], axis - 1, 0)
        target = np.moveaxis(wide[k], axis - 1, 0)
        start = whole - low
        target[start : start + length] += (1 - part) * source
        if part > 1e-9:
            target[start + 1 : start + 1 + length] += part * source
    return wide
