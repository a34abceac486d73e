"""Reading the headers of many files: in several processes, from a folder or a zip."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mriprep.core import InputError, MriprepWarning

from . import dicom_facts
from .archive import DAMAGED, safe_members
from .dicom_contrast import Rules
from .dicom_files import Member
from .dicom_headers import Header, header_of, read_header
from .given import leads_to

#: Fewer files than this a process are read sooner than it starts.
LEAST_A_PROCESS = 2000
_CHUNK = 250
#: What a disk says that fails, or a network's folder that is gone; not of the files themselves.
_OF_DISKS = {
    getattr(errno, name)
    for name in ("EIO", "ESTALE", "ETIMEDOUT", "ENXIO", "ENODEV", "EREMOTEIO", "ENOTCONN", "EHOSTDOWN",
                 "ECONNRESET", "ECONNABORTED", "ENETDOWN", "ENETUNREACH", "EHOSTUNREACH", "EMFILE", "ENFILE",
                 "ENOMEM")
    if hasattr(errno, name)
}  # fmt: skip

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
            what = f"no DICOM image found ({self.other} other files, {self.damaged} damaged ones)"
            if not self.other and not self.damaged:
                what = "no DICOM image found: there is no file in it"
            raise InputError(
                what,
                hint="give the folder that holds the scanner's files, or a zip archive of it; of"
                " images in other formats one file, or to `mriprep run` a dataset of them",
            )
        if self.other:
            _warn(f"left out {self.other} files that are not DICOM images")
        if self.repeated:
            _warn(f"left out {self.repeated} copies of images that are there already")
        if self.damaged:
            files = "1 file that is" if self.damaged == 1 else f"{self.damaged} files that are"
            _warn(f"left out {files} damaged, or may not be read; slices may be missing")


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
    names = _members(archive) if archive else _below(source)
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
    parts = _in_processes(chunks, processes, archive, rules, hears)
    for i in range(len(chunks)):
        found.add(parts.pop(i))
    return found


_Read = list[Header | bool | None]


def _in_processes(
    chunks: Sequence[list[str]],
    processes: int,
    archive: Path | None,
    rules: Rules | None,
    hears: Hears | None,
) -> dict[int, _Read]:
    """Have the chunks read by processes of their own; by the chunk's number.

    They are programs that begin anew, not forks and not multiprocessing's:
    forks break where threads run, and multiprocessing starts the caller's
    main module once more.
    """
    total = sum(map(len, chunks))
    begin = (dicom_facts.salt(), archive, rules)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-c", "from mriprep.io.dicom_scan import serve; serve()"]
    parts: dict[int, _Read] = {}
    waiting = iter(enumerate(chunks))
    starting: list[subprocess.Popen[bytes]] = []
    lock = threading.Lock()

    def take() -> tuple[int, list[str]]:
        with lock:
            return next(waiting, (-1, []))

    def give(number: int, read: _Read) -> None:
        with lock:
            parts[number] = read
            if hears:
                hears(sum(map(len, parts.values())), total)

    def feed() -> None:
        """Give one process chunk after chunk, until there are no more."""
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            with lock:
                starting.append(process)
            pickle.dump(begin, process.stdin)
            process.stdin.flush()
            pickle.load(process.stdout)  # noqa: S301 - it is there: from now on it takes its share
            with lock:
                starting.remove(process)
            while (job := take())[0] >= 0:
                pickle.dump(job[1], process.stdin)
                process.stdin.flush()
                give(job[0], pickle.load(process.stdout))  # noqa: S301 - of our own process
            process.stdin.close()

    with ThreadPoolExecutor(processes) as pool:
        helping = [pool.submit(feed) for _ in range(processes - 1)]
        while True:  # this process reads as well, while the others are still starting
            number, chunk = take()
            if number < 0:
                break
            give(number, _read(archive, chunk, rules))
        with lock:
            for process in starting:  # all was read before it came
                process.kill()
        for done in helping:
            # Where a process is gone, what it did not read is read here.
            with contextlib.suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
                done.result()
    for number, chunk in enumerate(chunks):
        if number not in parts:
            parts[number] = _read(archive, chunk, rules)
    return parts


def serve() -> None:
    """Read chunks of files as another process asks for them on the standard input."""
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    salt, archive, rules = pickle.load(asked)  # noqa: S301 - from the process that started this one
    dicom_facts.salt(salt)
    pickle.dump(True, answers)
    answers.flush()
    while True:
        try:
            chunk = pickle.load(asked)  # noqa: S301
        except EOFError:
            return
        pickle.dump(_read(archive, chunk, rules), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def read_files(files: Sequence[Path]) -> Headers:
    """Read the headers of these files."""
    found = Headers()
    found.add(_read(None, [str(f) for f in files], None))
    return found


def _read(
    archive: Path | None, names: Sequence[str], rules: Rules | None
) -> list[Header | bool | None]:
    if archive is not None:
        with zipfile.ZipFile(archive) as opened:
            return [_one(lambda n=name: header_of(_member(opened, n), rules)) for name in names]  # type: ignore[misc]
    return [_one(lambda n=name: read_header(n, rules)) for name in names]  # type: ignore[misc]


def _member(archive: zipfile.ZipFile, name: str) -> Member:
    return Member(archive, archive.getinfo(name))


def _one(read: Callable[[], Header | None]) -> Header | bool | None:
    try:
        return read()
    except (ValueError, *DAMAGED) as error:
        if isinstance(error, OSError) and error.errno in _OF_DISKS:
            raise _unreadable(error) from None
        return False


def _unreadable(error: OSError) -> InputError:
    # A slice that the disk does not give for now is no slice that is missing.
    return InputError(
        f"a file of the DICOM folder cannot be read: {error.strerror}",
        hint="is the disk whole, and the folder of the network still there? then run the same again",
    )


def _members(archive: Path) -> list[str]:
    return sorted(m.filename for m in safe_members(archive))


def _below(root: Path) -> list[str]:
    """A file, or all files of a folder and below it, sorted."""
    if leads_to(root) == "file":
        return [str(root)]
    found: list[str] = []
    folders = [str(root)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file():  # no sockets, no dead links
                        found.append(entry.path)
        except PermissionError:
            _warn("left out a folder that may not be read")
        except OSError as error:
            if error.errno in _OF_DISKS:
                raise _unreadable(error) from None
            _warn(f"left out a folder that cannot be read: {error.strerror}")
    return sorted(found)


def _warn(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=4)
