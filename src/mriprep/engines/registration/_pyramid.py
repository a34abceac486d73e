"""An image at several resolutions, in units of histogram bins, and samples drawn from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.kernels.otsu import otsu

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Foreground and its surroundings are found at this voxel size (mm), and this far around (mm).
_REGION_MM = 4.0
_MARGIN_MM = 8.0

#: Half of a head's reach, about (mm): what a centre is looked for with.
_HEAD_MM = 40.0

#: The rim of the field of view where no samples are drawn, mm.
_RIM_MM = 1.0

#: Intensities between these percentiles of the region spread over the bins.
_WINDOW = (0.5, 99.5)


@dataclass(frozen=True)
class Level:
    """An image at one resolution.

    Parameters
    ----------
    data : (X, Y, Z) float32
        In bins, 0 to ``BINS - 1``.
    affine : (4, 4) floats
        Index to mm, RAS+.
    mask : (X, Y, Z) uint8 or None
        What counts.
    """

    data: Floats
    affine: Doubles
    mask: npt.NDArray[np.uint8] | None = None


class Pyramid:
    """An image, its region of interest, and its coarser copies, made when asked for.

    Parameters
    ----------
    image : Volume
        Finite voxels.
    mask : Volume, optional
        What counts, on the image's grid; what the image shows, otherwise.
    """

    def __init__(self, image: Volume, mask: Volume | None = None) -> None:
        # Each is made from the next finer one: all of the image is read once.
        self._sizes: dict[float, tuple[Floats, Doubles]] = {}
        self._levels: dict[tuple[float, float], Level] = {}
        self._values = np.ascontiguousarray(image.floats())
        self._affine = np.asarray(image.affine)
        self.spacing = image.spacing
        coarse, self._region_affine = self._at(_REGION_MM)
        self.mask: Floats | None = None
        foreground = _shown(coarse)
        #: What the image shows (X, Y, Z) at 4 mm, whatever counts of it, and the affine of that grid.
        self.shown = (foreground, self._region_affine)
        if mask is None:
            shown = foreground
            spacing = np.sqrt((self._region_affine[:3, :3] ** 2).sum(axis=0))
            self.region = _grown(shown, spacing)
        else:
            self.mask = mask.data.astype(np.float32)
            share = _like(self.mask, self._affine, coarse.shape, self._region_affine)
            shown = self.region = share >= min(0.5, float(share.max()))
        self.low, self.high = (float(v) for v in np.percentile(coarse[self.region], _WINDOW))
        if self.high <= self.low:
            self.low, self.high = float(coarse.min()), float(coarse.max())
        self.center = _middle(shown, self._region_affine)

    def level(self, spacing: float, smooth: float = 0.0) -> Level:
        """The image at about `spacing` mm, or as it is where that is coarser."""
        if (spacing, smooth) not in self._levels:
            self._levels[spacing, smooth] = self._made(spacing, smooth)
        return self._levels[spacing, smooth]

    def _made(self, spacing: float, smooth: float) -> Level:
        from mriprep.kernels.mutual import BINS

        data, affine = self._at(spacing)
        scale = (BINS - 1) / max(self.high - self.low, 1e-12)
        binned = data - np.float32(self.low)
        binned *= np.float32(scale)
        if smooth:
            from scipy import ndimage

            binned = ndimage.gaussian_filter(binned, smooth, mode="nearest", truncate=3.0)
        np.clip(binned, 0, BINS - 1, out=binned)
        if self.mask is None:
            return Level(binned, affine)
        share = _like(self.mask, self._affine, binned.shape, affine)
        return Level(binned, affine, (share >= min(0.5, float(share.max()))).astype(np.uint8))

    def _at(self, spacing: float) -> tuple[Floats, Doubles]:
        """The image averaged over blocks of about `spacing` mm, a power of 2, and its affine."""
        if spacing not in self._sizes:
            finer = (self._values, self._affine) if spacing <= 1 else self._at(spacing / 2)
            self._sizes[spacing] = shrunk(*finer, spacing)
        return self._sizes[spacing]

    def samples(self, level: Level, count: int) -> tuple[Doubles, npt.NDArray[np.uint8]]:
        """Points of the region, mm (N, 3), and the bins of their intensities (N,)."""
        points = spread(self.region, self._region_affine, count)
        points = points[self._well_inside(points)]
        values = _linear(level, points)
        return points, (values + 0.5).astype(np.uint8)

    def _well_inside(self, points: Doubles) -> Mask:
        """Which points (N, 3) lie off the rim of the field of view.

        There an image has nothing to be interpolated from: samples of a neck's cut, which the
        other image may have cut as well, or not, would draw the pose along the neck.
        """
        inverse = np.linalg.inv(self._affine)
        index = points @ inverse[:3, :3].T + inverse[:3, 3]
        last = np.array(self._values.shape) - 1.0
        rim = np.minimum(_RIM_MM / np.array(self.spacing), last / 4)
        inside: Mask = ((index >= rim) & (index <= last - rim)).all(axis=1)
        return inside if inside.any() else np.ones(len(points), dtype=bool)


def shrunk(values: Floats, affine: Doubles, spacing: float) -> tuple[Floats, Doubles]:
    """An array averaged over blocks of about `spacing` mm, and its affine."""
    from mriprep.kernels.shrink import block_means

    size = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    factors = np.clip(np.rint(spacing / size).astype(int), 1, np.array(values.shape))
    if (factors == 1).all():
        return values, affine
    a, b, c = (int(f) for f in factors)
    coarse = affine.copy()
    coarse[:3, :3] = affine[:3, :3] * factors
    coarse[:3, 3] = affine[:3, 3] + affine[:3, :3] @ ((factors - 1) / 2)
    return block_means(values, (a, b, c)), coarse


def _like(mask: Floats, affine: Doubles, shape: tuple[int, ...], coarse: Doubles) -> Floats:
    """The share of a mask in each voxel of a coarser grid, made by :func:`shrunk` of its own."""
    from mriprep.kernels.shrink import block_means

    a, b, c = (
        round(float(np.linalg.norm(coarse[:3, n]) / np.linalg.norm(affine[:3, n])))
        for n in range(3)
    )
    out = block_means(mask, (a, b, c))
    return out[: shape[0], : shape[1], : shape[2]]


def spread(region: Mask, affine: Doubles, count: int) -> Doubles:
    """Points spread evenly over a region, off any grid, the same ones always, (count, 3), mm.

    Roberts M. The unreasonable effectiveness of quasirandom sequences. 2018:
    the additive recurrence with the generalised golden ratio of three dimensions.
    """
    where = np.argwhere(region)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    share = len(where) / np.prod(high - low)
    ratio = 1.2207440846057594759753616853491
    steps = ratio ** -np.arange(1.0, 4.0)
    number = np.arange(1, int(count / share * 1.05) + 64)[:, None]
    index = low + (0.5 + number * steps) % 1.0 * (high - low) - 0.5
    voxels = np.rint(index).astype(int).clip(0, np.array(region.shape) - 1)
    flat = np.ravel_multi_index(tuple(voxels.T), region.shape)
    chosen = np.flatnonzero(region.ravel()[flat])[:count]
    # Neighbours after each other: what one point is looked up in is still at hand for the next.
    chosen = chosen[np.argsort(flat[chosen], kind="stable")]
    return np.asarray(index[chosen] @ affine[:3, :3].T + affine[:3, 3])


def _linear(level: Level, points: Doubles) -> Floats:
    from scipy import ndimage

    inverse = np.linalg.inv(level.affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    values: Floats = ndimage.map_coordinates(level.data, index.T, order=1, mode="nearest")
    return values


def _shown(values: Floats) -> Mask:
    """The largest piece above half of Otsu's threshold, holes filled."""
    from scipy import ndimage

    labels, count = ndimage.label(values > otsu(values) / 2)
    if not count:
        return np.ones(values.shape, dtype=bool)
    shown: Mask = ndimage.binary_fill_holes(
        labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    )
    return shown


def _grown(mask: Mask, spacing: Doubles) -> Mask:
    from scipy import ndimage

    grown: Mask = ndimage.distance_transform_edt(~mask, spacing) <= _MARGIN_MM
    return grown


def _middle(mask: Mask, affine: Doubles) -> Doubles:
    """Where a mask is thickest (3,), mm: of a head with a neck, in the head, however it is turned."""
    from scipy import ndimage

    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    near = ndimage.gaussian_filter(
        mask.astype(np.float32), _HEAD_MM / spacing, mode="constant", truncate=2.5
    )
    index = np.array(np.unravel_index(int(near.argmax()), near.shape))
    return np.asarray(affine[:3, :3] @ index + affine[:3, 3], dtype=np.float64)
