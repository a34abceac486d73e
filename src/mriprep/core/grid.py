"""The geometry of a volume without its voxels."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import GeometryError

FloatArray = npt.NDArray[np.float64]

#: Two grids whose corners are nearer than this are the same grid (mm).
SAME_GRID_MM = 1e-2

_AXIS_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxels in the world.

    Parameters
    ----------
    shape : (3,) ints
        Number of voxels along the array axes ``(i, j, k)``.
    affine : (4, 4) array_like
        Maps the index of a voxel's centre ``(i, j, k, 1)`` to world
        coordinates in mm, RAS+ (x to the right, y to the front, z up).

    Raises
    ------
    GeometryError
        If the shape is not three positive integers, or the affine is not a
        finite, invertible affine matrix.
    """

    shape: tuple[int, int, int]
    affine: FloatArray

    def __post_init__(self) -> None:
        shape = _sizes(self.shape)
        affine = as_matrix(self.affine, "an affine")
        if not np.isfinite(affine).all():
            raise GeometryError("the affine holds NaN or infinity: the header is damaged")
        if not np.allclose(affine[3], (0, 0, 0, 1)):
            raise GeometryError(f"the last row of an affine is 0 0 0 1, got {affine[3].tolist()}")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if (lengths < 1e-6).any():
            raise GeometryError(
                f"a voxel has no size along an axis: spacing {lengths.round(6).tolist()} mm",
                hint="the header is damaged; `mriprep inspect` shows what it holds",
            )
        volume = abs(float(np.linalg.det(affine[:3, :3] / lengths)))
        if volume < 1e-3:
            raise GeometryError("two axes of the affine are parallel: it cannot be inverted")
        affine += 0.0  # no -0.0: equal grids have equal bytes, so equal hashes
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    # -- what it is -------------------------------------------------------------------------

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along the array axes, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def direction(self) -> FloatArray:
        """Unit vectors of the array axes in the world, one a column, (3, 3)."""
        columns: FloatArray = self.affine[:3, :3] / np.asarray(self.spacing)
        return columns

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel, mm³."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    @property
    def orientation(self) -> str:
        """Where the array axes point, to the nearest anatomical axis: ``"RAS"``, ``"LPS"``, ..."""
        return "".join(
            _AXIS_LETTERS[world][int(self.direction[world, axis] > 0)]
            for axis, world in enumerate(self._nearest_axes())
        )

    @property
    def obliquity(self) -> float:
        """Largest angle between an array axis and its nearest anatomical axis, degrees."""
        cosines = [
            abs(self.direction[world, axis]) for axis, world in enumerate(self._nearest_axes())
        ]
        return float(np.degrees(np.arccos(np.clip(min(cosines), -1, 1))))

    @property
    def center(self) -> FloatArray:
        """World coordinates of the middle of the field of view, (3,), mm."""
        return self.to_world((np.asarray(self.shape) - 1) / 2)

    @property
    def corners(self) -> FloatArray:
        """World coordinates of the eight corner voxels' centres, (8, 3), mm."""
        ends = [(0, n - 1) for n in self.shape]
        return self.to_world(np.array(list(itertools.product(*ends)), dtype=np.float64))

    def to_world(self, index: npt.ArrayLike) -> FloatArray:
        """Map voxel indices (..., 3) to world coordinates (..., 3), mm, RAS+."""
        points: FloatArray = (
            np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        )
        return points

    def to_index(self, world: npt.ArrayLike) -> FloatArray:
        """Map world coordinates (..., 3), mm, RAS+, to fractional voxel indices (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        index: FloatArray = np.asarray(world, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]
        return index

    def distance(self, other: Grid) -> float:
        """Largest distance between the two grids' corresponding corners, mm; infinite if their shapes differ."""
        if self.shape != other.shape:
            return float("inf")
        return float(np.linalg.norm(self.corners - other.corners, axis=1).max())

    def matches(self, other: Grid, tolerance: float = SAME_GRID_MM) -> bool:
        """Whether every voxel lies where the other grid's does, within `tolerance` mm."""
        return self.distance(other) <= tolerance

    # -- other grids made from it -----------------------------------------------------------

    def axes_to(self, orientation: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """Say how to permute and flip the array axes to point along `orientation`.

        Parameters
        ----------
        orientation : str
            Three letters, one of each pair R/L, A/P, S/I, in any order and case.

        Returns
        -------
        order : (3,) ints
            The array axis of this grid that becomes axis 0, 1, 2.
        flip : (3,) bools
            Whether each of the *new* axes runs backwards along the old one.
        """
        wanted = parse_orientation(orientation)
        current = self.orientation
        order: list[int] = []
        flip: list[bool] = []
        for letter in wanted:
            axis = next(a for a, c in enumerate(current) if _world_axis(c) == _world_axis(letter))
            order.append(axis)
            flip.append(current[axis] != letter)
        return (order[0], order[1], order[2]), (flip[0], flip[1], flip[2])

    def reoriented(self, orientation: str = "RAS") -> Grid:
        """The same voxels with the array axes permuted and flipped to `orientation`."""
        order, flip = self.axes_to(orientation)
        affine = np.eye(4)
        affine[:3, :3] = self.affine[:3, :3][:, order]
        start = np.zeros(3)
        for new_axis, (old_axis, backwards) in enumerate(zip(order, flip, strict=True)):
            if backwards:
                affine[:3, new_axis] *= -1
                start[old_axis] = self.shape[old_axis] - 1
        affine[:3, 3] = self.to_world(start)
        a, b, c = (self.shape[axis] for axis in order)
        return Grid((a, b, c), affine)

    def with_spacing(self, spacing: float | Sequence[float]) -> Grid:
        """A grid over the same field of view, same centre and directions, at another spacing.

        The field of view is never cut: sizes are rounded up, so that the new
        one is wider than the old by less than one new voxel.
        """
        new = np.asarray(spacing, dtype=np.float64)
        if new.shape not in ((), (1,), (3,)) or not (np.isfinite(new).all() and (new > 0).all()):
            raise GeometryError(
                f"spacing must be one positive number or three, got {new.tolist()} mm"
            )
        new = np.broadcast_to(new, 3)
        extent = np.asarray(self.shape) * np.asarray(self.spacing)
        # The slack keeps 240.0000001 mm at 1 mm from becoming 241 voxels.
        shape = np.maximum(np.ceil(extent / new - 1e-3), 1).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = self.direction * new
        affine[:3, 3] = self.center - affine[:3, :3] @ ((shape - 1) / 2)
        a, b, c = (int(n) for n in shape)
        return Grid((a, b, c), affine)

    def window(self, start: Sequence[int], shape: Sequence[int]) -> Grid:
        """The part (or, with a negative start, the extension) of this lattice from voxel `start` on."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(np.asarray(start, dtype=np.float64))
        a, b, c = (int(n) for n in shape)
        return Grid((a, b, c), affine)

    # -- as data ----------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The grid as plain data, for records."""
        return {
            "shape": list(self.shape),
            "spacing_mm": [round(s, 6) for s in self.spacing],
            "orientation": self.orientation,
            "affine_ras": self.affine.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """The grid that :meth:`to_dict` described."""
        return cls(tuple(data["shape"]), np.asarray(data["affine_ras"]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.shape == other.shape and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Grid, (self.shape, np.array(self.affine))

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        spacing = "x".join(f"{s:.3g}" for s in self.spacing)
        oblique = f", oblique {self.obliquity:.1f}°" if self.obliquity > 0.1 else ""
        return f"{size} voxels of {spacing} mm, {self.orientation}{oblique}"

    def _nearest_axes(self) -> tuple[int, int, int]:
        """World axis nearest to each array axis, the strongest match taken first."""
        strength = np.abs(self.direction)
        nearest = [0, 0, 0]
        for _ in range(3):
            world, axis = np.unravel_index(int(np.argmax(strength)), (3, 3))
            nearest[int(axis)] = int(world)
            strength[world, :] = -1
            strength[:, axis] = -1
        return nearest[0], nearest[1], nearest[2]


def parse_orientation(text: str) -> str:
    """Check an orientation code such as ``"RAS"`` and return it in capitals."""
    code = text.upper()
    if len(code) != 3 or {_world_axis(c) for c in code} != {0, 1, 2}:
        raise GeometryError(
            f"'{text}' is not an orientation",
            hint="give three letters, one of each of R/L, A/P and S/I, for instance RAS or LPS",
        )
    return code


def as_matrix(values: npt.ArrayLike, what: str) -> FloatArray:
    """A new (4, 4) float64 array of `values`; `what` names it in errors."""
    try:
        matrix = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError(f"{what} is a 4x4 matrix of numbers, got {values!r}") from None
    if matrix.shape != (4, 4):
        raise GeometryError(f"{what} is a 4x4 matrix, got shape {matrix.shape}")
    return matrix


def _sizes(shape: Sequence[int]) -> tuple[int, int, int]:
    try:
        given = np.asarray(shape, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.shape != (3,) or not ((given >= 1) & (given == np.round(given))).all():
        raise GeometryError(
            f"a grid needs three positive whole sizes, got {shape!r}",
            hint="volumes are three-dimensional; choose one volume of a 4D series first",
        )
    x, y, z = given.tolist()
    return int(x), int(y), int(z)


def _world_axis(letter: str) -> int:
    return next((i for i, pair in enumerate(_AXIS_LETTERS) if letter in pair), -1)
