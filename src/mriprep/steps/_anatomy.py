"""What can be told of a scan by looking: head or bare brain, how alike two images are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, Volume

#: A brain without skull fills at most this much (ml); a head, even a child's, more.
_LARGEST_BRAIN_ML = 2300.0
#: Of a stripped image, at least this share is exactly background.
_LEAST_BACKGROUND = 0.35


def looks_stripped(image: Volume) -> bool:
    """Whether a scan seems to be a brain without its skull.

    Judged by what is left: a background of one exact value around no more
    than a brain's volume. A scanner's background is noise, and a head is
    larger.
    """
    data = image.data
    background = data == np.nanmin(data)
    share = float(background.mean())
    filled_ml = (1 - share) * data.size * image.grid.voxel_volume / 1000
    return share > _LEAST_BACKGROUND and filled_ml < _LARGEST_BRAIN_ML


def center_of_mass(image: Volume) -> npt.NDArray[np.float64]:
    """Centre of mass of the intensities above the mean, (3,), mm, RAS+."""
    data = np.nan_to_num(np.asarray(image.data, dtype=np.float32))
    # One spike or a bright fat rim must not pull the centre: everything bright counts alike.
    weight = (data > data.mean()).astype(np.float32)
    total = float(weight.sum())
    if total == 0:
        return image.grid.center
    index = [
        float((weight.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(n)).sum())
        / total
        for axis, n in enumerate(data.shape)
    ]
    return image.grid.to_world(index)


def similarity(fixed: Volume, moving: Volume, matrix: npt.NDArray[np.float64]) -> float:
    """Normalised mutual information of two images under a transform, 1 (unrelated) to 2.

    Studholme C et al. An overlap invariant entropy measure of 3D medical
    image alignment. Pattern Recognit 1999. doi:10.1016/S0031-3203(98)00091-0

    Parameters
    ----------
    fixed, moving : Volume
        The images.
    matrix : (4, 4) array
        Fixed mm to moving mm.

    Returns
    -------
    float
        Over a 4 mm grid of the fixed image; what lies outside the moving
        image counts as background, so that sliding apart is no gain.
    """
    from mriprep.kernels import sample

    coarse = fixed.grid.with_spacing(4.0)
    pairs = []
    for image, pull in ((fixed, np.eye(4)), (moving, matrix)):
        to_index = (np.linalg.inv(image.affine) @ pull @ coarse.affine)[:3]
        values = np.nan_to_num(image.floats())
        pairs.append(_bins(sample.linear(_smooth(values, image.grid), to_index, coarse.shape)))
    joint = np.bincount(pairs[0].ravel() * 32 + pairs[1].ravel(), minlength=1024) / pairs[0].size
    table = joint.reshape(32, 32)
    return float((_entropy(table.sum(0)) + _entropy(table.sum(1))) / max(_entropy(table), 1e-12))


def _smooth(values: npt.NDArray[np.float32], grid: Grid) -> npt.NDArray[np.float32]:
    from scipy import ndimage

    width = [max(4.0 / s / 2, 1) for s in grid.spacing]
    smooth: npt.NDArray[np.float32] = ndimage.uniform_filter(
        values, [int(w) for w in width], mode="nearest"
    )
    return smooth


def _bins(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (values - low) / max(float(high - low), 1e-12) * 31
    return np.clip(scaled, 0, 31).astype(np.int64)


def _entropy(p: npt.NDArray[np.float64]) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())
