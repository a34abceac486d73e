"""What there is to know of a cohort below its output folder: quality files, ratings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriprep import ratings
from mriprep.io.strict_json import load_json

from .blocks import VERDICTS
from .words import FACTS

SCHEMA = 1
#: Where quality files lie: ``sub-*/[ses-*/]anat/*_quality.json``.
PATTERNS = ("sub-*/anat/*_quality.json", "sub-*/ses-*/anat/*_quality.json")
#: A file of a quality larger than this is none, bytes.
LARGEST = 4_000_000

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
            quality = read_quality(path)
        except ValueError as error:
            problems.append((name, str(error)))
            continue
        key = quality["case"], quality["contrast"]
        if key in found:
            problems.append((name, f"another file speaks of {' '.join(key)} too"))
            continue
        found[key] = quality
    return Found([found[key] for key in sorted(found)], problems)


def read_quality(path: Path) -> dict[str, Any]:
    """One quality file, with all its fields, as plain data.

    Raises
    ------
    ValueError
        If it cannot be read, or is none: the text says what is wrong.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes, as no quality file has")
        told = load_json(path, LARGEST)
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8: {error}") from error
    return checked(told)


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

    The last word of each rater counts; where raters differ it is ``mixed``.
    """
    try:
        said, bad = ratings.parse(out, needed=("case", "contrast", "rating"))
    except ratings.NoTable as error:
        return {}, [(ratings.FILE, error.why)]
    words = {
        image: next(iter(by)) if len(by) == 1 else "mixed"
        for image, by in ratings.counts(said).items()
    }
    return words, [(ratings.FILE, f"line {line}: {why}") for line, why in bad]
