"""NIfTI files: the numbers of their geometry and their voxels, no text and no extension."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from mriprep.io.nifti import DATATYPES

from .pixels import Unfit, has_text

#: Bytes of the headers that are numbers which an image needs; all others are zero in the output.
#: NIfTI-1: dim_info to toffset, qform_code to srow. NIfTI-2: datatype to slice_end, qform_code to
#: intent_code, dim_info. What lies between is text (descrip, aux_file, intent_name, ...).
_NUMBERS = {348: ((39, 140), (252, 328)), 540: ((12, 240), (344, 508), (524, 525))}
#: Where dim, pixdim, intent_p and vox_offset are, and how they are stored.
_PLACES: dict[int, dict[str, tuple[int, str]]] = {
    348: {"dim": (40, "8h"), "pixdim": (76, "8f"), "intent_p": (56, "3f"), "vox_offset": (108, "f"),
          "intent_code": (68, "h"), "datatype": (70, "h"), "bitpix": (72, "h")},
    540: {"dim": (16, "8q"), "pixdim": (104, "8d"), "intent_p": (80, "3d"), "vox_offset": (168, "q"),
          "intent_code": (504, "i"), "datatype": (12, "h"), "bitpix": (14, "h")},
}  # fmt: skip
_MAGIC = {348: (344, b"n+1\0"), 540: (4, b"n+2\0\r\n\x1a\n")}
#: Complex numbers and long floats are voxels as well, if not mriprep's.
_BITS = {n: np.dtype(k).itemsize * 8 for n, k in DATATYPES.items()} | {
    32: 64, 1536: 128, 1792: 128, 2048: 256,
}  # fmt: skip
_PART = 2**22


def header_size(head: bytes) -> int:
    """348 or 540 where some bytes begin a single-file NIfTI image, else 0."""
    for size, (at, magic) in _MAGIC.items():
        if head[at : at + 4] == magic[:4] and (
            int.from_bytes(head[:4], "little") == size or int.from_bytes(head[:4], "big") == size
        ):
            return size
    return 0


def rewrite(source: BinaryIO, target: BinaryIO, *, look: bool = True) -> bytes:
    """Copy an image, unpacked, without anything that is neither geometry nor voxel.

    With `look`, one in whose voxels text seems to be seen is refused.

    Returns
    -------
    bytes
        What was written before the voxels.

    Raises
    ------
    Unfit
        If it is a picture, is cut off, seems to have text in it or its header is damaged.
    """
    head = source.read(352)
    size = header_size(head)
    if size == 540:
        head += source.read(540 - len(head))
    if not size or len(head) < size:
        raise Unfit("its header is damaged")
    order: Literal["<", ">"] = "<" if int.from_bytes(head[:4], "little") == size else ">"
    get = {n: struct.unpack_from(order + k, head, at) for n, (at, k) in _PLACES[size].items()}
    rank, code = int(get["dim"][0]), int(get["datatype"][0])
    if not 1 <= rank <= 7 or min(get["dim"][1 : rank + 1]) < 1:
        raise Unfit("its header is damaged")
    if code not in _BITS or get["bitpix"][0] != _BITS[code]:
        raise Unfit("it holds a picture in colour, or voxels of a type that is not known")
    start, least = get["vox_offset"][0], size + 4
    if start != start or abs(start) > 2**40 or (start and start < least):
        raise Unfit("its header is damaged")
    new = bytearray(least)
    new[:4] = head[:4]
    for first, end in _NUMBERS[size]:
        new[first:end] = head[first:end]
    _put(new, size, order, "vox_offset", least)
    shape = [int(n) for n in get["dim"][1 : rank + 1]]
    _put(new, size, order, "dim", rank, *shape, *[1] * (7 - rank))
    _put(new, size, order, "pixdim", *get["pixdim"][: rank + 1], *[0] * (7 - rank))
    if not get["intent_code"][0]:
        _put(new, size, order, "intent_p", 0, 0, 0)
    if size == 348:
        new[38:39] = b"r"
    at, magic = _MAGIC[size]
    new[at : at + len(magic)] = magic
    target.write(new)
    _skip(source, int(start or least) - len(head), head, int(start or least))
    volume = int(np.prod(shape[:3], dtype=object)) * _BITS[code] // 8
    volumes = int(np.prod(shape[3:], dtype=object))
    for n in range(volumes):
        looked: list[bytes] = []
        for part in _parts(source, volume):
            target.write(part)
            if look and n == 0 and code in DATATYPES and DATATYPES[code][0] in "iu" and rank >= 2:
                looked.append(part)
        if looked:
            kind = np.dtype(DATATYPES[code]).newbyteorder(order)
            _look(np.frombuffer(b"".join(looked), kind).reshape(shape[:3], order="F"))
    return bytes(new)


def _look(volume: Any) -> None:
    """Refuse a volume with text in its slices, along the axis in which they were scanned or saved."""
    stack = volume if volume.ndim == 3 else volume[..., None]
    # Letters lie in a row of the array as it is stored, or turned.
    for k in range(stack.shape[2]):
        if has_text(stack[:, :, k].T) or has_text(stack[:, :, k]):
            raise Unfit(
                "there seems to be text in its voxels (if you have looked and there is none: --keep voxels)"
            )


def _put(new: bytearray, size: int, order: str, name: str, *values: float) -> None:
    at, kind = _PLACES[size][name]
    struct.pack_into(order + kind, new, at, *values)


def _skip(source: BinaryIO, count: int, head: bytes, start: int) -> None:
    """Go to the first voxel; extensions that lie before it are read past."""
    if count < 0:
        raise Unfit("its header is damaged")
    for _ in _parts(source, count):
        pass


def _parts(source: BinaryIO, count: int) -> Iterator[bytes]:
    while count:
        part = source.read(min(count, _PART))
        if not part:
            raise Unfit("it is cut off: voxels are missing")
        count -= len(part)
        yield part


def copy(source: Path, target: Path, *, look: bool = True) -> bytes:
    """:func:`rewrite` from file to file; packed where the source is, without a name in the stream."""
    from isal import igzip

    with source.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        with target.open("xb") as out:
            if not packed:
                return rewrite(file, out, look=look)
            with (
                igzip.IGzipFile(fileobj=file, mode="rb") as unpacked,
                igzip.IGzipFile("", "wb", 2, out, 0) as packing,
            ):
                return rewrite(unpacked, packing, look=look)
