"""``mriprep.split``: which cases train, validate and test, nobody on both sides."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mriprep.core import InputError, OutputRefused
from mriprep.core.errors import nearest
from mriprep.io.atomic import write_json, write_text
from mriprep.io.given import expanded

from . import splits as reading
from .balance import balance
from .collect import Item, everything
from .persons import Same, persons, read_key
from .selection import FACTS
from .splits import Splits
from .strata import UNKNOWN, Person, deal, strata

#: What folds are made alike in, where it is known.
STRATIFY = ("age", "sex", "site")
TABLE, ABOUT = "splits.tsv", "splits.json"
SCHEMA = 1
_RESERVED = ("case", "subject", "fold", "split", "stratum")


@dataclass(frozen=True)
class Split:
    """A split that was made.

    Parameters
    ----------
    splits : Splits
        Which case is where.
    balance : list of dict
        What each part holds: see :func:`mriprep.export.balance.balance`.
    factors : tuple of str
        What it was stratified by.
    same : tuple of Same
        Persons who have several subjects.
    notes : tuple of str
        What should be known of it.
    path : Path
        The table.
    changed : bool
        Whether the table was written; False if the same was there.
    """

    splits: Splits
    balance: list[dict[str, Any]]
    factors: tuple[str, ...]
    same: tuple[Same, ...]
    notes: tuple[str, ...]
    path: Path
    changed: bool


def split(
    out: str | Path,
    *,
    by: str = "subject",
    stratify: Sequence[str] = STRATIFY,
    folds: int = 5,
    test: float = 0.0,
    seed: int = 1,
    key: str | Path | None = None,
    force: bool = False,
) -> Split:
    """Split the cases of a folder into folds and a test part, and write it there.

    A person is in one fold, or in the test part, with all sessions.
    Subjects of whom the same scan is there (equal hashes of voxels or of
    the file) are one person; so are those that a key says to be. The result
    depends on the cases, the parameters and the seed alone.

    Parameters
    ----------
    out : path
        What `mriprep run` wrote. All cases in it are split, also those that
        failed by quality: an export leaves them out.
    by : "subject"
        What is kept together.
    stratify : sequence of str
        Facts in which the parts shall be alike: numbers are cut at
        quantiles; strata of fewer persons than folds are merged with the
        nearest.
    folds : int
        How many, 2 or more.
    test : float
        The share of persons that is kept for the end, 0 to 0.9.
    seed : int
        Of chance.
    key : path, optional
        A table that says whose code is whose, as ``mriprep scan --key``
        writes it. Nothing of it is written.
    force : bool
        Replace another split.

    Returns
    -------
    Split
        ``out/splits.tsv`` and ``out/splits.json`` hold it.

    Raises
    ------
    InputError
        If there are fewer persons than folds, or a fact is not known.
    OutputError
        If there is another split already, or it cannot be written.
    """
    _check(by, folds, test, seed)
    folder = expanded(out)
    items = everything(folder)
    factors, notes = _factors(stratify, items)
    person, same = persons(items, read_key(key) if key is not None else None)
    people = _people(items, person, factors)
    kept = len(people) - (max(1, round(test * len(people))) if test else 0)
    if kept < folds:
        raise InputError(
            f"{len(people)} persons ({kept} of them not in the test part) cannot make {folds} folds",
            hint="ask for fewer folds, or for a smaller test part",
        )
    found = strata(people, factors, folds)
    dealt = deal(people, found, folds=folds, test=test, seed=seed)
    notes += [f"{', '.join(s.subjects)} are one person: {' and '.join(s.why)}" for s in same]
    notes += [f"few persons: {m}" for m in found.merged]
    splits = Splits(
        {i.case: dealt[person[i.subject]] for i in items},
        tuple(i.case for i in items if dealt[person[i.subject]] is None),
        {i.case: i.subject for i in items},
    )
    text = _table(items, splits, factors, {i.case: found.of[person[i.subject]] for i in items})
    held = balance(people, dealt, factors)
    about = {
        "schema": SCHEMA,
        "GeneratedBy": [{"Name": "mriprep", "Version": version("mriprep")}],
        "seed": seed,
        "parameters": {
            "by": by,
            "stratify": list(stratify),
            "folds": folds,
            "test": test,
            "key": key is not None,
        },
        "cases": len(items),
        "persons": len(people),
        "cases_sha256": cases_hash(splits.cases),
        "table_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "same_person": [{"subjects": s.subjects, "why": s.why} for s in same],
        "strata": dict(found.members),
        "merged": list(found.merged),
        "notes": notes,
        "balance": held,
    }
    changed = _write(folder, text, about, force)
    reading.read(folder)  # what is written must be what is read
    return Split(
        splits, held, tuple(factors), tuple(same), tuple(notes), folder / TABLE, changed
    )  # fmt: skip


def cases_hash(cases: Sequence[str]) -> str:
    """SHA-256 of the names of cases, sorted, a line each."""
    return hashlib.sha256("\n".join(sorted(cases)).encode()).hexdigest()


def _check(by: str, folds: int, test: float, seed: int) -> None:
    if by != "subject":
        raise InputError(
            f"'{by}' is nothing to split by", hint="accepted: subject (all sessions of a person)"
        )
    if folds < 2:
        raise InputError(f"{folds} folds make no split", hint="2 or more")
    if not 0 <= test <= 0.9:
        raise InputError(
            f"a test part of {test:g} cannot be", hint="a share of the persons, from 0 to 0.9"
        )
    if seed < 0:
        raise InputError(f"a seed of {seed} cannot be", hint="a whole number from 0")


def _factors(stratify: Sequence[str], items: Sequence[Item]) -> tuple[list[str], list[str]]:
    """The facts that are known of somebody, and notes on those that are not."""
    there = {n for i in items for n, v in i.facts.items() if _plain(v) is not None}
    factors, notes = [], []
    for name in dict.fromkeys(stratify):
        if name in _RESERVED or (name not in there and name not in FACTS):
            raise InputError(
                f"no case has a fact '{name}' to stratify by", hint=nearest(name, sorted(there))
            )
        if name in there:
            factors.append(name)
        else:
            notes.append(f"no case tells its {name}: not stratified by it")
    for name in factors:
        missing = sum(_plain(i.facts.get(name)) is None for i in items)
        if missing:
            notes.append(f"{missing} of {len(items)} cases do not tell their {name}")
    return factors, notes


def _people(
    items: Sequence[Item], person: Mapping[str, str], factors: Sequence[str]
) -> list[Person]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(person[item.subject], []).append(item)
    return [
        Person(
            name,
            tuple(i.case for i in group),
            tuple(_of_all([_plain(i.facts.get(f)) for i in group]) for f in factors),
        )
        for name, group in sorted(groups.items())
    ]


def _of_all(values: Sequence[float | str | None]) -> float | str | None:
    """One value for all sessions of a person: the first that is known, as at the first scan."""
    return next((v for v in values if v is not None), None)


def _plain(value: Any) -> float | str | None:
    """A fact that can be stratified by: a finite number, or a text that is not empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    text = value.strip() if isinstance(value, str) else ""
    return None if text in ("", UNKNOWN) else text


def _table(
    items: Sequence[Item], splits: Splits, factors: Sequence[str], stratum: Mapping[str, str]
) -> str:
    stream = io.StringIO()
    rows = csv.writer(stream, delimiter="\t", lineterminator="\n")
    rows.writerow(["case", "subject", "fold", "split", *factors, "stratum"])
    parts = splits.to_dict()
    for item in items:
        part = parts[item.case]
        facts = [_plain(item.facts.get(f)) for f in factors]
        rows.writerow(
            [
                item.case,
                item.subject,
                UNKNOWN if part["fold"] is None else part["fold"],
                part["split"],
                *(UNKNOWN if v is None else v for v in facts),
                stratum[item.case],
            ]
        )
    return stream.getvalue()


def _write(folder: Path, text: str, about: Mapping[str, Any], force: bool) -> bool:
    """Write both files; whether the table is another one than before."""
    table = folder / TABLE
    before = table.read_text("utf-8") if table.is_file() else None
    if before is not None and before != text and not force:
        raise OutputRefused(
            f"there is another split in '{table}'",
            hint="exports and states may have been made with it. --force replaces it: make those again",
        )
    if before != text:
        write_text(text, table)
    write_json(about, folder / ABOUT)
    return before != text
