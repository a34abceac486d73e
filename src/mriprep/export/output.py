"""Folders that appear whole or not at all, with a note of what is in them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from mriprep.core import InputError, OutputError, OutputRefused
from mriprep.core.errors import unwritable
from mriprep.io.atomic import write_json, write_text
from mriprep.io.given import expanded
from mriprep.io.strict_json import load_json

from .selection import Selection

#: How a file that a format takes as it is gets there.
Link = Literal["hard", "symbolic"]


@dataclass(frozen=True)
class Written:
    """What a format's writer says of what it wrote.

    Parameters
    ----------
    selection : Selection
        What went in; a format may have to leave more out.
    about : mapping
        Facts of the whole, for ``export.json``.
    cases : mapping of str to mapping
        By case, its files and facts of them.
    readme : str
        What it is and how it is read, for people.
    notes : tuple of str
        What is to be said now.
    """

    selection: Selection
    about: Mapping[str, Any]
    cases: Mapping[str, Mapping[str, Any]]
    readme: str
    notes: tuple[str, ...] = ()


#: The note in every export.
NOTE = "export.json"
SCHEMA = 1


@contextlib.contextmanager
def whole_folder(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `final`, and rename it when the block succeeds.

    Parameters
    ----------
    final : Path
        Where the folder shall be: nothing is there, or an empty folder, or
        an earlier export if it is to be replaced.
    replace : bool
        Replace an earlier export, whole.

    Raises
    ------
    OutputError
        If something else lies there, or writing fails. Nothing is left behind
        then, and an earlier export stays as it was.
    """
    final = Path(os.path.abspath(expanded(final)))
    check_place(final, replace=replace)
    part = final.with_name(f".{final.name}.part-{secrets.token_hex(6)}")
    made = [p for p in final.parents if not p.exists()]  # the nearest first
    try:
        part.mkdir(parents=True)
        yield part
        check_place(final, replace=replace)  # somebody may have written there meanwhile
        _swap(part, final)
    except OSError as error:
        raise unwritable(error)(
            f"cannot write {final}: {error.strerror or error}",
            hint="check that the folder can be written to and that the disk is not full",
        ) from error
    finally:
        if part.exists():
            shutil.rmtree(part, ignore_errors=True)
        if not final.exists():
            with contextlib.suppress(OSError):  # somebody else put something there meanwhile
                for folder in made:
                    folder.rmdir()


def check_place(final: Path, *, replace: bool) -> None:
    """Refuse a place where something lies that would be lost.

    Raises
    ------
    OutputError
        If it is a file, or a folder that is neither empty nor an export to
        be replaced.
    """
    if not final.exists() and not final.is_symlink():
        return
    if not final.is_dir() or final.is_symlink():
        raise OutputRefused(
            f"cannot write {final}: a file or a link is there", hint="give another folder"
        )
    there = {p.relative_to(final).as_posix() for p in final.rglob("*") if not p.is_dir()}
    if not there:
        return
    note = _note(final)
    if note is None:
        inside = sorted({f.relative_to(final).parts[0] for f in _exports_in(final)})
        if inside:
            raise OutputRefused(
                f"'{final}' holds exports in several formats: {', '.join(inside)}",
                hint=f"name the one to go to, for instance '{final / inside[0]}', or another folder",
            )
        raise OutputRefused(
            f"'{final}' holds files that `mriprep export` did not write",
            hint="give a folder that is empty or not there yet",
        )
    if not replace:
        raise OutputRefused(
            f"there is an export in '{final}' already", hint="--force replaces it, or give another"
        )
    if others := sorted(there - {*note["files"], NOTE}):
        raise OutputRefused(
            f"'{final}' holds {len(others)} files that are no part of the export: {others[0]}, ...",
            hint="move them away first: a replaced export is removed whole",
        )


def place(source: Path, target: Path, link: Link | None) -> None:
    """Put a file into an export: a copy, or a link to it.

    Raises
    ------
    OutputError
        If it cannot be linked.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    real = source.resolve()
    try:
        if link == "hard":
            os.link(real, target)
        elif link == "symbolic":
            target.symlink_to(real)
        else:
            shutil.copyfile(real, target)
    except OSError as error:
        if link is None:
            raise
        raise OutputError(
            f"{source.name} cannot be linked ({link}): {error.strerror or error}",
            hint="hard links do not reach another disk: --link symbolic, or leave --link out to copy",
        ) from None


def write_note(folder: Path, form: str, written: Written) -> None:
    """Write ``README.txt`` and ``export.json`` into an export that is complete otherwise."""
    selection = written.selection
    write_text(written.readme.rstrip() + "\n", folder / "README.txt")
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    write_json(
        {
            "schema": SCHEMA,
            "GeneratedBy": [{"Name": "mriprep", "Version": version("mriprep")}],
            "format": form,
            **written.about,
            "contrasts": list(selection.contrasts),
            "labels": selection.labels,
            "passed_only": selection.passed_only,
            "folds": list(selection.folds),
            "splits_sha256": selection.split_hash,
            "states": [
                {"kind": s.kind, "split": s.split, "fitted_on": s.number} for s in selection.states
            ],
            "cases": {
                i.case: {
                    "subject": i.subject,
                    "session": i.session,
                    **selection.split_of(i),
                    "facts": selection.facts_of(i),
                    "rating": i.rating,
                    "records": {
                        c: {
                            "file": p.name.removesuffix(".nii.gz") + ".json",
                            "recipe": (i.records[c].get("recipe") or {}).get("name"),
                            "made": i.records[c].get("made"),
                            "voxels_sha256": i.records[c]["output"].get("voxels_sha256"),
                        }
                        for c, p in i.images.items()
                    },
                    **written.cases.get(i.case, {}),
                }
                for i in selection.items
            },
            "left_out": [{"case": x.case, "why": x.why} for x in selection.left],
            "files": files,
        },
        folder / NOTE,
    )


def read_note(folder: Path) -> dict[str, Any]:
    """The note of an export.

    Raises
    ------
    InputError
        If there is none.
    """
    note = _note(folder)
    if note is None:
        raise InputError(
            f"'{folder}' is not an export", hint="give a folder that `mriprep export` wrote"
        )
    return note


def is_export(folder: Path) -> bool:
    """Whether `mriprep export` wrote a folder."""
    return _note(folder) is not None


def _note(folder: Path) -> dict[str, Any] | None:
    try:
        content = load_json(folder / NOTE)
        makers = [m.get("Name") for m in content["GeneratedBy"]]
        ours = "mriprep" in makers and isinstance(content["files"], list)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return content if ours else None


def _exports_in(folder: Path) -> list[Path]:
    """Exports below a folder, as an export in several formats leaves them."""
    below = [*folder.glob("*/"), *folder.glob("*/*/")]
    return [f for f in below if f.is_dir() and _note(f) is not None]


def _swap(part: Path, final: Path) -> None:
    """Put a whole folder where an empty one, an export or nothing is."""
    if not final.exists():
        part.rename(final)
        return
    old = final.with_name(f".{final.name}.old-{secrets.token_hex(6)}")
    final.rename(old)
    try:
        part.rename(final)
    except OSError:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)
