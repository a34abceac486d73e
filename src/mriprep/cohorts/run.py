"""Doing a recipe to all cases of a cohort, from the list of cases to the exit code."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from mriprep.cases import CaseSource
from mriprep.core import Doubt, InputError, OutputError
from mriprep.io.atomic import writable_folder
from mriprep.outputs import check_output
from mriprep.qc.cohort import Overview
from mriprep.recipe import Recipe, load

from . import clusters, resume
from .clusters import Where
from .engine import Engine, Watch, heeding_signals, to_do
from .estimate import Estimate
from .job import GOOD, Job, Options, Result, Tell
from .ledger import Ledger, new_run, rows
from .report import report
from .scores import write_scores

#: Exit codes: all is there; nothing is; part of it; stopped by Ctrl-C or a batch system.
ALL, NONE, PARTIAL, INTERRUPTED = 0, 1, 3, 130


@dataclass(frozen=True)
class Limits:
    """What a case may take.

    Parameters
    ----------
    timeout : float or None
        Seconds.
    memory_mb : float or None
        MB; on this machine all that cases may fill, if not given.
    """

    timeout: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True)
class Summary:
    """What became of a cohort.

    Parameters
    ----------
    folder : Path
        The ledger: ``OUT/runs/<run>``.
    counts : mapping of str to int
        Cases by status: ``done``, ``doubtful``, ``failed``, ``skipped``, ``stopped``.
    stopped : bool
        Whether it was asked to end early.
    why : str or None
        Why it ended early, if it did by itself.
    total : int or None
        How many cases there were, where that was known.
    overview : Overview or None
        What was written of all images below the outputs: how many pass, which
        do not, and their page.
    """

    folder: Path
    counts: Mapping[str, int]
    stopped: bool = False
    why: str | None = None
    total: int | None = None
    overview: Overview | None = None

    @property
    def page(self) -> Path | None:
        """The page of all images below the outputs, where there is one."""
        return None if self.overview is None else self.overview.page

    @property
    def not_begun(self) -> int:
        """How many cases were not begun, where their number is known."""
        return 0 if self.total is None else max(0, self.total - sum(self.counts.values()))

    @property
    def good(self) -> int:
        """How many cases have their outputs."""
        return sum(self.counts.get(s, 0) for s in GOOD)

    @property
    def exit_code(self) -> int:
        """0: all good. 4: all is there, some of it is doubtful. 3: partial. 1: none. 130: stopped."""
        if self.stopped and self.why is None:
            return INTERRUPTED
        if not self.good:
            return NONE
        if self.why is not None or self.good < sum(self.counts.values()):
            return PARTIAL
        return Doubt.exit_code if self.counts.get("doubtful") else ALL

    def cases(self) -> Iterator[dict[str, Any]]:
        """What became of each case, by name; read from the ledger one at a time."""
        return rows(self.folder)


class Silent:
    """Shows nothing."""

    def begin(self, total: int | None, slots: int | None) -> None:
        """Nothing."""

    def doing(self, worker: str, case: str, step: str) -> None:
        """Nothing."""

    def ended(self, result: Result) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def run_cohort(
    recipe: Recipe,
    sources: Iterable[CaseSource],
    out: Path,
    *,
    options: Options | None = None,
    where: Where | None = None,
    limits: Limits | None = None,
    force: bool = False,
    scratch: Path | None = None,
    watch: Watch | None = None,
    work: Callable[[Job, CaseSource, Tell], Result] | None = None,
    origin: Path | None = None,
) -> Summary:
    """Do what a recipe says to every case, whatever happens to any of them.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    sources : iterable of CaseSource
        To what; taken a few at a time.
    out : Path
        The derivatives' root.
    options : Options, optional
        The rest of what holds for all cases.
    where : Where, optional
        This machine, as many cases at once as fit, by default.
    limits : Limits, optional
        What a case may take.
    force : bool
        Do again what is done.
    scratch : Path, optional
        Where temporary files go.
    watch : Watch, optional
        Shows how far it is.
    work : callable, optional
        What does a case instead of the recipe.
    origin : Path, optional
        Where the cases were listed from; `out` must not be it.

    Returns
    -------
    Summary
        Counts, and where the ledger is.

    Raises
    ------
    InputError
        If there is no case, two have one name, the recipe cannot work, or
        `out` is `origin` or another dataset.
    OutputError
        If `out` cannot be written to.
    """
    from .work import do

    options, where, limits = options or Options(), where or Where(), limits or Limits()
    check_output(out, [origin] if origin is not None else [])
    out, watch = writable_folder(out).absolute(), watch or Silent()
    clusters.check(where)
    total = len(sources) if isinstance(sources, Sized) else None
    left = iter(sources)
    first = next(left, None)
    if first is None:
        raise InputError(
            "there is no case to do", hint="`mriprep inspect` says what is in a folder"
        )
    if isinstance(sources, Sized):
        _one_name_each(sources)
    estimate = Estimate(recipe)
    estimate.check(narrow(first, recipe, options))
    recipe = load(plain(recipe))  # as child processes will: with whole paths
    jobs = clusters.slots(where, estimate.of(narrow(first, recipe, options)))
    run = new_run(out / "runs")
    job = Job(
        run=run,
        recipe=plain(recipe),
        output=str(out),
        key=resume.key_of(recipe, options),
        options=options,
        work=work or do,
        timeout=limits.timeout,
        memory_mb=limits.memory_mb or (where.budget_mb() if where.local else None),
        threads=where.threads or 1,
        scratch=str(writable_folder(scratch).absolute()) if scratch else None,
        force=force,
    )
    ledger = Ledger(out / "runs" / run, _about(job, recipe, total))
    engine = Engine(job, ledger, watch, estimate)
    watch.begin(total, jobs if where.local else None)
    cases = (narrow(s, recipe, options) for s in chain([first], left))
    pending = to_do(job, cases, engine)
    with heeding_signals(engine.stop):
        try:
            next_one = next(pending, None)
            if next_one is not None:  # otherwise no worker is needed, and none is asked for
                with clusters.connected(where, jobs) as client:
                    engine.client = client
                    threads = clusters.threads_for(client, where, jobs)
                    engine.job = replace(job, threads=threads)
                    ledger.event("begin", threads=threads, jobs=jobs if where.local else None)
                    engine.run(chain([next_one], pending))
        finally:
            why = engine.stop.why
            try:
                ledger.close(stopped=bool(engine.stop.asked), why=why)
            except OutputError as error:
                why = why or error.message
        with suppress(InputError, OutputError):  # none is done, or nothing can be written
            write_scores(out)
        overview = _overview(out, watch) if options.report else None
    stopped = bool(engine.stop.asked)
    return Summary(ledger.folder, Counter(ledger.counts), stopped, why, total, overview)


def _overview(out: Path, watch: Watch) -> Overview | None:
    """Write the page of all images; where that cannot be done, say why."""
    try:
        return report(out)
    except InputError:  # nothing was measured and nothing failed: there is nothing to show
        return None
    except OutputError as error:
        watch.note(f"the page of all images was not written: {error.message}")
        return None


def narrow(source: CaseSource, recipe: Recipe, options: Options) -> CaseSource:
    """The case with what the recipe takes of it (one contrast, or all), by whole paths."""
    images = tuple(replace(i, path=os.path.abspath(i.path)) for i in source.images)
    if recipe.session is None and source.contrasts:
        chosen = options.contrast or source.contrasts[0]
        mine = tuple(
            i
            for i in images
            if (i.contrast or "image") == chosen or (i.role != "image" and i.contrast is None)
        )
        images = mine if any(i.role == "image" for i in mine) else images
    return replace(source, images=images)


def plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the mapping that it can be loaded from; paths made absolute."""

    def value(v: Any) -> Any:
        if isinstance(v, tuple):
            return list(v)
        like_a_path = isinstance(v, str | Path) and any(c in str(v) for c in (".", os.sep))
        return str(Path(v).absolute()) if like_a_path and Path(v).exists() else v

    def step(entry: Any) -> dict[str, Any]:
        return {entry.step.name: {k: value(v) for k, v in entry.given.items()} or None}

    content: dict[str, Any] = {
        "name": recipe.name,
        "title": recipe.title,
        "description": recipe.description,
        "steps": [step(e) for e in recipe.entries],
    }
    if recipe.session is not None:
        part = recipe.session
        content["session"] = {
            "register": {k: value(v) for k, v in part.register.given.items()},
            **({"estimate_on": [step(e) for e in part.estimate_on]} if part.estimate_on else {}),
            **({"shape": list(part.shape)} if part.shape else {}),
        }
    if recipe.pins:
        content["pins"] = dict(recipe.pins)
    return content


def _about(job: Job, recipe: Recipe, total: int | None) -> dict[str, Any]:
    from importlib.metadata import version

    from mriprep.record import public

    about: dict[str, Any] = public(
        {
            "run": job.run,
            "mriprep": version("mriprep"),
            "python": sys.version.split()[0],
            "recipe": recipe.to_dict(),
            "options": vars(job.options),
            "cases": total,
            "case_timeout_s": job.timeout,
            "case_memory_mb": job.memory_mb,
            "key": job.key,
        }
    )
    return about


def _one_name_each(sources: Iterable[CaseSource]) -> None:
    seen: dict[str, str] = {}
    for source in sources:
        # Disks of Windows and macOS take names that differ so for one: a case would be lost.
        alike = unicodedata.normalize("NFC", source.name).casefold()
        if (other := seen.get(alike)) is not None:
            names = source.name if other == source.name else f"{other} and {source.name}"
            raise InputError(
                f"two cases are called {names}, and files are named after them",
                hint="give each its own subject or session; upper and lower case are one name on"
                " some disks",
            )
        seen[alike] = source.name
