"""A plane under the brain, in front of which all is taken away.

After the idea of Schimke N, Hale J. Quickshear defacing for neuroimages.
Proc 2nd USENIX Conf Health Security and Privacy 2011: seen from the side, the
convex hull of a brain has a long edge between the frontal lobe and what lies
lowest behind it; the face lies on the other side of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError, Grid
from mriprep.core.grid import FloatArray

from ._face_region import points

Bools = npt.NDArray[np.bool_]

#: How far below straight ahead the plane may face, degrees.
_LEAST, _MOST = 15.0, 80.0
_SLAB = 16


def plane(brain: FloatArray) -> tuple[FloatArray, float]:
    """The plane along the longest edge that a brain's hull has in front and below.

    Parameters
    ----------
    brain : (N, 3) float
        Points of the brain, mm, upright: x to the right, y to the front, z up.

    Returns
    -------
    normal : (3,) float
        Unit vector, to the front and down, in the sagittal plane.
    offset : float
        All points of the brain have ``normal @ point <= offset``, mm.

    Raises
    ------
    EngineError
        If the hull has no edge there.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(brain[:, 1:])
    except (QhullError, ValueError):
        raise _no_edge() from None
    ends = hull.points[hull.simplices]
    lengths = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    down = np.degrees(np.arctan2(-hull.equations[:, 1], hull.equations[:, 0]))
    lengths[(down < _LEAST) | (down > _MOST)] = 0
    best = int(np.argmax(lengths))
    if lengths[best] == 0:
        raise _no_edge()
    y, z, offset = hull.equations[best]
    return np.array([0.0, y, z]), -float(offset)


def beyond(grid: Grid, to_upright: FloatArray, normal: FloatArray, offset: float) -> Bools:
    """The voxels of a grid beyond a plane; `to_upright` (4, 4) maps its mm to the plane's."""
    out = np.zeros(grid.shape, bool)
    matrix = to_upright @ grid.affine
    for first in range(0, grid.shape[0], _SLAB):
        count = min(_SLAB, grid.shape[0] - first)
        _, y, z = points(matrix, first, (count, grid.shape[1], grid.shape[2]))
        out[first : first + count] = normal[1] * y + normal[2] * z > offset
    return out


def _no_edge() -> EngineError:
    return EngineError(
        "the brain's hull has no edge below its front to lay a plane along",
        hint="use method=blank; is it the brain's mask, and of the whole brain?",
    )
