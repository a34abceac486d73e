"""What kind of input a brain is to be found in: a head, a brain already stripped, a bottle, a part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.kernels.otsu import otsu

from ._anatomy import looks_stripped
from ._brain_mask import one_piece
from ._brain_surface import Coarse

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

#: Contrasts in which white matter is brighter than grey, and fluid dark.
T1_LIKE = ("T1w", "T1c")
#: Contrasts that are known by name.
KNOWN = (*T1_LIKE, "T2w", "FLAIR", "PDw", "T2starw")

#: In the middle of the head: skewness, and correlation of brightness with distance from the middle.
#: Of 15 T1w and T1c scans the largest were -0.1 and 0.08; 4 T2w had a skewness of 0.7 to 1.3, 12
#: of 15 FLAIR either more than 0.3 or a correlation from 0.1 on.
_BRIGHT_TAIL, _OUTWARDS = 0.3, 0.095
#: A stripped brain fills this much of the ball of its own reach at least; less is a net of vessels,
#: or labels.
_LEAST_FILLED = 0.3
#: Of what a bottle shows (inside, averaged over a few mm, a smooth trend removed), the spread
#: relative to the mean; of a head it is several times as much.
_EVEN = 0.06
#: Where a face is, mm from the middle of the brain's lower front: how far to the sides, and down.
_FACE_SIDE, _FACE_DEEP, _FACE_DOWN = 30.0, 30.0, (5.0, 45.0)
#: Of that box, what heads with a face show, at least.
_FACE_SHOWN = 0.15


def is_t1w(image: Volume, coarse: Coarse, contrast: str | None) -> bool:
    """Whether a scan is T1-weighted: by the name of its contrast, else by how it looks.

    By looks, what has more bright than dark outliers about the middle of the
    head (fluid, in T2w) is not, and neither is what grows brighter outwards
    there (grey matter around white, in FLAIR). Where that does not tell, it is taken to be.
    """
    named = contrast or image.meta.get("contrast")
    if named in KNOWN:
        return named in T1_LIKE
    values, distance = _middle(image, coarse)
    if len(values) < 500 or np.ptp(values) == 0:
        return True
    z = (values - values.mean()) / values.std()
    low, high = np.percentile(values, (15, 97))
    tissue = (values > low) & (values < high)
    if tissue.sum() < 100 or np.ptp(values[tissue]) == 0:
        return True
    outwards = float(np.corrcoef(distance[tissue], values[tissue])[0, 1])
    return float((z**3).mean()) < _BRIGHT_TAIL and outwards < _OUTWARDS


def _middle(image: Volume, coarse: Coarse) -> tuple[Doubles, Doubles]:
    """What a ball below the crown shows: values (N,), and their distances (N,) from its middle, mm."""
    values = np.clip(coarse.values, *np.percentile(coarse.values, (0.5, 99.5)))
    index = np.argwhere(one_piece(values > otsu(values) / 2))
    if not len(index):
        return np.zeros(0), np.zeros(0)
    axes = image.affine[:3, :3] / np.asarray(image.spacing)
    points = (index * coarse.spacing) @ axes.T
    top = np.percentile(points[:, 2], 99.5)
    x, y, _ = points[points[:, 2] > top - 110].mean(axis=0)
    distance = np.linalg.norm(points - (x, y, top - 70), axis=1)
    near = distance < 48
    return values[tuple(index[near].T)].astype(np.float64), distance[near]


def stripped(image: Volume, most_ml: float) -> Bools | None:
    """The brain, (X, Y, Z), of a scan that shows nothing else; None for any other scan.

    A background of one exact value around no more than a brain's volume at
    that age (`most_ml`; an infant's whole head is smaller than an adult's brain), in one solid piece.
    """
    if not looks_stripped(image):
        return None
    data = image.data
    ends = tuple(max(n - 1, 1) for n in data.shape)
    corners, counts = np.unique(data[:: ends[0], :: ends[1], :: ends[2]], return_counts=True)
    shown = one_piece(np.asarray(data != corners[np.argmax(counts)]))
    index = np.argwhere(shown[::2, ::2, ::2]) * 2 * np.asarray(image.spacing)
    if len(index) < 100:
        return None
    reach = float(np.percentile(np.linalg.norm(index - index.mean(axis=0), axis=1), 99))
    ball = 4 / 3 * np.pi * reach**3
    volume = float(shown.sum()) * image.grid.voxel_volume
    return shown if _LEAST_FILLED * ball < volume < 1000 * most_ml else None


def is_even(coarse: Coarse) -> bool:
    """Whether what an image shows is the same throughout, as in a bottle of water.

    The inside of what lies above Otsu's threshold, without the smooth trend that a coil leaves.
    """
    from scipy import ndimage

    shown = coarse.values > otsu(coarse.values)
    depth = ndimage.distance_transform_edt(shown, sampling=coarse.spacing)
    index = np.argwhere(depth > 2 * coarse.spacing.max())
    if len(index) < 200:
        return False
    index = index[:: max(1, len(index) // 20000)]
    values = coarse.values[tuple(index.T)].astype(np.float64)
    x = (index - index.mean(axis=0)) / (index.std(axis=0) + 1e-9)
    terms = np.column_stack([np.ones(len(x)), x, x**2, x[:, :1] * x[:, 1:], x[:, 1] * x[:, 2]])
    trend = terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    return bool((values - trend).std() < _EVEN * abs(values.mean()))


def is_defaced(image: Volume, mask: Bools) -> bool:
    """Whether there is no face below the front of the brain, though the image reaches there."""
    points = np.argwhere(mask[::2, ::2, ::2]) * 2
    if len(points) == 0:
        return False
    world = image.grid.to_world(points)
    middle, front, low = (
        world[:, 0].mean(),
        np.percentile(world[:, 1], 99.5),
        np.percentile(world[world[:, 1] > world[:, 1].mean()][:, 2], 2),
    )
    sides = np.arange(-_FACE_SIDE, _FACE_SIDE + 1, 4)
    back = np.arange(-_FACE_DEEP, 1, 4)
    down = -np.arange(*_FACE_DOWN, 4)
    box = np.stack(np.meshgrid(middle + sides, front + back, low + down, indexing="ij"), axis=-1)
    index = np.round(image.grid.to_index(box.reshape(-1, 3))).astype(int)
    within = ((index >= 0) & (index < image.shape)).all(axis=1)
    if within.mean() < 0.8:
        return False
    values = np.asarray(image.data)[tuple(index[within].T)]
    threshold = otsu(np.nan_to_num(image.floats())[::2, ::2, ::2]) / 3
    return bool((values > threshold).mean() < _FACE_SHOWN)
