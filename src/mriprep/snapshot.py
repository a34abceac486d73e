"""Three planes and a histogram of a volume: what a report keeps of each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .core import Role, Volume

Plane = npt.NDArray[np.float32]

#: The array axis (of a RAS volume) that each plane is perpendicular to.
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}


@dataclass(frozen=True)
class View:
    """Three planes of a volume through one point of the world.

    Parameters
    ----------
    planes : mapping
        ``axial``, ``coronal``, ``sagittal``: (H, W) arrays as they are shown:
        up is superior (axial: anterior), the patient's left is on the right
        of the picture (sagittal: anterior is on the left).
    aspect : mapping
        Height of a pixel over its width, mm/mm, for each plane.
    point : tuple of float
        The point, mm, RAS+.
    """

    planes: Mapping[str, Plane]
    aspect: Mapping[str, float]
    point: tuple[float, float, float]


@dataclass(frozen=True)
class Histogram:
    """Counts of a volume's values between two percentiles, (N,), and the (N + 1) edges."""

    counts: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Snapshot:
    """What a volume looked like at one moment of a run.

    Parameters
    ----------
    image : View
        Its planes.
    window : (float, float)
        Intensities shown as black and white: percentiles 1 and 99.5 of the whole.
    histogram : Histogram
        Of its foreground.
    mask, overlay : View or None
        Mask (0 or 1) and another image (template, bias field) in the same planes.
    """

    image: View
    window: tuple[float, float]
    histogram: Histogram
    mask: View | None = None
    overlay: View | None = None


def take(
    image: Volume,
    point: npt.ArrayLike,
    *,
    mask: Volume | None = None,
    overlay: Volume | None = None,
) -> Snapshot:
    """Keep three planes of a volume through a point (mm, RAS+), and of a mask and an overlay."""
    # A few hundred thousand voxels tell the percentiles of a head as well as all of them.
    sample = np.asarray(image.data).ravel()[:: max(1, image.data.size // 400_000)]
    sample = sample[np.isfinite(sample)].astype(np.float64)
    if sample.size == 0:
        sample = np.zeros(1)
    low, high = np.percentile(sample, (1, 99.5))
    shown = sample[(sample > low) & (sample <= np.percentile(sample, 99.9))]
    if shown.size == 0:
        shown = sample
    counts, edges = np.histogram(shown, 96)
    return Snapshot(
        view(image, point),
        (float(low), float(high) if high > low else float(low) + 1.0),
        Histogram(counts.astype(np.int64), edges),
        view(mask, point) if mask is not None else None,
        view(overlay, point) if overlay is not None else None,
    )


def view(volume: Volume, point: npt.ArrayLike) -> View:
    """Three planes of a volume through the voxels nearest to a point (mm, RAS+)."""
    order, flip = volume.grid.axes_to("RAS")
    data: npt.NDArray[Any] = np.flip(
        np.transpose(volume.data, order), tuple(a for a, f in enumerate(flip) if f)
    )
    grid = volume.grid.reoriented("RAS")
    index = np.clip(np.round(grid.to_index(point)), 0, np.asarray(grid.shape) - 1).astype(int)
    spacing = grid.spacing
    planes: dict[str, Plane] = {}
    aspect: dict[str, float] = {}
    for name, axis in PLANES.items():
        plane = np.take(data, index[axis], axis=axis)  # (first, second) of the two left axes
        # Rows run down: the second axis, reversed; columns: the first, reversed too, so that the
        # patient's left (and, sagittally, the nose to the left) is where radiologists expect it.
        planes[name] = np.ascontiguousarray(plane.T[::-1, ::-1]).astype(np.float32)
        across, up = (a for a in range(3) if a != axis)
        aspect[name] = spacing[up] / spacing[across]
    p = np.asarray(point, dtype=np.float64)
    return View(planes, aspect, (float(p[0]), float(p[1]), float(p[2])))


def middle(volume: Volume) -> npt.NDArray[np.float64]:
    """A point worth looking at: the centre of what is bright (or of a mask), (3,), mm."""
    data = np.nan_to_num(np.asarray(volume.data, dtype=np.float32))[::2, ::2, ::2]
    inside = data > (0.5 if volume.role is Role.MASK else data.mean())
    if not inside.any():
        return volume.grid.center
    index = 2 * np.array(
        [
            np.average(np.arange(n), weights=inside.sum(axis=other) + 1e-9)
            for n, other in zip(inside.shape, ((1, 2), (0, 2), (0, 1)), strict=True)
        ]
    )
    return volume.grid.to_world(index)
