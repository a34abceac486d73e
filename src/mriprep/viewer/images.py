"""What a folder of outputs holds: images, what may be laid over them, and what was judged of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mriprep.qc import words

#: Worst first.
VERDICTS = ("fail", "look", None, "pass")
#: A file of a quality larger than this is none.
_LARGEST = 4_000_000
_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9+]+)")


def _number(value: object) -> float | None:
    """JSON of other programs may hold NaN; a browser's may not."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if good and abs(value) < float("inf") else None  # type: ignore[arg-type]


_Number = Annotated[float | None, BeforeValidator(_number)]


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
    """What was judged of an image: its ``desc-quality`` file, as far as the page shows it."""

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


@dataclass(frozen=True)
class Layer:
    """A volume of a folder.

    Parameters
    ----------
    path : str
        From the folder of outputs, parts with ``/`` between.
    kind : str
        ``image``, ``mask``, ``labels``, ``probability`` or ``field``.
    title : str
        In the page's list.
    space : str
        What must be the same for one volume to lie on another: the world
        that it is in.
    """

    path: str
    kind: str
    title: str
    space: str
    bytes: int


@dataclass(frozen=True)
class Image:
    """One contrast of one case: what there is of it.

    Parameters
    ----------
    case, contrast : str
        Which it is.
    image : Layer or None
        The preprocessed image; None where a run stopped.
    layers : tuple of Layer
        What may be shown instead of it, or over it.
    quality : Quality or None
        What was judged; None where nothing was.
    report : str or None
        Path of its report.
    template : str or None
        The ``space-`` of the image.
    """

    case: str
    contrast: str
    image: Layer | None = None
    layers: tuple[Layer, ...] = ()
    quality: Quality | None = None
    report: str | None = None
    template: str | None = None
    problem: str | None = field(default=None, compare=False)

    @property
    def ident(self) -> str:
        """Its name in addresses."""
        return f"{self.case}_{self.contrast}"

    @property
    def verdict(self) -> str | None:
        """``pass``, ``look``, ``fail``; None where nothing was judged."""
        return self.quality.verdict if self.quality else None


def find(folder: Path) -> list[Image]:
    """The images of a folder of outputs, the worst first.

    Parameters
    ----------
    folder : Path
        As `mriprep run` wrote it: ``sub-01/[ses-2/]anat/*_desc-preproc_*.nii.gz``,
        with ``*_desc-quality_*.json`` where quality was judged.
    """
    cohort = _cohort(folder / "qc.json")
    images = [i for case, place in _places(folder) for i in _of_case(folder, case, place, cohort)]
    return sorted(images, key=_worst_first)


def summary(image: Image) -> dict[str, Any]:
    """What the list shows of an image, as plain data."""
    quality = image.quality
    return {
        "id": image.ident,
        "case": image.case,
        "contrast": image.contrast,
        "verdict": image.verdict,
        "site": _text(quality.facts.get("site")) if quality else None,
        "reasons": [r.code for r in quality.reasons] if quality else [],
        "image": image.image is not None,
    }


def detail(folder: Path, image: Image) -> dict[str, Any]:
    """All that the page shows of one image, as plain data."""
    quality = image.quality or _from_record(folder, image)
    facts = [*words.facts(quality.facts)]
    if site := _text(quality.facts.get("site")):
        facts.insert(0, ("site", site))
    return {
        **summary(image),
        "recipe": quality.recipe,
        "reasons": [r.model_dump() for r in quality.reasons],
        "scores": quality.scores,
        "metrics": quality.metrics,
        "missing": quality.missing,
        "facts": facts,
        "warnings": quality.warnings,
        "problem": image.problem,
        "report": image.report,
        "image": vars(image.image) if image.image else None,
        "layers": [vars(layer) for layer in image.layers],
        "template": image.template,
    }


# -- the files of a case -----------------------------------------------------------------------


def _places(folder: Path) -> Iterator[tuple[str, Path]]:
    """Cases and the folder of each."""
    for subject in sorted(folder.glob("sub-*")):
        if not subject.is_dir():
            continue
        sessions = [s for s in sorted(subject.glob("ses-*")) if s.is_dir()]
        for place in (subject, *sessions):
            yield "_".join(place.relative_to(folder).parts), place


def _of_case(folder: Path, case: str, place: Path, cohort: Mapping[str, Any]) -> Iterator[Image]:
    files = sorted((place / "anat").glob(f"{case}_*")) if (place / "anat").is_dir() else []
    volumes = [(p, *_named(p.name.removesuffix(".nii.gz"))) for p in files if _is_volume(p)]
    preprocessed: dict[str, list[tuple[Path, dict[str, str]]]] = {}
    for path, entities, suffix in volumes:
        if entities.get("desc") == "preproc":
            preprocessed.setdefault(_contrast(entities, suffix), []).append((path, entities))
    # The folder of a case holds what is said of a run that stopped.
    qualities, problems = _qualities([*files, *sorted(place.glob(f"{case}_*_record.json"))], case)
    for contrast in sorted({*preprocessed, *qualities, *problems}):
        there = preprocessed.get(contrast, [])
        # Of several (two recipes into one folder), the one that was made last.
        first = max(there, key=lambda p: p[0].stat().st_mtime, default=None)
        quality = qualities.get(contrast)
        if quality and quality.metrics == {} and first and _is_failure(quality):
            quality = None  # what is said of a run that stopped, which was done again since
        quality = _with_cohort(quality, cohort.get(f"{case}_{contrast}"))
        image = first and _layer(folder, *first, contrast)
        yield Image(
            case=case,
            contrast=contrast,
            image=image,
            layers=tuple(_layers(folder, volumes, image, contrast)),
            quality=quality,
            report=_report(folder, case, contrast, quality),
            template=first[1].get("space") if first else None,
            problem=problems.get(contrast),
        )


def _layers(
    folder: Path,
    volumes: list[tuple[Path, dict[str, str], str]],
    image: Layer | None,
    contrast: str,
) -> Iterator[Layer]:
    """What else there is to see, in the order in which the page lists it."""
    order = ("image", "mask", "labels", "probability", "field")
    found = []
    for path, entities, suffix in volumes:
        desc = entities.get("desc", "")
        own = _contrast(entities, suffix)
        if desc == "biaslattice" or (desc == "biasfield" and own != contrast):
            continue  # control points are no picture; another contrast's field has a page of its own
        layer = _layer(folder, path, entities, own)
        if image is None or layer.path != image.path:
            found.append(layer)
    yield from sorted(found, key=lambda x: (order.index(x.kind), x.title, x.path))


def _layer(folder: Path, path: Path, entities: dict[str, str], suffix: str) -> Layer:
    desc, label = entities.get("desc", ""), entities.get("label", "")
    kinds = {"mask": "mask", "dseg": "labels", "probseg": "probability"}
    kind = "field" if desc == "biasfield" else kinds.get(suffix, "image")
    title = {
        "field": "bias field",
        "mask": f"{desc or label} mask".strip(),
        "labels": desc or label or "labels",
        "probability": f"{label or desc} probability".strip(),
        "image": suffix if desc == "preproc" else f"{suffix} {desc}".strip(),
    }[kind]
    return Layer(
        path=path.relative_to(folder).as_posix(),
        kind=kind,
        title=title,
        space=entities.get("space", "scan"),
        bytes=path.stat().st_size,
    )


def _is_volume(path: Path) -> bool:
    return path.name.endswith(".nii.gz") and not path.name.startswith(".")


def _named(stem: str) -> tuple[dict[str, str], str]:
    """The entities of a BIDS name, and its suffix."""
    *parts, suffix = stem.split("_")
    return dict(m.groups() for p in parts if (m := _ENTITY.fullmatch(p))), suffix  # type: ignore[misc]


def _contrast(entities: Mapping[str, str], suffix: str) -> str:
    return "T1c" if suffix == "T1w" and "ce" in entities else suffix


def _report(folder: Path, case: str, contrast: str, quality: Quality | None) -> str | None:
    named = [quality.report] if quality and quality.report else []
    for name in (*named, f"{case}_{contrast}.html", f"{case}.html"):
        if "/" not in name and "\\" not in name and (folder / name).is_file():
            return name
    return None


# -- what was judged -----------------------------------------------------------------------------


def _qualities(files: list[Path], case: str) -> tuple[dict[str, Quality], dict[str, str]]:
    """By contrast: what was judged, and what is wrong with the files that say so."""
    found: dict[str, Quality] = {}
    problems: dict[str, str] = {}
    for path in files:
        if not path.name.endswith(".json"):
            continue
        entities, suffix = _named(path.name.removesuffix(".json"))
        if entities.get("desc") == "quality":
            contrast = _contrast(entities, suffix)
            try:
                found[contrast] = Quality.model_validate(_json(path))
            except (ValueError, ValidationError, OSError):
                problems[contrast] = f"{path.name} cannot be read: run mriprep report again"
        elif path.name.endswith("_desc-failed_record.json"):
            contrast = path.name.removeprefix(f"{case}_").removesuffix("_desc-failed_record.json")
            if contrast not in found and (stopped := _stopped(path)):
                found[contrast] = stopped
    return found, problems


def _stopped(path: Path) -> Quality | None:
    """A run that stopped, of its record."""
    try:
        record = _json(path)
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


def _is_failure(quality: Quality) -> bool:
    return any(r.code == "failed" for r in quality.reasons)


def _from_record(folder: Path, image: Image) -> Quality:
    """Where nothing was judged: doubts and warnings of the record beside the image."""
    nothing = Quality(case=image.case, contrast=image.contrast)
    if image.image is None:
        return nothing
    try:
        record = _json(folder / (image.image.path.removesuffix(".nii.gz") + ".json"))
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


def _cohort(path: Path) -> dict[str, Quality]:
    """What the cohort's table adds of each image: in what it differs from the others."""
    try:
        images = _json(path)["images"]
        read = [Quality.model_validate(q) for q in images]
    except (ValueError, KeyError, TypeError, OSError):
        return {}
    return {f"{q.case}_{q.contrast}": q for q in read}


def _with_cohort(quality: Quality | None, cohort: Quality | None) -> Quality | None:
    """The reasons of both; the worse of the verdicts."""
    if quality is None or cohort is None:
        return quality
    more = [r for r in cohort.reasons if r.code.startswith("cohort-")]
    if not more:
        return quality
    worse = min(quality.verdict, cohort.verdict, key=VERDICTS.index)
    return quality.model_copy(update={"reasons": [*quality.reasons, *more], "verdict": worse})


def _json(path: Path) -> Any:
    if path.stat().st_size > _LARGEST:
        raise ValueError("too large")
    try:
        return json.loads(path.read_text("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _worst_first(image: Image) -> tuple[int, int, int, list[Any], str]:
    reasons = image.quality.reasons if image.quality else []
    grave = sum(r.level == "fail" for r in reasons)
    # sub-2 before sub-10
    name = [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in re.split(r"(\d+)", image.case)]
    return VERDICTS.index(image.verdict), -grave, -len(reasons), name, image.contrast
