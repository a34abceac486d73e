"""Windows of a sharded zarr array, read through a memory map.

zarr's own library reads any array, and spends most of its time on the order in which chunks
come; for a patch of 96³ voxels that is several times as long as decoding them. This reader knows
the one layout that :mod:`mriprep.export.zarr` writes: zarr v3, ``sharding_indexed`` with its index at the
end (https://zarr-specs.readthedocs.io, ZEP 2), chunks plain or Blosc-packed.
"""

from __future__ import annotations

import itertools
import math
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError

from .plain import read_json

#: In a shard's index: this chunk holds nothing but the fill value.
_EMPTY = 2**64 - 1
#: The checksum of the index behind it, bytes.
_CHECKSUM = 4

Window = tuple[slice, slice, slice]


class ShardedArray:
    """An array (C, X, Y, Z) or (X, Y, Z) in shards.

    Parameters
    ----------
    folder : Path
        The array's folder, which holds ``zarr.json``.

    Raises
    ------
    InputError
        If there is no such array, or it has another layout.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = read_json(folder / "zarr.json")
        try:
            (sharding,) = about["codecs"]
            inside = sharding["configuration"]
            codecs = [c["name"] for c in inside["codecs"]]
            index = [c["name"] for c in inside["index_codecs"]]
            self.shape = tuple(int(n) for n in about["shape"])
            self.shard = tuple(int(n) for n in about["chunk_grid"]["configuration"]["chunk_shape"])
            self.chunk = tuple(int(n) for n in inside["chunk_shape"])
            order = inside["codecs"][0].get("configuration", {}).get("endian", "little")
            known = (
                sharding["name"] == "sharding_indexed"
                and codecs in (["bytes"], ["bytes", "blosc"])
                and index == ["bytes", "crc32c"]
                and inside.get("index_location", "end") == "end"
                and order == "little"
                and about["fill_value"] in (0, False)
                and about["chunk_key_encoding"]["name"] == "default"
                and all(s % c == 0 for s, c in zip(self.shard, self.chunk, strict=True))
                and len(self.shape) in (3, 4)
            )
            self.dtype = np.dtype(about["data_type"]).newbyteorder("<")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"'{folder}' is not a sharded array: {error!r}") from None
        if not known:
            raise InputError(
                f"'{folder}' is a zarr array of another layout than `mriprep export` writes",
                hint="read it with zarr, or export again",
            )
        self.packed = codecs[-1] == "blosc"
        self._maps: dict[tuple[int, ...], tuple[mmap.mmap, npt.NDArray[np.uint64]] | None] = {}

    @property
    def space(self) -> tuple[int, ...]:
        """(X, Y, Z)."""
        return self.shape[-3:]

    def read(self, window: Window | None = None) -> npt.NDArray[Any]:
        """All channels of a window of voxels, all of it without one.

        Parameters
        ----------
        window : (3,) slices, optional
            With a start and a stop within the array, without a step.

        Returns
        -------
        (..., x, y, z) array
            New, in this machine's byte order.
        """
        spans = _spans(window, self.space)
        channels = self.shape[:-3]
        out = np.zeros((*channels, *(b - a for a, b in spans)), self.dtype.newbyteorder("="))
        edges = self.chunk[-3:]
        buffer = np.empty(self.chunk, self.dtype)
        ranges = [range(a // c, -(-b // c)) for (a, b), c in zip(spans, edges, strict=True)]
        for place in itertools.product(*ranges):
            data = self._chunk(place, buffer)
            if data is None:
                continue
            take, put = [], []
            for p, c, (a, b) in zip(place, edges, spans, strict=True):
                low, high = max(a, p * c), min(b, (p + 1) * c)
                take.append(slice(low - p * c, high - p * c))
                put.append(slice(low - a, high - a))
            source: Any = (..., *take)
            target: Any = (..., *put)
            out[target] = data[source]
        return out

    def _chunk(self, place: Sequence[int], buffer: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """A chunk by its number along each axis; None where all is 0."""
        many = [s // c for s, c in zip(self.shard[-3:], self.chunk[-3:], strict=True)]
        shard = self._shard(tuple(p // n for p, n in zip(place, many, strict=True)))
        if shard is None:
            return None
        content, index = shard
        inner = tuple(p % n for p, n in zip(place, many, strict=True))
        offset, length = (int(n) for n in index[inner])
        if offset == _EMPTY and length == _EMPTY:
            return None
        if offset + length > len(content) or (not self.packed and length != buffer.nbytes):
            raise self._damaged()
        raw = memoryview(content)[offset : offset + length]
        if not self.packed:
            return np.frombuffer(raw, self.dtype).reshape(self.chunk)
        from numcodecs import blosc

        try:
            blosc.decompress(raw, buffer)
        except (RuntimeError, ValueError):
            raise self._damaged() from None
        return buffer

    def _shard(self, place: tuple[int, ...]) -> tuple[mmap.mmap, npt.NDArray[np.uint64]] | None:
        """A shard's bytes and its index (offset and length of each chunk); None if all is 0."""
        if place not in self._maps:
            self._maps[place] = self._opened(place)
        return self._maps[place]

    def _opened(self, place: tuple[int, ...]) -> tuple[mmap.mmap, npt.NDArray[np.uint64]] | None:
        channels = (0,) * (len(self.shape) - 3)
        path = self.folder.joinpath("c", *(str(n) for n in (*channels, *place)))
        if not path.is_file():
            return None
        many = [s // c for s, c in zip(self.shard[-3:], self.chunk[-3:], strict=True)]
        size = 16 * math.prod(many)
        with path.open("rb") as file:
            if path.stat().st_size < size + _CHECKSUM:
                raise self._damaged()
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        index = np.frombuffer(content[-size - _CHECKSUM : -_CHECKSUM], "<u8")
        return content, index.reshape(*many, 2)

    def _damaged(self) -> InputError:
        return InputError(f"'{self.folder}' is damaged", hint="export again")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}


def attributes(folder: Path) -> Mapping[str, Any]:
    """The attributes of a group."""
    found: Mapping[str, Any] = read_json(folder / "zarr.json").get("attributes", {})
    return found


def _spans(window: Window | None, space: Sequence[int]) -> list[tuple[int, int]]:
    spans = []
    for part, n in zip(window or (slice(None),) * 3, space, strict=True):
        start, stop, step = part.indices(n)
        if step != 1:
            raise InputError("windows have no step")
        spans.append((start, max(start, stop)))
    return spans
