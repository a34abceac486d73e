"""Finding the record of a run: by its path, beside an output, or by a case's name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .core import Grid, InputError
from .core.chain import Chain
from .io.given import expanded
from .io.strict_json import load_json
from .run_record import sidecar_path

#: Where records lie in a folder of derivatives, a subject's or a session's folder, or anat itself.
_PLACES = ("", "anat/", "sub-*/anat/", "sub-*/ses-*/anat/", "ses-*/anat/")

#: A prediction is looked for a record in its own folder and this many above it.
_LEVELS = 3

_CASE = re.compile(r"(?<![A-Za-z0-9])(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?")


@dataclass(frozen=True)
class Found:
    """A run's record.

    Parameters
    ----------
    content : mapping
        All of it.
    chain : Chain
        What it says of the geometry.
    path : Path or None
        Its file; None where it was given as data.
    """

    content: Mapping[str, Any]
    chain: Chain
    path: Path | None = None

    @property
    def reference(self) -> bool:
        """Whether it is of the reference of a session of several contrasts."""
        session = self.content.get("session") or {}
        return session.get("reference") == self.content.get("contrast")

    def slices(self) -> tuple[str | None, Grid]:
        """The plane in which the run cut slices, if it did, and the grid that they were cut from."""
        for step in reversed(self.content["steps"]):
            if step["step"] == "slices":
                return str(step["parameters"]["plane"]), Grid.from_dict(step["grid_after"])
        return None, self.chain.final


def of(content: Mapping[str, Any], path: Path | None = None) -> Found:
    """A record of its content.

    Raises
    ------
    InputError
        If it is not the record of a run that came to its end.
    """
    try:
        return Found(content, Chain.from_record(content), path)
    except InputError as error:
        if path is not None:
            raise type(error)(f"{path}: {error.message}", hint=error.hint) from None
        raise


def load(path: Path, near: Path | None = None, grid: Grid | None = None) -> Found:
    """The record that a path means.

    Parameters
    ----------
    path : Path
        The record (.json); an output of the run, beside which it lies; or a
        folder that holds outputs.
    near : Path, optional
        The prediction, whose name says which case is meant.
    grid : Grid, optional
        The prediction's, to tell records of one case apart.

    Raises
    ------
    InputError
        If there is none, or several that differ.
    """
    path = expanded(path)
    if path.is_dir():
        return _only(_below(path, _case(near)), grid, f"in '{path}'", near)
    if not path.exists():
        raise InputError(
            f"the record '{path}' does not exist",
            hint="give the JSON beside the preprocessed image, the image itself, or the folder that"
            " `mriprep run` wrote",
        )
    file = path if path.suffix == ".json" else sidecar_path(path)
    if not file.is_file():
        raise InputError(
            f"there is no record beside '{path.name}' ({file.name})",
            hint="give the JSON beside the preprocessed image, or the folder that `mriprep run` wrote",
        )
    content = _read(file)
    if content is None:
        raise InputError(f"'{file}' is not a record: it holds no JSON object")
    return of(content, file)


def search(near: Path, grid: Grid | None = None) -> Found:
    """The record of a prediction, by its case's name, in its folder or up to three above.

    Raises
    ------
    InputError
        If there is none, or several that differ.
    """
    start = near.absolute()
    start = start if start.is_dir() else start.parent
    for folder in (start, *start.parents[:_LEVELS]):
        found = list(_below(folder, _case(near)))
        if found:
            return _only(found, grid, f"in '{folder}'", near)
    case = _case(near)
    raise InputError(
        f"no record of {case or 'a run'} was found in '{start}' or the {_LEVELS} folders above",
        hint="say which: --record out/ (the folder that `mriprep run` wrote), or the JSON beside the"
        " preprocessed image",
    )


def every(folder: Path) -> Iterator[Found]:
    """The records of all images in a folder of derivatives, in the order of their files."""
    yield from _below(folder, None)


def output(path: Path) -> tuple[str | None, str | None]:
    """Of which contrast an output is, and the SHA-256 of its voxels, as its record has them."""
    file = sidecar_path(path)
    content = (_read(file) if file.is_file() else None) or {}
    about = content.get("output")
    digest = about.get("voxels_sha256") if isinstance(about, dict) else None
    return content.get("contrast"), digest


def _below(folder: Path, case: str | None) -> Iterator[Found]:
    """The records of whole runs in a folder, of one case if it is known."""
    for place in _PLACES:
        for file in sorted(folder.glob(f"{place}*_desc-preproc_*.json")):
            content = _read(file)
            if content is None or "chain" not in content:
                continue
            if case is None or content.get("case") == case:
                yield of(content, file)


def _only(found: Iterable[Found], grid: Grid | None, where: str, near: Path | None) -> Found:
    every = list(found)
    different = {(f.chain.native, f.chain.final, _numbers(f)): f for f in every}
    fitting = list(different.values())
    if len(fitting) > 1 and grid is not None:
        fitting = [f for f in fitting if f.chain.final.matches(grid, 0.1)]
    if len(fitting) > 1:
        # Of a session, whose contrasts share the final grid, the reference's scan is meant.
        fitting = [f for f in fitting if f.reference] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if not every:
        case = _case(near)
        raise InputError(
            f"there is no record{f' of {case}' if case else ''} {where}",
            hint="give the JSON beside the preprocessed image",
        )
    names = ", ".join(sorted(f.path.name for f in different.values() if f.path))
    raise InputError(
        f"{len(different)} records {where} lead to different places: {names}",
        hint="say which with --record, or name the prediction after its case (sub-01_...)",
    )


def _numbers(found: Found) -> bytes:
    return found.chain.to_native.matrix.tobytes()


def _case(path: Path | None) -> str | None:
    """The case that a file's name speaks of: ``sub-01``, ``sub-01_ses-2``."""
    match = _CASE.search(path.name) if path is not None else None
    return "_".join(g for g in match.groups() if g) if match else None


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        content = load_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"the record '{file}' cannot be read: {error}") from None
    return content if isinstance(content, dict) else None
