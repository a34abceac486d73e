"""Putting a volume onto another grid, every voxel interpolated once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Gt, Le

from mriprep.core import Grid, InputError, MriprepWarning, Role, Transform, Volume
from mriprep.declare import Citation, Unit, step
from mriprep.io.inspect import looks_like

from ._common import finite

Millimetres = Annotated[float, Gt(0), Le(50), Unit("mm")]
Target = Transform | Volume | Grid | Literal["native"] | None

#: More voxels than this (16 GB of float32) are a mistake in the spacing.
_MOST_VOXELS = 4e9

_CARDOSO = Citation(
    "cardoso2015",
    "Cardoso MJ et al. Scale factor point spread function matching: beyond aliasing in image"
    " resampling. MICCAI 2015.",
    "10.1007/978-3-319-24571-3_81",
)


def target(
    image: Grid,
    to: Target = None,
    on: Volume | Grid | None = None,
    spacing: float | tuple[float, float, float] | None = None,
) -> Grid:
    """The grid that :func:`resample` will make."""
    if on is not None:
        base = on if isinstance(on, Grid) else on.grid
    elif isinstance(to, Grid):
        base = to
    elif isinstance(to, Volume):
        base = to.grid
    elif isinstance(to, Transform):
        if to.reference is None:
            raise InputError(
                "the transform does not know the grid of its reference: files in ITK's formats"
                " hold none",
                hint="say which with `on` (an image of the reference, or its grid); on the command line,"
                " --on FILE",
            )
        base = to.reference
    else:
        base = image
        spacing = 1.0 if spacing is None else spacing
    return base if spacing is None else base.with_spacing(spacing)


def _plan(inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Grid:
    return target(
        inputs["image"],
        parameters.get("to") or inputs.get("to"),
        inputs.get("on"),
        parameters["spacing"],
    )


@step(
    each=True,
    plan=_plan,
    methods="All volumes were brought to their final grid by a single interpolation ({interpolation}"
    " for images, {labels} for labels).",
    citations=(_CARDOSO,),
    bytes_per_voxel=8,
    seconds_per_megavoxel=0.05,
)
def resample(
    image: Volume,
    to: Target = None,
    on: Volume | Grid | None = None,
    *,
    spacing: Millimetres | tuple[Millimetres, Millimetres, Millimetres] | None = None,
    interpolation: Literal["linear", "cubic"] = "linear",
    labels: Literal["onehot", "nearest"] = "onehot",
    antialias: bool = True,
) -> Volume:
    """Bring a volume to a spacing, a template's grid, or another volume's grid.

    How voxels are interpolated follows from the volume's role: images and
    probabilities smoothly, masks and labels without inventing values. Where
    the new voxels lie exactly on old ones, values are copied.

    Parameters
    ----------
    image : Volume
        An image, mask, label map or probability map.
    to : Transform, Volume, Grid or "native", optional
        Where to: the reference of a transform (through which it is pulled),
        another volume's grid, or, without it and as "native", its own world.
    on : Volume or Grid, optional
        The grid to sample on, in the reference's world, where it is not the
        transform's own.
    spacing : float or three floats, optional
        Voxel size of the result. 1 mm isotropic where `to` is not given; the
        target's own otherwise. The field of view is kept to the voxel.
    interpolation : {"linear", "cubic"}
        For images. Cubic B-splines are sharper, and clamped to the input's
        range so that no negative is born of their overshoot.
    labels : {"onehot", "nearest"}
        For labels and masks: the label with most linear weight around a
        point (smooth borders, no stair-steps), or the nearest voxel's.
    antialias : bool
        Whether to blur an image along the axes on which the new grid is
        coarser, just enough to keep what cannot be shown from folding back.

    Returns
    -------
    Volume
        Of the same role; images and probabilities float32 (unless copied).
        Outside the input's field of view it is 0.
    """
    to = None if to == "native" else to
    grid = target(image.grid, to, on, spacing)
    pull = to.matrix if isinstance(to, Transform) else np.eye(4)
    matrix = (np.linalg.inv(image.affine) @ pull @ grid.affine)[:3]
    _check_size(grid)
    if _copies(matrix):
        from mriprep.kernels import sample

        return image.replace(sample.nearest(image.data, np.round(matrix), grid.shape), grid=grid)
    if image.role is Role.IMAGE and looks_like(image) is Role.LABELS:
        warnings.warn(
            "this image looks like labels; interpolated as an image, its numbers become others:"
            ' give it its role: read(path, role="labels"), or --role labels',
            MriprepWarning,
            stacklevel=3,
        )
    if image.role is Role.IMAGE and image.meta.get("interpolated"):
        warnings.warn(
            "this image was interpolated before: a second time blurs it again; resample the"
            " original with the composed transforms instead (`second @ first`)",
            MriprepWarning,
            stacklevel=3,
        )
    data = _interpolate(image, matrix, grid.shape, interpolation, labels, antialias)
    return image.replace(data, grid=grid, interpolated=True)


def _check_size(grid: Grid) -> None:
    """Refuse what no machine could hold, before trying."""
    if np.prod(grid.shape, dtype=float) > _MOST_VOXELS:
        raise InputError(
            f"the result would have {grid}: {np.prod(grid.shape, dtype=float):.1e} voxels",
            hint=f"give a coarser spacing; at most {_MOST_VOXELS:.0e} voxels are made",
        )


def _copies(matrix: npt.NDArray[np.float64]) -> bool:
    """Whether every output voxel's centre is an input voxel's centre."""
    return bool(np.allclose(matrix, np.round(matrix), atol=1e-4)) and bool(
        np.allclose(np.abs(np.linalg.det(matrix[:, :3])), 1, atol=1e-4)
    )


def _interpolate(
    image: Volume,
    matrix: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    interpolation: str,
    labels: str,
    antialias: bool,
) -> npt.NDArray[Any]:
    from mriprep.kernels import sample

    if image.role in (Role.MASK, Role.LABELS):
        data = image.data.view(np.uint8) if image.role is Role.MASK else image.data
        if labels == "nearest":
            result = sample.nearest(data, matrix, shape)
        else:
            lengths = np.linalg.norm(matrix[:, :3], axis=0)
            i, j, k = (int(np.ceil(n - 1e-3)) if antialias else 1 for n in lengths)
            result = sample.vote(data, matrix, shape, (max(i, 1), max(j, 1), max(k, 1)))
        return result.view(np.bool_) if image.role is Role.MASK else result
    values = finite(image, "resample")
    if antialias:
        values = _blur(values, np.linalg.norm(matrix[:, :3], axis=1))
    if interpolation == "cubic" and image.role is Role.IMAGE:
        return sample.cubic(values, matrix, shape)
    return sample.linear(values, matrix, shape)


def _blur(
    values: npt.NDArray[np.float32], steps: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Match the point spread function of voxels `steps` times as large along each axis."""
    from scipy import ndimage

    fwhm_to_sigma = 1 / np.sqrt(8 * np.log(2))
    sigmas = np.sqrt(np.maximum(steps**2 - 1, 0)) * fwhm_to_sigma
    for axis, sigma in enumerate(sigmas):
        # Below a tenth of a voxel the kernel is a single tap.
        if sigma > 0.1:
            values = ndimage.gaussian_filter1d(values, float(sigma), axis, mode="nearest")
    return values
