"""Who is the same person: by subject, by images that are copies, by a key that only its owner has."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.io.given import expanded, read_text

from .collect import Item

#: Columns of a key that say who somebody is; several together where it has them.
_WHO = ("patient_id", "person", "patient_name", "name", "birth_date", "birthdate", "date_of_birth")
_SUBJECT = ("subject", "participant_id", "case")


@dataclass(frozen=True)
class Same:
    """Subjects that are one person.

    Parameters
    ----------
    subjects : tuple of str
        Without ``sub-``, sorted.
    why : tuple of str
        ``same image``, ``same key``.
    """

    subjects: tuple[str, ...]
    why: tuple[str, ...]


class Union:
    """Sets that grow together (Tarjan's union-find); the first by name stands for each."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, one: str) -> str:
        """Who stands for one."""
        self._parent.setdefault(one, one)
        while self._parent[one] != one:
            self._parent[one] = self._parent[self._parent[one]]
            one = self._parent[one]
        return one

    def join(self, one: str, other: str) -> None:
        """Make two sets one."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first


def persons(
    items: Iterable[Item], key: Mapping[str, Hashable] | None = None
) -> tuple[dict[str, str], list[Same]]:
    """Find out who is the same person.

    Parameters
    ----------
    items : iterable of Item
        All cases.
    key : mapping of str to hashable, optional
        By subject, who that is: see :func:`read_key`.

    Returns
    -------
    person : dict
        By subject (without ``sub-``), the subject that stands for the person:
        the first by name.
    same : list of Same
        Persons who have several subjects.
    """
    union = Union()
    seen: dict[tuple[str, Hashable], str] = {}
    why: dict[str, set[str]] = {}
    for item in sorted(items, key=lambda i: i.case):
        union.find(item.subject)
        marks: list[tuple[str, Hashable]] = [
            ("same image", h) for r in item.records.values() for h in input_hashes(r)
        ]
        if key and item.subject in key:
            marks.append(("same key", key[item.subject]))
        for mark in marks:
            other = seen.setdefault(mark, item.subject)
            if other != item.subject:
                union.join(other, item.subject)
                why.setdefault(item.subject, set()).add(mark[0])
    person = {s: union.find(s) for s in sorted(union._parent)}
    groups: dict[str, list[str]] = {}
    for subject, lead in person.items():
        groups.setdefault(lead, []).append(subject)
    same = [
        Same(tuple(g), tuple(sorted({w for s in g for w in why.get(s, ())})))
        for g in groups.values()
        if len(g) > 1
    ]
    return person, same


def input_hashes(record: Mapping[str, Any]) -> Iterator[str]:
    """Hashes of the scan that a record's image was made of: of its voxels, and of its file."""
    given = record.get("input") or {}
    for name in ("voxels_sha256", "file_sha256"):
        if isinstance(given.get(name), str):
            yield given[name]


def read_key(path: str | Path) -> dict[str, Hashable]:
    """Read whose code is whose, as ``mriprep scan --key`` writes it; nothing of it is kept or shown.

    Parameters
    ----------
    path : path
        A table (.tsv, .csv) with a column ``subject`` and some of
        ``patient_id``, ``person``, ``patient_name``, ``birth_date``. Rows
        that agree in all of these are one person; empty ones say nothing.

    Returns
    -------
    dict
        By subject (without ``sub-``), something equal for the same person.

    Raises
    ------
    InputError
        If it cannot be read or has not these columns.
    """
    path = expanded(path)
    try:
        text = read_text(path).removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        # The text itself is never told: it holds names.
        raise InputError(f"the key '{path.name}' cannot be read: {type(error).__name__}") from None
    head = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in head else ",")
    columns = {(c or "").strip().lower(): c for c in rows.fieldnames or []}
    subject = next((columns[c] for c in _SUBJECT if c in columns), None)
    who = [columns[c] for c in _WHO if c in columns]
    if subject is None or not who:
        raise InputError(
            f"the key '{path.name}' does not say whose code is whose",
            hint=f"it needs a column subject, and some of {', '.join(_WHO)}",
        )
    found: dict[str, Hashable] = {}
    for row in rows:
        told = tuple((row[c] or "").strip().casefold() for c in who)
        name = (row[subject] or "").strip().removeprefix("sub-").partition("_ses-")[0]
        if name and any(told):
            found.setdefault(name, hash_of(told))
    return found


def hash_of(told: tuple[str, ...]) -> Hashable:
    """A short code for texts that must not be kept; of this process alone."""
    from mriprep.io.dicom_facts import token

    return token("\x1f".join(told))
