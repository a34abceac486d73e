"""Where outputs lie, and where they may go: never into the input, nor among what others wrote."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from .core import InputError
from .io.given import expanded, leads_to
from .io.strict_json import load_json

_DESCRIPTION = "dataset_description.json"


def check_output(folder: Path, sources: Iterable[Path] = ()) -> None:
    """Refuse an output folder that is an input, or another dataset; nothing is written.

    Parameters
    ----------
    folder : Path
        Where outputs are to go; it need not be there.
    sources : iterable of Path
        What is read. Files may lie in `folder`; a folder may not be it.

    Raises
    ------
    InputError
        If one of the sources is the folder, by whatever path, or another
        dataset lies there.
    """
    folder = expanded(folder)
    for source in sources:
        given = expanded(source)
        if folder.is_dir() and given.is_dir() and os.path.samefile(folder, given):
            raise InputError(
                f"OUT is the input folder: '{folder}'",
                hint=f"give another folder, for instance '{folder / 'derivatives' / 'mriprep'}'",
            )
    check_description(folder)


def beside(folder: Path, sources: Iterable[Path]) -> Path | None:
    """The source that lies in the output folder itself, where mriprep has not written there before."""
    out = expanded(folder)
    if not out.is_dir() or (out / _DESCRIPTION).exists():
        return None
    given = (expanded(s).absolute() for s in sources)
    return next((s for s in given if s.exists() and os.path.samefile(s.parent, out)), None)


def folder_of_outputs(folder: str | Path) -> Path:
    """A folder that runs wrote to, to be read from.

    Raises
    ------
    InputError
        If it is not there, or is a file.
    """
    path = expanded(folder)
    there = leads_to(path)
    if there != "folder":
        raise InputError(
            f"'{path}' is a file, not a folder"
            if there == "file"
            else f"there is no folder '{path}': that path does not exist",
            hint="give the folder that `mriprep run` wrote to",
        )
    return path


def check_description(folder: Path) -> None:
    """Refuse a folder whose ``dataset_description.json`` mriprep did not write.

    Raises
    ------
    InputError
        If it is the description of another dataset.
    """
    path = expanded(folder) / _DESCRIPTION
    if path.is_file() and "mriprep" not in _makers(path):
        raise InputError(
            f"'{folder}' is a dataset that mriprep did not make: its {_DESCRIPTION} would be"
            " overwritten",
            hint="give an empty folder, or one that mriprep wrote to before, as OUT",
        )


def check_spelling(place: Path) -> None:
    """Refuse the folder of a case where the disk takes another case's for it: sub-a, where sub-A is.

    Raises
    ------
    InputError
        If another case's files would be overwritten.
    """
    if not os.path.exists(place):
        return
    with contextlib.suppress(OSError):
        names = os.listdir(place.parent)
        alike = [n for n in names if _alike(n) == _alike(place.name)]
        # One name in several ways of writing accents is no other's.
        if alike and all(_composed(n) != _composed(place.name) for n in alike):
            raise InputError(
                f"the outputs of '{place.name}' would overwrite those of '{alike[0]}': to this disk"
                " both are one name",
                hint="give another output folder, or rename the case",
            )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _alike(name: str) -> str:
    return _composed(name).casefold()


def is_derivative(folder: Path) -> bool:
    """Whether a folder says that it holds what was made of scans."""
    return _described(folder / _DESCRIPTION).get("DatasetType") == "derivative"


def _makers(path: Path) -> list[str]:
    made = _described(path).get("GeneratedBy")
    entries = made if isinstance(made, list) else []
    return [str(e.get("Name")) for e in entries if isinstance(e, dict)]


def _described(path: Path) -> dict[str, object]:
    try:
        content = load_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
