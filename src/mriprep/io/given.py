"""What a path leads to, before it is opened: pipes wait for ever, devices never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Literal

from mriprep.core import InputError

#: A text that somebody wrote by hand (a recipe, a table, a sidecar) is not longer, bytes.
LONGEST_TEXT = 64 * 2**20

#: Below this nothing ever is.
NOWHERE = Path(os.devnull, "no-home-folder")

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_REFUSALS = {
    errno.ENAMETOOLONG: ("has a name that is longer than the system takes", "give it a shorter one"),
    errno.ELOOP: ("is a link that leads back to itself", "give the file that is meant"),
    errno.EACCES: ("may not be looked at", "check the permissions of its folder"),
}  # fmt: skip


def leads_to(path: str | os.PathLike[str]) -> Literal["file", "folder", "missing"]:
    """Say what a path leads to; links are followed.

    Raises
    ------
    InputError
        If it is a pipe, a socket or a device, which a read would wait on or
        never come to the end of, or a name that the system refuses.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError:  # NUL, or what the system's names cannot hold
        raise InputError(f"{shown(path)!r} is no name of a file", hint="check the path") from None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "missing"
        what, hint = _REFUSALS.get(
            error.errno or 0, (f"cannot be looked at: {error.strerror or error}", "check the disk")
        )
        raise InputError(f"{shown(path)} {what}", hint=hint) from None
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    raise InputError(
        f"{shown(path)} is {kind}; an ordinary file is needed",
        hint="write what it gives into a file first",
    )


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with the home folder for a ``~`` at its beginning; left as it is where there is none.

    A name such as ``~0`` is that of a file too, where no user is called so.
    """
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):  # no such user, or NUL, which is refused when it is opened
        return Path(path)


def home() -> Path | None:
    """The user's home folder; None where there is none, as of a user without an entry in a container."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def cache() -> Path:
    """The user's cache of mriprep.

    Where there is no home, it is in a place that never is: nothing is found
    there, and who wants to write is told so.
    """
    from platformdirs import user_cache_path

    try:
        found = user_cache_path("mriprep")
    except RuntimeError:
        return NOWHERE / "mriprep"
    return found if found.is_absolute() else NOWHERE / "mriprep"  # as older platformdirs say it


def read_bytes(path: str | os.PathLike[str], most: int = LONGEST_TEXT) -> bytes:
    """All of an ordinary file that has at most so many bytes.

    Raises
    ------
    OSError
        If it cannot be read, is no ordinary file, or is longer.
    """
    # A pipe is opened without waiting for its writer, and then seen to be one.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except ValueError:  # NUL, or what the system's names cannot hold
        raise OSError(errno.EINVAL, "it is no name of a file", shown(path)) from None
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most} bytes", str(path))
    return data


def read_text(path: str | os.PathLike[str], most: int = LONGEST_TEXT) -> str:
    """The UTF-8 text of an ordinary file that has at most so many bytes.

    Raises
    ------
    OSError
        As :func:`read_bytes`.
    UnicodeDecodeError
        If it is not UTF-8.
    """
    text = read_bytes(path, most).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")  # as texts are opened


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message: not longer than a reader bears."""
    text = os.fspath(path)
    return text if len(text) < 300 else f"{text[:140]}...{text[-60:]}"
