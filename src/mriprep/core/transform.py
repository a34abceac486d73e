"""Rigid and affine maps between the worlds of two images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import GeometryError
from .grid import FloatArray, Grid, as_matrix


@dataclass(frozen=True, eq=False)
class Transform:
    """Maps points of a reference image's world to points of a moving image's world.

    This is the direction in which images are resampled: for each voxel of
    the reference, it says where in the moving image to look. ITK, ANTs and
    Slicer use the same direction.

    Parameters
    ----------
    matrix : (4, 4) array_like
        Reference mm to moving mm, both RAS+.
    reference, moving : Grid, optional
        The grids between which it was estimated.
    reference_name, moving_name : str
        Names of the two spaces, for file names and records.
    meta : mapping, optional
        Engine, score, parameters.
    """

    matrix: FloatArray
    reference: Grid | None = None
    moving: Grid | None = None
    reference_name: str = "reference"
    moving_name: str = "moving"
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        matrix = as_matrix(self.matrix, "a transform")
        if not np.isfinite(matrix).all():
            raise GeometryError("the transform holds NaN or infinity")
        if not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise GeometryError(f"the last row of a transform is 0 0 0 1, got {matrix[3].tolist()}")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise GeometryError("the transform cannot be inverted: its determinant is zero")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    @classmethod
    def identity(cls, grid: Grid | None = None, name: str = "native") -> Transform:
        """The map that moves nothing."""
        return cls(np.eye(4), grid, grid, name, name)

    @classmethod
    def rigid(
        cls,
        rotation: npt.ArrayLike = (0, 0, 0),
        translation: npt.ArrayLike = (0, 0, 0),
        center: npt.ArrayLike = (0, 0, 0),
        **about: Any,
    ) -> Transform:
        """A rotation about a centre, then a translation.

        Parameters
        ----------
        rotation : (3,) floats
            Angles about x, y and z in degrees; applied as ``Rz @ Ry @ Rx``.
        translation, center : (3,) floats
            In mm, RAS+.
        **about
            Further fields of the transform (``reference``, ``moving_name``, ...).
        """
        rx, ry, rz = np.radians(np.asarray(rotation, dtype=np.float64))
        cx, sx, cy, sy, cz, sz = (f(a) for a in (rx, ry, rz) for f in (np.cos, np.sin))
        x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        c = np.asarray(center, dtype=np.float64)
        matrix = np.eye(4)
        matrix[:3, :3] = z @ y @ x
        matrix[:3, 3] = c + np.asarray(translation, dtype=np.float64) - matrix[:3, :3] @ c
        return cls(np.asarray(matrix, dtype=np.float64), **about)

    def __call__(self, points: npt.ArrayLike) -> FloatArray:
        """Map points (..., 3) of the reference world to the moving world, mm, RAS+."""
        p = np.asarray(points, dtype=np.float64)
        mapped: FloatArray = p @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return mapped

    def inverse(self) -> Transform:
        """Maps points of the moving world to the reference world."""
        return Transform(
            np.asarray(np.linalg.inv(self.matrix), dtype=np.float64),
            self.moving,
            self.reference,
            self.moving_name,
            self.reference_name,
            self.meta,
        )

    def __matmul__(self, first: Transform) -> Transform:
        """``(b @ a)(points) == b(a(points))``: from a's reference, through a, then b, to b's moving."""
        if not isinstance(first, Transform):
            return NotImplemented
        return Transform(
            self.matrix @ first.matrix,
            first.reference,
            self.moving,
            first.reference_name,
            self.moving_name,
        )

    @property
    def is_rigid(self) -> bool:
        """Whether it only turns and shifts: no scale, no shear, no mirror."""
        r = self.matrix[:3, :3]
        return bool(np.allclose(r.T @ r, np.eye(3), atol=1e-5) and np.linalg.det(r) > 0)

    @property
    def angle(self) -> float:
        """Rotation angle of the nearest rotation, degrees."""
        u, _, vt = np.linalg.svd(self.matrix[:3, :3])
        rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
        return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))

    @property
    def scales(self) -> tuple[float, float, float]:
        """Singular values of the linear part: how much it stretches, largest first."""
        a, b, c = np.linalg.svd(self.matrix[:3, :3], compute_uv=False)
        return float(a), float(b), float(c)

    def rigid_part(self, points: npt.ArrayLike) -> Transform:
        """The rotation and shift nearest to this map at some points.

        Kabsch W. A solution for the best rotation to relate two sets of
        vectors. Acta Cryst A 1976. doi:10.1107/S0567739476001873

        Parameters
        ----------
        points : (N, 3) array_like
            Points of the reference world, mm: a brain's, usually. Three at
            least, not on a line.
        """
        here = np.asarray(points, dtype=np.float64)
        there = self(here)
        u, _, vt = np.linalg.svd((there - there.mean(axis=0)).T @ (here - here.mean(axis=0)))
        rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = there.mean(axis=0) - rotation @ here.mean(axis=0)
        return Transform(
            matrix, self.reference, self.moving, self.reference_name, self.moving_name, self.meta
        )

    def distance(self, other: Transform, points: npt.ArrayLike) -> float:
        """Mean distance between where the two transforms send `points` (N, 3), mm."""
        return float(np.linalg.norm(self(points) - other(points), axis=-1).mean())

    def __reduce__(self) -> tuple[Any, ...]:
        return Transform, (
            np.array(self.matrix), self.reference, self.moving,
            self.reference_name, self.moving_name, dict(self.meta),
        )  # fmt: skip

    def __repr__(self) -> str:
        kind = "rigid" if self.is_rigid else "affine"
        shift = np.linalg.norm(self.matrix[:3, 3])
        return (
            f"<Transform {kind} {self.reference_name} -> {self.moving_name},"
            f" {self.angle:.1f}°, shift {shift:.1f} mm>"
        )
