"""The choice among a dump's series as a table, to be edited and fed back."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.core.age import parse_age
from mriprep.core.case import check_contrasts
from mriprep.io.atomic import atomic_path
from mriprep.io.dicom_contrast import Rules
from mriprep.io.dicom_dump import Scanned, read_dump
from mriprep.io.given import expanded

from .choice import Choice, choose_best
from .source import CaseSource, ImageSource, clean, in_order, label_of, name_of, sex_of
from .table import read_rows

#: Columns of the table; the last three find the series again.
COLUMNS = (
    "use", "subject", "session", "contrast", "series", "description", "matrix", "spacing", "slices",
    "scanner", "age", "sex", "confidence", "verdict", "why", "id", "source",
)  # fmt: skip
#: Below this confidence of a contrast, the reason is told.
SURE = 0.75
_NEEDED = ("use", "subject", "contrast", "id", "source")
_YES = ("yes", "y", "1", "true", "x")
_NO = ("no", "n", "0", "false", "")


def from_dump(
    source: Path,
    wanted: Sequence[str] = (),
    *,
    processes: int = 1,
    rules: Rules | None = None,
) -> tuple[list[CaseSource], list[Choice]]:
    """Cases of a dump: the best series of each contrast, and what was made of each series."""
    choices = choose_best(read_dump(source, processes=processes, rules=rules), wanted)
    taken = [(c.scanned, c.scanned.series.contrast) for c in choices if c.taken]
    return _cases(
        source, [(s, s.subject, s.session, contrast, {}) for s, contrast in taken]
    ), choices


def described(choice: Choice, source: Path) -> dict[str, str]:
    """A series and what was decided of it, for people: no names, numbers or dates."""
    s = choice.scanned.series
    facts = s.facts
    scanner = [str(facts.get("Manufacturer", "")), str(facts.get("ManufacturersModelName", ""))]
    field = facts.get("MagneticFieldStrength")
    return {
        "use": "yes" if choice.taken else "no",
        "subject": choice.scanned.subject,
        "session": choice.scanned.session or "",
        "contrast": s.contrast or "",
        "series": s.key,
        "description": s.description,
        "matrix": f"{s.columns}x{s.rows}",
        "spacing": "x".join(f"{v:.3g}" for v in s.spacing) if s.spacing else "",
        "slices": str(s.slices) if s.volumes <= 1 else f"{s.slices}x{s.volumes}",
        "scanner": " ".join(filter(None, [*scanner, f"{field:g} T" if field else ""])),
        "age": _age(choice.scanned),
        "sex": str(facts.get("sex", "")),
        "confidence": f"{s.guessed.confidence:.2f}" if s.contrast else "",
        "verdict": choice.scanned.verdict.kind,
        "why": _why(choice),
        "id": choice.scanned.id,
        "source": str(source),
    }


def _why(choice: Choice) -> str:
    """Why it is taken or not, what would be mended, and any doubt of the contrast."""
    verdict, guessed = choice.scanned.verdict, choice.scanned.series.guessed
    told = [choice.why]
    told += [w for w in verdict.why.split("; ") if w and w not in choice.why]
    if choice.taken and guessed.confidence < SURE:
        told.append(f"the contrast by {guessed.reason}")
    return "; ".join(told)


def _age(s: Scanned) -> str:
    age = s.series.facts.get("age")
    return f"{age:g}" if age is not None else ""


def as_tsv(rows: Iterable[dict[str, str]]) -> str:
    """Rows as a table with tabs."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: " ".join(v.split()) for k, v in row.items()} for row in rows)
    return text.getvalue()


def write_selection(path: Path, choices: Iterable[Choice], source: Path) -> Path:
    """Write the choice as a table; the dump's path is kept relative to it."""
    target = expanded(path).absolute()
    try:
        relative = Path(os.path.relpath(source.absolute(), target.parent))
    except ValueError:  # another drive
        relative = source.absolute()
    with atomic_path(target) as temporary:
        temporary.write_text(as_tsv(described(c, relative) for c in choices), "utf-8")
    return target


def is_selection(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether a table's rows are those of a selection."""
    return bool(rows) and {"use", "id", "source"} <= set(rows[0])


def from_selection(
    table: Path, *, processes: int = 1, rules: Rules | None = None
) -> list[CaseSource]:
    """Cases of an edited selection.

    Parameters
    ----------
    table : Path
        As :func:`write_selection` makes it. ``use``, ``subject``,
        ``session``, ``contrast``, ``age`` and ``sex`` may be edited, rows deleted.

    Raises
    ------
    InputError
        If a row is wrong, names a series that is not in the dump, or takes
        the same contrast of a session twice.
    """
    rows = read_rows(table)
    missing = [c for c in _NEEDED if c not in (rows[0] if rows else {})]
    if missing:
        raise InputError(f"the selection {table.name} lacks the columns {', '.join(missing)}")
    used = [(line, row) for line, row in enumerate(rows, start=2) if _used(row, table, line)]
    if not used:
        raise InputError(
            f"the selection {table.name} uses no series", hint="write 'yes' in the column 'use'"
        )
    known: dict[str, dict[str, Scanned]] = {}
    taken: dict[Path, list[Any]] = {}
    for line, row in used:
        where = f"{table.name}, line {line}"
        source = table.absolute().parent / str(row["source"])
        if not source.exists():
            raise InputError(
                f"{where}: the source '{row['source']}' is not there",
                hint="paths in the column 'source' are relative to the selection's folder: move the"
                " selection back, or mend them",
            )
        if str(source) not in known:
            scanned = read_dump(source, processes=processes, rules=rules)
            known[str(source)] = {s.id: s for s in scanned}
        found = known[str(source)].get(str(row["id"]).strip())
        if found is None:
            raise InputError(
                f"{where}: the series is not in '{source.name}' any more",
                hint="scan it again (mriprep scan --write) and choose anew",
            )
        contrast = clean(row["contrast"])
        if contrast is None:
            raise InputError(
                f"{where}: a series that is used needs a contrast", hint="T1w, FLAIR, ..."
            )
        try:
            check_contrasts([contrast])
        except InputError as error:
            raise InputError(f"{where}: {error.message}", hint=error.hint) from None
        session = clean(row.get("session"))
        told = _edited(row, found, where)
        taken.setdefault(source, []).append(
            (
                found,
                label_of(str(row["subject"]), "sub"),
                label_of(session, "ses") if session else None,
                contrast,
                told,
            )
        )
    return [case for source, items in taken.items() for case in _cases(source, items)]


def _used(row: dict[str, Any], table: Path, line: int) -> bool:
    text = str(row["use"] or "").strip().lower()
    if text not in (*_YES, *_NO):
        raise InputError(f"{table.name}, line {line}: 'use' is yes or no, got '{text}'")
    return text in _YES


def _edited(row: dict[str, Any], found: Scanned, where: str) -> dict[str, str]:
    """What was written into a row that the header does not say."""
    told = {}
    age = clean(row.get("age"))
    if age is not None and age != _age(found):
        try:
            parse_age(age)
        except InputError as error:
            raise InputError(f"{where}: {error.message}", hint=error.hint) from None
        told["age"] = age
    for column in ("site", "label", "split"):
        if value := clean(row.get(column)):
            told[column] = value
    if sex := sex_of(row.get("sex")):
        told["sex"] = sex
    return told


def _cases(source: Path, items: Sequence[Any]) -> list[CaseSource]:
    images: dict[tuple[str, str | None], list[ImageSource]] = {}
    told: dict[tuple[str, str | None], dict[str, str]] = {}
    for found, subject, session, contrast, said in items:
        mine = images.setdefault((subject, session), [])
        if contrast in (i.contrast for i in mine):
            raise InputError(
                f"two series of {name_of(subject, session)} are taken as {contrast}",
                hint="leave one of them out, or give it another contrast or session",
            )
        mine.append(
            ImageSource(contrast, str(source.absolute()), found.series.key, files=found.files)
        )
        sex = {"sex": found.series.facts["sex"]} if "sex" in found.series.facts else {}
        told.setdefault((subject, session), {}).update({**sex, **said})
    return [
        CaseSource(name_of(*whose), *whose, in_order(mine), **told[whose])  # type: ignore[arg-type]
        for whose, mine in images.items()
    ]
