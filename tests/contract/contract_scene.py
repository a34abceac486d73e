"""What every step is tried on: an analytic scene on every kind of grid, and the digital head."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mriprep.core import Grid, Transform, Volume
from mriprep.phantom import head

ORIENTATIONS = ("RAS", "LAS", "LPS", "PSR", "oblique")
SPACINGS = {"isotropic": (1.3, 1.3, 1.3), "anisotropic": (0.9, 0.9, 5.5)}
DTYPES = ("uint8", "int16", "float32", "float64")

#: Every orientation, both spacings and every type of voxel at least once, for steps that take long.
COVERING = (
    ("RAS", "isotropic", "uint8"),
    ("LAS", "isotropic", "int16"),
    ("LPS", "anisotropic", "float32"),
    ("PSR", "isotropic", "float64"),
    ("oblique", "anisotropic", "int16"),
)

#: 15 degrees about two axes.
_OBLIQUE = Transform.rigid((15, -15, 0)).matrix
_HALF_MM = np.array([19.0, 23.0, 17.0])


@dataclass(frozen=True)
class Scene:
    """An image with the mask of the object it shows, labels of its parts, and the object's pose."""

    image: Volume
    mask: Volume
    labels: Volume
    pose: Transform


def grid_of(orientation: str, spacing, extent, center) -> Grid:
    """A grid about a point (mm): along the anatomical axes in an orientation, or oblique to them."""
    shape = np.round(np.divide(extent, spacing)).astype(int)
    affine = np.diag([*spacing, 1.0])
    if orientation == "oblique":
        affine = _OBLIQUE @ affine
    affine[:3, 3] = center - affine[:3, :3] @ ((shape - 1) / 2)
    grid = Grid(tuple(shape), affine)
    return grid if orientation == "oblique" else grid.reoriented(orientation)


@functools.cache
def scene(orientation: str = "RAS", spacing: str = "isotropic", dtype: str = "float32") -> Scene:
    """A textured ellipsoid with two bright spots, off the centre of a noisy field of view.

    No rotation or mirror maps it onto itself, and its texture changes from
    voxel to voxel: a result that is out of place by a voxel is told.
    """
    grid = grid_of(orientation, SPACINGS[spacing], extent=(54, 62, 50), center=(6, -9, 13))
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) - (5, -7, 12)
    inside = np.linalg.norm(points / _HALF_MM, axis=-1) < 1
    spots = [
        np.linalg.norm((points - center) / radius, axis=-1) < 1
        for center, radius in (((8, 9, -4), 5.5), ((-9, -8, 5), (4, 6, 6)))
    ]
    waves = ((0.3, 0.1, 0.1), (-0.1, 0.35, 0.1), (0.05, -0.15, 0.25))
    texture = sum(np.sin(points @ np.asarray(w)) for w in waves)
    labels = inside.astype(np.int16)
    image = np.where(inside, 90 + 14 * texture, 6.0)
    for number, spot in enumerate(spots, 2):
        labels[spot & inside] = number
        image = image + 40 * number / 2 * (spot & inside)
    image = image + np.random.default_rng(7).normal(0, 2, grid.shape)
    return Scene(
        Volume(np.clip(image, 0, 250).astype(dtype), grid, meta={"contrast": "T1w"}),
        Volume(inside, grid, "mask"),
        Volume(labels, grid, "labels"),
        Transform.identity(grid),
    )


@functools.cache
def head_scene(orientation: str, spacing: str, dtype: str) -> Scene:
    """The digital head, turned and shifted, at 4 mm or with thick slices."""
    size = (4.0, 4.0, 4.0) if spacing == "isotropic" else SPACINGS[spacing]
    grid = grid_of(orientation, size, extent=(200, 256, 240), center=(3, -12, -8))
    # Slices of 5.5 mm at 0.9 mm are what scanners give; fewer voxels in plane are as telling here.
    if spacing == "anisotropic":
        grid = grid_of(orientation, (1.8, 1.8, 5.5), extent=(200, 256, 240), center=(3, -12, -8))
    scan = head(
        grid=grid, rotation=(4, -3, 6), translation=(3, -5, 4), dtype=dtype, labels=False, seed=2
    )
    return Scene(scan.image, scan.brain, scan.brain.replace(role="labels"), scan.pose)


def moved_from(before: Scene, after: Volume) -> tuple[float, tuple[int, int, int]]:
    """How well an image follows another, and by how many of its voxels it is out of place.

    Both are compared where the object is, in the world, and again with one
    of them shifted by a voxel along each axis.

    Returns
    -------
    float
        The correlation in place.
    tuple of int
        The shift at which it is largest: all 0 for a result that is in place.
    """
    inside = ndimage.binary_erosion(before.mask.data, iterations=2)
    index = np.argwhere(inside)
    values = np.asarray(before.image.data[inside], dtype=np.float64)
    data = np.asarray(after.data, dtype=np.float64)
    found = {}
    for shift in [(0, 0, 0), *(tuple(s * e) for e in np.eye(3, dtype=int) for s in (-1, 1))]:
        there = after.grid.to_index(before.image.grid.to_world(index + shift))
        sampled = ndimage.map_coordinates(data, there.T, order=1, mode="nearest")
        found[tuple(int(s) for s in shift)] = float(np.corrcoef(values, sampled)[0, 1])
    return found[0, 0, 0], max(found, key=found.__getitem__)


def dice(a, b) -> float:
    """Overlap of two masks on one grid."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))
