"""A case's voxels as arrays, for formats that hold voxels of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.record import voxel_hash

from .collect import Item
from .selection import Progress, Selection, read_companions, read_images


@dataclass(frozen=True)
class Arrays:
    """What an export holds of one case.

    Parameters
    ----------
    image : (C, X, Y, Z) array
        Channels in the order of the contrasts; of the type of the files, or
        one that holds those of all channels.
    companions : mapping of str to (X, Y, Z) array
        ``labels`` (integers) and ``mask`` (uint8, 0 or 1), those there are.
    affine : (4, 4) array
        Index to RAS+ mm.
    spacing : tuple of float
        mm.
    hashes : mapping of str to str
        Of each contrast and companion, as :func:`mriprep.record.voxel_hash`
        makes them.
    changed : tuple of str
        Images whose voxels are no longer those of their record.
    """

    image: npt.NDArray[Any]
    companions: Mapping[str, npt.NDArray[Any]]
    affine: npt.NDArray[np.float64]
    spacing: tuple[float, float, float]
    hashes: Mapping[str, str]
    changed: tuple[str, ...]


def each(selection: Selection, progress: Progress | None) -> Iterator[tuple[Item, Arrays]]:
    """The cases one after another, read when it is their turn."""
    for number, item in enumerate(selection.items, 1):
        if progress is not None:
            progress(item.case, number, len(selection.items))
        yield item, arrays_of(item)


def arrays_of(item: Item) -> Arrays:
    """Read a case."""
    images = read_images(item)
    companions = dict(read_companions(item))
    hashes = {n: voxel_hash(v) for n, v in {**images, **companions}.items()}
    first = next(iter(images.values()))
    changed = tuple(
        c for c in images if item.records[c]["output"].get("voxels_sha256", hashes[c]) != hashes[c]
    )
    image = np.stack([_native(v.data) for v in images.values()])
    whole = {
        n: _native(v.data.astype(np.uint8) if n == "mask" else v.data)
        for n, v in companions.items()
    }
    return Arrays(image, whole, np.array(first.affine), first.spacing, hashes, changed)


def about_changed(changed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """A note on images that are no longer what their records say; none if there is none."""
    found = [f"{case} ({', '.join(c)})" for case, c in changed.items() if c]
    if not found:
        return ()
    some = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    return (f"changed after they were written, as their records tell: {some}",)


def _native(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In this machine's byte order, C order."""
    return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))
