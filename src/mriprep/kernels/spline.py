"""Cubic B-splines on a lattice of control points, separable by axis.

A lattice is a volume whose voxels are control points: its affine says where
each lies in the world, so that it can be evaluated on any grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, Volume

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Basis:
    """The four B-splines that are not 0 at each position along an axis.

    Parameters
    ----------
    first : (N,) ints
        Number of the first control point that counts at each position.
    weights : (N, 4) floats
        Its weight and those of the next three; they sum to 1.
    size : int
        Control points along the axis.
    """

    first: npt.NDArray[np.int64]
    weights: Doubles
    size: int

    def dense(self, weights: Doubles | None = None) -> Floats:
        """As a matrix (size, N); of other weights (N, 4), if given."""
        w = self.weights if weights is None else weights
        matrix = np.zeros((self.size, len(self.first)), np.float32)
        columns = np.arange(len(self.first))
        for tap in range(4):
            matrix[self.first + tap, columns] = w[:, tap]
        return matrix


def basis(parameter: Doubles, mesh: int) -> Basis:
    """The basis at `parameter` (N,) in [0, mesh]; what lies beyond takes the end's."""
    t = np.clip(parameter, 0, mesh)
    first = np.minimum(t.astype(np.int64), mesh - 1)
    u = t - first
    s = 1 - u
    taps = [s**3, 3 * u**3 - 6 * u**2 + 4, 3 * s**3 - 6 * s**2 + 4, u**3]
    return Basis(first, np.stack(taps, axis=1) / 6, mesh + 3)


def control_grid(grid: Grid, mesh: tuple[int, int, int]) -> Grid:
    """Where the control points of a spline over a grid lie: one beyond each end of each axis."""
    steps = [max(n - 1, 1) / m for n, m in zip(grid.shape, mesh, strict=True)]
    to_voxels = np.diag([*steps, 1.0])
    to_voxels[:3, 3] = [-s for s in steps]
    a, b, c = (m + 3 for m in mesh)
    return Grid((a, b, c), grid.affine @ to_voxels)


def refined(lattice: Doubles) -> Doubles:
    """The same spline on twice as many mesh elements along each axis."""
    for axis in range(3):
        old = np.moveaxis(lattice, axis, 0)
        new = np.empty((2 * len(old) - 3, *old.shape[1:]))
        new[0::2] = (old[:-1] + old[1:]) / 2
        new[1::2] = (old[:-2] + 6 * old[1:-1] + old[2:]) / 8
        lattice = np.moveaxis(new, 0, axis)
    return lattice


def evaluate(lattice: Volume, grid: Grid) -> Floats:
    """The spline at every voxel of a grid, (X, Y, Z), float32.

    Beyond the lattice's domain it keeps the value at its edge. Grids whose
    axes are the lattice's (in order; flips are fine) take three matrix
    products; others are evaluated point by point.
    """
    matrix = np.linalg.inv(lattice.affine) @ grid.affine
    linear = matrix[:3, :3]
    if np.allclose(linear, np.diag(np.diag(linear)), atol=1e-9):
        result: Any = np.asarray(lattice.data, dtype=np.float32)
        for axis in range(3):
            mesh = lattice.shape[axis] - 3
            parameter = matrix[axis, axis] * np.arange(grid.shape[axis]) + matrix[axis, 3] - 1
            dense = basis(parameter, mesh).dense()
            result = np.moveaxis(np.tensordot(dense, result, (0, axis)), 0, axis)
        return np.ascontiguousarray(result)
    from .sample import spline

    return spline(np.asarray(lattice.data, dtype=np.float32), matrix[:3], grid.shape)
