"""``mriprep.cohort`` and ``mriprep.report``: many cases from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api import Pipeline

if TYPE_CHECKING:
    from .cases import CaseSource
    from .cohorts.run import Summary
    from .qc.cohort import Overview


def cohort(
    recipe: Pipeline | str | Path | Mapping[str, Any],
    source: str | Path | Iterable[CaseSource],
    output: str | Path,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    participants: Sequence[str] = (),
    contrast: str | None = None,
    timeout: float | None = None,
    force: bool = False,
    report: bool = True,
    quality: bool = True,
) -> Summary:
    """Do a recipe to many cases; one that fails stops none.

    In a script, call it under ``if __name__ == "__main__":``.

    Parameters
    ----------
    recipe : Pipeline, str, Path or mapping
        What to do: as :func:`recipe` takes it, or its result.
    source : path or iterable of CaseSource
        A BIDS dataset, a folder of several subjects, a table; or cases from
        :func:`mriprep.cases.list_cases`.
    output : path
        The derivatives' root. Cases that are done there are left as they are.
    jobs : int, optional
        How many at once; as many as cores and memory take by default.
    scheduler : str, optional
        Address of a Dask scheduler that runs already.
    participants : sequence of str
        Only these subjects.
    contrast : str, optional
        Only this contrast.
    timeout : float, optional
        How long a case may take, s.
    force : bool
        Do again what is done.
    report : bool
        Write a report for each case.
    quality : bool
        Measure the quality of each image.

    Returns
    -------
    Summary
        ``counts`` by status, ``exit_code``, and ``cases()`` one by one.

    Raises
    ------
    InputError, RecipeError, OutputError
        If nothing could be begun.
    """
    from .cases import list_cases
    from .cohorts.clusters import Where
    from .cohorts.job import Options
    from .cohorts.run import Limits, run_cohort
    from .recipe import load

    what = recipe.recipe if isinstance(recipe, Pipeline) else load(recipe)
    origin = Path(source) if isinstance(source, str | Path) else None
    if isinstance(source, str | Path):
        wanted = (contrast,) if contrast else ()
        source = list_cases(Path(source), participants=participants, wanted=wanted)
    return run_cohort(
        what,
        source,
        Path(output),
        options=Options(contrast=contrast, report=report, quality=quality),
        where=Where(jobs=jobs, scheduler=scheduler),
        limits=Limits(timeout),
        force=force,
        origin=origin,
    )


def report(output: str | Path) -> Overview:
    """Compare all images below an output folder, and write their pages and tables.

    Writes ``index.html``, ``qc.tsv``, ``qc_columns.json`` and ``qc.json``
    there, and tells each image's page where it stands among the others.

    Parameters
    ----------
    output : path
        Where :func:`cohort` or runs wrote to.

    Returns
    -------
    Overview
        ``page``, ``tables``, ``counts`` by verdict, ``failures``, and
        ``problems``: files that could not be used, and why.

    Raises
    ------
    InputError
        If there is neither a quality file nor a case that failed.
    OutputError
        If something cannot be written.
    """
    from .cohorts.report import report as write

    return write(output)
