"""What there is to know of a cohort below its output folder: quality files, ratings."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .blocks import VERDICTS
from .words import FACTS

SCHEMA = 1
#: Where quality files lie: ``sub-*/[ses-*/]anat/*_quality.json``.
PATTERNS = ("sub-*/anat/*_quality.json", "sub-*/ses-*/anat/*_quality.json")
RATINGS = "ratings.tsv"
RATED = ("pass", "fail", "unsure")

_LEVELS = ("look", "fail")


@dataclass(frozen=True)
class Found:
    """Qualities of images, by case and contrast, and what could not be read: file and why."""

    qualities: list[dict[str, Any]]
    problems: list[tuple[str, str]] = field(default_factory=list)


def read_qualities(out: Path) -> Found:
    """Read the quality files below an output folder.

    A file that cannot be read, or is none of ours, is told of and left out.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    problems = []
    files = sorted(path for pattern in PATTERNS for path in out.glob(pattern))
    for path in files:
        if path.name.startswith("."):
            continue
        name = path.relative_to(out).as_posix()
        try:
            quality = checked(json.loads(path.read_text("utf-8")))
        except OSError as error:
            problems.append((name, error.strerror or "it cannot be read"))
            continue
        except ValueError as error:
            why = "it is no JSON: " if isinstance(error, json.JSONDecodeError) else ""
            problems.append((name, f"{why}{error}"))
            continue
        key = quality["case"], quality["contrast"]
        if key in found:
            problems.append((name, f"another file speaks of {' '.join(key)} too"))
            continue
        found[key] = quality
    return Found([found[key] for key in sorted(found)], problems)


def checked(told: Any) -> dict[str, Any]:
    """A quality with all its fields, as plain data.

    Raises
    ------
    ValueError
        If it is none: the text says what is wrong.
    """
    if not isinstance(told, Mapping):
        raise ValueError("it holds no quality: a JSON object is wanted")
    if told.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {told.get('schema')!r}, and this mriprep reads {SCHEMA}")
    for name in ("case", "contrast", "verdict"):
        if not isinstance(told.get(name), str) or not told[name]:
            raise ValueError(f"it does not say its {name}")
    if told["verdict"] not in VERDICTS:
        raise ValueError(f"its verdict is '{told['verdict']}', not one of {', '.join(VERDICTS)}")
    quality = dict(told)
    for name in ("scores", "metrics", "missing", "facts", "histograms"):
        quality[name] = told.get(name) or {}
        if not isinstance(quality[name], Mapping):
            raise ValueError(f"its {name} are no names with values")
    # Nothing that names anybody goes on, whoever wrote it down.
    quality["facts"] = {k: v for k, v in quality["facts"].items() if k in FACTS or k == "site"}
    for name in ("reasons", "warnings"):
        quality[name] = told.get(name) or []
        if not isinstance(quality[name], list):
            raise ValueError(f"its {name} are no list")
    for reason in quality["reasons"]:
        if not isinstance(reason, Mapping) or not all(
            isinstance(reason.get(k), str) for k in ("code", "level", "says")
        ):
            raise ValueError("one of its reasons has no code, level or sentence")
        if reason["level"] not in _LEVELS:
            raise ValueError(f"the level of a reason is '{reason['level']}', not look or fail")
    return quality


def page_of(quality: Mapping[str, Any]) -> str:
    """The file name of an image's page, which lies in the output folder itself."""
    told = quality.get("report")
    if isinstance(told, str) and re.fullmatch(r"[^/\\:.][^/\\:]*\.html", told):
        return told
    return re.sub(r"[/\\:]", "_", f"{quality['case']}_{quality['contrast']}.html")


def read_ratings(out: Path) -> tuple[dict[tuple[str, str], str], list[tuple[str, str]]]:
    """What people said of images, by case and contrast, and what could not be understood.

    The last word of each rater counts; where raters differ all their words
    are given, parted by commas.
    """
    path = out / RATINGS
    if not path.is_file():
        return {}, []
    problems: list[tuple[str, str]] = []
    said: dict[tuple[str, str], dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            lacking = [
                c for c in ("case", "contrast", "rating") if c not in (table.fieldnames or ())
            ]
            if lacking:
                return {}, [(RATINGS, f"it has no column {' and none '.join(lacking)}")]
            for line, row in enumerate(table, 2):
                rating = (row.get("rating") or "").strip()
                if rating not in RATED:
                    accepted = ", ".join(RATED)
                    problems.append(
                        (RATINGS, f"line {line}: the rating '{rating}' is not one of {accepted}")
                    )
                    continue
                key = (row["case"] or "").strip(), (row["contrast"] or "").strip()
                said.setdefault(key, {})[(row.get("rater") or "").strip()] = rating
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return {}, [(RATINGS, f"it cannot be read: {error}")]
    words = {key: [r for r in RATED if r in by.values()] for key, by in said.items()}
    return {key: ",".join(w) for key, w in words.items()}, problems
