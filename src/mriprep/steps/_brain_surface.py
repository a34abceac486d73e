"""What can be measured of a brain mask against its image: shape, edges, what lies on either side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.engines.brain._head import signed_distance
from mriprep.kernels.otsu import otsu

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

#: Voxels are averaged over blocks of about this size, mm: enough for a brain's shape, and
#: the same whatever the scan's resolution.
_COARSE_MM = 3.2
#: Surfaces are measured after smoothing by this much (standard deviation, mm): alike on any grid.
_SMOOTH_MM = 3.5
#: How far around the mask is looked, mm.
_AROUND_MM = 14.0
#: Distances from the surface, mm: the rim inside of it, the shell outside, and the deep brain that
#: both are compared with.
_RIM = (-5.0, -1.0)
_SHELL = (1.0, 5.0)
_DEEP = -9.0
_BINS = 16
#: How far a surface is nudged as a whole, and moved in or out, to see whether it lies on the edge, mm.
_NUDGE_MM, _MOVE_MM = 7.0, 5.0
#: The surface is looked at in 24 parts, by direction from the middle; with fewer voxels a part says nothing.
_PARTS = 24
_FEWEST = 15
#: Of the parts, so many are bad in good masks too: below, where the brain goes on into the neck.
_WORST = 6
#: Of the parts, how many lie under the vault of the skull at least, and which of those count as thinnest.
_THIN, _VAULT = 4, 10
#: A mask of fewer coarse voxels has no shape.
_LEAST_VOXELS = 60


@dataclass(frozen=True)
class Coarse:
    """An image on a coarse grid.

    Parameters
    ----------
    values : (X, Y, Z) float32
        Averages over blocks of voxels.
    spacing : (3,) floats
        Of the coarse voxels, mm.
    factors : (3,) ints
        Voxels of the image in each block, by axis.
    right : (3,) floats
        Unit vector to the right (world x) in the array's axes.
    """

    values: Floats
    spacing: Doubles
    factors: tuple[int, int, int]
    right: Doubles

    @classmethod
    def of(cls, image: Volume) -> Coarse:
        """From an image with finite voxels."""
        from mriprep.kernels.shrink import block_means  # loads numba

        i, j, k = (max(1, round(_COARSE_MM / s)) for s in image.spacing)
        spacing = np.asarray(image.spacing, dtype=np.float64)
        axes = image.affine[:3, :3] / spacing
        return cls(
            block_means(np.ascontiguousarray(image.data, dtype=np.float32), (i, j, k)),
            spacing * (i, j, k),
            (i, j, k),
            np.asarray(axes.T @ (1.0, 0.0, 0.0)),
        )

    @functools.cached_property
    def depth(self) -> Floats:
        """How deep each voxel lies in the head, mm: its distance from the air around; 0 there."""
        from scipy import ndimage

        labels, count = ndimage.label(self.values > otsu(self.values) / 2)
        if not count:
            return np.zeros_like(self.values)
        head = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
        head = ndimage.binary_fill_holes(ndimage.binary_closing(head, iterations=2))
        return np.asarray(
            ndimage.distance_transform_edt(head, sampling=self.spacing), dtype=np.float32
        )

    def shares(self, mask: Bools) -> Floats:
        """Of a mask on the image's grid: the share of each block that lies in it."""
        from mriprep.kernels.shrink import block_means

        return block_means(np.ascontiguousarray(mask, dtype=np.float32), self.factors)


def measured(coarse: Coarse, mask: Bools) -> dict[str, float] | None:
    """Measures of a mask, none of which knows the contrast; None for a mask too small to have a shape.

    Parameters
    ----------
    coarse : Coarse
        The image.
    mask : (X, Y, Z) bool
        On the image's grid.

    Returns
    -------
    dict of str to float
        ``roundness``: surface of a ball of the same volume over the mask's;
        ``reach``: the farthest point over the radius of that ball;
        ``touch``: share of the surface at the border of the image;
        ``symmetry``: what of the mask lies in its mirror image at the plane about which the image
        is most like its own;
        ``least_deep``, ``deep``: how deep in the head the surface lies, mm, in the four parts of 24 (by
        direction) where it is least, and in the six that follow: skull and scalp;
        ``edges``: how far the image's gradient at the surface stands on it (mean squared
        cosine, weighted by squared strength; a third by chance);
        ``peak``: log of the gradient across the surface to that 5 to 10 mm beside it;
        ``nudged``, ``moved``: the same to the largest one when the surface is shifted by 7 mm along
        an axis, and when it is moved in or out by 5 mm;
        ``rim``, ``shell``: overlap of the histograms of the deep brain and of the 4 mm inside and
        outside of the surface; ``worst_rim``, ``worst_shell``: in the quarter of the surface where
        they are worst; ``parting``, ``worst_parting``: how much more what is inside looks like what is
        in the mask, rather than around it, than what is outside.
    """
    share = coarse.shares(mask)
    inside = share >= 0.5
    if inside.sum() < _LEAST_VOXELS:
        return None
    spacing = coarse.spacing
    area = _area(share, spacing)
    border = _at_border(share, spacing)
    box = _box(inside, spacing)
    values, share, inside = coarse.values[box], share[box], inside[box]
    distance = signed_distance(inside, tuple(spacing))
    low, high = np.percentile(values[distance < 6], (1, 99))
    values = np.clip(values, low, high)
    volume = float(share.sum() * spacing.prod())
    points = np.argwhere(inside) * spacing
    middle = points.mean(axis=0)
    far = float(np.percentile(np.linalg.norm(points - middle, axis=1), 99.5))
    return {
        "roundness": float(np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area),
        "reach": far / float((3 * volume / 4 / np.pi) ** (1 / 3)),
        "touch": border / max(area, border + _within(share, spacing), 1e-9),
        "symmetry": _symmetry(values, share, distance, spacing, coarse.right),
        **_scalp(coarse.depth[box], distance, middle, spacing),
        **_edges(values, distance, spacing),
        **_sides(values, distance, middle, spacing),
    }


def _box(inside: Bools, spacing: Doubles) -> tuple[slice, ...]:
    box = []
    for axis, (n, size) in enumerate(zip(inside.shape, spacing, strict=True)):
        rows = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        around = int(np.ceil(_AROUND_MM / size))
        box.append(slice(max(0, int(rows[0]) - around), min(n, int(rows[-1]) + 1 + around)))
    return tuple(box)


def _area(share: Floats, spacing: Doubles) -> float:
    """Surface of a mask, mm²: what its smoothed gradient adds up to."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(np.pad(share, 3), _SMOOTH_MM / spacing)
    return _steepness(smooth, spacing)


def _within(share: Floats, spacing: Doubles) -> float:
    """Surface of a mask within the image, mm²: of what it is when it goes on beyond the border.

    With :func:`_at_border` the whole of a slab thinner than the smoothing, of which
    :func:`_area` sees a part only.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(share, _SMOOTH_MM / spacing, mode="nearest")
    return _steepness(smooth, spacing)


def _steepness(smooth: Floats, spacing: Doubles) -> float:
    square = sum(g * g for g in _gradient(smooth, spacing))
    return float(np.sqrt(square).sum(dtype=np.float64) * spacing.prod())


def _gradient(values: Floats, spacing: Doubles) -> list[Floats]:
    """Gradient per mm, by axis; none along an axis that has one voxel."""
    return [
        np.gradient(values, size, axis=axis) if n > 1 else np.zeros_like(values)
        for axis, (n, size) in enumerate(zip(values.shape, spacing, strict=True))
    ]


def _at_border(share: Floats, spacing: Doubles) -> float:
    """What of a mask lies on the border of the image, mm²."""
    total = 0.0
    for axis, size in enumerate(spacing):
        ends = share.take((0, -1), axis=axis)
        total += float(ends.sum(dtype=np.float64) * spacing.prod() / size)
    return total


def _scalp(depth: Floats, distance: Floats, middle: Doubles, spacing: Doubles) -> dict[str, float]:
    """How deep in the head the surface lies where it lies least deep: under the vault of the skull."""
    index = np.argwhere(np.abs(distance) < 0.9 * spacing.min())
    part = _part(index * spacing - middle)
    here = depth[tuple(index.T)] - distance[tuple(index.T)]
    known = [here[part == p] for p in range(_PARTS)]
    middles = np.sort([np.median(k) for k in known if len(k) >= _FEWEST])
    if not len(middles):
        return {"least_deep": 0.0, "deep": 0.0}
    return {
        "least_deep": float(middles[:_THIN].mean()),
        "deep": float(middles[_THIN:_VAULT].mean()),
    }


def _edges(values: Floats, distance: Floats, spacing: Doubles) -> dict[str, float]:
    from scipy import ndimage

    along = _gradient(ndimage.gaussian_filter(values, 0.6), spacing)
    outwards = _gradient(ndimage.gaussian_filter(np.clip(distance, -15, 15), 0.7), spacing)
    none = np.zeros_like(values)
    length: Floats = np.sqrt(sum((g * g for g in outwards), none)) + np.float32(1e-9)
    across = sum((a * o for a, o in zip(along, outwards, strict=True)), none) / length
    strength = sum((a * a for a in along), none)
    surface = np.abs(distance) < 0.9 * spacing.min()
    beside = (np.abs(distance) > 5) & (np.abs(distance) < 10)
    scale = float(np.ptp(values)) + 1e-9
    here, there = (float(np.abs(across[w]).mean()) / scale for w in (surface, beside))
    square = float((across[surface] ** 2).sum(dtype=np.float64))
    nudged, moved = _nudged(along, outwards, length, surface, spacing)
    return {
        "edges": square / (float(strength[surface].sum(dtype=np.float64)) + 1e-12),
        "peak": float(np.log((here + 1e-5) / (there + 1e-5))),
        "nudged": nudged,
        "moved": moved,
    }


def _nudged(
    along: Sequence[Floats],
    outwards: Sequence[Floats],
    length: Floats,
    surface: Bools,
    spacing: Doubles,
) -> tuple[float, float]:
    """Log of the gradient across the surface to the largest across it nudged, and moved in or out."""
    from scipy import ndimage

    index = np.argwhere(surface)
    index = index[:: max(1, len(index) // 4000)]
    at = tuple(index.T)
    normal = np.stack([o[at] / length[at] for o in outwards], axis=1)

    def across(offset: Doubles) -> float:
        where = (index + offset / spacing).T
        parts = [ndimage.map_coordinates(g, where, order=1, mode="nearest") for g in along]
        return float(np.abs((np.stack(parts, axis=1) * normal).sum(axis=1)).mean()) + 1e-9

    here = across(np.zeros(3))
    nudges = [across(sign * _NUDGE_MM * axis) for axis in np.eye(3) for sign in (1, -1)]
    moves = [across(mm * normal) for mm in (-_MOVE_MM, _MOVE_MM)]
    return float(np.log(here / max(nudges))), float(np.log(here / max(moves)))


def _sides(values: Floats, distance: Floats, middle: Doubles, spacing: Doubles) -> dict[str, float]:
    edges = np.unique(np.quantile(values[distance < 10], np.linspace(0, 1, _BINS + 1)))
    if len(edges) < 3:  # nearly everything has one value
        same = dict.fromkeys(("rim", "shell", "worst_rim", "worst_shell"), 1.0)
        return {**same, "parting": 0.0, "worst_parting": 0.0}
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    deep = distance < min(_DEEP, float(np.median(distance[distance < 0])))
    if not deep.any():
        deep = distance < 0
    usual = np.bincount(bins[deep], minlength=_BINS) / max(int(deep.sum()), 1)
    index = np.argwhere(np.abs(distance) < max(*map(abs, (*_RIM, *_SHELL))))
    here = tuple(index.T)
    part = _part(index * spacing - middle)
    result = {}
    likely = _likely(bins, distance)
    sides = {}
    for name, (low, high) in (("rim", _RIM), ("shell", _SHELL)):
        chosen = (distance[here] > low) & (distance[here] < high)
        counts = np.zeros((_PARTS, _BINS))
        np.add.at(counts, (part[chosen], bins[here][chosen]), 1)
        many = counts.sum(axis=1)
        total = counts.sum(axis=0)
        alike = np.minimum(counts / np.maximum(many, 1)[:, None], usual).sum(axis=1)
        alike = np.sort(alike[many >= _FEWEST])
        with np.errstate(invalid="ignore"):
            sides[name] = np.where(many >= _FEWEST, counts @ likely / many, np.nan)
        worst = alike[:_WORST] if name == "rim" else alike[-_WORST:]
        result[name] = float(np.minimum(total / max(total.sum(), 1), usual).sum())
        result[f"worst_{name}"] = float(worst.mean()) if len(worst) else result[name]
    parting = np.sort((sides["rim"] - sides["shell"])[np.isfinite(sides["rim"] - sides["shell"])])
    result["parting"] = float(parting.mean()) if len(parting) else 0.0
    result["worst_parting"] = float(parting[:_WORST].mean()) if len(parting) else 0.0
    return result


def _likely(bins: npt.NDArray[np.intp], distance: Floats) -> Doubles:
    """By bin of intensity (N,): how probably a voxel lies inside the mask, not up to a centimetre outside."""
    inside, outside = (
        np.bincount(bins[w], minlength=_BINS) / max(int(w.sum()), 1)
        for w in (distance < _RIM[1], (distance > _SHELL[0]) & (distance < 10))
    )
    return np.asarray(inside / np.maximum(inside + outside, 1e-9))


def _part(direction: Doubles) -> npt.NDArray[np.intp]:
    """Which of 24 parts of a sphere directions (N, 3) point to: a cube's faces, quartered."""
    rows = np.arange(len(direction))
    face = np.argmax(np.abs(direction), axis=1)
    sides = np.array([[1, 2], [0, 2], [0, 1]])[face]
    signs = [direction[rows, a] > 0 for a in (face, sides[:, 0], sides[:, 1])]
    return np.asarray(face * 8 + signs[0] * 4 + signs[1] * 2 + signs[2])


def _symmetry(
    values: Floats, share: Floats, distance: Floats, spacing: Doubles, right: Doubles
) -> float:
    """Overlap of a mask with its mirror image at the midplane that the image itself tells."""
    from scipy import ndimage, optimize

    smooth = ndimage.gaussian_filter(values, 1.0)
    near = np.argwhere(distance < 8)
    near = near[:: max(1, len(near) // 2500)]
    seen = smooth[tuple(near.T)]
    points = near * spacing
    inside = np.argwhere(share >= 0.5) * spacing
    middle = inside.mean(axis=0)

    def mirrored(of: Floats, at: Doubles, normal: Doubles, offset: float, beyond: float) -> Doubles:
        other = at - 2 * ((at - middle) @ normal - offset)[:, None] * normal
        index = (other / spacing).T
        result: Doubles = ndimage.map_coordinates(
            of, index, order=1, mode="constant", cval=beyond, output=np.float64
        )
        return result

    def unlike(normal: Doubles, offset: float) -> float:
        theirs = mirrored(smooth, points, normal, offset, np.nan)
        known = ~np.isnan(theirs)
        a, b = seen[known], theirs[known]
        if known.mean() < 0.5 or np.ptp(a) == 0 or np.ptp(b) == 0:
            return 1.0
        return 1 - float(np.corrcoef(a, b)[0, 1])

    axes = np.linalg.eigh(np.cov((inside - middle).T))[1].T
    starts = [(n, o) for n in (right, *axes) for o in (-6.0, 0.0, 6.0)]
    normal, offset = min(starts, key=lambda s: unlike(*s))
    up = np.cross(normal, np.roll(normal, 1) + np.array([0.1, 0.2, 0.3]))
    up /= np.linalg.norm(up)
    side = np.cross(normal, up)

    def plane(x: Doubles) -> tuple[Doubles, float]:
        tilted = normal + x[0] * up + x[1] * side
        return tilted / np.linalg.norm(tilted), offset + 50 * float(x[2])

    simplex = np.vstack([np.zeros(3), 0.12 * np.eye(3)])
    found = optimize.minimize(
        lambda x: unlike(*plane(x)),
        np.zeros(3),
        method="Nelder-Mead",
        options={"maxfev": 60, "initial_simplex": simplex},
    )
    few = inside[:: max(1, len(inside) // 4000)]
    return float(mirrored(share, few, *plane(found.x), 0.0).mean())
