"""What to say where an input is of another kind than a command takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.io.given import expanded


def refuse_many(source: Path) -> None:
    """Refuse an input of many cases where one is planned.

    Raises
    ------
    InputError
        If it is a table, a BIDS dataset, or a folder of several subjects;
        says how to plan one of them.
    """
    from mriprep.cases import list_cases
    from mriprep.run import listening

    from .cohort import several

    if not several(source):
        return
    with listening():
        cases = list_cases(source)
    raise InputError(
        f"'{source}' {_what(cases)}; a plan is of one",
        hint=f"plan one of them: {_one(cases[0])}; `mriprep run {source} OUT` does them all",
    )


@contextmanager
def for_dicom(source: Path, command: str) -> Iterator[None]:
    """Say of what is no DICOM what it is, where only DICOM is taken."""
    try:
        yield
    except InputError:
        found = _no_dicom(source, command)
        if found is None:
            raise
        raise found from None


def _no_dicom(source: Path, command: str) -> InputError | None:
    from mriprep.cases.folder import images_below
    from mriprep.cases.table import TABLES

    source = expanded(source)
    if source.is_file() and source.suffix.lower() in TABLES:
        return InputError(
            f"'{source}' is a table, and `mriprep {command}` takes scans",
            hint=f"`mriprep run {source} OUT` does the cases that it lists",
        )
    images = images_below(source) if source.is_dir() else []
    if not images:
        return None
    many = f"{len(images)} image{'s' if len(images) != 1 else ''}"
    return InputError(
        f"'{source}' holds no DICOM, but {many} ({images[0].name}"
        f"{', ...' if len(images) > 1 else ''})",
        hint=f"look at one of them: mriprep inspect {_short(str(images[0]))}",
    )


def _what(cases: Sequence[Any]) -> str:
    names = ", ".join(c.name for c in cases[:3]) + (", ..." if len(cases) > 3 else "")
    return f"holds {len(cases)} case{'s' if len(cases) != 1 else ''} ({names})"


def _one(case: Any) -> str:
    scans = [i for i in case.images if i.role == "image"]
    if any(i.files for i in scans):
        return "give the folder of its DICOM, or which series with --series"
    return f"mriprep plan {' '.join(_short(i.path) for i in scans)}"


def _short(path: str) -> str:
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if relative.startswith("..") else relative
