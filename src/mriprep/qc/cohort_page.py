"""The page of a cohort: all images in one table, how they are spread, and what failed."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import quote

import yaml

from . import charts, words
from .blocks import SAID, VERDICTS
from .meanings import Meanings, ordered, title_of
from .outliers import FEWEST, scanner_of, site_of
from .page import rendered


@dataclass(frozen=True)
class Failed:
    """A case that did not come to its end, as the ledger of a run tells of it.

    Parameters
    ----------
    case, step, reason, hint : str
        Which, where, why, and what to do.
    log : str
        Its log, relative to the output folder, or nothing.
    page : str
        Its page, or nothing.
    """

    case: str
    step: str
    reason: str
    hint: str = ""
    log: str = ""
    page: str = ""


@dataclass(frozen=True)
class Line:
    """One image in the table."""

    case: str
    contrast: str
    verdict: str
    why: str
    more: int
    rating: str
    site: str
    scanner: str
    values: tuple[tuple[str, str], ...]
    page: str
    picture: str


@dataclass(frozen=True)
class Contrast:
    """The pictures of one contrast."""

    name: str
    images: int
    strips: tuple[charts.Strip, ...]
    lines: charts.Lines | None
    compared: bool


def render_cohort(
    qualities: Sequence[Mapping[str, Any]],
    *,
    version: str,
    known: Meanings,
    pages: Mapping[tuple[str, str], str],
    pictures: Mapping[tuple[str, str], str],
    ratings: Mapping[tuple[str, str], str],
    failures: Sequence[Failed] = (),
    problems: Sequence[tuple[str, str]] = (),
    unmeasured: Sequence[str] = (),
) -> str:
    """The page of a cohort, HTML whose only pictures lie beside it.

    Parameters
    ----------
    qualities : sequence of mapping
        Of all images, the reasons of the cohort among theirs.
    version : str
        Of mriprep.
    known : mapping
        What metrics mean.
    pages, pictures, ratings : mapping of (case, contrast) to str
        The page of each image and its small picture, relative to this page,
        where they are; and what people said.
    failures : sequence of Failed
        Cases of runs that did not come to their end.
    problems : sequence of (str, str)
        Files that could not be used, and why.
    unmeasured : sequence of str
        Cases that are done and have no quality file.
    """
    ranked = sorted(
        qualities,
        key=lambda q: (-VERDICTS.index(q["verdict"]), -len(q["reasons"]), q["case"], q["contrast"]),
    )
    numbered = list(enumerate(ranked))
    spec = _spec()
    there = {m for q in ranked for m, v in q["metrics"].items() if v is not None}
    columns = [m for m in spec["columns"] if m in there]
    counts = Counter(q["verdict"] for q in ranked)
    return rendered(
        "cohort.html",
        "cohort.js",
        beside=True,
        version=version,
        counts=[(v, counts.get(v, 0), SAID[v]) for v in reversed(VERDICTS)],
        images=len(ranked),
        cases=len({q["case"] for q in ranked}),
        columns=[(m, title_of(m, known)) for m in columns],
        lines=[_line(q, columns, pages, pictures, ratings) for q in ranked],
        choices={
            "verdict": [v for v in reversed(VERDICTS) if counts.get(v)],
            "contrast": _values(q["contrast"] for q in ranked),
            "site": _values(site_of(q) for q in ranked),
            "scanner": _values(scanner_of(q) for q in ranked),
            "rating": _values(ratings.get((q["case"], q["contrast"]), "") for q in ranked),
        },
        contrasts=[_contrast(c, numbered, known) for c in _values(q["contrast"] for q in ranked)],
        fewest=FEWEST,
        width=charts.WIDTH,
        row=charts.ROW,
        tall=charts.TALL,
        failures=failures,
        problems=problems,
        unmeasured=unmeasured,
    )


@functools.cache
def _spec() -> dict[str, Any]:
    text = resources.files("mriprep.qc").joinpath("cohort_page.yaml").read_text("utf-8")
    told: dict[str, Any] = yaml.safe_load(text)
    return told


def _values(values: Any) -> list[str]:
    return sorted({v for v in values if v})


def _line(
    quality: Mapping[str, Any],
    columns: Sequence[str],
    pages: Mapping[tuple[str, str], str],
    pictures: Mapping[tuple[str, str], str],
    ratings: Mapping[tuple[str, str], str],
) -> Line:
    key = quality["case"], quality["contrast"]
    reasons = sorted(quality["reasons"], key=lambda r: -VERDICTS.index(r["level"]))
    values = [quality["metrics"].get(m) for m in columns]
    return Line(
        *key,
        verdict=quality["verdict"],
        why=reasons[0]["says"] if reasons else "",
        more=max(0, len(reasons) - 1),
        rating=ratings.get(key, ""),
        site=site_of(quality),
        scanner=scanner_of(quality),
        values=tuple(("", "") if v is None else (words.plain(v), f"{v:.6g}") for v in values),
        page=quote(pages.get(key, "")),
        picture=quote(pictures.get(key, "")),
    )


def _contrast(
    name: str, numbered: Sequence[tuple[int, Mapping[str, Any]]], known: Meanings
) -> Contrast:
    mine = [(i, q) for i, q in numbered if q["contrast"] == name]
    measured = [q for _, q in mine if q["metrics"]]
    spec = _spec()
    there = ordered([m for q in measured for m in q["metrics"]], known)
    wanted = [m for m in spec["charts"] if m in there]
    wanted += [m for m in there if m not in wanted][: max(0, spec["at_least"] - len(wanted))]
    strips = [charts.strip(m, mine, known) for m in wanted]
    return Contrast(
        name,
        len(mine),
        tuple(s for s in strips if s is not None),
        charts.overlaid(name, mine),
        len(measured) >= FEWEST,
    )
