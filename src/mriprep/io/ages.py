"""Ages that BIDS keeps beside a scan: in participants.tsv, a subject's sessions.tsv, the sidecar."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mriprep.core import InputError, MriprepWarning
from mriprep.core.age import Age, age_between, parse_age, plausible

from .strict_json import load_json

#: A file lies at most so deep below its dataset: sub-01/ses-1/anat/file, or one folder more (DICOM).
_DEEP = 5
#: A table of participants is not larger, bytes.
_MOST = 50_000_000
#: Words of BIDS for "not known".
_UNKNOWN = ("", "n/a", "na", "nan", "none", "unknown")
_UNITS = {"y": "y", "m": "mo", "w": "w", "d": "d"}


def from_tables(path: Path, case: str) -> Age | None:
    """Age of a case by the dataset that a scan lies in.

    Parameters
    ----------
    path : Path
        The scan, or its folder.
    case : str
        ``sub-01`` or ``sub-01_ses-2``. A session's age in
        ``sub-01_sessions.tsv`` comes before the one in ``participants.tsv``.

    Warns
    -----
    MriprepWarning
        If a table gives what is no age.
    """
    subject, _, session = case.partition("_")
    above = Path(os.path.abspath(path)).parents[:_DEEP]
    if session:
        for folder in above:
            table = folder / f"{subject}_sessions.tsv"
            if (age := _in_table(table, "session_id", session, "sessions.tsv")) is not None:
                return age
    for folder in above:
        table = folder / "participants.tsv"
        if (age := _in_table(table, "participant_id", subject, table.name)) is not None:
            return age
    return None


def from_sidecar(content: Mapping[str, Any]) -> Age | None:
    """Age by the JSON beside a scan: PatientAge (or age), or the day of birth and of the scan."""
    for key in ("PatientAge", "Age", "age"):
        value = content.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                age = plausible(parse_age(value, f"the sidecar's {key}"))
            except InputError:
                continue
            if age is not None:
                return age
    birth = content.get("PatientBirthDate")
    for key in ("AcquisitionDateTime", "AcquisitionDate", "StudyDate", "SeriesDate"):
        scan = content.get(key)
        if isinstance(birth, str) and isinstance(scan, str):
            age = age_between(birth, scan, "the sidecar's birth and scan dates")
            if age is not None:
                return age
    return None


def _in_table(table: Path, key: str, wanted: str, source: str) -> Age | None:
    try:
        if not table.is_file() or table.stat().st_size > _MOST:
            return None
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, ValueError, csv.Error) as error:
        # A template goes by the age: that there is one which cannot be seen must not be silent.
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no table"
        warnings.warn(
            f"{source} cannot be read ({reason}): ages that it gives are not known",
            MriprepWarning,
            stacklevel=4,
        )
        return None
    bare = wanted.partition("-")[2]
    for row in rows:
        named = {str(k).strip().lower(): v for k, v in row.items() if k is not None}
        if str(named.get(key) or "").strip() not in (wanted, bare):
            continue
        text = str(named.get("age") or "").strip()
        if text.lower() in _UNKNOWN:
            return None
        try:
            return plausible(parse_age(text + _unit(table, text), source))
        except InputError as error:
            warnings.warn(f"{source}: {error.message}", MriprepWarning, stacklevel=4)
            return None
    return None


def _unit(table: Path, text: str) -> str:
    """The unit that the table's JSON gives the bare numbers of its column; BIDS means years."""
    if not text.rstrip("+").replace(".", "", 1).isdigit():
        return ""
    try:
        column = load_json(table.with_suffix(".json"))["age"]
        return _UNITS.get(str(column["Units"]).strip().lower()[:1], "")
    except (OSError, ValueError, KeyError, TypeError):
        return ""
