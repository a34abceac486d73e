"""Slices of a volume in another world, for pictures alone: nothing that is written goes through here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mriprep.core import Grid, Transform, Volume
from mriprep.snapshot import PLANES, Plane, View

from .figures import Window

#: Longest side of a tile, pixels; they are shown at 110 to 180.
SIDE = 144


@dataclass(frozen=True)
class Frame:
    """Slices along the world's axes through a box, on square pixels; for pictures alone."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    pixel: float

    @classmethod
    def around(
        cls, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], margin: float
    ) -> Frame:
        """Around a box, with pixels that make its longest side :data:`SIDE` of them at most."""
        low, high = low - margin, high + margin
        return cls(low, high, max(float((high - low).max()) / SIDE, 0.5))

    def positions(self, plane: str, number: int, inset: float) -> npt.NDArray[np.float64]:
        """Places along a plane's axis, evenly, `inset` mm from the box's ends."""
        axis = PLANES[plane]
        ends = self.low[axis] + inset, self.high[axis] - inset
        if ends[0] >= ends[1]:
            return np.array([(self.low[axis] + self.high[axis]) / 2])
        return np.linspace(*ends, number)

    def cut(
        self, volume: Volume, plane: str, at: float, to: Transform | None, order: int = 1
    ) -> Plane:
        """A slice of a volume, (H, W): up is superior (axial: anterior), left is the patient's right."""
        axis = PLANES[plane]
        across, up = (a for a in range(3) if a != axis)
        columns = np.arange(self.high[across], self.low[across], -self.pixel)
        rows = np.arange(self.high[up], self.low[up], -self.pixel)
        points = np.empty((len(rows), len(columns), 3))
        points[..., axis], points[..., across] = at, columns[None, :]
        points[..., up] = rows[:, None]
        flat = points.reshape(-1, 3)
        index = volume.grid.to_index(flat if to is None else to(flat)).T
        data = np.asarray(volume.data)
        data = data.astype(np.float32, copy=False) if order else data
        values = ndimage.map_coordinates(data, index, order=order, mode="constant", cval=0.0)
        plane_values: Plane = values.reshape(points.shape[:2]).astype(np.float32)
        return np.nan_to_num(plane_values)


def window_of(volume: Volume) -> Window:
    """The intensities that are black and white: percentiles 1 and 99.5 of what is not background."""
    data = np.asarray(volume.data).ravel()
    sample = data[:: max(1, data.size // 400_000)]
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if sample.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(sample, (1, 99.5))
    return float(low), float(high) if high > low else float(low) + 1.0


def pulled_view(volume: Volume, to: Transform, grid: Grid, point: npt.ArrayLike) -> View:
    """Three planes of a volume at the pixels that a view of the grid has; for pictures alone."""
    there = grid.reoriented("RAS")
    at = np.clip(np.round(there.to_index(point)), 0, np.asarray(there.shape) - 1).astype(int)
    data = np.nan_to_num(np.asarray(volume.data, dtype=np.float32))
    planes: dict[str, Plane] = {}
    aspect: dict[str, float] = {}
    for name, axis in PLANES.items():
        across, up = (a for a in range(3) if a != axis)
        sizes = there.shape[across], there.shape[up]
        index = np.empty((*sizes, 3))
        index[..., axis] = at[axis]
        index[..., across] = np.arange(sizes[0])[:, None]
        index[..., up] = np.arange(sizes[1])[None, :]
        points = to(there.to_world(index.reshape(-1, 3)))
        values = ndimage.map_coordinates(data, volume.grid.to_index(points).T, order=1, cval=0.0)
        planes[name] = np.ascontiguousarray(values.reshape(sizes).T[::-1, ::-1]).astype(np.float32)
        aspect[name] = there.spacing[up] / there.spacing[across]
    p = np.asarray(point, dtype=np.float64)
    return View(planes, aspect, (float(p[0]), float(p[1]), float(p[2])))
