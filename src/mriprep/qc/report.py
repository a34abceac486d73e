"""The report of one case: one HTML page that needs nothing but itself."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mriprep.core import Transform
from mriprep.core.slices import Slices
from mriprep.declare import Citation
from mriprep.record import StepRecord, methods_text, references
from mriprep.run import Outcome

from . import blocks, figures, spec, words
from .comparison import PLOT, Comparison
from .drawing import Drawing, moved_by
from .figures import Tile
from .meanings import Meanings
from .page import rendered
from .standing import Standing
from .views import Sheet

#: The cohort's page, beside those of cases.
INDEX = "index.html"


@dataclass(frozen=True)
class Section:
    """One step on the page."""

    number: int
    id: str
    name: str
    title: str
    methods: str
    engine: str
    seconds: str
    warnings: Sequence[str]
    grid: tuple[str, ...]
    parameters: list[tuple[str, str, str]]
    facts: list[tuple[str, str]]
    pictures: Comparison | None
    tiles: tuple[Tile, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A part of the page as ``case_page.yaml`` orders them, with what it shows."""

    part: spec.Part
    pictures: Comparison | Sheet | None = None

    @property
    def kind(self) -> str:
        """Which template draws it."""
        if isinstance(self.pictures, Sheet):
            return "sheet"
        return "comparison" if self.pictures else self.part.shows


def write_report(
    outcome: Outcome,
    path: str | Path,
    *,
    version: str,
    title: str | None = None,
    outputs: Sequence[Path] = (),
    quality: Mapping[str, Any] | None = None,
    standing: Standing | None = None,
    metrics: Meanings | None = None,
    drawing: Drawing | None = None,
) -> Path:
    """Write the report of a run, whole or not at all, and return its path.

    Takes what :func:`render` takes.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from mriprep.io.atomic import write_text

    page = render(
        outcome,
        version=version,
        title=title,
        outputs=outputs,
        quality=quality,
        standing=standing,
        metrics=metrics,
        drawing=drawing,
    )
    return write_text(page, path)


def render(
    outcome: Outcome,
    *,
    version: str,
    title: str | None = None,
    outputs: Sequence[Path] = (),
    quality: Mapping[str, Any] | None = None,
    standing: Standing | None = None,
    metrics: Meanings | None = None,
    drawing: Drawing | None = None,
) -> str:
    """The report of a run, one HTML page without anything outside it.

    Parameters
    ----------
    outcome : Outcome
        A run, finished or stopped.
    version : str
        Of mriprep.
    title : str, optional
        The page's title; the case's name and contrast by default.
    outputs : sequence of Path
        Files that were written; their names are listed.
    quality : mapping, optional
        Verdict, reasons, scores and metrics of the image, as its quality file
        holds them.
    standing : Standing, optional
        How the other images of the cohort are spread.
    metrics : mapping, optional
        What metrics mean; by default what mriprep knows of them.
    drawing : Drawing, optional
        The outcome's pictures, where they were made before.

    Returns
    -------
    str
        HTML. Pictures show the patient's left on their right side; files are
        named without their folders, and of the header only facts that name
        nobody are shown. What depends on the cohort is marked, so that
        :mod:`.blocks` can fill it anew.
    """
    from mriprep.run_record import record

    # Every text that came from outside is taken from the record: it names no folders.
    told = record(outcome)
    told["facts"] = {k: v for k, v in told["facts"].items() if k in words.FACTS}
    failure = told["failure"]
    steps = tuple(outcome.steps)
    cited = references(steps)
    asked = [e.step.name for e in outcome.recipe.entries if e.step.name != "convert"]
    grids = outcome.case[outcome.contrast].grid, outcome.image.grid
    drawing = Drawing(outcome) if drawing is None else drawing
    filled = {
        "histograms": blocks.histograms(quality, standing),
        "metrics": blocks.metrics(quality, standing, metrics),
    }
    shown = [
        Shown(p, drawing.part(p.shows))
        for p in spec.there(drawing.look.has)
        if p.shows != "steps" or steps or failure
    ]
    taken = [s.part.id for s in shown]
    sections = []
    for n, said in enumerate(told["steps"]):
        sections.append(_section(drawing, n, said, _free(steps[n].name, taken)))
        taken.append(sections[-1].id)
    links = {*taken, "stopped"} - {n for n, html in filled.items() if not html}
    return rendered(
        "case.html",
        "case.js",
        title=title or f"{outcome.case.name} {outcome.contrast}",
        version=version,
        recipe=outcome.recipe.title or outcome.recipe.name,
        verdict=blocks.marked(
            "verdict",
            blocks.verdict(
                quality,
                finished=words.verdict(told),
                state="stopped" if failure else "warned" if told["warnings"] else "",
                hint=failure["hint"] if failure else None,
                ids=links,
                index=INDEX if standing else None,
            ),
        ),
        finished=words.verdict(told) if quality else "",
        failure=failure,
        warnings=told["warnings"],
        facts=words.facts(told["facts"]),
        grids=[words.grid(g) for g in grids],
        shown=shown,
        filled={n: blocks.marked(n, html) for n, html in filled.items()},
        links=links,
        sections=sections,
        undone=asked[len(steps) + 1 :] if outcome.failure else [],
        methods=_methods(steps, cited, version),
        references=cited,
        bibtex=bibtex(cited),
        bibtex_uri=f"data:application/x-bibtex;charset=utf-8,{quote(bibtex(cited))}",
        record=json.dumps(told, indent=2, ensure_ascii=False),
        outputs=[Path(p).name for p in outputs],
        colours=figures.FIELD_COLOURS,
        plot=PLOT,
    )


def bibtex(cited: Sequence[Citation]) -> str:
    """References as BibTeX; managers of references fetch the rest by the DOI."""
    entries = []
    for c in cited:
        found = re.fullmatch(
            r"(?P<who>.+?)\. (?P<what>.+?[.?]) (?P<where>.+) (?P<year>\d{4})\.?", c.text
        )
        fields = {"note": c.text}
        if found:
            who = re.sub(r" et al$", " and others", found["who"].replace(", ", " and "))
            fields = {
                "author": re.sub(r"([^ ]+(?: [a-z]+)*) ([A-Z]+)(?= and|$)", r"\1, \2", who),
                "title": f"{{{found['what'].rstrip('.')}}}",
                "journal": found["where"],
                "year": found["year"],
            }
        fields["doi"] = c.doi
        kind = "article" if found else "misc"
        lines = ",\n".join(f"  {k} = {{{v}}}" for k, v in fields.items())
        entries.append(f"@{kind}{{{c.key},\n{lines}\n}}\n")
    return "\n".join(entries)


def _free(name: str, taken: Sequence[str]) -> str:
    """A step's name, or that with a number: a recipe may do a step twice."""
    names = [name, f"step-{name}", *(f"{name}-{n}" for n in range(2, len(taken) + 3))]
    return next(n for n in names if n not in taken)


def _methods(steps: tuple[StepRecord, ...], cited: list[Citation], version: str) -> str:
    """The methods paragraph with the numbers of its references."""
    numbers = {c.key: n for n, c in enumerate(cited, 1)}
    with_numbers = []
    for s in steps:
        marks = ", ".join(str(numbers[c.key]) for c in s.citations)
        text = f"{s.methods.rstrip('. ')} [{marks}]." if marks and s.methods else s.methods
        with_numbers.append(dataclasses.replace(s, methods=text))
    return methods_text(tuple(with_numbers), version)


# -- one step ---------------------------------------------------------------------------------


def _section(drawing: Drawing, index: int, said: Mapping[str, Any], ident: str) -> Section:
    outcome, record = drawing.outcome, drawing.outcome.steps[index]
    declared = {e.step.name: e.step for e in outcome.recipe.entries}.get(record.name)
    transform = moved_by(outcome)
    slices = outcome.state.get("slices")
    facts = words.products(said["facts"])
    sheet: tuple[Tile, ...] = ()
    moved = not record.before.matches(record.after)
    if record.makes == "transform" and isinstance(transform, Transform):
        facts += words.movement(transform)
    elif record.makes == "slices" and isinstance(slices, Slices):
        facts.append(("slices", f"{len(slices)}, {slices.plane}"))
        sheet = figures.tiles(slices)
    return Section(
        number=index + 1,
        id=ident,
        name=record.name,
        title=record.title,
        methods=record.methods,
        engine=record.engine_version or record.engine or "",
        seconds=words.duration(record.seconds),
        warnings=said["warnings"],
        grid=(words.grid(record.before), words.grid(record.after)) if moved else (),
        parameters=words.parameters(said["parameters"], declared),
        facts=facts,
        pictures=drawing.step(index),
        tiles=sheet,
    )
