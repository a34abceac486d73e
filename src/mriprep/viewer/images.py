"""What a folder of outputs holds: images, what may be laid over them, and what was judged of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriprep.io.strict_json import load_json
from mriprep.qc import words
from mriprep.qc.meanings import described, meanings

from .judged import (
    VERDICTS,
    Quality,
    contrast_of,
    from_record,
    is_failure,
    named,
    of_cohort,
    qualities,
    with_cohort,
)


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
        with ``*_quality.json`` where quality was judged.
    """
    cohort = of_cohort(folder / "qc.json")
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
    record = folder / f"{image.image.path.removesuffix('.nii.gz')}.json" if image.image else None
    quality = image.quality or from_record(record, image.case, image.contrast)
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


def legend() -> dict[str, dict[str, str]]:
    """What the page says of each metric: its title, unit and meaning, by name."""
    return {
        name: {"title": m.title, "unit": m.unit, "meaning": described(m)}
        for name, m in meanings().items()
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
    volumes = [(p, *named(p.name.removesuffix(".nii.gz"))) for p in files if _is_volume(p)]
    preprocessed: dict[str, list[tuple[Path, dict[str, str]]]] = {}
    for path, entities, suffix in volumes:
        if entities.get("desc") == "preproc":
            preprocessed.setdefault(contrast_of(entities, suffix), []).append((path, entities))
    # The folder of a case holds what is said of a run that stopped.
    judged, problems = qualities([*files, *sorted(place.glob(f"{case}_*_record.json"))], case)
    for contrast in sorted({*preprocessed, *judged, *problems}):
        there = preprocessed.get(contrast, [])
        quality = judged.get(contrast)
        first = _shown_first(there, quality)
        if quality and quality.metrics == {} and first and is_failure(quality):
            quality = None  # what is said of a run that stopped, which was done again since
        quality = with_cohort(quality, cohort.get(f"{case}_{contrast}"))
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


def _shown_first(
    there: list[tuple[Path, dict[str, str]]], quality: Quality | None
) -> tuple[Path, dict[str, str]] | None:
    """Of several (two recipes into one folder), the one that was judged: that is the last one made.

    Clocks are asked only where that does not tell: they jump, and those of a network's disks differ.
    """
    if len(there) > 1 and quality and quality.recipe:
        mine = [p for p in there if _recipe_of(p[0]) == quality.recipe]
        there = mine or there
    return max(there, key=lambda p: p[0].stat().st_mtime, default=None)


def _recipe_of(image: Path) -> str | None:
    """The recipe that an image's record names."""
    try:
        name = load_json(image.with_name(image.name.removesuffix(".nii.gz") + ".json"))["recipe"][
            "name"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


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
        own = contrast_of(entities, suffix)
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


def _report(folder: Path, case: str, contrast: str, quality: Quality | None) -> str | None:
    told = [quality.report] if quality and quality.report else []
    for name in (*told, f"{case}_{contrast}.html", f"{case}.html"):
        if "/" not in name and "\\" not in name and (folder / name).is_file():
            return name
    return None


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _worst_first(image: Image) -> tuple[int, int, int, list[Any], str]:
    reasons = image.quality.reasons if image.quality else []
    grave = sum(r.level == "fail" for r in reasons)
    # sub-2 before sub-10
    name = [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in re.split(r"(\d+)", image.case)]
    return VERDICTS.index(image.verdict), -grave, -len(reasons), name, image.contrast
