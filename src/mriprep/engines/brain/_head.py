"""A head to register to, drawn around a brain: fluid, skull and scalp as shells of usual thickness.

A brain alone is a poor template for a head: mutual information is as high
where the whole head is shrunk into the brain's place. With a skull and a
scalp around it, the two surfaces that every contrast shows fix the size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, Role, Volume

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

#: Voxel size of the drawn head, mm.
SPACING_MM = 2.0
#: Outer surfaces of fluid, skull and scalp, and how far the air around them counts: mm from the brain.
_SHELLS_MM = (1.0, 7.0, 14.0)
_AIR_MM = 28.0
#: Their intensities, relative to the brightest of the brain.
_INTENSITIES = (0.15, 0.08, 1.1)
#: Below this share of the brain's height there are face and neck: only this much around it counts.
_BASE = 0.4
_BELOW_MM = 4.0
#: What a template with a skull shows this near to its brain counts (mm).
_NEAR_MM = 15.0
#: From the edge of a template without skull to where the brain's space ends in the mean (mm): such
#: templates end at the cortex, masks of brains in the fluid around it.
_FLUID_MM = 0.8
#: Volume of the brain that these thicknesses belong to, and of the largest brain (ml).
_USUAL_ML = 1887.0
_LARGEST_ML = 2300.0
#: A voxel of a stripped template is brain above this share of the brightest.
_FAINT = 0.05


@dataclass(frozen=True, eq=False)
class Head:
    """A template ready to be registered to; all on one grid of about 2 mm, RAS.

    Parameters
    ----------
    image : Volume
        The head.
    region : Volume
        Mask of what counts.
    brain : Volume
        Mask of the brain.
    distance : (X, Y, Z) float32
        Signed distance to the brain's smoothed surface, mm, positive outside.
    drawn : bool
        Whether skull and scalp are drawn, not seen.
    """

    image: Volume
    region: Volume
    brain: Volume
    distance: Floats
    drawn: bool


def head(template: Volume, mask: Volume | None) -> Head:
    """Make a template ready.

    Parameters
    ----------
    template : Volume
        A head, or a brain without skull; upright in its world.
    mask : Volume, optional
        The brain's mask on the template's grid; needed for a head.

    Raises
    ------
    InputError
        If there is no brain in it, or it is a head without a mask.
    """
    from scipy import ndimage

    values = np.nan_to_num(template.floats())
    inside = _brain(values, template) if mask is None else _given(mask, template)
    values, share, grid = _coarse(values, inside, template.grid)
    inside = np.asarray(ndimage.binary_fill_holes(share > 0.5))
    unit = (inside.sum() * grid.voxel_volume / 1000 / _USUAL_ML) ** (1 / 3)
    distance = ndimage.gaussian_filter(signed_distance(inside, grid.spacing), 1.0)
    if mask is None:
        distance -= np.float32(_FLUID_MM * unit)
        inside = distance < 0
    bright = float(np.percentile(values[inside], 97))
    near = (distance > 2 * unit) & (distance < _NEAR_MM * unit)
    seen = mask is not None and bool((values[near] > _FAINT * bright).mean() > 0.25)
    if seen:
        region = distance <= _NEAR_MM * unit
    else:
        values = values / np.float32(bright)
        values[~inside] = 0
        within = 0.0
        for reach, intensity in zip(_SHELLS_MM, _INTENSITIES, strict=True):
            values[(distance > within) & (distance <= reach * unit) & ~inside] = intensity
            within = reach * unit
        height = np.flatnonzero(inside.any(axis=(0, 1)))
        base = height[0] + _BASE * (height[-1] - height[0])
        above = np.arange(grid.shape[2]) > base
        region = (distance <= _BELOW_MM * unit) | ((distance <= _AIR_MM * unit) & above)
    return Head(
        Volume(values, grid),
        Volume(region, grid, Role.MASK),
        Volume(inside, grid, Role.MASK),
        distance,
        not seen,
    )


def signed_distance(inside: Bools, spacing: tuple[float, ...]) -> Floats:
    """Distance to the surface between voxels, mm, positive outside; float32, the mask's shape."""
    from scipy import ndimage

    outer = ndimage.distance_transform_edt(~inside, spacing)
    inner = ndimage.distance_transform_edt(inside, spacing)
    half = np.where(inside, -0.5, 0.5) * min(spacing)
    return np.asarray(outer - inner - half, dtype=np.float32)


def _brain(values: Floats, template: Volume) -> Bools:
    """What a template without skull shows, one piece without holes."""
    from scipy import ndimage

    shown = values > _FAINT * float(np.percentile(values, 99.5))
    labels, count = ndimage.label(shown)
    if count == 0:
        raise InputError("the template of the brain is empty", hint="give an image of a brain")
    inside = ndimage.binary_fill_holes(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))
    ml = float(inside.sum()) * template.grid.voxel_volume / 1000
    if ml > _LARGEST_ML:
        raise InputError(
            f"the template shows {ml:.0f} ml, more than a brain: it is a head, and no mask tells"
            " where its brain is",
            hint="give the mask of its brain (template_mask), or a template without skull",
        )
    return np.asarray(inside)


def _given(mask: Volume, template: Volume) -> Bools:
    if not mask.grid.matches(template.grid):
        raise InputError(
            f"the template's mask ({mask.grid}) is not on the template's grid ({template.grid})",
            hint="resample it to the template",
        )
    if not mask.data.any():
        raise InputError("the template's mask is empty", hint="give the mask of its brain")
    return np.asarray(mask.data, dtype=bool)


def _coarse(values: Floats, inside: Bools, grid: Grid) -> tuple[Floats, Floats, Grid]:
    """Values and the mask's share on a grid of about 2 mm along the world's axes, with room around."""
    from mriprep.kernels import sample
    from mriprep.kernels.shrink import block_means

    corners = grid.to_world(np.argwhere(inside)[:: max(1, int(inside.sum()) // 20000)])
    low = corners.min(axis=0) - _AIR_MM - 4
    size = np.ceil((corners.max(axis=0) + _AIR_MM + 4 - low) / SPACING_MM).astype(int)
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = low
    x, y, z = (int(n) for n in size)
    coarse = Grid((x, y, z), affine)
    a, b, c = (max(1, round(SPACING_MM / s)) for s in grid.spacing)
    a, b, c = (min(f, n) for f, n in zip((a, b, c), grid.shape, strict=True))
    shrunk = grid.affine @ np.diag([a, b, c, 1.0])
    shrunk[:3, 3] += grid.affine[:3, :3] @ ((np.array([a, b, c]) - 1) / 2)
    matrix = np.asarray((np.linalg.inv(shrunk) @ affine)[:3], dtype=np.float64)
    both = (
        sample.linear(block_means(part, (a, b, c)), matrix, coarse.shape)
        for part in (values, inside.astype(np.float32))
    )
    image, share = both
    return image, share, coarse
