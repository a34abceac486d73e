"""Images that are the same voxels, as they are or turned over."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import MriprepError
from mriprep.io.given import leads_to
from mriprep.io.sniff import READABLE, extension

#: What voxels can be read from.
ARRAYS = (".npy", ".png")
IMAGES = (*READABLE, *ARRAYS)
#: With fewer different values, two images may be equal by chance: masks, empty slices.
_VARIED = 32


def voxels(path: Path) -> npt.NDArray[Any] | None:
    """The voxels of an image file as float32, NaN as 0; None where it cannot be read or has few values."""
    try:
        data = _read(path)
    except (MriprepError, OSError, ValueError):
        return None
    data = np.nan_to_num(np.asarray(data, np.float32), nan=0.0) + np.float32(0)  # -0 is 0
    sample = data.ravel()[:: max(1, data.size // 200_000)]
    return data if np.unique(sample).size >= _VARIED else None


def signature(data: npt.NDArray[Any]) -> str:
    """Equal for the same voxels in any order: flipped, turned, axes exchanged.

    SHA-256 of the shape's sides and of the values, both sorted. Images with
    noise in them do not agree by chance; :func:`orientation` tells for sure.
    """
    digest = hashlib.sha256(str(sorted(data.shape)).encode())
    digest.update(np.sort(data, axis=None).tobytes())
    return digest.hexdigest()


def orientation(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> str | None:
    """How the second is made of the first: ``as it is``, ``axis 0 flipped``, ...; None if it is not."""
    for order in itertools.permutations(range(one.ndim)):
        turned = one.transpose(order)
        if turned.shape != other.shape:
            continue
        for flipped in _subsets(one.ndim):
            if np.array_equal(np.flip(turned, flipped), other):
                return _words(order, flipped)
    return None


def _subsets(n: int) -> Iterator[tuple[int, ...]]:
    for count in range(n + 1):
        yield from itertools.combinations(range(n), count)


def _words(order: tuple[int, ...], flipped: tuple[int, ...]) -> str:
    told = []
    if order != tuple(range(len(order))):
        told.append("axes exchanged")
    if flipped:
        told.append(
            f"ax{'i' if len(flipped) == 1 else 'e'}s {', '.join(map(str, flipped))} flipped"
        )
    return " and ".join(told) or "as it is"


def _read(path: Path) -> npt.NDArray[Any]:
    leads_to(path)
    if path.suffix.lower() == ".npy":
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    if path.suffix.lower() == ".png":
        from PIL import Image

        with Image.open(path, formats=["PNG"]) as picture:
            return np.asarray(picture)
    from mriprep.io.images import read_image

    return read_image(path).data


def is_readable(path: Path) -> bool:
    """Whether a file's name says that voxels can be read from it."""
    return extension(path, IMAGES) is not None


def bare(name: str) -> str:
    """A file's name without folder and extension."""
    path = Path(name)
    kind = extension(path, IMAGES)
    return path.name[: -len(kind)] if kind else path.name
