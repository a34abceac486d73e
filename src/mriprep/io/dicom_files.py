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

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self.size = os.fstat(file.fileno()).st_size

    def head(self, count: int) -> bytes:
        """The first bytes."""
        self._file.seek(0)
        return self._file.read(count)

    def piece(self, at: int, count: int) -> bytes | None:
        """Some bytes further on."""
        self._file.seek(at)
        return self._file.read(count)

    def open(self) -> BinaryIO:
        """The file itself, at its beginning."""
        self._file.seek(0)
        return self._file


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
