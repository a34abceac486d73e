"""All that a run leaves in its folder: results, records, quality, pages."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mriprep import derivatives
from mriprep.run import Outcome
from mriprep.session import SessionOutcome

from .drawing import Drawing
from .quality import assess, write_quality


@dataclass(frozen=True)
class Written:
    """What was written of a case.

    Parameters
    ----------
    files : mapping of str to list of Path
        Results by contrast, images first; of a run that stopped, its record.
    qualities : mapping of str to dict
        By contrast, see :func:`mriprep.qc.quality.assess`.
    quality_files : list of Path
        Where these are.
    pages : list of Path
        Reports, the one to open first at the front.
    """

    files: Mapping[str, list[Path]]
    qualities: Mapping[str, Mapping[str, Any]]
    quality_files: list[Path]
    pages: list[Path]

    @property
    def results(self) -> list[Path]:
        """The files of all contrasts."""
        return [path for listed in self.files.values() for path in listed]


def write_all(
    done: Outcome | SessionOutcome, folder: Path, *, report: bool = True, quality: bool = True
) -> Written:
    """Write all that there is of a case; of a run that stopped, why.

    Parameters
    ----------
    done : Outcome or SessionOutcome
        A run, finished or stopped.
    folder : Path
        The derivatives' root.
    report, quality : bool
        Whether to write pages; whether to measure quality, which takes some seconds.

    Raises
    ------
    OutputError
        If something cannot be written.
    """
    outcomes = list(done.outcomes.values()) if isinstance(done, SessionOutcome) else [done]
    if done.failure is not None:
        outcomes = [o for o in outcomes if o.failure is not None]
    # Writing and drawing wait for nothing that is measured: they go on beside it.
    with ThreadPoolExecutor(1, "mriprep-write") as beside:
        writing = beside.submit(_results, done, outcomes, folder)
        drawing = beside.submit(_drawn, done) if report else None
        qualities = {
            o.contrast: assess(o, report=page_name(o) if report else None)
            for o in (outcomes if quality else [])
        }
        files = writing.result()
        drawings = drawing.result() if drawing else {}
    quality_files = [
        write_quality(qualities[o.contrast], o, folder) for o in outcomes if o.contrast in qualities
    ]
    pages = [_page(done, folder, files, qualities, drawings)] if report else []
    return Written(files, qualities, quality_files, pages)


def _results(
    done: Outcome | SessionOutcome, outcomes: list[Outcome], folder: Path
) -> dict[str, list[Path]]:
    if done.failure is not None:
        return {o.contrast: [derivatives.write_failure(o, folder)] for o in outcomes}
    files = {o.contrast: derivatives.write(o, folder) for o in outcomes}
    for outcome in outcomes:
        derivatives.failure_path(outcome, folder).unlink(missing_ok=True)
    return files


def _drawn(done: Outcome | SessionOutcome) -> dict[str, Drawing]:
    outcomes = list(done.outcomes.values()) if isinstance(done, SessionOutcome) else [done]
    return {o.contrast: Drawing(o).ahead() for o in outcomes}


def page_name(outcome: Outcome) -> str:
    """The file name of a contrast's own page."""
    return f"{outcome.case.name}_{outcome.contrast}.html"


def _page(
    done: Outcome | SessionOutcome,
    folder: Path,
    files: Mapping[str, list[Path]],
    qualities: Mapping[str, Mapping[str, Any]],
    drawings: Mapping[str, Drawing],
) -> Path:
    if isinstance(done, SessionOutcome):
        from .session_report import write_session_report

        return write_session_report(
            done,
            folder,
            version=version("mriprep"),
            outputs=files,
            qualities=qualities,
            drawings=drawings,
        )
    from .report import write_report

    return write_report(
        done,
        folder / page_name(done),
        version=version("mriprep"),
        outputs=files[done.contrast],
        quality=qualities.get(done.contrast),
        drawing=drawings.get(done.contrast),
    )
