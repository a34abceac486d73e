"""Files fetched by HTTP: resumed where they broke off, checked, and in place whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mriprep.core import InputError, OutputError
from mriprep.core.errors import unwritable

from .hashes import file_hash
from .offline import OFFLINE, is_offline

#: Called with the bytes that are there and the bytes that there will be, where that is known.
Progress = Callable[[int, int | None], None]

#: More than this is fetched only where the size is known beforehand (bytes).
LARGEST = 8 * 2**30
_BLOCK = 2**16
#: Seconds without a connection, and without a byte.
_PATIENCE = (15, 60)
#: How often a connection that breaks off is taken up again.
_TRIES = 5


def download(
    url: str,
    final: Path,
    *,
    checksum: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> str:
    """Fetch a file.

    What has arrived of it waits beside `final` under the name
    ``.NAME.part``, from where the next call goes on. A file that stands at
    `final` stays as it was until the new one is whole and checked.

    Parameters
    ----------
    url : str
        Where it is; ``https`` is not left for ``http`` on the way.
    final : Path
        Where it shall be; the folder is made when there is none.
    checksum : str, optional
        The SHA-256 that it must have.
    size : int, optional
        Its bytes, where they are known.
    progress : callable, optional
        Told how far it is.

    Returns
    -------
    str
        The SHA-256 of what is there now.

    Raises
    ------
    InputError
        If the network is switched off or out of reach, the server does not
        give the file, or what it gives is not the file.
    OutputError
        If it cannot be written, or another process is fetching it.
    """
    if is_offline():
        raise InputError(f"{final.name} is not fetched: {OFFLINE}=1 switches the network off")
    part = final.with_name(f".{final.name}.part")
    made = [folder for folder in final.parents if not folder.exists()]
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "ab") as file, _alone(file, part):
            resumed = _receive(url, file, size, progress)
            got = file_hash(part)
            if resumed and not _same(got, checksum):
                # The beginning may be of another file, or damaged: once more, all of it.
                _empty(file)
                _receive(url, file, size, progress)
                got = file_hash(part)
            if not _same(got, checksum):
                _empty(file)
                raise InputError(
                    f"{final.name} is not the file that was published: its SHA-256 should be"
                    f" {checksum} and is {got}"
                )
            if sys.platform == "win32":  # which renames no open file
                file.close()
            os.replace(part, final)
    except OSError as error:
        raise unwritable(error)(
            f"cannot write {final}: {error.strerror or error}",
            hint="check that the folder can be written to and that the disk is not full",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            if not part.stat().st_size:
                part.unlink()
            for folder in made:  # those that are not empty stay
                folder.rmdir()
    return got


def _same(got: str, wanted: str | None) -> bool:
    return wanted is None or got == wanted.lower()


def _receive(url: str, file: BinaryIO, size: int | None, progress: Progress | None) -> bool:
    """Append what is missing; whether there was something to go on from."""
    import requests

    resumed = file.tell() > 0
    for attempt in range(_TRIES):
        before = file.tell()
        if size is not None and before == size:
            break
        try:
            _append(url, file, size, progress)
            break
        except requests.RequestException as error:
            broke_off = isinstance(error, requests.exceptions.ChunkedEncodingError)
            if attempt == _TRIES - 1 or not (broke_off or file.tell() > before):
                raise InputError(f"{url} cannot be fetched: {_reason(error)}") from error
    file.flush()
    if size is not None and file.tell() != size:
        got = file.tell()
        _empty(file)
        raise InputError(f"{url} gave {got} bytes, and the file that was published has {size}")
    return resumed


def _append(url: str, file: BinaryIO, size: int | None, progress: Progress | None) -> None:
    import requests

    start = file.tell()
    # Bytes as they lie on the server's disk: a range of something packed anew means nothing.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    with requests.get(url, headers=headers, stream=True, timeout=_PATIENCE) as answer:
        if url.startswith("https:") and not answer.url.startswith("https:"):
            raise InputError(f"{url} leads to an address without encryption: not followed")
        if answer.status_code == 416 and start:  # there is nothing beyond what is here
            _empty(file)
            return _append(url, file, size, progress)
        if answer.status_code not in (200, 206):
            raise InputError(
                f"{url} cannot be fetched: the server says {answer.status_code} {answer.reason}"
            )
        if start and not _goes_on(answer, start):
            _empty(file)
            start = 0
        length = answer.headers.get("Content-Length", "")
        total = size or (start + int(length) if length.isdigit() else None)
        most = size or LARGEST
        for block in answer.iter_content(_BLOCK):
            file.write(block)
            if file.tell() > most:
                _empty(file)
                raise InputError(f"{url} gives more than the {most} bytes that are expected")
            if progress is not None:
                progress(file.tell(), total)
    return None


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _goes_on(answer: Any, start: int) -> bool:
    """Whether the server gives what follows `start`, and not the file from its beginning."""
    span = answer.headers.get("Content-Range", "")
    return bool(answer.status_code == 206 and span.startswith(f"bytes {start}-"))


def _reason(error: Exception) -> str:
    """What went wrong, without the library talking to itself."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted here"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off; the next try goes on from there"
    if isinstance(error, requests.ConnectionError):
        return "there is no way to the server: is there a network here?"
    return type(error).__name__


@contextlib.contextmanager
def _alone(file: BinaryIO, part: Path) -> Iterator[None]:
    """Keep other processes from fetching the same file into the same place."""
    if sys.platform == "win32":  # which refuses to rename a file that another process has open
        yield
        return
    import fcntl

    busy = OutputError(
        f"{part.name[1:-5]} is being fetched by another process",
        hint="wait for it, then try again",
    )
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    except OSError:  # a file system without locks
        pass
    # It may have been renamed between opening and locking: then it is nobody's to write to.
    if not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat()):
        raise busy
    yield
