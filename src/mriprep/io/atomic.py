"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mriprep.core import OutputError, OutputRefused
from mriprep.core.errors import unwritable

from .given import expanded

# A temporary file's name says whose it is: the machine, the process, a random part.
_TEMPORARY = re.compile(r"\.part-([0-9a-f]{6})([0-9a-f]{8})[0-9a-f]{6}(\.|$)")
_swept: set[Path] = set()


@contextlib.contextmanager
def atomic_path(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `final`, and rename it to `final` when the block succeeds.

    The temporary name keeps the extensions, for writers that go by them.
    When the block fails the temporary file is removed, and a file that was
    at `final` before stays as it was.

    Parameters
    ----------
    final : path
        Where the file shall be; its folder is made when there is none.

    Yields
    ------
    pathlib.Path
        Where to write. Only writing belongs in the block.

    Raises
    ------
    OutputError
        If the folder cannot be made, or writing or renaming fails.
    """
    final = Path(final)
    stem, dot, extensions = final.name.lstrip(".").partition(".")
    temporary = final.with_name(f".{stem}.part-{_mark()}{dot}{extensions}")
    try:
        if final.is_dir():
            raise OutputRefused(
                f"cannot write {final}: there is a folder of that name",
                hint="give the name of a file",
            )
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final.parent)
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        reason = error.strerror or str(error)
        raise unwritable(error)(
            f"cannot write {_meant(final)}: {reason}",
            hint="check that the folder can be written to and that the disk is not full",
        ) from error
    finally:
        # Gone already when it was renamed; a failure to tidy must not hide the first error.
        with contextlib.suppress(OSError):
            temporary.unlink()


def _meant(path: Path) -> Path:
    """What a file is called when it is whole: what writes it may have been given a temporary name."""
    if _TEMPORARY.search(path.name) is None:
        return path
    return path.with_name(_TEMPORARY.sub(r"\3", path.name).removeprefix("."))


def _mark() -> str:
    """Whose a temporary file is, and a random part."""
    return f"{_machine()}{os.getpid():08x}{secrets.token_hex(3)}"


@functools.cache
def _machine() -> str:
    """Six digits that stand for where numbers of processes mean the same: machine and container."""
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:6]


def _sweep(folder: Path) -> None:
    """Remove temporary files of processes that were killed; once a folder, before the first write."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.search(entry.name) if entry.name.startswith(".") else None
            if found is None or found[1] != _machine() or _lives(int(found[2], 16)):
                continue
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _lives(pid: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(pid))


def writable_folder(folder: str | os.PathLike[str]) -> Path:
    """An output folder that can be written to, made if need be.

    Raises
    ------
    OutputError
        If it is a file, or cannot be made or written to.
    """
    path = expanded(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Others may try at this moment; what is left where a process is killed here is swept.
        probe = path / f".writable.part-{_mark()}"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(error)(
            f"the output folder '{path}' cannot be written to:"
            f" {'it is a file' if path.is_file() else error.strerror}",
            hint="give a folder that you may write to",
        ) from None
    return path


@contextlib.contextmanager
def no_empty_folder(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Take away a folder (and those above it) that was made inside and is empty, after an error."""
    path = expanded(folder).absolute()
    made = [p for p in (path, *path.parents) if not os.path.lexists(p)]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first that holds something ends it
            for each in made:
                each.rmdir()
        raise


def write_text(text: str, path: str | os.PathLike[str]) -> Path:
    """Write UTF-8 text, whole or not at all, and return its path.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_json(data: Any, path: str | os.PathLike[str]) -> Path:
    """Write plain data as JSON, keys in their order, whole or not at all, and return its path.

    Mappings, NumPy numbers and arrays, and paths are made plain.

    Raises
    ------
    OutputError
        If it cannot be written, or holds NaN, infinity or what JSON cannot express.
    """
    try:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise OutputError(
            f"cannot write {Path(path)} as JSON: {error}",
            hint="JSON knows no NaN and no infinity: give null where a number is not known",
        ) from error
    return write_text(text + "\n", path)


def _plain(value: object) -> Any:
    match value:
        case Mapping():
            return dict(value)
        case np.ndarray() | np.generic():
            return value.tolist()
        case os.PathLike():
            return os.fspath(value)
        case set() | frozenset():
            return sorted(value)
    raise TypeError(f"{type(value).__name__} is not plain data")
