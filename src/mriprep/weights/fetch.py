"""Fetching weights: resumed, checked, in place whole or not at all, and never unasked."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from mriprep.core import EngineMissing, InputError, MriprepWarning
from mriprep.core.errors import unwritable
from mriprep.io.archive import unzip_into
from mriprep.io.atomic import write_json
from mriprep.io.download import download
from mriprep.io.given import NOWHERE, expanded
from mriprep.io.hashes import checked, file_hash
from mriprep.io.offline import OFFLINE, is_offline

from .catalogue import Entry, File, describe
from .find import PINS, VARIABLE, home, how_to_get, pins

#: Called with a file's name, the bytes that are there, and all its bytes where that is known.
Progress = Callable[[str, int, int | None], None]

#: No network's archive unpacks to more than this (bytes).
_LARGEST = 8 * 2**30


def fetch(
    name: str,
    *,
    offline: bool = False,
    progress: Progress | None = None,
    to: str | Path | None = None,
) -> Path:
    """Fetch the weights of a network, unless they are there.

    Parameters
    ----------
    name : str
        In the catalogue.
    offline : bool
        Never try the network; also set by ``MRIPREP_OFFLINE=1``. An archive
        that was put in its place by hand is unpacked all the same.
    progress : callable, optional
        Told how far it is.
    to : str or Path, optional
        A folder for weights, instead of the usual one; they go to ``to/NAME``.

    Returns
    -------
    Path
        The folder that holds them.

    Raises
    ------
    EngineMissing
        If they cannot be had; says why, where they are published and where to
        put them.
    OutputError
        If they cannot be written.
    """
    entry = describe(name)
    folder = (home() if to is None else expanded(to)) / name
    if NOWHERE in folder.parents:
        raise EngineMissing(
            f"there is no home folder to keep the weights '{name}' in",
            hint=f"{VARIABLE} names a folder for them",
        )
    known = {**pins(folder), **entry.published}
    for file in entry.files:
        wanted = file.holds or (file.name,)
        if all(_good(folder / w, known.get(w)) for w in wanted):
            continue
        fetched = _obtain(entry, file, folder, offline or is_offline(), progress)
        checksum = checked(folder / file.name)
        if file.holds:
            try:
                _unpack(entry, file, folder)
            except EngineMissing:
                if fetched:  # what somebody put there by hand is theirs
                    (folder / file.name).unlink()
                raise
        _note(file, checksum, folder)
    return folder


def _good(path: Path, checksum: str | None) -> bool:
    """Whether a file is there, and not known to be another."""
    return path.is_file() and (checksum is None or checked(path) == checksum)


def _obtain(
    entry: Entry, file: File, folder: Path, offline: bool, progress: Progress | None
) -> bool:
    """Have a file in its place, as published; whether it had to be fetched."""
    final = folder / file.name
    wanted = file.sha256 or pins(folder).get(file.name)
    if final.is_file() and (wanted is None or checked(final) == wanted):
        return False
    if offline:
        raise EngineMissing(
            f"the weights '{entry.name}' are not on this machine, and the network is switched off"
            f" (--offline or {OFFLINE}=1)",
            hint=f"where there is a network, {how_to_get(entry, folder)}",
        )

    def told(there: int, all_of_it: int | None) -> None:
        if progress is not None:
            progress(file.name, there, all_of_it)

    try:
        download(file.url, final, checksum=wanted, size=file.size, progress=told)
    except InputError as error:
        raise EngineMissing(
            f"the weights '{entry.name}' could not be fetched: {error.message}",
            hint=how_to_get(entry, folder),
        ) from error
    return True


def _note(file: File, got: str, folder: Path) -> None:
    """Where no checksum is published, note that of the first fetch, and say so."""
    noted = pins(folder)
    if file.sha256 is None and file.name not in noted:
        write_json({**noted, file.name: got}, folder / PINS)
        warnings.warn(
            f"{file.name} could not be checked: no SHA-256 of it is published. It has {got}, which"
            " is noted, and any later fetch must match it",
            MriprepWarning,
            stacklevel=3,
        )


def _unpack(entry: Entry, file: File, folder: Path) -> None:
    """Unpack an archive beside its place, look whether all is there, then move it in."""
    archive = folder / file.name
    staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        unzip_into(archive, staging, largest=_LARGEST)
        base = _base(staging, file)
        if base is None:
            raise EngineMissing(
                f"{file.name} does not hold what is wanted of '{entry.name}'",
                hint=f"wanted: {', '.join(file.holds)}; {how_to_get(entry, folder)}",
            )
        found = {w: file_hash(base / w) for w in file.holds}
        _stay_the_same(entry, file, folder, found)
        for inside in file.holds:
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            os.replace(base / inside, folder / inside)
        write_json({**pins(folder), **found}, folder / PINS)
        archive.unlink()  # it has been taken apart, and its checksum is noted
    except InputError as error:
        raise EngineMissing(
            f"the weights '{entry.name}' cannot be unpacked: {error.message}",
            hint=f"remove {archive}; {how_to_get(entry, folder)}",
        ) from error
    except OSError as error:
        raise unwritable(error)(
            f"cannot unpack into {folder}: {error.strerror or error}",
            hint="check that the folder can be written to and that the disk is not full",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _base(staging: Path, file: File) -> Path | None:
    """The folder within an archive that the wanted files are relative to."""
    folders = [staging, *sorted(p for p in staging.rglob("*") if p.is_dir())]
    return next((f for f in folders if all((f / w).is_file() for w in file.holds)), None)


def _stay_the_same(entry: Entry, file: File, folder: Path, found: Mapping[str, str]) -> None:
    noted = pins(folder)
    for inside, got in found.items():
        if file.sha256 is None and noted.get(inside, got) != got:
            raise EngineMissing(
                f"{inside} in {file.name} is not what the first fetch of '{entry.name}' got: its"
                f" SHA-256 was {noted[inside]} and is {got}",
                hint=f"if the new one is meant, remove {folder / PINS} and fetch again",
            )
