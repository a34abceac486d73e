"""A head on the isotropic grid that a network was trained on, and its answer back on the scan's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError, Grid, Volume

Floats = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]

#: Of a slice, the part that must be head for the slice to belong to the head's box.
_PART = 0.01


def grid_of(image: Grid, orientation: str, spacing: float = 1.0) -> Grid:
    """The isotropic grid over an image's field of view, along its own axes, in an orientation."""
    return image.reoriented(orientation).with_spacing(spacing)


def onto(image: Volume, grid: Grid) -> Floats:
    """The voxels of an image on another grid, its minimum made 0; interpolated once.

    Where the new grid is coarser, the image is blurred just as much as that
    takes (Cardoso MJ et al, MICCAI 2015, doi:10.1007/978-3-319-24571-3_81).
    """
    from mriprep.kernels import sample

    data = image.floats()
    data -= data.min()
    along = np.abs(image.grid.direction.T @ grid.direction) @ np.asarray(grid.spacing)
    variance = (along**2 - np.asarray(image.spacing) ** 2) / (8 * np.log(2))
    if (variance > 1e-3).any():
        from scipy import ndimage

        for axis, v in enumerate(variance):
            if v > 1e-3:
                sigma = float(np.sqrt(v)) / image.spacing[axis]
                data = ndimage.gaussian_filter1d(data, sigma, axis, mode="nearest")
    return sample.linear(data, (np.linalg.inv(image.affine) @ grid.affine)[:3], grid.shape)


def back(values: Floats, grid: Grid, image: Volume) -> Volume:
    """A probability map on an image's own grid; interpolated once."""
    from mriprep.kernels import sample

    matrix = (np.linalg.inv(grid.affine) @ image.affine)[:3]
    result = sample.linear(values, matrix, image.shape)
    return image.replace(np.clip(result, 0, 1, out=result), role="probability")


def head_box(values: Floats, threshold: float, margin: int, engine: str) -> Box:
    """The box of what is brighter than a threshold, with a margin in voxels.

    Raises
    ------
    EngineError
        If nothing is.
    """
    bright = values > threshold
    box = []
    for axis, n in enumerate(values.shape):
        profile = bright.mean(axis=tuple(a for a in range(3) if a != axis))
        rows = np.flatnonzero(profile > _PART)
        if rows.size == 0:
            raise EngineError(
                f"{engine} sees no head in this image", hint="is it a scan of a head?"
            )
        box.append(slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, n)))
    return box[0], box[1], box[2]
