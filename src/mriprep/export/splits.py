"""Which cases train, validate and test: ``OUT/splits.tsv``, read strictly."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.io.given import expanded

#: What a case may be.
PARTS = ("train", "val", "test")
_COLUMNS = ("case", "subject", "fold", "split")
_UNKNOWN = ("", "n/a")


@dataclass(frozen=True)
class Splits:
    """A split of cases.

    Parameters
    ----------
    fold : mapping of str to (int or None)
        By case, the fold in which it is validation. None: in none (it always
        trains, or it is of the test part).
    test : tuple of str
        Cases that are kept for the end.
    subject : mapping of str to str
        By case, whose it is.
    """

    fold: Mapping[str, int | None]
    test: tuple[str, ...]
    subject: Mapping[str, str] = field(default_factory=dict)

    @property
    def cases(self) -> tuple[str, ...]:
        """All cases, in the table's order."""
        return tuple(self.fold)

    @property
    def folds(self) -> int:
        """How many folds there are."""
        return max((f for f in self.fold.values() if f is not None), default=-1) + 1

    def train(self, fold: int = 0) -> tuple[str, ...]:
        """Cases that train in a fold.

        Raises
        ------
        InputError
            If there is no such fold.
        """
        held = {*self.test, *(self.val(fold) if self.folds else ())}
        return tuple(c for c in self.fold if c not in held)

    def val(self, fold: int = 0) -> tuple[str, ...]:
        """Cases that validate in a fold.

        Raises
        ------
        InputError
            If there is no such fold.
        """
        if not 0 <= fold < self.folds:
            there = f"there are {self.folds}, from 0" if self.folds else "nothing validates in it"
            raise InputError(f"the split has no fold {fold}", hint=there)
        return tuple(c for c, f in self.fold.items() if f == fold)

    def part(self, split: str, fold: int = 0) -> tuple[str, ...]:
        """Cases of ``train``, ``val`` or ``test``."""
        if split not in PARTS:
            raise InputError(
                f"'{split}' is not a part of a split", hint=f"accepted: {', '.join(PARTS)}"
            )
        if split == "test":
            return self.test
        return self.train(fold) if split == "train" else self.val(fold)

    def of(self, cases: Iterable[str]) -> Splits:
        """The same split of some of the cases.

        Raises
        ------
        InputError
            If a case is in no part of it.
        """
        wanted = list(cases)
        if missing := sorted(set(wanted) - set(self.fold)):
            raise InputError(
                f"{len(missing)} case{'s are' if len(missing) > 1 else ' is'} not in the split:"
                f" {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}",
                hint="make it again of all cases: `mriprep split OUT ...`",
            )
        kept = set(wanted)
        return Splits(
            {c: f for c, f in self.fold.items() if c in kept},
            tuple(c for c in self.test if c in kept),
            {c: s for c, s in self.subject.items() if c in kept},
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """As plain data: by case, whose it is, its fold, and what it is in fold 0."""
        held = {*self.test}
        return {
            c: {
                "subject": self.subject.get(c),
                "fold": f,
                "split": "test" if c in held else "val" if f == 0 else "train",
            }
            for c, f in self.fold.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Any]]) -> Splits:
        """The split that :meth:`to_dict` described."""
        return cls(
            {c: d["fold"] for c, d in data.items()},
            tuple(c for c, d in data.items() if d["split"] == "test"),
            {c: str(d["subject"]) for c, d in data.items() if d.get("subject")},
        )


def read(out: str | Path) -> Splits:
    """Read the split of a folder of derivatives.

    Parameters
    ----------
    out : path
        The folder, or a table of the same columns: ``case``, ``subject``,
        ``fold`` (in which the case is validation, from 0; ``n/a`` in none),
        ``split`` (``train``, ``val`` or ``test`` in fold 0). Others are left
        alone.

    Raises
    ------
    InputError
        If there is none, a row contradicts itself or another one, or a
        subject is on both sides.
    """
    path = expanded(out)
    path = path / "splits.tsv" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"there is no split '{path}'",
            hint="make one: `mriprep split OUT --by subject --folds 5 --seed 1`",
        )
    fold: dict[str, int | None] = {}
    subject: dict[str, str] = {}
    test: list[str] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        if missing := [c for c in _COLUMNS if c not in (rows.fieldnames or [])]:
            raise InputError(
                f"'{path}' has no column {', '.join(missing)}",
                hint=f"it needs {', '.join(_COLUMNS)}, parted by tabs",
            )
        for number, row in enumerate(rows, 2):
            where = f"'{path}', line {number}"
            case = row["case"] or ""
            if not case or case in fold:
                raise InputError(f"{where}: {'a case twice: ' + case if case else 'no case'}")
            fold[case] = _fold_of(row, where)
            subject[case] = row["subject"] or case
            if row["split"] == "test":
                test.append(case)
    if not fold:
        raise InputError(f"'{path}' holds no case", hint="make it again: `mriprep split OUT ...`")
    found = Splits(fold, tuple(test), subject)
    _check(found, str(path))
    return found


def check_fold(split: str, fold: int, folds: Sequence[int]) -> None:
    """Refuse a fold that an export does not hold: what was fitted may have seen its validation.

    Raises
    ------
    InputError
        If it is another one.
    """
    if split != "test" and fold not in folds:
        raise InputError(
            f"fold {fold} was not exported",
            hint=f"there are: {', '.join(map(str, folds)) or 'none'}",
        )


def _fold_of(row: Mapping[str, str | None], where: str) -> int | None:
    """The fold of a row, which must go with its part."""
    text, split = (row["fold"] or "").strip(), row["split"]
    if split not in PARTS:
        raise InputError(
            f"{where}: '{split}' is not a part of a split", hint=f"accepted: {', '.join(PARTS)}"
        )
    if text in _UNKNOWN:
        if split == "val":
            raise InputError(f"{where}: a case that validates in no fold", hint="give its fold")
        return None
    if not text.isascii() or not text.isdigit():
        raise InputError(f"{where}: '{text}' is not a fold", hint="a whole number from 0, or n/a")
    fold = int(text)
    expected = "val" if fold == 0 else "train"
    if split != expected:
        raise InputError(
            f"{where}: fold {fold} and split '{split}' contradict each other",
            hint=f"`split` is of fold 0: a case of fold {fold} is '{expected}'; of the test part has"
            " fold n/a",
        )
    return fold


def _check(found: Splits, where: str) -> None:
    """Every fold has cases, and nobody is on both sides."""
    used = {f for f in found.fold.values() if f is not None}
    if used != set(range(found.folds)):
        raise InputError(
            f"{where}: the folds are {sorted(used)}", hint="they count from 0 without a gap"
        )
    held = set(found.test)
    side: dict[str, str] = {}
    for case, fold in found.fold.items():
        mine = "test" if case in held else f"fold {fold}" if fold is not None else "train"
        other = side.setdefault(found.subject[case], mine)
        if other != mine:
            raise InputError(
                f"{where}: subject {found.subject[case]} is in {other} and in {mine}: a leak",
                hint="split by subject: `mriprep split OUT --by subject`",
            )
