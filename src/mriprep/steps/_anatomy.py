"""What can be told of a scan by looking: head or bare brain, where it lies, what it shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, Volume
from mriprep.kernels.otsu import otsu

#: A brain without skull fills at most this much (ml); a head, even a child's, more.
_LARGEST_BRAIN_ML = 2300.0
#: Of a stripped image, at least this share is exactly background.
_LEAST_BACKGROUND = 0.35
#: What a head shows outside its brain mask, relative to the mask: twice as much in a newborn,
#: and more later. A stripped scan may have kept a rim that the mask has not.
_MOST_OUTSIDE_MASK = 0.75


def looks_stripped(image: Volume, mask: Volume | None = None) -> bool:
    """Whether a scan seems to be a brain without its skull.

    Judged by what is left: a background of one exact value around no more
    than a brain's volume. A scanner's background is noise, and a head is
    larger; but a newborn's head on a blank background is not, and only the
    mask of its brain can tell.

    Parameters
    ----------
    image : Volume
        The scan.
    mask : Volume, optional
        Its brain mask, on the same grid.
    """
    data = image.data
    i, j, k = (max(n - 1, 1) for n in data.shape)
    corners, counts = np.unique(data[::i, ::j, ::k], return_counts=True)
    blank = corners[np.argmax(counts)]
    shown = ~np.isnan(data) if np.isnan(blank) else data != blank
    if mask is not None and (shown & ~mask.data).sum() > _MOST_OUTSIDE_MASK * mask.data.sum():
        return False
    share = float(shown.mean())
    filled_ml = share * data.size * image.grid.voxel_volume / 1000
    return 1 - share > _LEAST_BACKGROUND and filled_ml < _LARGEST_BRAIN_ML


def center_of_mass(image: Volume) -> npt.NDArray[np.float64]:
    """Centre of mass of the intensities above the mean, (3,), mm, RAS+."""
    data = np.nan_to_num(np.asarray(image.data, dtype=np.float32))
    # A few spikes or a bright fat rim must not pull the centre: everything bright counts alike.
    usual = np.minimum(data, np.percentile(data[::2, ::2, ::2], 99.5))
    weight = (data > usual.mean(dtype=np.float64)).astype(np.float32)
    total = float(weight.sum())
    if total == 0:
        return image.grid.center
    index = [
        float((weight.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(n)).sum())
        / total
        for axis, n in enumerate(data.shape)
    ]
    return image.grid.to_world(index)


def surroundings(image: Volume, margin: float) -> Volume:
    """What an image shows, holes filled, and `margin` mm around it: a mask on its grid.

    The largest piece above half of Otsu's threshold, found on a 3 mm grid,
    which is fine enough for a region that is only to leave out empty space.
    """
    from scipy import ndimage

    from mriprep.kernels import sample

    coarse = image.grid.with_spacing(3.0)
    values = _smooth(np.nan_to_num(image.floats()), image.grid, 3.0)
    matrix = (np.linalg.inv(image.affine) @ coarse.affine)[:3]
    values = sample.linear(values, matrix, coarse.shape)
    labels, count = ndimage.label(values > otsu(values) / 2)
    if count:
        shown = ndimage.binary_fill_holes(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))
        near = ndimage.distance_transform_edt(~shown, coarse.spacing) <= margin
        near = ndimage.binary_fill_holes(near)
    else:
        near = np.ones(coarse.shape, dtype=bool)
    back = (np.linalg.inv(coarse.affine) @ image.affine)[:3]
    inside = sample.nearest(near.view(np.uint8), back, image.shape)
    return image.replace(inside.view(np.bool_), role="mask")


def _smooth(values: npt.NDArray[np.float32], grid: Grid, spacing: float) -> npt.NDArray[np.float32]:
    """Averaged over boxes of about `spacing` mm."""
    from scipy import ndimage

    width = [max(spacing / s / 2, 1) for s in grid.spacing]
    smooth: npt.NDArray[np.float32] = ndimage.uniform_filter(
        values, [int(w) for w in width], mode="nearest"
    )
    return smooth
