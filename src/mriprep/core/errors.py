"""Errors that say what was received, what is accepted and what to do."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable


class MriprepError(Exception):
    """Base of every error that mriprep raises on purpose.

    Parameters
    ----------
    message : str
        What was received and why it cannot be used.
    hint : str, optional
        What to do about it.

    Attributes
    ----------
    code : str
        Short, stable name of the kind of error, for records and scripts.
    exit_code : int
        Exit status of the command line: 2 for bad usage or input, 1 for a
        failure of processing.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class InputError(MriprepError):
    """A file, folder or value that was given cannot be used."""

    code = "input"
    exit_code = 2


class GeometryError(InputError):
    """An affine, a shape or an orientation that makes no sense, or grids that do not match."""

    code = "geometry"


class RecipeError(InputError):
    """A recipe, a step name or a parameter that is not right."""

    code = "recipe"


class EngineMissing(MriprepError):
    """An engine, its package or its weights are not installed."""

    code = "engine-missing"
    exit_code = 2


class EngineError(MriprepError):
    """A third-party program or library failed."""

    code = "engine"


class OutputError(MriprepError):
    """An output could not be written."""

    code = "output"


class OutputRefused(OutputError):
    """An output cannot be what or where was asked for; told before anything is written."""

    code = "output-refused"
    exit_code = 2


#: What a system says of a path that was given: it was not right.
OF_PATHS = frozenset({
    errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR,
    errno.EISDIR, errno.EINVAL, errno.EEXIST,
})  # fmt: skip


def unwritable(error: OSError) -> type[OutputError]:
    """The kind of error for what a system says: the path was not right, or writing failed."""
    return OutputRefused if error.errno in OF_PATHS else OutputError


class MriprepWarning(UserWarning):
    """Something odd that does not stop the work; collected into the record of a run."""


class DoubtWarning(MriprepWarning):
    """A result that may well be wrong: somebody must look before it is used."""


class Doubt(str):
    """The text of a :class:`DoubtWarning`, among other warnings' texts."""

    __slots__ = ()
    #: Exit status of the command line where all is written and something is doubtful.
    exit_code = 4


def nearest(name: str, accepted: Iterable[object]) -> str:
    """Say which of the accepted names is meant, for hints: ``"did you mean 'n4'? accepted: ..."``."""
    names = sorted(map(str, accepted))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    listing = ", ".join(names)
    return f"did you mean '{close[0]}'? accepted: {listing}" if close else f"accepted: {listing}"
