"""What was judged of images: quality files, records of runs, the cohort's table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mriprep.io.strict_json import load_json
from mriprep.qc.collect import read_quality
from mriprep.qc.meanings import number

#: Worst first.
VERDICTS = ("fail", "look", None, "pass")
_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9+]+)")


# JSON of other programs may hold NaN; a browser's may not.
_Number = Annotated[float | None, BeforeValidator(number)]


class Reason(BaseModel):
    """Why somebody should look."""

    model_config = ConfigDict(extra="ignore")
    code: str
    level: Literal["look", "fail"] = "look"
    says: str = ""
    hint: str | None = None
    metric: str | None = None
    value: _Number = None
    limit: _Number = None


class Quality(BaseModel):
    """What was judged of an image: its quality file, as far as the page shows it."""

    model_config = ConfigDict(extra="ignore")
    case: str
    contrast: str
    recipe: str | None = None
    verdict: Literal["pass", "look", "fail"] | None = None
    reasons: list[Reason] = Field(default_factory=list)
    scores: dict[str, _Number] = Field(default_factory=dict)
    metrics: dict[str, _Number] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    report: str | None = None


def named(stem: str) -> tuple[dict[str, str], str]:
    """The entities of a BIDS name, and its suffix."""
    *parts, suffix = stem.split("_")
    return dict(m.groups() for p in parts if (m := _ENTITY.fullmatch(p))), suffix  # type: ignore[misc]


def contrast_of(entities: Mapping[str, str], suffix: str) -> str:
    """A contrast, of its suffix; that of T1w with contrast agent stands in an entity."""
    return "T1c" if suffix == "T1w" and "ce" in entities else suffix


def qualities(files: list[Path], case: str) -> tuple[dict[str, Quality], dict[str, str]]:
    """By contrast: what was judged, and what is wrong with the files that say so."""
    found: dict[str, Quality] = {}
    problems: dict[str, str] = {}
    for path in files:
        if path.name.endswith("_quality.json"):
            contrast = contrast_of(*named(path.name.removesuffix("_quality.json")))
            try:
                found[contrast] = Quality.model_validate(read_quality(path))
            except ValueError as error:
                why = first_of(error) if isinstance(error, ValidationError) else str(error)
                problems[contrast] = f"{path.name} cannot be read: {why}"
        elif path.name.endswith("_desc-failed_record.json"):
            contrast = path.name.removeprefix(f"{case}_").removesuffix("_desc-failed_record.json")
            if contrast not in found and (stopped := _stopped(path)):
                found[contrast] = stopped
    return found, problems


def _stopped(path: Path) -> Quality | None:
    """A run that stopped, of its record."""
    try:
        record = load_json(path)
        failure = record["failure"]
        says = f"stopped at {failure['step']}: {failure['message']}"
        reason = Reason(code="failed", level="fail", says=says, hint=failure.get("hint"))
        return Quality(
            case=record["case"],
            contrast=record["contrast"],
            recipe=record["recipe"]["name"],
            verdict="fail",
            reasons=[reason],
            facts=record.get("facts", {}),
            warnings=record.get("warnings", []),
        )
    except (ValueError, KeyError, TypeError, OSError):
        return None


def is_failure(quality: Quality) -> bool:
    """Whether it is about a run that stopped."""
    return any(r.code == "failed" for r in quality.reasons)


def from_record(path: Path | None, case: str, contrast: str) -> Quality:
    """Where nothing was judged: doubts and warnings of the record beside the image."""
    nothing = Quality(case=case, contrast=contrast)
    if path is None:
        return nothing
    try:
        record = load_json(path)
        doubts = [Reason(code="doubt", says=str(d)) for d in record.get("doubts", [])]
        return nothing.model_copy(
            update={
                "recipe": record["recipe"]["name"],
                "reasons": doubts,
                "facts": record.get("facts", {}),
                "warnings": [w for w in record.get("warnings", []) if w not in record["doubts"]],
            }
        )
    except (ValueError, KeyError, TypeError, OSError):
        return nothing


def of_cohort(path: Path) -> dict[str, Quality]:
    """What the cohort's table adds of each image: in what it differs from the others."""
    try:
        images = load_json(path)["images"]
        read = [Quality.model_validate(q) for q in images]
    except (ValueError, KeyError, TypeError, OSError):
        return {}
    return {f"{q.case}_{q.contrast}": q for q in read}


def with_cohort(quality: Quality | None, cohort: Quality | None) -> Quality | None:
    """The reasons of both; the worse of the verdicts."""
    if quality is None or cohort is None:
        return quality
    more = [r for r in cohort.reasons if r.code.startswith("cohort-")]
    if not more:
        return quality
    worse = min(quality.verdict, cohort.verdict, key=VERDICTS.index)
    return quality.model_copy(update={"reasons": [*quality.reasons, *more], "verdict": worse})


def first_of(error: ValidationError) -> str:
    """What is wrong with some data, in one line, and where."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
