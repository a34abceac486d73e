"""Where a network's weights are on this machine, and whether they are what was published."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mriprep.core import EngineMissing, InputError, MriprepWarning
from mriprep.io.given import cache, expanded
from mriprep.io.hashes import checked
from mriprep.io.strict_json import load_json

from .catalogue import Entry, describe

#: The environment variable that names a folder of weights, one folder a network in it.
VARIABLE = "MRIPREP_WEIGHTS"
#: Beside files without a published checksum: what the first fetch got.
PINS = "pinned.json"


def home() -> Path:
    """The folder that fetched weights go to: ``MRIPREP_WEIGHTS``, else one in the user's cache."""
    return _homes()[0]


def whence() -> str:
    """Why :func:`home` is where it is, in words."""
    if os.environ.get(VARIABLE):
        return f"set by {VARIABLE}"
    return f"the user's cache; {VARIABLE} names another"


def _homes() -> list[Path]:
    """Where weights are looked for, in order."""
    named = os.environ.get(VARIABLE)
    own = cache() / "weights"
    return [expanded(named), own] if named else [own]


def find(name: str, given: str | Path | None = None) -> Path:
    """Where the weights of a network are; nothing is fetched.

    Parameters
    ----------
    name : str
        In the catalogue.
    given : str or Path, optional
        The user's own file or folder. Without it, ``MRIPREP_WEIGHTS/NAME``,
        then the user's cache.

    Returns
    -------
    Path
        The file, for weights that are a single one; else their folder. Its
        files have the published SHA-256, or that of the first fetch where
        none is published. Files that the user gives may be others (weights
        trained anew): a warning says so.

    Raises
    ------
    EngineMissing
        If they are not there, or are not what was published; says what is
        wanted, where it is published and where to put it.
    InputError
        If what is given holds no such weights.
    """
    entry = describe(name)
    if given is not None and str(given):
        return _given(entry, expanded(given))
    places = [place / name for place in _homes()]
    folder = next((f for f in places if _whole(entry, f)), places[0])
    missing = [f for f in entry.wanted if not (folder / f).is_file()]
    if missing:
        raise EngineMissing(
            f"the weights '{name}' are not on this machine: {folder} has no {', '.join(missing)}",
            hint=how_to_get(entry, folder),
        )
    for file, checksum in {**pins(folder), **entry.published}.items():
        path = folder / file
        if path.is_file() and (got := checked(path)) != checksum:
            raise EngineMissing(
                f"{path} is not the file that was published: its SHA-256 should be {checksum}"
                f" and is {got}",
                hint=f"`mriprep fetch {name}` fetches it anew; weights of your own are given by"
                " --weights",
            )
    return _place(entry, folder)


def is_here(name: str) -> bool:
    """Whether the weights are on this machine, whole and checked."""
    try:
        find(name)
    except EngineMissing:
        return False
    return True


def facts(name: str, path: Path) -> dict[str, Any]:
    """What a record says of weights that were used: no folders.

    Parameters
    ----------
    name : str
        In the catalogue.
    path : Path
        From :func:`find`.

    Returns
    -------
    dict
        ``weights``, the name; ``weights_files``, SHA-256 by file;
        ``weights_licence``; ``weights_checked``, against what: ``"published"``,
        ``"pinned"`` (the first fetch) or ``"not"``.
    """
    entry = describe(name)
    files = {path.name: path} if path.is_file() else {f: path / f for f in entry.wanted}
    got = {label: checked(file) for label, file in files.items()}
    pinned = pins(path if path.is_dir() else path.parent)
    if got == dict(entry.published):
        against = "published"
    elif got and all(pinned.get(file) == checksum for file, checksum in got.items()):
        against = "pinned"
    else:
        against = "not"
    return {
        "weights": name,
        "weights_files": got,
        "weights_licence": entry.licence
        if against != "not"
        else "not known: files that could not be checked",
        "weights_checked": against,
    }


def how_to_get(entry: Entry, folder: Path) -> str:
    """What to do about weights that are missing: addresses, places, commands."""
    lines = [f"`mriprep fetch {entry.name}` gets them where there is a network. By hand:"]
    for file in entry.files:
        checksum = f" (SHA-256 {file.sha256})" if file.sha256 else ""
        lines.append(f"  {file.url}{checksum}\n  -> {folder / file.name}")
        if file.holds:
            lines.append(f"  then `mriprep fetch {entry.name} --offline`, which unpacks it")
    lines.append(
        f"or name a folder that has '{entry.name}' in it by {VARIABLE}, or give files of your own"
        " by --weights"
    )
    return "\n".join(lines)


def pins(folder: Path) -> Mapping[str, str]:
    """SHA-256 by file of what the first fetch into a folder got, where it left a note of it."""
    try:
        noted = load_json(folder / PINS)
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in noted.items()} if isinstance(noted, dict) else {}


def _place(entry: Entry, folder: Path) -> Path:
    return folder / entry.wanted[0] if len(entry.wanted) == 1 else folder


def _given(entry: Entry, given: Path) -> Path:
    """The user's own files, which need not be the published ones."""
    single = len(entry.wanted) == 1
    if given.is_file():
        if single:
            return _told(entry, given)
        given = next((f for f in given.parents if _whole(entry, f)), given.parent)
    elif not given.exists():
        raise InputError(
            f"there are no weights at {given}", hint=how_to_get(entry, home() / entry.name)
        )
    for folder in (given, given / entry.name):
        if _whole(entry, folder):
            return _told(entry, _place(entry, folder))
    raise InputError(
        f"{given} does not hold the weights '{entry.name}'",
        hint=f"wanted: {', '.join(entry.wanted)}" + (", or a file itself" if single else ""),
    )


def _whole(entry: Entry, folder: Path) -> bool:
    return all((folder / f).is_file() for f in entry.wanted)


def _told(entry: Entry, path: Path) -> Path:
    """Say where a user's files are not those that were published, as far as that is known."""
    folder = path.parent if path.is_file() else path
    for file, checksum in entry.published.items():
        own = path if path.is_file() else folder / file
        if checked(own) != checksum:
            warnings.warn(
                f"{own.name} is not the published file of '{entry.name}' (its SHA-256 is"
                f" {checked(own)}): weights of your own are used",
                MriprepWarning,
                stacklevel=4,
            )
    return path
