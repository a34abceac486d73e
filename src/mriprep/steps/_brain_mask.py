"""A mask's shape: one piece, its holes, its surface moved by millimetres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid

Bools = npt.NDArray[np.bool_]


def one_piece(mask: Bools) -> Bools:
    """The largest component (X, Y, Z), its holes filled."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    box = ndimage.find_objects(labels)
    sizes = np.bincount(labels.ravel())[1:]
    largest = 1 + int(np.argmax(sizes))
    result: Bools = labels == largest
    # A hole is background that does not reach the border of the (padded) box.
    part = np.pad(result[box[largest - 1]], 1)
    outside, _ = ndimage.label(~part)
    result[box[largest - 1]] = (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return result


def moved(mask: Bools, grid: Grid, border: float) -> Bools:
    """The mask (X, Y, Z) with its surface moved outwards by `border` mm; negative, inwards."""
    from scipy import ndimage

    if border > 0:
        distance = ndimage.distance_transform_edt(~mask, grid.spacing)
        return np.asarray(distance <= border)
    # What lies beyond the volume is not the brain's outside: the volume's border does not erode.
    if mask.all():
        return mask
    distance = ndimage.distance_transform_edt(mask, grid.spacing)
    return np.asarray(distance > -border)


def overlap(a: Bools, b: Bools) -> float:
    """Dice's coefficient of two masks; 0 where both are empty."""
    return float(2 * (a & b).sum() / max(int(a.sum()) + int(b.sum()), 1))
