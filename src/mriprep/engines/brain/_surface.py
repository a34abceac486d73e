"""A carried brain surface, moved to where the image's own profile across it repeats.

Across the surface of a brain, from grey matter over fluid and skull to the
scalp, every contrast shows a profile of its own. The registration puts the
surface right on average; where it lies too deep or too far out, the profile
is the neighbours', shifted. Each point of the surface is moved by the shift
that fits best, and the shifts are smoothed over the surface (after the idea
of Cootes TF et al. Active shape models, their training and application.
Comput Vis Image Underst 1995. doi:10.1006/cviu.1995.1004, with the profiles
learnt from the image itself). No contrast is assumed, and the volume stays
the registration's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Points are moved by so much at most in each round (mm), and expected within this of the start (SD, mm).
_REACH_MM = 6
_EXPECTED_MM = 2.5
_ROUNDS = 2
#: The part of the profile that is compared, mm from the surface, positive outside.
_WINDOW_MM = (-7, 5)
#: Shifts are smoothed over this far; profiles are compared with those this far around (SD, mm).
_SMOOTH_MM = 5.0
_REGION_MM = 25.0
#: Shading is taken out as the brain's own smoothed intensity (SD, mm), from this deep inside.
_SHADING_MM = 25.0
_CORE_MM = 4.0
#: Brighter than this, relative to the brain, is fat in one head and not in the next.
_BRIGHTEST = 1.4
#: Pull of the neighbours, from weak to strong, and how soft the choice of a shift is.
_PULLS = np.geomspace(0.02, 2.0, 10)
_SOFT = 0.5


class Points(NamedTuple):
    """Points of a surface, mm from the lattice's first voxel (N, 3), and outward normals (N, 3)."""

    at: Doubles
    normals: Doubles


def moved(flat: Floats, seen: Floats, distance: Floats, spacing: float) -> Floats:
    """The signed distance to a surface after it was moved to fit an image.

    Parameters
    ----------
    flat : (X, Y, Z) float32
        The image on the surface's lattice, isotropic, evened.
    seen : (X, Y, Z) float32
        1 where the image's field of view is, 0 outside.
    distance : (X, Y, Z) float32
        Signed distance to the surface, mm, positive outside.
    spacing : float
        Voxel size, mm.

    Returns
    -------
    (X, Y, Z) float32
        The same of the moved surface, mm.
    """
    from scipy import ndimage
    from scipy.spatial import cKDTree

    points = _points(distance, spacing)
    margin = 2 * _REACH_MM
    depths = np.arange(_WINDOW_MM[0] - margin, _WINDOW_MM[1] + margin + 1.0)
    index = (points.at[:, None] + depths[None, :, None] * points.normals[:, None]) / spacing
    shape = index.shape[:2]
    index = index.reshape(-1, 3).T
    profiles = ndimage.map_coordinates(flat, index, order=1, mode="nearest").reshape(shape)
    visible = ndimage.map_coordinates(seen, index, order=1, mode="nearest").reshape(shape)
    shifts = _shifts(points, profiles.astype(np.float64), visible, margin - _WINDOW_MM[0])

    band = np.abs(distance) < margin + 6
    where = np.argwhere(band) * spacing
    apart, near = cKDTree(points.at).query(where, k=4)
    weight = 1 / (apart + 0.5) ** 2
    result = distance.copy()
    result[band] -= (shifts[near] * weight).sum(axis=1) / weight.sum(axis=1)
    return result


def evened(values: Floats, seen: Floats, distance: Floats, spacing: float) -> Floats:
    """The image relative to the brain's own intensity nearby; arguments as :func:`moved`'s."""
    from scipy import ndimage

    core = (distance < -_CORE_MM) & (seen > 0.99)
    usual = float(np.median(values[core]))
    core &= (values > 0.5 * usual) & (values < 1.6 * usual)

    def smooth(a: Floats) -> Floats:
        out: Floats = ndimage.gaussian_filter(a, _SHADING_MM / spacing, truncate=2.5)
        return out

    weight = core.astype(np.float32)
    shading = (smooth(values * weight) + 1e-3 * usual) / (smooth(weight) + 1e-3)
    return np.asarray(np.clip(values / shading, 0, _BRIGHTEST), dtype=np.float32)


def _points(distance: Floats, spacing: float) -> Points:
    """Points about 3 mm apart on the surface: half of the voxels that it runs through."""
    near = np.abs(distance) < spacing / 2
    index = np.argwhere(near)
    index = index[index.sum(axis=1) % 2 == 0]
    i, j, k = index.T
    slopes = np.stack([np.gradient(distance, spacing, axis=a)[i, j, k] for a in range(3)], axis=1)
    normals = slopes / np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), 1e-6)
    at = index * spacing - distance[i, j, k][:, None] * normals
    return Points(at.astype(np.float64), normals.astype(np.float64))


def _averages(points: Points, width: float, count: int, every: int = 1) -> Any:
    """A sparse matrix (N, N) of means over points nearby that face the same way."""
    from scipy import sparse
    from scipy.spatial import cKDTree

    chosen = np.arange(0, len(points.at), every)
    apart, near = cKDTree(points.at[chosen]).query(points.at, k=min(count, len(chosen)))
    near = chosen[near]
    alike = np.einsum("nkc,nc->nk", points.normals[near], points.normals)
    weight = np.exp(-(apart**2) / (2 * width**2)) * np.clip(alike, 0.02, 1)
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(near)), near.shape[1])
    return sparse.csr_matrix((weight.ravel(), (rows, near.ravel())), shape=(len(near),) * 2)


def _shifts(points: Points, profiles: Doubles, visible: Doubles, zero: int) -> Doubles:
    """How far each point moves outwards (N,), mm; the mean is 0.

    In each round, every shift gets a cost: the squared difference from the
    region's mean profile in units of its variance, and the distance from the
    start. Then the cheapest shifts are drawn to their neighbours', ever more
    strongly.
    """
    near = _averages(points, _SMOOTH_MM, 24)
    wide = _averages(points, _REGION_MM, 150, every=8)
    profiles = near @ profiles
    window = np.arange(_WINDOW_MM[0], _WINDOW_MM[1] + 1)
    offsets = np.arange(-_REACH_MM, _REACH_MM + 1)
    rows = np.arange(len(profiles))[:, None]

    def at(a: Doubles, shift: Doubles) -> Doubles:
        where = np.clip(shift[:, None] + window + zero, 0, a.shape[1] - 1.001)
        cell = where.astype(int)
        rest = where - cell
        return np.asarray(a[rows, cell] * (1 - rest) + a[rows, cell + 1] * rest)

    shift = np.zeros(len(profiles))
    for _ in range(_ROUNDS):
        here = at(profiles, shift)
        mean = wide @ here
        variance = wide @ (here - mean) ** 2 + 0.03**2
        moves = shift[:, None] + offsets
        cost = np.stack(
            [((at(profiles, m) - mean) ** 2 / variance).sum(axis=1) / 6 for m in moves.T], axis=1
        )
        # What is not seen says nothing.
        cost[at(visible, shift).min(axis=1) < 0.5] = 0
        cost += moves**2 / (2 * _EXPECTED_MM**2)
        for pull in _PULLS:
            total = cost + pull * (moves - shift[:, None]) ** 2
            chance = np.exp((total.min(axis=1, keepdims=True) - total) / _SOFT)
            shift = near @ (near @ ((chance * moves).sum(axis=1) / chance.sum(axis=1)))
        shift = shift - shift.mean()
    return np.asarray(shift)
