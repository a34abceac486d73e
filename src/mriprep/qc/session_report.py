"""The report of a session: all contrasts on one page, and a page for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriprep.core import Transform, Volume
from mriprep.run import Outcome
from mriprep.run_record import record
from mriprep.session import SessionOutcome
from mriprep.snapshot import middle, take

from . import blocks, figures, words
from .comparison import PLOT, Comparison
from .drawing import Drawing
from .meanings import Meanings
from .page import rendered
from .report import write_report
from .standing import Standing

#: The contrasts' quality by name, and how the others of the cohort are spread.
Qualities = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Contrast:
    """One contrast on the page of its session."""

    name: str
    id: str
    page: str
    role: str
    verdict: str
    warnings: Sequence[str]
    facts: list[tuple[str, str]]
    grids: tuple[str, str]
    pictures: Comparison


def write_session_report(
    done: SessionOutcome,
    folder: str | Path,
    *,
    version: str,
    outputs: Mapping[str, Sequence[Path]] | None = None,
    qualities: Qualities | None = None,
    standings: Mapping[str, Standing] | None = None,
    metrics: Meanings | None = None,
    drawings: Mapping[str, Drawing] | None = None,
) -> Path:
    """Write the page of a session, and that of each of its contrasts, into a folder.

    Parameters
    ----------
    done : SessionOutcome
        Finished or stopped.
    folder : path
        Where; made if it is not there.
    version : str
        Of mriprep.
    outputs : mapping of str to sequence of Path, optional
        Files that were written, by contrast.
    qualities : mapping of str to mapping, optional
        Verdict, reasons, scores and metrics of each contrast.
    standings : mapping of str to Standing, optional
        How the other images of the cohort are spread, by contrast.
    metrics : mapping, optional
        What metrics mean; by default what mriprep knows of them.
    drawings : mapping of str to Drawing, optional
        Pictures that were made before, by contrast.

    Returns
    -------
    Path
        The session's page, ``sub-01.html``; ``sub-01_T1w.html`` lie beside it.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    from mriprep.io.atomic import write_text

    folder = Path(folder)
    for contrast, outcome in done.outcomes.items():
        files = (outputs or {}).get(contrast, ())
        write_report(
            outcome,
            folder / page_name(outcome),
            version=version,
            outputs=files,
            quality=(qualities or {}).get(contrast),
            standing=(standings or {}).get(contrast),
            metrics=metrics,
            drawing=(drawings or {}).get(contrast),
        )
    page = render_session(done, version=version, qualities=qualities)
    return write_text(page, folder / f"{done.case.name}.html")


def page_name(outcome: Outcome) -> str:
    """The name of a contrast's own page."""
    return f"{outcome.case.name}_{outcome.contrast}.html"


def render_session(
    done: SessionOutcome, *, version: str, qualities: Qualities | None = None
) -> str:
    """The page of a session, HTML that needs nothing outside it.

    Every contrast is shown in the planes of the final grid through one point,
    with the reference's edges upon it: where they lie on its own, it lies
    right. Of a run that stopped, the scans are shown as far as they came.
    """
    told = {c: record(o) for c, o in done.outcomes.items()}
    everything = [w for r in told.values() for w in r["warnings"]]
    shared = [w for w in told[done.reference]["warnings"] if everything.count(w) == len(told)]
    first = told[done.reference]
    facts = {k: v for k, v in first["facts"].items() if k in words.FACTS}
    failure = next((r["failure"] for r in told.values() if r["failure"]), None)
    where = done.failure.step if done.failure else ""
    finished = _verdict(done, failure, len(set(everything)))
    return rendered(
        "session.html",
        "case.js",
        title=f"{done.case.name}, {words.count(len(told), 'contrast')}",
        version=version,
        recipe=done.recipe.title or done.recipe.name,
        verdict=blocks.marked(
            "verdict",
            blocks.verdict(
                {
                    "verdict": blocks.worst(*(q["verdict"] for q in qualities.values())),
                    "reasons": [],
                }
                if qualities
                else None,
                finished=finished,
                state="stopped" if failure else "warned" if everything else "",
                hint=failure["hint"] if failure else None,
            ),
        ),
        finished=finished if qualities else "",
        failure={**failure, "step": where} if failure else None,
        warnings=shared if len(told) > 1 else [],
        facts=[("reference", done.reference), *words.facts(facts)],
        contrasts=[
            _contrast(
                done,
                o,
                [w for w in told[c]["warnings"] if w not in shared or len(told) == 1],
                blocks.marked(mark_of(n), short_verdict((qualities or {}).get(c), page_name(o))),
            )
            for n, (c, o) in enumerate(done.outcomes.items(), 1)
        ],
        colours=figures.FIELD_COLOURS,
        plot=PLOT,
    )


def mark_of(number: int) -> str:
    """The mark of a contrast's verdict on its session's page, by the contrast's number from 1."""
    return f"verdict-{number}"


def short_verdict(quality: Mapping[str, Any] | None, page: str) -> str:
    """The verdict of one contrast on its session's page; reasons link into its own page."""
    if quality is None:
        return ""
    ids = {str(r.get("picture")) for r in quality["reasons"]}
    return blocks.verdict(quality, finished="", state="", hint=None, ids=ids, page=page)


def _verdict(done: SessionOutcome, failure: Mapping[str, Any] | None, warnings: int) -> str:
    if failure is not None and done.failure is not None:
        return f"Stopped at {done.failure.step}: {failure['message']}"
    contrasts = words.count(len(done.outcomes), "contrast")
    said = words.count(warnings, "warning")
    return f"Finished: {contrasts} in {words.duration(done.seconds)}, {said}"


def _contrast(
    done: SessionOutcome, outcome: Outcome, warnings: Sequence[str], verdict: str
) -> Contrast:
    is_reference = outcome is done.main
    facts: list[tuple[str, str]] = []
    transform = outcome.state.get("to_reference")
    if isinstance(transform, Transform):
        facts = [
            (label, text)
            for label, text in words.movement(transform)
            if label in ("rotation", "scale")
        ]
        shift = (
            transform(transform.reference.center) - transform.reference.center
            if transform.reference
            else None
        )
        if shift is not None:
            facts.insert(1, ("shift", f"{float((shift**2).sum()) ** 0.5:.1f} mm at the middle"))
        laid = next((s for s in outcome.steps if s.makes == "transform"), None)
        if laid is not None:
            facts += [
                (label, text)
                for label, text in words.products(laid.facts)
                if label in ("score", "stretch to fit")
            ]
    return Contrast(
        name=outcome.contrast,
        id=f"contrast-{list(done.outcomes).index(outcome.contrast) + 1}",
        verdict=verdict,
        page=page_name(outcome),
        role="the reference" if is_reference else f"laid upon {done.reference}",
        warnings=warnings,
        facts=facts,
        grids=(
            words.grid(outcome.case[outcome.contrast].grid),
            words.grid(outcome.image.grid),
        ),
        pictures=_pictures(done, outcome),
    )


def _pictures(done: SessionOutcome, outcome: Outcome) -> Comparison:
    """A contrast as it is now; with the reference's edges where both lie on one grid."""
    image, reference = outcome.image, done.main.image
    together = image.grid.matches(reference.grid) and outcome is not done.main
    mask = outcome.state.get("mask")
    mask = mask if isinstance(mask, Volume) and mask.grid.matches(image.grid) else None
    at = mask if mask is not None else reference if together else image
    shot = take(image, middle(at), mask=mask, overlay=reference if together else None)
    shown = figures.pictures(shot, shot.window, edges=together)
    return Comparison(
        ident=f"c-{outcome.contrast}",
        what=outcome.contrast,
        after=shown,
        mask_shown=False,
        edges_of="reference",
    )
