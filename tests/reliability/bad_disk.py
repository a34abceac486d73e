"""A disk that fails, put between Python and the system: at the n-th call of one kind, with one error.

Of libraries in C it reaches what they write through files that Python opened.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

_open, _io_open = builtins.open, io.open


class Disk:
    """Counts the calls below a folder, and lets the n-th of a kind fail."""

    def __init__(self, folder: Path, kind: str = "", number: int = -1, error: int = 0) -> None:
        self.folder, self.kind, self.left, self.error = os.fspath(folder), kind, number, error
        self.seen: dict[str, int] = {}
        self.failed = False

    def call(self, kind: str, path: Any) -> None:
        """Note a call; fail if it is the one."""
        if isinstance(path, int) or not os.fspath(path).startswith(self.folder):
            return
        self.seen[kind] = self.seen.get(kind, 0) + 1
        if kind == self.kind:
            if self.left == 0 or (
                self.failed and kind in ("rename", "write")
            ):  # a full disk stays full
                self.failed = True
                raise OSError(self.error, os.strerror(self.error), os.fspath(path))
            self.left -= 1


class _Failing(io.FileIO):
    """A file whose writes, or the closing of it, may fail, as NFS tells of a full disk."""

    disk: Disk

    def write(self, data: Any) -> int:
        self.disk.call("write", self.name)
        return super().write(data)

    def close(self) -> None:
        closed = self.closed
        super().close()
        if not closed:
            self.disk.call("close", self.name)


@contextmanager
def failing(disk: Disk) -> Iterator[Disk]:
    """Put the disk in between."""
    calls = {
        "rename": ("replace", "rename"),
        "mkdir": ("mkdir",),
        "unlink": ("unlink",),
        "list": ("scandir", "listdir"),
    }

    def opened(path: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        writes = any(c in mode for c in "wxa+")
        disk.call("create" if writes else "read", path)
        if not writes or isinstance(path, int) or not os.fspath(path).startswith(disk.folder):
            return _io_open(path, mode, buffering, *more, **named)

        def raw(name: Any, flags: str) -> Any:
            return _Failing(name, flags)

        plain = "".join(c for c in mode if c in "wxa+")
        file = raw(path, plain)
        file.disk = disk
        if buffering == 0:
            return file
        buffer = io.BufferedRandom(file) if "+" in plain else io.BufferedWriter(file)
        if "b" in mode:
            return buffer
        names = ("encoding", "errors", "newline")
        return io.TextIOWrapper(
            buffer,
            **{
                **dict(zip(names, more, strict=False)),
                **{k: named[k] for k in names if k in named},
            },
        )

    with mock.patch.multiple(builtins, open=opened), mock.patch.multiple(io, open=opened):
        patches = []
        for kind, names in calls.items():
            for name in names:
                real = getattr(os, name)

                def called(
                    path: Any = ".", *more: Any, kind: str = kind, real: Any = real, **named: Any
                ) -> Any:
                    disk.call(kind, path)
                    return real(path, *more, **named)

                patches.append(mock.patch.object(os, name, called))
        for patch in patches:
            patch.start()
        try:
            yield disk
        finally:
            for patch in reversed(patches):
                patch.stop()
