"""Smooth solids on a lattice: the vocabulary the head outside the brain is drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid

Floats = npt.NDArray[np.float32]
Point = tuple[float, float, float]
Window = tuple[slice, slice, slice]

#: Width of the partial-volume ramp across a surface, mm.
EDGE_MM = 1.5


@dataclass(frozen=True)
class Blob:
    """An ellipsoid, or a rounded cone between two ends, filled with one tissue.

    Parameters
    ----------
    tissue : str
        What it is filled with.
    center : (3,) floats
        Its centre, or the start of the cone, template mm.
    radii : (3,) floats
        Half axes of the ellipsoid, mm; of a cone the radius at its start is the first.
    end : (3,) floats, optional
        Where the cone ends.
    end_radius : float, optional
        Radius there; the one at the start if left out.
    wall : float, optional
        Half the thickness of a hollow solid's wall, mm; solid if left out.
    """

    tissue: str
    center: Point
    radii: Point
    end: Point | None = None
    end_radius: float | None = None
    wall: float | None = None

    def mirrored(self) -> Blob:
        """The same solid on the other side of the head."""
        x, y, z = self.center
        end = None if self.end is None else (-self.end[0], self.end[1], self.end[2])
        return replace(self, center=(-x, y, z), end=end)


def ball(tissue: str, center: Point, radii: float | Point, wall: float | None = None) -> Blob:
    """An ellipsoid, a sphere if one radius is given."""
    full = (radii, radii, radii) if isinstance(radii, (int, float)) else radii
    return Blob(tissue, center, full, wall=wall)


def rod(
    tissue: str, start: Point, end: Point, radius: float, end_radius: float | None = None
) -> Blob:
    """A rounded cone from one point to another."""
    return Blob(tissue, start, (radius, radius, radius), end, end_radius)


def pair(blob: Blob) -> tuple[Blob, Blob]:
    """A solid and its mirror image."""
    return blob, blob.mirrored()


def window(blob: Blob, grid: Grid, margin: float = 2.0) -> Window:
    """The part of an axis-aligned lattice that a solid can touch."""
    ends = np.array([blob.center, blob.end or blob.center])
    reach = np.maximum(blob.radii, blob.end_radius or 0) + (blob.wall or 0) + margin
    low = np.floor(grid.to_index(ends.min(axis=0) - reach)).astype(int)
    high = np.ceil(grid.to_index(ends.max(axis=0) + reach)).astype(int) + 1
    a, b, c = (
        slice(max(int(lo), 0), max(min(int(hi), n), 0))
        for lo, hi, n in zip(low, high, grid.shape, strict=True)
    )
    return a, b, c


def coordinates(grid: Grid, at: Window | None = None) -> tuple[Floats, Floats, Floats]:
    """World coordinates along the axes of an axis-aligned lattice, as arrays that broadcast."""
    at = at or (slice(None), slice(None), slice(None))
    axes = [
        (grid.affine[i, 3] + grid.affine[i, i] * np.arange(n)).astype(np.float32)[at[i]]
        for i, n in enumerate(grid.shape)
    ]
    return axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]


def distance(blob: Blob, xyz: Sequence[Floats]) -> Floats:
    """Signed distance to the surface of a solid, mm, negative inside (near the surface)."""
    offset = [axis - np.float32(c) for axis, c in zip(xyz, blob.center, strict=True)]
    if blob.end is None:
        # The usual first-order distance to an ellipsoid, exact on its surface.
        unit = [o / np.float32(r) for o, r in zip(offset, blob.radii, strict=True)]
        k0 = np.sqrt(sum(u * u for u in unit))
        k1 = np.sqrt(sum((u / r) ** 2 for u, r in zip(unit, blob.radii, strict=True)))
        d = k0 * (k0 - 1) / np.maximum(k1, 1e-6)
        d = np.where(k0 < 1e-3, -min(blob.radii), d)
    else:
        along = np.subtract(blob.end, blob.center).astype(np.float32)
        t = sum(o * a for o, a in zip(offset, along, strict=True)) / float(along @ along)
        t = np.clip(t, 0, 1)
        last = blob.radii[0] if blob.end_radius is None else blob.end_radius
        d = np.sqrt(sum((o - t * a) ** 2 for o, a in zip(offset, along, strict=True)))
        d = d - (blob.radii[0] + t * (last - blob.radii[0]))
    if blob.wall is not None:
        d = np.abs(d) - blob.wall
    return np.asarray(d, dtype=np.float32)


def coverage(d: Floats, edge: float = EDGE_MM) -> Floats:
    """The fraction of a voxel inside a surface at signed distance `d`, mm."""
    inside: Floats = np.clip(np.float32(0.5) - d / np.float32(edge), 0, 1)
    return inside


def union(distances: Sequence[Floats], blend: float) -> Floats:
    """Signed distance to several solids merged, their joints rounded over `blend` mm."""
    merged = distances[0]
    for d in distances[1:]:
        h = np.clip(np.float32(0.5) + (d - merged) / np.float32(2 * blend), 0, 1)
        merged = d + (merged - d) * h - np.float32(blend) * h * (1 - h)
    return merged
