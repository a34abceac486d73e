"""The contrast of a head by its own intensities, where no header and no name tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.core.grid import FloatArray
from mriprep.io.dicom_contrast import Guess

#: Voxels are averaged to about this size, mm.
_COARSE_MM = 2.5
#: Below the top of the head, and inside its surface, lies the brain, mm.
_BELOW_TOP_MM = (15.0, 95.0)
_BELOW_SURFACE_MM = 18.0
#: Least part of the region that must be tissue, and least volume, ml, to say anything.
_LEAST_TISSUE = 0.2
_LEAST_ML = 200.0
#: Skew of tissue's intensities: T1w below the first, T2w above the second, FLAIR between.
_SKEWS = (-0.16, 0.62)
#: Upper over lower tail of tissue's intensities, at the same borders.
_TAILS = (0.82, 1.7)
#: Least part of the region that is dark where fluid is dark.
_LEAST_DARK = 0.035
#: A guess less sure than this is none.
_LEAST_SURE = 0.55


@dataclass(frozen=True)
class _Signs:
    skew: float
    tails: float
    dark: float
    tissue: float
    millilitres: float


def contrast_from_image(volume: Volume, mask: Volume | None = None) -> Guess:
    """Tell T1w, T2w and FLAIR apart by the intensities inside a head.

    Grey matter lies in a thin sheet about more white matter. Where it is the
    darker of the two (T1w) the intensities of tissue have their longer tail
    below; where it is the brighter they are even or have it above (FLAIR), the
    more so with bright fluid (T2w). The image is flattened first, so that the
    coil's profile does not count.

    Parameters
    ----------
    volume : Volume
        A head, whole or without its skull, on a grid in RAS+ mm.
    mask : Volume, optional
        Of the brain, on the same grid; taken to be where it lies in an adult's
        head by default: some 20 mm inside the surface, above the neck.

    Returns
    -------
    Guess
        ``T1w``, ``T2w``, ``FLAIR`` or None; how sure, and why. T1w after a
        contrast agent is told as T1w. PDw, infants below about a year (whose
        T1 is turned over), and images of something else than a head are not
        told apart from these: mostly, but not always, the answer is None.
    """
    signs = _signs(volume, mask)
    if signs is None or signs.millilitres < _LEAST_ML or signs.tissue < _LEAST_TISSUE:
        return Guess(None, 0.0, "there is too little in it that looks like a brain")
    kind = _which(signs.skew, _SKEWS)
    margin = min(abs(signs.skew - s) for s in _SKEWS) / 0.4
    sure = min(0.9, 0.5 + 0.4 * margin)
    about = f"skew of tissue {signs.skew:.2f}, tails {signs.tails:.2f}, {signs.dark:.0%} dark"
    if kind != _which(signs.tails, _TAILS):
        return Guess(None, 0.4, f"its intensities do not say whether it is {kind}: {about}")
    if kind != "T2w" and signs.dark < _LEAST_DARK:
        return Guess(None, 0.4, f"fluid is not dark in it; it could be PDw: {about}")
    if sure < _LEAST_SURE:
        return Guess(None, sure, f"it is too near the border to be called {kind}: {about}")
    return Guess(kind, round(sure, 2), f"the image's own intensities ({about})")


def _which(value: float, borders: tuple[float, float]) -> str:
    return "T1w" if value < borders[0] else "FLAIR" if value < borders[1] else "T2w"


def _signs(volume: Volume, mask: Volume | None) -> _Signs | None:
    from scipy import ndimage

    image, spacing, steps = _coarse(volume, volume.data)
    region = _region(volume, image, spacing, steps) if mask is None else _inside(mask)
    if region is None or region.sum() < 500:
        return None
    middle = float(np.median(image[region]))
    if middle <= 0:
        return None
    image = image / middle
    tissue = region & (image > 0.6) & (image < 1.7)
    width = 10.0 / spacing
    share = ndimage.gaussian_filter(tissue.astype(np.float64), width)
    level = ndimage.gaussian_filter(np.where(tissue, image, 0.0), width) / np.maximum(share, 1e-3)
    flat = image / np.maximum(level, 1e-3)
    core = flat[ndimage.binary_erosion(tissue)]
    if core.size < 200:
        return None
    low, half, high = np.percentile(core, (5, 50, 95))
    spread = float(core.std())
    return _Signs(
        skew=float(((core - core.mean()) ** 3).mean() / max(spread, 1e-6) ** 3),
        tails=float((high - half) / max(half - low, 1e-6)),
        dark=float((region & (image < 0.65)).sum() / region.sum()),
        tissue=core.size / float(region.sum()),
        millilitres=float(region.sum() * np.prod(spacing) / 1000),
    )


def _coarse(volume: Volume, data: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Averages of blocks of voxels, their size in mm, and how many voxels they are."""
    spacing = np.array(volume.grid.spacing)
    steps = np.maximum(1, np.round(_COARSE_MM / spacing)).astype(int)
    steps = np.minimum(steps, np.array(data.shape))
    a, b, c = (n // k for n, k in zip(data.shape, steps, strict=True))
    i, j, k = steps
    block = np.nan_to_num(data[: a * i, : b * j, : c * k].astype(np.float64), posinf=0, neginf=0)
    mean = block.reshape(a, i, b, j, c, k).mean(axis=(1, 3, 5))
    return mean, spacing * steps, steps.astype(np.float64)


def _inside(mask: Volume) -> npt.NDArray[np.bool_]:
    share, _, _ = _coarse(mask, (mask.data > 0).astype(np.float32))
    return np.asarray(share > 0.9)


def _region(
    volume: Volume, image: FloatArray, spacing: FloatArray, steps: FloatArray
) -> npt.NDArray[np.bool_] | None:
    """Where in a head the brain is for certain."""
    from scipy import ndimage

    positive = image[image > 0]
    if positive.size < 1000:
        return None
    head = ndimage.binary_opening(image > 0.15 * np.percentile(positive, 97))
    labels, count = ndimage.label(head)
    if count == 0:
        return None
    head = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    for axis in range(3):
        slices = [ndimage.binary_fill_holes(s) for s in np.moveaxis(head, axis, 0)]
        head = np.moveaxis(np.array(slices), 0, axis)
    depth = ndimage.distance_transform_edt(np.pad(head, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    index = np.indices(image.shape).reshape(3, -1) * steps[:, None] + (steps[:, None] - 1) / 2
    up = volume.grid.affine[2, :3] @ index + volume.grid.affine[2, 3]
    below = float(np.percentile(up.reshape(image.shape)[head], 99.9)) - up.reshape(image.shape)
    low, high = _BELOW_TOP_MM
    return np.asarray((depth > _BELOW_SURFACE_MM) & (below > low) & (below < high))
