"""Histogram equalisation in parts, its contrast limited."""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from mriprep.declare import Citation, Image, Unit, Within, step

from ._common import BoolImage, FloatImage, finite, region, varied
from ._window import extent

Indices = npt.NDArray[np.intp]

#: Most tiles: below their size there is no histogram to speak of, and memory has an end.
_MOST_TILES = 32


@step(
    methods="Local contrast was raised by adaptive histogram equalisation (CLAHE) in tiles of"
    " {tile:g} mm, clipped at {clip:g}.",
    citations=(
        Citation(
            "pizer1987",
            "Pizer SM et al. Adaptive histogram equalization and its variations. Comput Vis Graph"
            " Image Process 1987.",
            "10.1016/S0734-189X(87)80186-X",
        ),
    ),
    bytes_per_voxel=40,
    seconds_per_megavoxel=0.9,
)
def clahe(
    image: Image,
    within: Within = None,
    *,
    tile: Annotated[float, Gt(0), Le(1000), Unit("mm")] = 40.0,
    clip: Annotated[float, Gt(0), Le(1)] = 0.01,
    bins: Annotated[int, Ge(2), Le(4096)] = 256,
) -> Image:
    """Equalise the histogram of each part of the image, and limit how much contrast rises.

    The volume is parted into tiles, in all three directions. In the histogram
    of a tile no bin may hold more than a share `clip` of its voxels; what is
    cut off is spread over all bins. A voxel is equalised by the tiles about
    it, weighted by how near their centres are. Intensities no longer compare
    between places: for looking at, and as one more channel.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities lie outside the region.
    within : Volume or {"foreground", "whole"}, optional
        What is equalised: a mask on the image's grid, what Otsu's threshold
        keeps (the default without a mask), or every voxel. Voxels outside
        do not count in the tiles.
    tile : float
        Size of a tile, mm, along each axis; at least two voxels.
    clip : float
        The largest share of a tile's voxels in one bin. The least that can
        be is one over the bins, which leaves the contrast as it is; 1 limits
        nothing.
    bins : int
        Bins between the least and the greatest intensity of the region, but
        for one voxel in a thousand at either end.

    Returns
    -------
    Volume
        float32: above 0 and up to 1 within the region, 0 outside.

    Raises
    ------
    InputError
        If the region is empty or constant.
    """
    inside = region(image, within, "clahe")
    values = finite(image, "clahe")
    sample = values[inside].astype(np.float64)
    varied(sample, "clahe", "region")
    tiles = tuple(
        max(1, min(round(n * s / tile), n // 2, _MOST_TILES))
        for n, s in zip(image.shape, image.spacing, strict=True)
    )
    place, offset = _places(sample, bins)
    maps = _maps(inside, place, tiles, max(clip, 1 / bins), bins)
    result = np.zeros_like(values)
    result[inside] = _blended(inside, place, offset, maps, bins)
    return image.replace(result)


def _places(sample: npt.NDArray[np.float64], bins: int) -> tuple[Indices, FloatImage]:
    """The bin whose centre lies just below each intensity, and how far it is to the next."""
    low, high = extent(sample)
    at = np.clip((sample - low) / (high - low), 0, 1) * (bins - 1)
    place = np.minimum(at.astype(np.intp), bins - 2)
    return place, (at - place).astype(np.float32)


def _maps(
    inside: BoolImage, place: Indices, tiles: tuple[int, ...], clip: float, bins: int
) -> FloatImage:
    """What each bin becomes in each tile, (tiles..., bins); NaN where a tile holds no voxels."""
    number = np.zeros(place.size, np.intp)
    for axis, count in enumerate(tiles):
        line = np.arange(inside.shape[axis]) * count // inside.shape[axis]
        shape = [-1 if a == axis else 1 for a in range(3)]
        number = number * count + np.broadcast_to(line.reshape(shape), inside.shape)[inside]
    total = int(np.prod(tiles))
    counts = np.bincount(number * bins + place, minlength=total * bins).reshape(total, bins)
    held = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        share = counts / held
    maps: FloatImage = np.cumsum(_limited(share, clip), axis=1).astype(np.float32)
    return maps.reshape(*tiles, bins)


def _limited(share: npt.NDArray[np.float64], clip: float) -> npt.NDArray[np.float64]:
    """Histograms, one a row, no bin above the limit; what is cut off is spread over all bins.

    What spills over again is spread again, and so on: in the end every bin
    has gained the same, or is at the limit. That gain is found by halving.
    """
    low, high = np.zeros((len(share), 1)), np.full((len(share), 1), clip)
    for _ in range(40):
        middle = (low + high) / 2
        less = np.minimum(share + middle, clip).sum(axis=1, keepdims=True) < 1
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    limited: npt.NDArray[np.float64] = np.minimum(share + high, clip)
    return limited


def _blended(
    inside: BoolImage, place: Indices, offset: FloatImage, maps: FloatImage, bins: int
) -> FloatImage:
    """Each voxel by the maps of the eight tiles about it, weighted by nearness."""
    axes = []
    for axis, count in enumerate(maps.shape[:3]):
        n = inside.shape[axis]
        at = np.clip((np.arange(n) + 0.5) * count / n - 0.5, 0, count - 1)
        low = np.minimum(at.astype(np.intp), max(count - 2, 0))
        axes.append((low, np.minimum(low + 1, count - 1), (at - low).astype(np.float32)))
    index = np.nonzero(inside)
    flat = maps.reshape(-1, bins)
    total = np.zeros(place.size, np.float32)
    weight = np.zeros(place.size, np.float32)
    for corner in itertools.product((0, 1), repeat=3):
        tile = np.zeros(place.size, np.intp)
        share = np.ones(place.size, np.float32)
        for (low, high, part), side, i, count in zip(
            axes, corner, index, maps.shape[:3], strict=True
        ):
            tile = tile * count + (high if side else low)[i]
            share *= (part if side else 1 - part)[i]
        here, after = flat[tile, place], flat[tile, np.minimum(place + 1, bins - 1)]
        mapped = here + (after - here) * offset
        known = np.isfinite(mapped)  # a tile without voxels says nothing
        total += np.where(known, mapped * share, 0)
        weight += np.where(known, share, 0)
    # The tile that a voxel lies in holds it: some weight there always is.
    total /= np.maximum(weight, np.finfo(np.float32).tiny)
    return total
