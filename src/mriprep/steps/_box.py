"""Boxes around what an image shows."""

from __future__ import annotations

import numpy as np

from mriprep.core import Grid, InputError, Role, Volume

from ._common import BoolImage, foreground

#: Pieces of the foreground that are smaller than this share of it are specks of noise.
SPECK = 0.01

Box = tuple[tuple[int, int, int], tuple[int, int, int]]


def bounding_box(inside: BoolImage, step: str) -> Box:
    """The smallest box that holds every voxel that is set: first voxels and shape.

    Raises
    ------
    InputError
        If no voxel is set.
    """
    start, shape = [], []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hit = np.flatnonzero(inside.any(axis=others))
        if not hit.size:
            raise InputError(
                f"{step}: the mask is empty, there is nothing to draw a box around",
                hint="check the brain extraction",
            )
        start.append(int(hit[0]))
        shape.append(int(hit[-1] - hit[0]) + 1)
    return (start[0], start[1], start[2]), (shape[0], shape[1], shape[2])


def widened(box: Box, grid: Grid, margin: float) -> Box:
    """The box with at least `margin` mm more on each side, never beyond the grid."""
    start, shape = np.asarray(box[0]), np.asarray(box[1])
    # The slack keeps 5.0000001 mm of 1 mm voxels from becoming 6 voxels.
    more = np.ceil(margin / np.asarray(grid.spacing) - 1e-3).astype(int)
    first = np.maximum(start - more, 0)
    end = np.minimum(start + shape + more, grid.shape)
    a, b, c = (int(n) for n in first)
    x, y, z = (int(n) for n in end - first)
    return (a, b, c), (x, y, z)


def shown(volume: Volume, step: str) -> BoolImage:
    """Where a volume shows something, by its role, without specks of noise in an image.

    Images: what Otsu's threshold keeps, less pieces below one per cent of
    it. Masks and labels: what is not 0. Probabilities: above one half.
    """
    if volume.role is Role.PROBABILITY:
        return np.asarray(volume.data > 0.5)
    if volume.role is not Role.IMAGE:
        return np.asarray(volume.data != 0)
    from scipy import ndimage

    inside = foreground(volume, step)
    pieces, _ = ndimage.label(inside)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    large = sizes >= SPECK * sizes.sum()
    kept: BoolImage = large[pieces]
    return kept if large.any() else inside
