"""Slices of a volume as they are looked at, and the way back into it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import GeometryError, InputError, RecipeError, nearest
from .grid import Grid
from .volume import Role, Volume, as_role

#: World axis (x, y, z) that a plane is cut across, and where its rows and columns run to.
PLANES = {"axial": (2, "PL"), "coronal": (1, "IL"), "sagittal": (0, "IP")}
FORMATS = ("png8", "png16", "npy")


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of a volume in one plane, with all that is needed to put them back.

    They are shown as radiologists see them: axial and coronal with the
    patient's left on the right of the picture, sagittal with the front on
    the left, the front (axial) or the top (coronal, sagittal) up. Axes are
    permuted and flipped for that and nothing is interpolated: pixels are as
    anisotropic as the voxels, and slices of an oblique volume are as oblique.

    Parameters
    ----------
    stack : (N, H, W) array
        The slices, float32, in the order of `indices`.
    plane : {"axial", "coronal", "sagittal"}
        The plane nearest to theirs.
    indices : (N,) ints
        Where they lie along the volume's own array axis, ascending.
    grid : Grid
        The grid of the volume.
    window : (2,) floats
        The intensities that are black and white in pictures.
    content : (N,) floats
        What each shows, as a share of the slice that shows most.
    labels : (N, H, W) array of ints, optional
        Labels beside the slices.
    format : {"png8", "png16", "npy"}
        How they are to be written.

    Raises
    ------
    GeometryError
        If the stack is not made of slices of the grid in that plane.
    InputError
        If indices, content, labels or window do not fit the stack.
    """

    stack: npt.NDArray[np.float32]
    plane: str
    indices: tuple[int, ...]
    grid: Grid
    window: tuple[float, float]
    content: tuple[float, ...]
    labels: npt.NDArray[Any] | None = None
    format: str = "png8"

    def __post_init__(self) -> None:
        for value, accepted in ((self.plane, tuple(PLANES)), (self.format, FORMATS)):
            if value not in accepted:
                raise RecipeError(f"'{value}' is not accepted", hint=nearest(value, accepted))
        indices = tuple(int(i) for i in self.indices)
        n = self.grid.shape[self.axis]
        ascending = all(a < b for a, b in itertools.pairwise(indices))
        if not indices or not ascending or indices[0] < 0 or indices[-1] >= n:
            raise InputError(f"indices of slices must ascend from 0 to {n - 1} at most: {indices}")
        if len(self.content) != len(indices):
            raise InputError(f"{len(indices)} slices with {len(self.content)} contents")
        low, high = (float(end) for end in self.window)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"a window is two ascending intensities, got {low:g} and {high:g}")
        stack = np.asarray(self.stack, dtype=np.float32).view()
        self._check_shape(stack.shape)
        stack.setflags(write=False)
        if self.labels is not None:
            labels = np.asarray(self.labels).view()
            self._check_shape(labels.shape)
            if labels.dtype.kind not in "iu":
                raise InputError(f"labels must be integers, got {labels.dtype}")
            labels.setflags(write=False)
            object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "stack", stack)
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "window", (low, high))
        object.__setattr__(self, "content", tuple(float(c) for c in self.content))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        wanted = (len(self.indices), *display_shape(self.grid, self.plane)[1:])
        if shape != wanted:
            raise GeometryError(
                f"{len(self.indices)} {self.plane} slices of {self.grid} are an array of {wanted},"
                f" got {shape}"
            )

    @property
    def axis(self) -> int:
        """The volume's own array axis that they are cut across."""
        return display_axes(self.grid, self.plane)[0][0]

    @property
    def positions(self) -> tuple[float, ...]:
        """World coordinate of each slice's centre across the plane (x, y or z), mm, RAS+."""
        centres = np.tile((np.asarray(self.grid.shape) - 1) / 2, (len(self.indices), 1))
        centres[:, self.axis] = self.indices
        return tuple(float(p) for p in self.grid.to_world(centres)[:, PLANES[self.plane][0]])

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        first, last = self.positions[0], self.positions[-1]
        return f"<Slices {len(self)} {self.plane}, {first:.1f} to {last:.1f} mm, of {self.grid}>"


def restack(
    slices: Slices,
    stack: npt.NDArray[Any] | None = None,
    *,
    role: Role | str = Role.IMAGE,
    fill: float = 0,
) -> Volume:
    """Put slices, or what a network made of them, back into the volume they came from.

    Parameters
    ----------
    slices : Slices
        The slices.
    stack : (N, H, W) array, optional
        What to put back in their place, for instance predicted labels or
        ``slices.labels``; without it the slices themselves.
    role : Role or str
        What the values mean.
    fill : float
        The value where there is no slice.

    Returns
    -------
    Volume
        On the volume's grid, of the stack's type.

    Raises
    ------
    GeometryError
        If the stack has not the shape of the slices.
    """
    values = slices.stack if stack is None else np.asarray(stack)
    if values.shape != slices.stack.shape:
        raise GeometryError(
            f"the slices are an array of {slices.stack.shape}, got {values.shape}",
            hint="undo any resizing or padding of the slices first",
        )
    order, flip = display_axes(slices.grid, slices.plane)
    shown = np.full(display_shape(slices.grid, slices.plane), fill, values.dtype)
    shown[list(slices.indices)] = values
    back = shown[_steps(flip)].transpose(np.argsort(order))
    return Volume(np.ascontiguousarray(back), slices.grid, as_role(role))


def chosen(counts: npt.NDArray[np.integer[Any]], content: float, every: int) -> list[int]:
    """Which slices are taken: every so manieth, from the first to the last with enough content.

    Parameters
    ----------
    counts : (N,) array
        Voxels with content in each slice; some are.
    content : float
        Least share of the slice that has most.
    every : int
        From the first one on.
    """
    share = counts / counts.max()
    enough = np.flatnonzero(share >= content)
    return [int(i) for i in range(enough[0], enough[-1] + 1, every) if share[i] >= content]


def every_of(spacing: float, grid: Grid, axis: int) -> int:
    """One of how many slices lies nearest to a distance in mm, 1 or more."""
    return max(1, round(spacing / float(grid.spacing[axis])))


# -- from array axes to the picture -----------------------------------------------------------

Order = tuple[int, int, int]
Flip = tuple[bool, bool, bool]


def display_axes(grid: Grid, plane: str) -> tuple[Order, Flip]:
    """Which array axes are the slices, rows and columns of a plane, and which run backwards.

    Slices are never flipped: they keep the numbers of the volume's own axis.
    """
    world, rows_and_columns = PLANES[plane]
    along = next(letter for letter in grid.orientation if letter in ("LR", "PA", "IS")[world])
    return grid.axes_to(along + rows_and_columns)


def display_shape(grid: Grid, plane: str) -> tuple[int, int, int]:
    """The shape of all slices of a grid in a plane: slices, rows, columns."""
    a, b, c = (grid.shape[axis] for axis in display_axes(grid, plane)[0])
    return a, b, c


def arranged(data: npt.NDArray[Any], order: Order, flip: Flip) -> npt.NDArray[Any]:
    """A view of an array with its axes permuted, then flipped, as :meth:`Grid.axes_to` says."""
    return data.transpose(order)[_steps(flip)]


def _steps(flip: Flip) -> tuple[slice, ...]:
    return tuple(slice(None, None, -1 if backwards else None) for backwards in flip)
