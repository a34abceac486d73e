"""Cases of a table: a row an image, or a row a case with a column a contrast."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mriprep.core import EngineMissing, InputError
from mriprep.core.age import parse_age
from mriprep.core.case import check_contrasts
from mriprep.core.errors import nearest
from mriprep.intake import case_name
from mriprep.io.given import expanded, leads_to, read_text, shown
from mriprep.io.images import contrast_of

from .source import (
    ROLES,
    CaseSource,
    ImageSource,
    clean,
    in_order,
    label_of,
    name_of,
    sex_of,
)

#: Endings of tables.
TABLES = (".csv", ".tsv", ".parquet", ".pq")

#: A table is not longer, bytes: a million rows are not as much.
LONGEST = 512 * 2**20

#: Nor has it more rows: of equal ones, a Parquet table holds any number in no space.
MOST_ROWS = 10**7

#: What columns are called besides their first name.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject_id", "participant_id", "participant", "patient", "sub", "id"),
    "session": ("session_id", "ses", "visit", "timepoint"),
    "contrast": ("modality", "suffix", "sequence"),
    "path": ("file", "filename", "image", "scan"),
    "role": (),
    "series": (),
    "volume": (),
    "age": (),
    "sex": ("gender",),
    "site": ("center", "centre", "scanner_site"),
    "label": ("diagnosis", "group", "class", "target"),
    "split": ("fold", "subset"),
}
_OF_CASE = ("age", "sex", "site", "label", "split")
_HOW = (
    "a table has the columns subject, session, contrast, path, age, sex, site, label, split"
    " (path is needed, or a column a contrast, as T1w and FLAIR); paths are relative to the table"
)


def from_table(table: Path) -> list[CaseSource]:
    """Cases of a CSV, TSV or Parquet table.

    Parameters
    ----------
    table : Path
        Either a row an image (columns ``subject``, ``session``, ``contrast``,
        ``path``; ``role``, ``series``, ``volume`` if needed), or a row a case
        with a column of paths a contrast (``T1w``, ``FLAIR``, ``mask``).
        ``age``, ``sex``, ``site``, ``label`` and ``split`` say more. Relative
        paths begin at the table's folder.

    Raises
    ------
    InputError
        If columns are missing, rows contradict each other, or none of the
        files is there. A file missing among others is that case's own error,
        when it is opened.
    EngineMissing
        If it is Parquet and pyarrow is not installed.
    """
    rows = read_rows(table)
    if not rows:
        raise InputError(f"the table {table.name} has no rows", hint=_HOW)
    names = _named(rows[0])
    wide = {c: w for c in rows[0] if (w := _wide(c)) and c not in names.values()}
    if "path" not in names and not wide:
        raise InputError(
            f"the table {table.name} has no column of paths; its columns are {', '.join(rows[0])}",
            hint=_HOW,
        )
    cases: dict[tuple[str, str | None], _Growing] = {}
    written: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        where = f"{table.name}, line {line}"
        values = {name: clean(row.get(column)) for name, column in names.items()}
        images = _images(values, row, wide, table.parent, where)
        if not images:
            continue
        subject, session = _whose(values, images, where, written)
        case = cases.setdefault((subject, session), _Growing(subject, session))
        case.add(images, values, where)
    found = [c.finished() for c in cases.values()]
    _some_there(table, found)
    return found


def read_rows(table: Path) -> list[dict[str, Any]]:
    """The rows of a table, each by column."""
    if table.suffix.lower() in (".parquet", ".pq"):
        return _parquet(table)
    try:
        text = read_text(table, LONGEST).removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise InputError(
            f"the table {table.name} is not UTF-8 text", hint="save it as UTF-8 CSV"
        ) from None
    except OSError as error:
        raise InputError(
            f"the table {shown(table.name)} cannot be read: {error.strerror}"
        ) from None
    lines = text.splitlines()
    first = lines[0] if lines else ""
    delimiter = max("\t,;", key=first.count)
    try:
        rows = list(csv.DictReader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"the table {table.name} cannot be read: {error}", hint=_HOW) from None
    for line, row in enumerate(rows, start=2):
        if None in row:
            raise InputError(
                f"{table.name}, line {line}: more values than columns",
                hint=f"put values that hold '{delimiter}' into double quotes"
                + ("; decimals take a point: 7.5, not 7,5" if delimiter == "," else ""),
            )
    return rows


def _parquet(table: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise EngineMissing(
            f"{table.name} is a Parquet table, and pyarrow is not installed",
            hint="pip install pyarrow, or save it as CSV",
        ) from None
    leads_to(table)
    try:
        with table.open("rb") as file:  # opened here: it takes names for UTF-8, and for addresses
            held = parquet.ParquetFile(file)
            about = held.metadata
            groups = (about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if about.num_rows > MOST_ROWS or sum(groups) > LONGEST:
                raise InputError(
                    f"{table.name} claims {about.num_rows} rows; at most {MOST_ROWS} in {LONGEST}"
                    " bytes are read",
                    hint="give a table of the images that are wanted",
                )
            rows: list[dict[str, Any]] = held.read().to_pylist()
    # ValueError: names and texts that are no UTF-8, times that no calendar has.
    except (OSError, ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{table.name} is no readable Parquet table: {error}") from None
    return rows


def _named(row: Mapping[str, Any]) -> dict[str, str]:
    """The table's own name of each column that is known here."""
    lower = {str(c).strip().lower(): c for c in reversed(list(row))}
    found: dict[str, str] = {}
    for name, others in COLUMNS.items():
        for candidate in (name, *others):
            if candidate in lower:
                found[name] = lower[candidate]
                break
    return found


def _wide(column: str) -> tuple[str | None, str] | None:
    """Contrast and role of what a column of paths holds; None if it is no such column."""
    low = column.strip().lower()
    if low in ("mask", "labels"):
        return None, low
    stem, _, kind = low.rpartition("_")
    role = {"mask": "mask", "labels": "labels", "seg": "labels", "dseg": "labels"}.get(kind)
    contrast = contrast_of(f"{stem if role else low}.nii")
    return None if contrast is None else (contrast, role or "image")


def _images(
    values: Mapping[str, str | None],
    row: Mapping[str, Any],
    wide: Mapping[str, tuple[str | None, str]],
    folder: Path,
    where: str,
) -> list[ImageSource]:
    images = []
    path = values.get("path")
    if path:
        role = (values.get("role") or "image").lower()
        if role not in ROLES:
            raise InputError(f"{where}: there is no role '{role}'", hint=nearest(role, ROLES))
        told = values.get("contrast")
        contrast = (contrast_of(f"{told}.nii") or told) if told else contrast_of(path)
        volume = values.get("volume")
        if volume is not None and not volume.isdigit():
            raise InputError(f"{where}: '{volume}' is no number of a volume", hint="0 is the first")
        images.append(
            ImageSource(
                contrast,
                _full(path, folder),
                values.get("series"),
                None if volume is None else int(volume),
                role,
            )
        )
    for column, (contrast, role) in wide.items():
        text = clean(row.get(column))
        if text:
            images.append(ImageSource(contrast, _full(text, folder), role=role))
    return images


def _full(path: str, folder: Path) -> str:
    return str(folder.absolute() / expanded(path))


def _whose(
    values: Mapping[str, str | None],
    images: Sequence[ImageSource],
    where: str,
    written: dict[str, str],
) -> tuple[str, str | None]:
    """Subject and session of a row; from its file's name where it does not say."""
    subject, session = values.get("subject"), values.get("session")
    if subject is None:
        found, _, inside = case_name(Path(images[0].path), "").partition("_ses-")
        subject, session = found, session or inside or None
    label = label_of(subject, "sub")
    before = written.setdefault(label, subject.removeprefix("sub-"))
    if before != subject.removeprefix("sub-"):
        raise InputError(
            f"{where}: the subjects '{before}' and '{subject}' would both be called sub-{label}",
            hint="files are named by letters and digits alone: rename one of them",
        )
    return label, label_of(session, "ses") if session else None


class _Growing:
    """A case while its rows are read."""

    def __init__(self, subject: str, session: str | None) -> None:
        self.subject, self.session = subject, session
        self.images: list[ImageSource] = []
        self.told: dict[str, str] = {}

    def add(
        self, images: Iterable[ImageSource], values: Mapping[str, str | None], where: str
    ) -> None:
        name = name_of(self.subject, self.session)
        try:
            check_contrasts(i.contrast for i in (*self.images, *images) if i.contrast)
        except InputError as error:
            raise InputError(f"{where}: {error.message}", hint=error.hint) from None
        for image in images:
            if image.role == "image" and image.contrast in (
                i.contrast for i in self.images if i.role == "image"
            ):
                what = image.contrast or "images of no named contrast"
                raise InputError(
                    f"{where}: {name} has two {what}",
                    hint="give one an image of each contrast; a column 'session' tells visits apart",
                )
            self.images.append(image)
        for column in _OF_CASE:
            value = values.get(column)
            if value is None:
                continue
            if column == "age":
                _checked_age(value, where)
            elif column == "sex":
                value = sex_of(value) or value
            if self.told.setdefault(column, value) != value:
                raise InputError(
                    f"{where}: {name} is of {column} '{value}' here and '{self.told[column]}' before",
                    hint="all rows of a case must agree; a column 'session' tells visits apart",
                )

    def finished(self) -> CaseSource:
        told = self.told
        return CaseSource(
            name_of(self.subject, self.session),
            self.subject,
            self.session,
            in_order(self.images),
            age=told.get("age"),
            sex=sex_of(told.get("sex")),
            site=told.get("site"),
            label=told.get("label"),
            split=told.get("split"),
        )


def _checked_age(value: str, where: str) -> None:
    try:
        parse_age(value)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from None


def _some_there(table: Path, cases: Sequence[CaseSource]) -> None:
    """Refuse a table of which no file is there: its paths begin elsewhere."""
    paths = [i.path for c in cases for i in c.images]
    if not any(os.path.exists(p) for p in paths):  # of any name: Path would fail on long ones
        raise InputError(
            f"none of the {len(paths)} files of the table {table.name} is there; the first would be"
            f" {paths[0] if paths else 'missing'}",
            hint="relative paths begin at the table's folder",
        )
