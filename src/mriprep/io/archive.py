"""Zip archives, unpacked safely into a private temporary folder."""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from mriprep.core import InputError

#: An archive that would unpack to more than this is refused (bytes).
LARGEST = 64 * 2**30
#: An archive with more members than this is refused.
MOST_MEMBERS = 500_000

#: What holds scans is packed a few times tighter, masks a hundred times; a bomb a thousand times.
#: An archive that would grow more than this is refused, if it is large unpacked (bytes).
MOST_GROWTH = 200
LARGE = 2**30

#: What reading a damaged archive raises.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, OSError,
    # Of zipfile itself: names that are no UTF-8, fields that are cut off, offsets before the file.
    ValueError, IndexError, struct.error, OverflowError,
)  # fmt: skip


class Unpacked:
    """A temporary folder that is deleted when nothing refers to it any more.

    Attributes
    ----------
    folder : Path
        Where the files are; readable by this user alone.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mriprep-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def close(self) -> None:
        """Delete the folder now."""
        self._remove()


def safe_members(source: Path) -> list[zipfile.ZipInfo]:
    """The files of a zip archive, which is refused if it is not safe to unpack.

    Raises
    ------
    InputError
        If it is damaged, encrypted, unsafe or too large.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
    except DAMAGED as error:
        raise _cannot(error) from error
    _check(members, LARGEST, source)
    return members


def _cannot(error: Exception) -> InputError:
    return InputError(
        f"the archive cannot be unpacked ({type(error).__name__})",
        hint="is it a whole zip file? unpack it with another tool and give the folder",
    )


def unzip(source: Path, only: Collection[str] | None = None) -> Unpacked:
    """Unpack a zip archive, or some of its members, into a temporary folder.

    Nothing is written outside that folder: an archive with a member that
    points elsewhere, or with a link, is refused as a whole.

    Parameters
    ----------
    source : Path
        The archive.
    only : collection of str, optional
        Names of the members to unpack; all of them by default.

    Returns
    -------
    Unpacked
        Holds the folder; keep it as long as the files are needed.

    Raises
    ------
    InputError
        If the file is no zip archive, is damaged, encrypted, unsafe or too large.
    """
    unpacked = Unpacked()
    try:
        unzip_into(source, unpacked.folder, only=only)
    except BaseException:
        unpacked.close()
        raise
    return unpacked


def unzip_into(
    source: Path,
    folder: Path,
    *,
    only: Collection[str] | None = None,
    largest: int | None = None,
) -> None:
    """Unpack a zip archive into an empty folder, nothing outside it.

    Parameters
    ----------
    source : Path
        The archive.
    folder : Path
        Where to; what was written before a failure is left there.
    only : collection of str, optional
        Names of the members to unpack; all of them by default.
    largest : int, optional
        Bytes that it may unpack to; `LARGEST` by default.

    Raises
    ------
    InputError
        If the file is no zip archive, is damaged, encrypted, unsafe or too large.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            if only is not None:
                members = [m for m in members if m.filename in only]
            most = LARGEST if largest is None else largest
            _check(members, min(most, shutil.disk_usage(folder).free), source)
            for member in members:
                target = folder / PurePosixPath(member.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, open(target, "xb") as file:
                    shutil.copyfileobj(packed, file, 2**20)
    except DAMAGED as error:
        raise _cannot(error) from error


def _check(members: list[zipfile.ZipInfo], largest: int, source: Path) -> None:
    for member in members:
        parts = PurePosixPath(member.filename).parts
        # A backslash or a colon is a separator or a drive on Windows; "//x" has "//" as its root.
        if (
            not parts
            or member.filename.startswith("/")
            or ".." in parts
            or set(member.filename) & set("\\:")
        ):
            raise InputError(
                "the archive holds a member that would be written outside the target folder",
                hint="do not trust this archive; pack the scans anew from their folder",
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(
                "the archive holds a link, which is not followed",
                hint="pack the files themselves",
            )
        if member.flag_bits & 0x1:
            raise InputError(
                "the archive is encrypted", hint="unpack it with its password and give the folder"
            )
    size = sum(m.file_size for m in members)
    packed = source.stat().st_size
    if size > LARGE and size > MOST_GROWTH * packed:
        raise InputError(
            f"the archive of {packed / 2**20:.1f} MiB would unpack to {size / 2**30:.1f} GiB:"
            " scans are not packed as tightly, it may be made to fill a disk",
            hint="if you trust it, unpack it yourself and give the folder",
        )
    if len(members) > MOST_MEMBERS or size > largest:
        raise InputError(
            f"the archive would unpack to {size / 2**30:.1f} GiB in {len(members)} files;"
            f" {largest / 2**30:.1f} GiB and {MOST_MEMBERS} files are accepted",
            hint="unpack it yourself and give the folder; TMPDIR chooses the temporary disk",
        )
