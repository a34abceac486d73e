"""Where a head's face and ears are, in millimetres of the MNI152 template's world.

The region is drawn by mriprep around the brain of the shipped template: the
front of the head from the brows to the throat, in front of a surface that
runs behind the eyes and the palate and leaves the temporal lobes behind it;
and what stands out at the sides, around the ears. It has no outer border, so
that the outline of a nose can't be read off a hole in the noise around a head.

Fonov VS et al. Unbiased nonlinear average age-appropriate brain templates
from birth to adulthood. NeuroImage 2009. doi:10.1016/S1053-8119(09)70884-5
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid
from mriprep.core.grid import FloatArray

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

#: Where the face is cut off: (height z, from which y on all is face), mm. Above the brows nothing is.
#: Frontal lobes end at z = -25 there, eyes lie between y = 45 and 70 about z = -38, temporal lobes
#: reach y = 22; what of it is too near to a brain stays.
_CUT = ((-200.0, 6.0), (-84.0, 6.0), (-62.0, 26.0), (-40.0, 38.0), (-22.0, 52.0), (6.0, 58.0))
_BROWS = 6.0
#: Ears: this far from the middle at least, from back to front, from the lobe up; and from the template's
#: brain, where skull and scalp take about 14 mm.
_SIDE = 62.0
_EARS_Y, _EARS_Z = (-64.0, 12.0), (-92.0, 2.0)
_FROM_BRAIN = 9.0
#: What stands for "far" from the template's brain, mm.
_FAR = 40.0
#: So many slices are worked on at once.
_SLAB = 16
#: Where tissue of the face is in every head, mm: to the sides, front and height (cheeks, nose, jaws).
_BOX = ((-40.0, 40.0), (45.0, 80.0), (-92.0, -30.0))


def region(grid: Grid, to_template: FloatArray, margin: float, *, ears: bool) -> Bools:
    """The voxels of a face, and of ears.

    Parameters
    ----------
    grid : Grid
        Of the scan.
    to_template : (4, 4) float
        Scan mm to MNI152 mm, RAS+.
    margin : float
        What lies nearer than this to the template's brain is left out, mm of
        the template.
    ears : bool
        With the ears.

    Returns
    -------
    (X, Y, Z) bool
    """
    from mriprep.kernels import sample

    distance, lattice = brain_distance()
    out = np.zeros(grid.shape, bool)
    matrix = to_template @ grid.affine
    into = np.linalg.inv(lattice.affine) @ matrix
    heights, fronts = (np.asarray(a, np.float32) for a in zip(*_CUT, strict=True))
    for first in range(0, grid.shape[0], _SLAB):
        count = min(_SLAB, grid.shape[0] - first)
        x, y, z = points(matrix, first, (count, grid.shape[1], grid.shape[2]))
        found = (z < _BROWS) & (y > np.interp(z, heights, fronts).astype(np.float32))
        shift = np.eye(4)
        shift[0, 3] = first
        # Outside of the lattice the sampler gives 0: far.
        near = sample.linear(distance, (into @ shift)[:3], found.shape) + np.float32(_FAR)
        found &= near > margin
        if ears:
            side = (np.abs(x) > _SIDE) & (near > max(_FROM_BRAIN, margin))
            side &= (y > _EARS_Y[0]) & (y < _EARS_Y[1]) & (z > _EARS_Z[0]) & (z < _EARS_Z[1])
            found |= side
        out[first : first + count] = found
    return out


def points(
    matrix: FloatArray, first: int, shape: tuple[int, int, int]
) -> tuple[Floats, Floats, Floats]:
    """World coordinates of the voxels of some slices, by a matrix (4, 4) of their indices."""
    i, j, k = np.ogrid[first : first + shape[0], : shape[1], : shape[2]]
    x, y, z = (
        np.asarray(row[0] * i + row[1] * j + row[2] * k + row[3], dtype=np.float32)
        for row in matrix[:3]
    )
    return x, y, z


def places(spacing: float = 5.0) -> FloatArray:
    """Points where every head has face, (N, 3), mm of the template."""
    axes = [np.arange(low, high + 1e-6, spacing) for low, high in _BOX]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


@functools.cache
def brain_distance() -> tuple[Floats, Grid]:
    """Distance to the shipped template's brain, mm less :data:`_FAR`, at most 0; and its 2 mm lattice."""
    from scipy import ndimage

    from mriprep import templates
    from mriprep.io.images import read_image
    from mriprep.kernels import sample

    image = read_image(templates.find(templates.BUNDLED[0]).image)
    inside = ndimage.binary_fill_holes(np.asarray(image.data) > 0).astype(np.float32)
    corners = image.grid.corners
    low = corners.min(axis=0) - _FAR
    x, y, z = (int(n) for n in np.ceil((corners.max(axis=0) + _FAR - low) / 2.0))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = low
    lattice = Grid((x, y, z), affine)
    into = np.asarray(np.linalg.inv(image.affine) @ affine, np.float64)[:3]
    share = sample.linear(inside, into, lattice.shape)
    away = ndimage.distance_transform_edt(share < 0.5, 2.0)
    return np.minimum(away, _FAR).astype(np.float32) - np.float32(_FAR), lattice
