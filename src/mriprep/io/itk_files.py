"""The two containers in which ITK keeps transforms: text, and MATLAB version 4 binary."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from mriprep.core import InputError


@dataclass(frozen=True)
class Entry:
    """One transform as ITK names it, with its parameters and fixed parameters."""

    name: str
    parameters: tuple[float, ...]
    fixed: tuple[float, ...]


def text_entries(path: Path, content: bytes) -> list[Entry]:
    """Read ITK's text (``#Insight Transform File``).

    Raises
    ------
    InputError
        If what should be numbers is not.
    """
    entries: list[Entry] = []
    for line in content.decode("latin-1").splitlines():
        key, _, value = line.partition(":")
        if key == "Transform":
            entries.append(Entry(value.strip(), (), ()))
        elif key in ("Parameters", "FixedParameters") and entries:
            try:
                numbers = tuple(float(n) for n in value.split())
            except ValueError as error:
                raise _damaged(path, str(error)) from error
            last = entries[-1]
            entries[-1] = (
                Entry(last.name, numbers, last.fixed)
                if key == "Parameters"
                else Entry(last.name, last.parameters, numbers)
            )
    if not entries:
        raise _damaged(path, "it names no transform")
    return entries


def text_bytes(entry: Entry) -> bytes:
    """Write one transform as ITK's text, to the last digit."""
    return (
        "#Insight Transform File V1.0\n#Transform 0\n"
        f"Transform: {entry.name}\n"
        f"Parameters: {' '.join(map(repr, entry.parameters))}\n"
        f"FixedParameters: {' '.join(map(repr, entry.fixed))}\n"
    ).encode("ascii")


def mat_entries(path: Path, content: bytes) -> list[Entry]:
    """Read MATLAB version 4 binary: pairs of a matrix named as the transform and one named ``fixed``.

    Raises
    ------
    InputError
        If it is truncated or of another layout.
    """
    matrices: list[tuple[str, tuple[float, ...]]] = []
    position = 0
    while position < len(content):
        try:
            # The first number is below 100 when it is read in the file's own byte order.
            order = "<" if struct.unpack_from("<i", content, position)[0] in (0, 10) else ">"
            kind, rows, columns, imaginary, length = struct.unpack_from(
                f"{order}5i", content, position
            )
            if kind % 1000 not in (0, 10) or imaginary or min(rows, columns, length) < 0:
                raise _damaged(path, "not matrices of real numbers")
            position += 20
            name = content[position : position + length].rstrip(b"\0").decode("latin-1")
            position += length
            layout = f"{order}{rows * columns}{'d' if kind % 1000 == 0 else 'f'}"
            matrices.append((name, struct.unpack_from(layout, content, position)))
            position += struct.calcsize(layout)
        except struct.error as error:
            raise _damaged(path, "it is truncated") from error
    fixed = matrices[1::2]
    if len(matrices) % 2 or any(name != "fixed" for name, _ in fixed):
        raise _damaged(path, "a transform without its fixed parameters")
    return [
        Entry(name, numbers, centre)
        for (name, numbers), (_, centre) in zip(matrices[::2], fixed, strict=True)
    ]


def mat_bytes(entry: Entry) -> bytes:
    """Write one transform as MATLAB version 4 binary, little-endian."""
    pieces = []
    for name, numbers in ((entry.name, entry.parameters), ("fixed", entry.fixed)):
        label = name.encode("ascii") + b"\0"
        pieces += [struct.pack("<5i", 0, len(numbers), 1, 0, len(label)), label]
        pieces.append(struct.pack(f"<{len(numbers)}d", *numbers))
    return b"".join(pieces)


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is a damaged transform file: {reason}", hint="write it again from its source"
    )
