"""Reading the headers of many files: in several processes, from a folder or a zip."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from mriprep.core import InputError, MriprepWarning

from . import dicom_facts
from .archive import DAMAGED, safe_members
from .dicom_contrast import Rules
from .dicom_files import Member
from .dicom_headers import Header, header_of, read_header

#: Fewer files than this a process are read sooner than it starts.
LEAST_A_PROCESS = 1500
_CHUNK = 250

#: Hears how many files are done, and of how many.
Hears = Callable[[int, int], None]


@dataclass
class Headers:
    """The headers that were found, each image once, and what else there was."""

    found: dict[str, Header] = field(default_factory=dict)
    other: int = 0
    damaged: int = 0
    repeated: int = 0

    def add(self, headers: Iterable[Header | bool | None]) -> None:
        """Take over what was read: a header, None for another file, False for a damaged one."""
        for header in headers:
            if header is None:
                self.other += 1
            elif isinstance(header, bool):
                self.damaged += 1
            elif header.uid in self.found:
                self.repeated += 1
                # Whichever process was first, the same copy is kept: the whole, then the first by name.
                self.found[header.uid] = min(
                    self.found[header.uid], header, key=lambda h: (h.lost, str(h.path))
                )
            else:
                self.found[header.uid] = header

    def tell(self) -> None:
        """Warn of what was left out.

        Raises
        ------
        InputError
            If there is no image at all.
        """
        if not self.found:
            raise InputError(
                f"no DICOM image found ({self.other} other files, {self.damaged} damaged ones)",
                hint="give the folder that holds the scanner's files, or a zip archive of it",
            )
        if self.other:
            _warn(f"left out {self.other} files that are not DICOM images")
        if self.repeated:
            _warn(f"left out {self.repeated} copies of images that are there already")
        if self.damaged:
            _warn(f"left out {self.damaged} damaged DICOM files; slices may be missing")


def read_headers(
    source: Path,
    *,
    processes: int = 1,
    rules: Rules | None = None,
    hears: Hears | None = None,
) -> Headers:
    """Read the headers of all DICOM files of a folder or zip, or of one file.

    Parameters
    ----------
    source : Path
        A folder with all its subfolders, a zip (which is not unpacked), or a file.
    processes : int
        How many processes read at most; few files are read by one.
    rules : Rules, optional
        For the contrast.
    hears : callable, optional
        Called with the number of files read, and of all.

    Returns
    -------
    Headers
        In the order of the files' names, whatever the number of processes.
    """
    archive = source if source.is_file() and zipfile.is_zipfile(source) else None
    names = _members(archive) if archive else [str(f) for f in files_below(source)]
    chunks = [names[i : i + _CHUNK] for i in range(0, len(names), _CHUNK)]
    processes = max(1, min(processes, len(names) // LEAST_A_PROCESS))
    if hears:
        hears(0, len(names))
    found = Headers()
    if processes == 1:
        done = 0
        for chunk in chunks:
            found.add(_read(archive, chunk, rules))
            done += len(chunk)
            if hears:
                hears(done, len(names))
        return found
    parts: dict[int, list[Header | bool | None]] = {}
    with ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),  # threads may run already, which a fork would break
        initializer=_begin,
        initargs=(dicom_facts.salt(), archive, rules),
    ) as pool:
        asked = {pool.submit(_read_here, chunk): i for i, chunk in enumerate(chunks)}
        for number, future in enumerate(as_completed(asked), start=1):
            parts[asked[future]] = future.result()
            if hears:
                hears(min(number * _CHUNK, len(names)), len(names))
    for i in range(len(chunks)):
        found.add(parts.pop(i))
    return found


_given: tuple[Path | None, Rules | None] = (None, None)


def _begin(salt: bytes, archive: Path | None, rules: Rules | None) -> None:
    """What a process has to know before it reads."""
    global _given
    dicom_facts.salt(salt)
    _given = (archive, rules)


def _read_here(names: Sequence[str]) -> list[Header | bool | None]:
    return _read(_given[0], names, _given[1])


def _read(
    archive: Path | None, names: Sequence[str], rules: Rules | None
) -> list[Header | bool | None]:
    if archive is not None:
        with zipfile.ZipFile(archive) as opened:
            return [_one(lambda n=name: header_of(_member(opened, n), rules)) for name in names]  # type: ignore[misc]
    return [_one(lambda n=name: read_header(Path(n), rules)) for name in names]  # type: ignore[misc]


def _member(archive: zipfile.ZipFile, name: str) -> Member:
    return Member(archive, archive.getinfo(name))


def _one(read: Callable[[], Header | None]) -> Header | bool | None:
    try:
        return read()
    except (ValueError, *DAMAGED):
        return False


def _members(archive: Path) -> list[str]:
    return sorted(m.filename for m in safe_members(archive))


def files_below(root: Path) -> Iterator[Path]:
    """A file, or all files of a folder and below it, sorted."""
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            if file.is_file():  # no sockets, no dead links
                yield file


def _warn(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=4)
