"""The report of a session: all contrasts on one page, and a page for each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriprep.core import Transform, Volume
from mriprep.derivatives import record
from mriprep.run import Outcome
from mriprep.session import SessionOutcome
from mriprep.snapshot import middle, take

from . import figures, words
from .comparison import PLOT, Comparison
from .report import environment, write_report

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Contrast:
    """One contrast on the page of its session."""

    name: str
    page: str
    role: str
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
        write_report(outcome, folder / page_name(outcome), version=version, outputs=files)
    return write_text(render_session(done, version=version), folder / f"{done.case.name}.html")


def page_name(outcome: Outcome) -> str:
    """The name of a contrast's own page."""
    return f"{outcome.case.name}_{outcome.contrast}.html"


def render_session(done: SessionOutcome, *, version: str) -> str:
    """The page of a session, HTML that needs nothing outside it.

    Every contrast is shown in the planes of the final grid through one point,
    with the reference's edges upon it: where they lie on its own, it lies
    right. Of a run that stopped, the scans are shown as far as they came.
    """
    from markupsafe import Markup

    script = (_TEMPLATES / "case.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    told = {c: record(o) for c, o in done.outcomes.items()}
    everything = [w for r in told.values() for w in r["warnings"]]
    shared = [w for w in told[done.reference]["warnings"] if everything.count(w) == len(told)]
    first = told[done.reference]
    facts = {k: v for k, v in first["facts"].items() if k in words.FACTS}
    failure = next((r["failure"] for r in told.values() if r["failure"]), None)
    where = done.failure.step if done.failure else ""
    return str(
        environment()
        .get_template("session.html")
        .render(
            title=f"{done.case.name}, {words.count(len(told), 'contrast')}",
            version=version,
            recipe=done.recipe.title or done.recipe.name,
            verdict=_verdict(done, failure, len(set(everything))),
            failure={**failure, "step": where} if failure else None,
            warnings=shared if len(told) > 1 else [],
            facts=[("reference", done.reference), *words.facts(facts)],
            contrasts=[
                _contrast(
                    done, o, [w for w in told[c]["warnings"] if w not in shared or len(told) == 1]
                )
                for c, o in done.outcomes.items()
            ],
            script=Markup(script),  # noqa: S704 - our own file, and nothing but it may run
            script_digest=digest,
            colours=figures.FIELD_COLOURS,
            plot=PLOT,
        )
    )


def _verdict(done: SessionOutcome, failure: Mapping[str, Any] | None, warnings: int) -> str:
    if failure is not None and done.failure is not None:
        return f"Stopped at {done.failure.step}: {failure['message']}"
    contrasts = words.count(len(done.outcomes), "contrast")
    said = words.count(warnings, "warning")
    return f"Finished: {contrasts} in {words.duration(done.seconds)}, {said}"


def _contrast(done: SessionOutcome, outcome: Outcome, warnings: Sequence[str]) -> Contrast:
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
