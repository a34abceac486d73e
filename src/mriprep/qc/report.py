"""The report of one case: one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriprep.core import Transform
from mriprep.core.slices import Slices
from mriprep.declare import Citation
from mriprep.record import StepRecord, methods_text, references
from mriprep.run import Outcome

from . import figures, words
from .comparison import PLOT, Comparison, compare, overview
from .figures import Tile

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """One step on the page."""

    number: int
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


def write_report(
    outcome: Outcome,
    path: str | Path,
    *,
    version: str,
    title: str | None = None,
    outputs: Sequence[Path] = (),
) -> Path:
    """Write the report of a run, whole or not at all, and return its path.

    Takes what :func:`render` takes.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from mriprep.io.atomic import write_text

    return write_text(render(outcome, version=version, title=title, outputs=outputs), path)


def render(
    outcome: Outcome,
    *,
    version: str,
    title: str | None = None,
    outputs: Sequence[Path] = (),
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

    Returns
    -------
    str
        HTML. Pictures show the patient's left on their right side; files are
        named without their folders, and of the header only facts that name
        nobody are shown.
    """
    from markupsafe import Markup

    from mriprep.derivatives import record

    # Every text that came from outside is taken from the record: it names no folders.
    told = record(outcome)
    told["facts"] = {k: v for k, v in told["facts"].items() if k in words.FACTS}
    script = (_TEMPLATES / "case.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    steps = tuple(outcome.steps)
    cited = references(steps)
    asked = [e.step.name for e in outcome.recipe.entries if e.step.name != "convert"]
    grids = outcome.case[outcome.contrast].grid, outcome.image.grid
    return str(
        environment()
        .get_template("case.html")
        .render(
            title=title or f"{outcome.case.name} {outcome.contrast}",
            version=version,
            recipe=outcome.recipe.title or outcome.recipe.name,
            verdict=words.verdict(told),
            failure=told["failure"],
            warnings=told["warnings"],
            facts=words.facts(told["facts"]),
            grids=[words.grid(g) for g in grids],
            sections=[_section(outcome, n, said) for n, said in enumerate(told["steps"])],
            overview=overview(outcome),
            undone=asked[len(steps) + 1 :] if outcome.failure else [],
            methods=_methods(steps, cited, version),
            references=cited,
            record=json.dumps(told, indent=2, ensure_ascii=False),
            outputs=[Path(p).name for p in outputs],
            script=Markup(script),  # noqa: S704 - our own file, and nothing but it may run
            script_digest=digest,
            colours=figures.FIELD_COLOURS,
            plot=PLOT,
        )
    )


@functools.cache
def environment() -> Any:
    """The templates of reports."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


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


def _section(outcome: Outcome, index: int, said: Mapping[str, Any]) -> Section:
    record = outcome.steps[index]
    declared = {e.step.name: e.step for e in outcome.recipe.entries}.get(record.name)
    # Of the contrasts of a session, all but one are registered to the reference and nothing else.
    transform = outcome.state.get("to_reference", outcome.state.get("transform"))
    slices = outcome.state.get("slices")
    facts = words.products(said["facts"])
    pictures: Comparison | None = None
    sheet: tuple[Tile, ...] = ()
    moved = not record.before.matches(record.after)
    if record.makes == "transform" and isinstance(transform, Transform):
        facts += words.movement(transform)
    elif record.makes == "slices" and isinstance(slices, Slices):
        facts.append(("slices", f"{len(slices)}, {slices.plane}"))
        sheet = figures.tiles(slices)
    else:
        pictures = compare(record, f"s{index + 1}", declared.each if declared else moved)
    return Section(
        number=index + 1,
        name=record.name,
        title=record.title,
        methods=record.methods,
        engine=record.engine_version or record.engine or "",
        seconds=words.duration(record.seconds),
        warnings=said["warnings"],
        grid=(words.grid(record.before), words.grid(record.after)) if moved else (),
        parameters=words.parameters(said["parameters"], declared),
        facts=facts,
        pictures=pictures,
        tiles=sheet,
    )
