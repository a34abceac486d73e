"""Files that may be DICOM, on a disk or in a zip: their beginning, and more of them if need be."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

#: A file in an archive that is larger than this is not unpacked into memory for its header, bytes.
LARGEST_MEMBER = 2**31
#: A file of the deflated transfer syntax may not stand for more than this, bytes.
LARGEST_DEFLATED = 2**29

DEFLATED = "1.2.840.10008.1.2.1.99"
_LONGEST_META = 256 * 2**10
_PIECE = 2**22
#: Types of element whose length has four bytes.
_WIDE = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")


class Source(Protocol):
    """A file to read a header from."""

    path: Path
    size: int

    def head(self, count: int) -> bytes:
        """The first bytes."""

    def piece(self, at: int, count: int) -> bytes | None:
        """Some bytes further on; None where getting at them costs too much."""

    def open(self) -> BinaryIO:
        """All of it."""


class DiskFile:
    """A file on a disk, opened once."""

    def __init__(self, path: str | Path, handle: int) -> None:
        self.path, self._handle = Path(path), handle
        self.size = os.fstat(handle).st_size

    def head(self, count: int) -> bytes:
        """The first bytes."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        return os.read(self._handle, count)

    def piece(self, at: int, count: int) -> bytes | None:
        """Some bytes further on."""
        os.lseek(self._handle, at, os.SEEK_SET)
        return os.read(self._handle, count)

    def open(self) -> BinaryIO:
        """The file itself, at its beginning; closing it is left to whoever opened it."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        return os.fdopen(self._handle, "rb", closefd=False)


class Member:
    """A member of a zip archive, unpacked no further than it is read."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self.path, self.size = Path(info.filename), info.file_size
        self._archive, self._info = archive, info

    def head(self, count: int) -> bytes:
        """The first bytes."""
        with self._archive.open(self._info) as file:
            return file.read(count)

    def piece(self, at: int, count: int) -> bytes | None:
        """Nothing: all before it would have to be unpacked."""
        return None

    def open(self) -> BinaryIO:
        """All of it, in memory.

        Raises
        ------
        ValueError
            If it is larger than what one file of a series has.
        """
        if self.size > LARGEST_MEMBER:
            raise ValueError(f"larger than {LARGEST_MEMBER} bytes")
        return io.BytesIO(self._archive.read(self._info))


def check_deflated(source: Source, marked: bool) -> None:
    """Refuse a file of the deflated transfer syntax that stands for far more than it holds.

    pydicom unpacks the whole of such a file, whatever is asked of it.

    Raises
    ------
    ValueError
        If it would unpack to more than `LARGEST_DEFLATED` bytes, or cannot be unpacked.
    """
    syntax, start = _meta(source.head(_LONGEST_META), 132 if marked else 0)
    if syntax != DEFLATED:
        return
    packed = zlib.decompressobj(-zlib.MAX_WBITS)
    file = source.open()
    file.seek(start)
    size, rest = 0, file.read()
    try:
        while rest and not packed.eof:
            size += len(packed.decompress(rest, _PIECE))
            rest = packed.unconsumed_tail
            if size > LARGEST_DEFLATED:
                raise ValueError("it stands for far more than an image")
    except zlib.error:
        raise ValueError("it cannot be unpacked") from None


def _meta(data: bytes, at: int) -> tuple[str, int]:
    """Transfer syntax of a file, and where its data set begins."""
    syntax = ""
    while data[at : at + 2] == b"\x02\x00":
        if len(data) < at + 12:
            raise ValueError("its meta information is too long, or cut off")
        wide = data[at + 4 : at + 6] in _WIDE
        length = int.from_bytes(data[at + 8 : at + 12] if wide else data[at + 6 : at + 8], "little")
        begin = at + (12 if wide else 8)
        if data[at + 2 : at + 4] == b"\x10\x00":
            syntax = data[begin : begin + length].rstrip(b"\0 ").decode("latin-1")
        at = begin + length
        if at > len(data):
            raise ValueError("its meta information is too long, or cut off")
    return syntax, at
