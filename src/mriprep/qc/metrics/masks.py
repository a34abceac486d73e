"""Head, air, artefacts and empty corners, as MRIQC finds them.

Mortamet B et al. Automatic quality assessment in structural brain magnetic
resonance imaging. Magn Reson Med 2009. doi:10.1002/mrm.21992. Widths are in
voxels, as in MRIQC 24.0, whose steps these follow.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
import scipy.ndimage as nd

from mriprep.core import Grid, Transform
from mriprep.kernels.binary import dilated, eroded, filled, near, opened
from mriprep.kernels.extent import bounds
from mriprep.kernels.order import mad, percentile
from mriprep.kernels.shrink import block_means
from mriprep.kernels.smooth import doubled_above, gradient_magnitude

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Where the forehead and the back of the skull meet the plane, in the template's world, mm.
GLABELLA = (0.0, 90.0, -14.0)
INION = (0.0, -120.0, -14.0)

_SIGMA = 4.0  # voxels
_EDGE = 15.0  # percent of the 99.5th percentile of the gradient
_ZSCORE = 10.0
#: So far does the closing of the head reach, voxels.
_BEYOND = 6
#: Images of more voxels than this have their gradient taken at every second voxel.
_MANY = 3_000_000


def edges(image: Floats, brain: Mask, white: Floats, spacing: tuple[float, float, float]) -> Mask:
    """Strong edges of the image, and the brain.

    Parameters
    ----------
    image : (X, Y, Z) float32 array
        Without its bias field, not negative.
    brain : (X, Y, Z) bool array
    white : (X, Y, Z) float32 array
        Probability of white matter.
    spacing : (3,) floats
        mm.

    Returns
    -------
    (X, Y, Z) bool array
    """
    mask = _edges(_enhanced(image, white, brain), brain, spacing)
    mask |= brain
    return mask


def head(edges: Mask, brain: Mask, *, whole: bool = False) -> Mask:
    """The head: what lies within strong edges of the image.

    Parameters
    ----------
    edges : (X, Y, Z) bool array
        As :func:`edges` finds them.
    brain : (X, Y, Z) bool array
    whole : bool
        Whether the head goes on beyond the image, on all sides but below.

    Returns
    -------
    (X, Y, Z) bool array
    """
    mask = edges
    # Where the head reaches the border of the image it goes on there; MRIQC takes it to end, and
    # leaves air at the border. It is followed, but where that air would lie within the brain's reach.
    sides = _BEYOND if whole else 0
    top = _BEYOND if whole or bounds(brain)[2].stop > mask.shape[2] - _BEYOND else 0
    mask = np.pad(mask, ((sides, sides), (sides, sides), (0, top)), mode="edge")
    mask = eroded(eroded(dilated(mask, 4), 4))
    x, y, z = mask.shape
    mask = np.ascontiguousarray(mask[sides : x - sides, sides : y - sides, : z - top])
    # MRIQC means to add the brain, grown, here; its code marks the first two sagittal slices
    # instead (numbers taken for a mask). The brain is inside all the same: neither is done.
    return filled(_largest(mask, 2), 2)


def _enhanced(image: Floats, white: Floats, brain: Mask) -> Floats:
    """The few brightest voxels dimmed to white matter: vessels and fat would rule the percentiles."""
    empty = image.size - int(np.count_nonzero(image))
    if empty == image.size:
        return image
    most = np.float32(percentile(image, 99.98, without=empty))
    box = bounds(brain)
    values, weights = image[box].ravel(), white[box].ravel().astype(np.float64)
    weights[values > most] = 0
    total = float(weights.sum())
    # MRIQC draws noise about this mean; its mean does as well and is the same each time.
    mean = np.float32(weights @ values / total) if total > 0 else most
    return np.where(image > most, mean, image)


def _edges(image: Floats, brain: Mask, spacing: tuple[float, float, float]) -> Mask:
    """Where the gradient is more than some percent of the strong ones; the brain counts as an edge."""
    scale = percentile(image, 99.5)
    data = image * np.float32(100 / scale) if scale > 0 else image.copy()
    data[brain] = 100
    x, y, z = (max(2 - s / min(spacing), 0.0) * _SIGMA for s in spacing)
    if data.size > _MANY and min(data.shape) > 16:
        # Blurred that much, half the samples tell the same.
        coarse = block_means(data, (2, 2, 2))
        a, b, c = (float(np.sqrt(max(s**2 - 0.25, 0.0))) / 2 for s in (x, y, z))
        rough = gradient_magnitude(coarse, (a, b, c))
        return doubled_above(rough, _EDGE / 100 * percentile(rough, 99.5), data.shape)
    gradient = gradient_magnitude(data, (x, y, z))
    return gradient > _EDGE / 100 * percentile(gradient, 99.5)


def _largest(mask: Mask, count: int) -> Mask:
    """The largest parts of a mask that hang together by faces."""
    if not mask.any():
        return mask
    parts, found = nd.label(mask)
    if found <= count:
        return mask
    sizes = _sizes(parts, found)
    kept = np.zeros(found + 1, bool)
    kept[np.argsort(-sizes, kind="stable")[:count]] = True
    kept[0] = False
    largest: Mask = _kept(parts, kept)
    return largest


@nb.njit(cache=True)
def _sizes(parts, count):  # type: ignore[no-untyped-def]
    sizes = np.zeros(count + 1, np.int64)
    for part in parts.flat:
        if part:
            sizes[part] += 1
    return sizes


@nb.njit(cache=True)
def _kept(parts, kept):  # type: ignore[no-untyped-def]
    out = np.empty(parts.shape, np.bool_)
    for i in range(parts.shape[0]):
        for j in range(parts.shape[1]):
            for k in range(parts.shape[2]):
                out[i, j, k] = kept[parts[i, j, k]]
    return out


def hat(head: Mask, brain: Mask, grid: Grid, pose: Transform | None) -> Mask:
    """Air above the head's base: eyes, jaw and neck throw ghosts below.

    Parameters
    ----------
    head, brain : (X, Y, Z) bool arrays
        On a grid with axes to the right, front and top.
    grid : Grid
        That grid.
    pose : Transform or None
        Template mm to scan mm. Without one, the plane is put 30 mm above the
        lowest part of the brain in front, and at its lowest part behind: about where the
        template's landmarks come to lie.

    Returns
    -------
    (X, Y, Z) bool array
    """
    if pose is not None:
        front, back = (int(z) for z in grid.to_index(pose(np.array([GLABELLA, INION])))[:, 2])
    else:
        bottom = bounds(brain)[2].start
        front = bottom + round(30 / grid.spacing[2])
        back = bottom + round(10 / grid.spacing[2])
    mask = ~head
    mask[:, :, : max(back, 0)] = False
    mask[:, mask.shape[1] // 2 :, : max(front, 0)] = False
    return mask


def artifacts(image: Floats, hat: Mask, head: Mask) -> Mask:
    """What shines in the air: ten times its spread, off the head, in patches.

    Parameters
    ----------
    image : (X, Y, Z) float32 array
        As the scanner gave it.
    hat, head : (X, Y, Z) bool arrays

    Returns
    -------
    (X, Y, Z) bool array
    """
    found = np.zeros(hat.shape, bool)
    values = image[hat]
    positive = values[values > 0]
    if positive.size < 10:
        return found
    spread = mad(positive)
    if spread <= 0:
        return found
    found[hat] = values > _ZSCORE * spread
    if not found.any():
        return found
    farthest = _farthest(head, hat)
    found &= ~near(head, min(0.1 * farthest, 180.0))
    return opened(found, faces=True)


def _farthest(head: Mask, hat: Mask) -> float:
    """How far from the head the hat reaches, voxels; to a voxel where there are many."""
    factor = 1 if head.size < 1_000_000 else 3
    coarse = head[::factor, ::factor, ::factor]
    if not coarse.any():
        return 0.0
    distance = nd.distance_transform_edt(~coarse)
    return factor * float(distance.max(where=hat[::factor, ::factor, ::factor], initial=0))


def rotation(image: Floats) -> Mask:
    """Voxels of no signal that hang together: corners that a rotation left, or a mask.

    Parameters
    ----------
    image : (X, Y, Z) float32 array
        As the scanner gave it.

    Returns
    -------
    (X, Y, Z) bool array
    """
    mask = opened(np.pad(image <= 0, 1, constant_values=True))
    mask = _largest(mask, 2)[1:-1, 1:-1, 1:-1]
    return np.ascontiguousarray(mask) if mask.sum() >= 500 else np.zeros(image.shape, bool)
