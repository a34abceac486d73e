"""Files that may be DICOM, on a disk or in a zip: their beginning, and more of them if need be."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import BinaryIO, Protocol


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
        """All of it, in memory."""
        return io.BytesIO(self._archive.read(self._info))
