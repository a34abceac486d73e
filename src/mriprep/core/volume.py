"""Voxels on a grid, with what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import GeometryError, InputError, nearest
from .grid import FloatArray, Grid


class Role(StrEnum):
    """What the voxels of a volume mean; interpolation follows from it.

    ``image``: measured intensities. ``mask``: inside or not (bool).
    ``labels``: names of regions (integers). ``probability``: in [0, 1].
    """

    IMAGE = "image"
    MASK = "mask"
    LABELS = "labels"
    PROBABILITY = "probability"


@dataclass(frozen=True, eq=False)
class Volume:
    """A three-dimensional image, mask, label map or probability map.

    Parameters
    ----------
    data : (X, Y, Z) array
        The voxels, axes as the grid's. Kept as a read-only view: nothing in
        mriprep changes an input.
    grid : Grid or (4, 4) array_like
        Where the voxels lie; an affine (index to RAS+ mm) is made a grid.
    role : Role or str
        What the voxels mean. A mask is turned into bool; labels must be
        whole numbers.
    meta : mapping, optional
        Facts that travel with the volume (``source``, ``contrast``,
        header facts, ``interpolated``).

    Raises
    ------
    InputError
        If the array is not three-dimensional, numeric, or does not fit its role.
    GeometryError
        If the array's shape is not the grid's.
    """

    data: npt.NDArray[Any]
    grid: Grid
    role: Role = Role.IMAGE
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.ndim != 3:
            raise InputError(
                f"a volume has three axes, got an array of shape {data.shape}",
                hint="choose one volume of a 4D series; give a slice a third axis of length 1",
            )
        grid = self.grid if isinstance(self.grid, Grid) else Grid(_shape(data), self.grid)
        if data.shape != grid.shape:
            raise GeometryError(f"the array is {data.shape}, its grid is {grid.shape}")
        role = as_role(self.role)
        view = _fitted(data, role).view()
        view.setflags(write=False)
        object.__setattr__(self, "data", view)
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "role", role)
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each array axis."""
        return self.grid.shape

    @property
    def affine(self) -> FloatArray:
        """Index to world matrix, (4, 4), RAS+ mm."""
        return self.grid.affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size, mm."""
        return self.grid.spacing

    def replace(
        self,
        data: npt.NDArray[Any] | None = None,
        *,
        grid: Grid | None = None,
        role: Role | str | None = None,
        **meta: Any,
    ) -> Volume:
        """A new volume with some things changed and the rest kept; extra keywords go into `meta`."""
        return Volume(
            self.data if data is None else data,
            self.grid if grid is None else grid,
            self.role if role is None else as_role(role),
            {**self.meta, **meta},
        )

    def floats(self) -> npt.NDArray[np.float32]:
        """The voxels as a new float32 array, NaN and infinities as they are."""
        return np.array(self.data, dtype=np.float32)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False and dtype is not None and np.dtype(dtype) != self.data.dtype:
            raise ValueError(f"a view of {self.data.dtype} voxels as {dtype} is not possible")
        return np.array(self.data, dtype=dtype) if copy else np.asarray(self.data, dtype=dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return Volume, (np.asarray(self.data), self.grid, self.role, dict(self.meta))

    def __repr__(self) -> str:
        return f"<Volume {self.role} {self.data.dtype}, {self.grid}>"


def _shape(data: npt.NDArray[Any]) -> tuple[int, int, int]:
    x, y, z = data.shape
    return x, y, z


def as_role(role: Role | str) -> Role:
    """The role of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return Role(role)
    except ValueError:
        raise InputError(
            f"'{role}' is not a role of a volume", hint=nearest(str(role), Role)
        ) from None


def _fitted(data: npt.NDArray[Any], role: Role) -> npt.NDArray[Any]:
    if data.dtype == bool:
        return (
            data
            if role is Role.MASK
            else data.astype(np.uint8 if role is not Role.PROBABILITY else np.float32)
        )
    if data.dtype.kind not in "iuf":
        raise InputError(
            f"voxels of type {data.dtype} are not supported",
            hint="give real numbers: integers, floats or bool; of a complex image take the magnitude",
        )
    if role is Role.MASK:
        return data > 0  # NaN compares false: outside
    if role is Role.LABELS and data.dtype.kind == "f":
        if not np.isfinite(data).all() or (data != np.round(data)).any():
            raise InputError(
                "labels must be whole numbers, got fractions or NaN",
                hint="these labels were interpolated as an image; use the original label file",
            )
        small = np.abs(data).max(initial=0) < 2**31
        return data.astype(np.int32 if small else np.int64)
    if role is Role.PROBABILITY:
        data = data.astype(np.float32) if data.dtype.kind != "f" else data
        # What compares false, NaN, is left as it is.
        low = float(data.min(where=~np.isnan(data), initial=0))
        high = float(data.max(where=~np.isnan(data), initial=0))
        if low < -1e-3 or high > 1 + 1e-3:
            raise InputError(f"probabilities lie in [0, 1], got [{low:g}, {high:g}]")
    return data
