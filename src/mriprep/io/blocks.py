"""Voxels in and out of files: packed or not, either byte order, in one pass."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError

from .header import Block, Header

#: Bytes handled at once, small enough for a processor's cache.
CHUNK = 1 << 22

#: ISA-L's first level: on heads it packs as tightly as its second and third in no more time.
GZIP_LEVEL = 1


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of reading a file into an InputError that says what is wrong with it."""
    import gzip

    from isal import isal_zlib

    # isal's stub declares an instance where there is a class.
    damage = gzip.BadGzipFile, cast(type[Exception], isal_zlib.error)
    try:
        yield
    except EOFError as error:
        raise InputError(
            f"{path} is truncated: it ends before its voxels do",
            hint="copy or convert it again from its source",
        ) from error
    except damage as error:
        raise InputError(
            f"{path} is damaged: it cannot be unpacked ({error})",
            hint="copy or convert it again from its source",
        ) from error
    except MemoryError as error:
        raise InputError(
            f"{path} holds more voxels than there is memory for",
            hint="close other programs, or check that the header's sizes are right",
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}",
            hint="check the path and the permissions",
        ) from error


@contextlib.contextmanager
def opened(block: Block, limit: int) -> Iterator[io.BufferedIOBase]:
    """Open the unpacked stream of a block, of which no more than `limit` bytes are wanted."""
    from isal import igzip, isal_zlib

    with block.path.open("rb") as file:
        file.seek(block.start)
        match block.codec:
            case "raw":
                yield file
            case "gzip":
                with igzip.IGzipFile(fileobj=file, mode="rb") as stream:
                    yield stream
            case "zlib":
                packed = isal_zlib.decompressobj()
                yield io.BytesIO(packed.decompress(file.read(), limit))


def read_voxels(header: Header, volume: int = 0) -> npt.NDArray[Any]:
    """Read one volume of a file whose header has been checked.

    Parameters
    ----------
    header : Header
        What the file says, after :func:`mriprep.io.header.checked`.
    volume : int
        Which one, from 0.

    Returns
    -------
    (X, Y, Z) array
        The values: the stored numbers in native byte order, or float32
        where they are scaled. X varies fastest in memory.

    Raises
    ------
    InputError
        If the file is truncated or damaged.
    """
    count, shape = header.volume_bytes, header.shape[:3]
    # With the volumes' axis varying fastest, one volume is spread over the whole file.
    first = 0 if header.interleaved else count * volume
    wanted = count * header.volumes if header.interleaved else count
    skip = header.block.skip + first
    with explained(header.path), opened(header.block, skip + wanted) as stream:
        stored = np.empty(wanted // header.dtype.itemsize, header.dtype)
        if header.block.codec == "raw":
            stream.seek(skip, io.SEEK_CUR)
        else:
            stream.seek(skip)
        _fill(stream, _bytes(stored))
        if header.block.codec == "gzip" and header.volumes == 1:
            _to_the_end(stream)
    if header.interleaved:
        voxels = stored.reshape((header.volumes, *shape), order="F")[volume].copy(order="F")
    else:
        voxels = stored.reshape(shape, order="F")
    return _scaled(_native(voxels), header)


def stored_volumes(header: Header) -> Iterator[npt.NDArray[Any]]:
    """Read a file's volumes one after the other: (X, Y, Z) arrays of the stored numbers, not scaled.

    `header` has been checked and is not interleaved. Errors as :func:`read_voxels`.
    """
    shape = header.shape[:3]
    wanted = header.block.skip + header.volume_bytes * header.volumes
    with explained(header.path), opened(header.block, wanted) as stream:
        stream.seek(header.block.start + header.block.skip)
        for _ in range(header.volumes):
            stored = np.empty(header.volume_bytes // header.dtype.itemsize, header.dtype)
            _fill(stream, _bytes(stored))
            yield _native(stored.reshape(shape, order="F"))
        if header.block.codec == "gzip":
            _to_the_end(stream)


def _fill(stream: io.BufferedIOBase, buffer: memoryview) -> None:
    position = 0
    while position < len(buffer):
        got = stream.readinto(buffer[position : position + CHUNK])
        if not got:
            raise EOFError
        position += got


def _to_the_end(stream: io.BufferedIOBase) -> None:
    # The checksum is only compared at the end of a gzip stream; a format's footer is short.
    for _ in range(16):
        if not stream.read(1 << 16):
            return


def _native(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if voxels.dtype.isnative:
        return voxels
    swapped: npt.NDArray[Any] = voxels.byteswap(inplace=True).view(voxels.dtype.newbyteorder("="))
    return swapped


def _scaled(voxels: npt.NDArray[Any], header: Header) -> npt.NDArray[Any]:
    if not header.is_scaled:
        return voxels
    # Integers of 4 bytes and more have digits that float32 would round before the sum.
    precise = np.float64 if voxels.dtype.itemsize > 2 and voxels.dtype != np.float32 else np.float32
    values = np.multiply(voxels, header.slope, dtype=precise)
    values += header.inter
    scaled: npt.NDArray[Any] = values.astype(np.float32, copy=False)
    return scaled


def slabs(data: npt.NDArray[Any], dtype: npt.DTypeLike) -> Iterator[memoryview]:
    """Give the bytes of an (X, Y, Z) array as little-endian numbers, X varying fastest, without a second array."""
    target = np.dtype(dtype).newbyteorder("<")
    if data.dtype == bool and target == np.uint8:
        data = data.view(np.uint8)
    if data.dtype == target and data.flags.f_contiguous:
        yield _bytes(data)
        return
    rounded = data.dtype.kind == "f" and target.kind in "iu"
    slices = max(1, CHUNK // (data[..., :1].size * target.itemsize))
    for start in range(0, data.shape[2], slices):
        slab = data[..., start : start + slices]
        slab = (np.rint(slab) if rounded else slab).astype(target, order="F")
        yield _bytes(slab)


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    """The memory of a contiguous array as bytes, without a copy."""
    return array.ravel(order="K").view(np.uint8).data


def zlibbed(data: npt.NDArray[Any], dtype: npt.DTypeLike) -> list[bytes]:
    """Pack an array's bytes as a zlib stream, in pieces."""
    from isal import isal_zlib

    packer = isal_zlib.compressobj(GZIP_LEVEL)
    return [*(packer.compress(slab) for slab in slabs(data, dtype)), packer.flush()]


@contextlib.contextmanager
def gzipped(file: io.BufferedIOBase) -> Iterator[io.BufferedIOBase]:
    """Pack what is written into `file`; equal content gives equal bytes, whatever the name and time."""
    from isal import igzip

    with igzip.IGzipFile(
        filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=file, mtime=0
    ) as stream:
        yield stream
