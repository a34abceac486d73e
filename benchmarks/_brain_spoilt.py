"""Brain masks spoilt on purpose, in the ways that brain extraction fails."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from mriprep.kernels.otsu import otsu
from mriprep.steps._brain_surface import Coarse

Bools = np.ndarray


def spoilt(
    coarse: Coarse, brain: Bools, axes: np.ndarray, seed: int
) -> Iterator[tuple[str, Bools]]:
    """Kind and mask.

    Parameters
    ----------
    coarse : Coarse
        The image, whose voxels are the coarse ones.
    brain : (X, Y, Z) bool
        A good mask on its grid.
    axes : (3, 3) floats
        World directions (RAS+) of the array's axes, unit columns.
    seed : int
        Of what is random.
    """
    rng = np.random.default_rng(seed)
    size = coarse.spacing
    outside = ndimage.distance_transform_edt(~brain, sampling=size)
    inside = ndimage.distance_transform_edt(brain, sampling=size)
    for mm in (5, 8):
        yield f"eroded by {mm} mm", inside > mm
    for mm in (5, 8, 12):
        yield f"dilated by {mm} mm", outside <= mm
    index = np.moveaxis(np.indices(brain.shape), 0, -1)
    middle = (np.argwhere(brain) * size).mean(axis=0)
    world = (index * size - middle) @ axes.T
    x, y, z = np.moveaxis(world, -1, 0)
    low, front = z[brain].min(), y[brain].max()
    neck = (np.hypot(x, y + 15) < 35) & (z < low + 15) & (z > low - 50)
    if (neck & ~brain).sum() * size.prod() > 30e3:  # the scan shows the neck
        yield "into the neck", brain | neck
    eyes = [((x - s) ** 2 + (y - front + 5) ** 2 + (z + 35) ** 2) < 22**2 for s in (-32, 32)]
    yield "into the eyes", brain | eyes[0] | eyes[1]
    yield "right half alone", brain & (x > 0)
    yield "upper half alone", brain & (z > 0)
    yield "lower half alone", brain & (z < 0)
    yield "front half alone", brain & (y > 0)
    yield "a quarter missing", brain & ~((x > 0) & (z > 10))
    upper = world[brain & (inside < 7) & (z > 0)]
    lobe = upper[rng.integers(len(upper))]
    yield "a lobe missing", brain & (((world - lobe) ** 2).sum(axis=-1) > 35**2)
    for mm in (10, 15, 25):
        way = rng.normal(size=3)
        way *= mm / np.linalg.norm(way) / size
        yield f"shifted by {mm} mm", ndimage.shift(brain.astype(np.float32), way, order=1) > 0.5
    for degrees in (25, 60):
        yield f"turned by {degrees} degrees", _turned(brain, size, axes, middle, degrees, rng)
    head = ndimage.binary_closing(coarse.values > otsu(coarse.values), iterations=2)
    yield "the whole head", ndimage.binary_fill_holes(head)
    yield "a ball", (world**2).sum(axis=-1) < 65**2
    smooth = ndimage.gaussian_filter(rng.normal(size=brain.shape), 8 / size)
    yield "made of noise", smooth > 0
    yield "empty", np.zeros_like(brain)


def _turned(
    brain: Bools,
    size: np.ndarray,
    axes: np.ndarray,
    middle: np.ndarray,
    degrees: float,
    rng: object,
) -> Bools:
    angle = np.deg2rad(degrees)
    i, j = [(1, 2), (0, 2), (0, 1)][int(rng.integers(3))]
    turn = np.eye(3)
    turn[[i, j, i, j], [i, j, j, i]] = np.cos(angle), np.cos(angle), -np.sin(angle), np.sin(angle)
    matrix = np.diag(1 / size) @ axes.T @ turn @ axes @ np.diag(size)
    offset = middle / size - matrix @ (middle / size)
    return ndimage.affine_transform(brain.astype(np.float32), matrix, offset, order=1) > 0.5
