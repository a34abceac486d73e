"""The scores of a whole dataset in one table, whichever runs they come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.io.atomic import atomic_path, write_json
from mriprep.io.strict_json import load_json

from .ledger import cell, tsv
from .resume import DONE

#: The table, and what its columns mean.
TABLE = "group_scores.tsv"
_MEANINGS = {
    "case": "subject and session",
    "recipe": "what was done",
    "status": "done; or doubtful: all is there, and somebody must look before it is used",
    "warnings": "number of warnings; the record beside each image has them",
}


def write_scores(out: Path) -> Path:
    """Write the table of the scores of all cases that are done, and its sidecar; its path.

    Raises
    ------
    InputError
        If no case is done there.
    OutputError
        If it cannot be written.
    """
    names = list(dict.fromkeys(s for note in _notes(out) for s in note.get("scores", {})))
    if not names and not any(True for _ in _notes(out)):
        raise InputError(
            f"no case is done in '{out}'", hint="run `mriprep run INPUT OUT --jobs N` first"
        )
    path = out / TABLE
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = tsv(file)
        table.writerow([*_MEANINGS, *names])
        for note in _notes(out):
            known = [note["case"], note["recipe"], note["status"], len(note["warnings"])]
            values = [*known, *(note["scores"].get(n) for n in names)]
            table.writerow(["n/a" if v is None else cell(v) for v in values])
    meanings = {**_MEANINGS, **{n: _meaning(n) for n in names}}
    write_json({k: {"Description": v} for k, v in meanings.items()}, path.with_suffix(".json"))
    return path


def _meaning(name: str) -> str:
    contrast, _, what = name.partition("_")
    unit = ", ml" if name.endswith("_ml") else ", 0 to 1: higher is better"
    return f"{what.removesuffix('_ml').replace('_', ' ')} of {contrast}{unit}"


def _notes(out: Path) -> Iterator[dict[str, Any]]:
    for file in sorted((out / DONE).glob("[!.]*.json")):
        try:
            note = load_json(file)
        except (OSError, ValueError):
            continue
        if "scores" in note:
            yield note
