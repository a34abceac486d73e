"""``run`` for many cases: whether it is to be done that way, doing it, and saying what came of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mriprep.core import InputError, RecipeError
from mriprep.io.given import expanded

from .report import say_verdicts

_FILE = click.Path(path_type=Path)
#: Options that speak of one scan.
_OF_ONE = ("name", "series", "volume", "mask", "labels")
#: Options that only make sense for many cases.
OF_MANY = (
    "jobs", "scheduler", "cluster", "cluster_options", "threads", "memory", "case_memory",
    "case_timeout", "force", "participant_label", "session_label", "bids_filter_file", "work_dir",
)  # fmt: skip


class _Jobs(click.ParamType):  # type: ignore[type-arg]
    """A whole number from 1, or ``auto``."""

    name = "N|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """As click wants it."""
        if value == "auto":
            return value
        try:
            return click.IntRange(min=1).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"'{value}' is neither 'auto' nor a whole number from 1.", param, ctx)


def cohort_options(command: Any) -> Any:
    """The options of `run` that are for many cases."""
    for option in reversed(
        [
            click.option(
                "--jobs", "-j", type=_Jobs(), help="Many cases: how many at once; 'auto' (the"
                " default) fills the machine's cores and memory.",
            ),
            click.option(
                "--scheduler", metavar="ADDRESS", help="Many cases: a Dask scheduler that runs"
                " already, for instance tcp://10.0.0.5:8786.",
            ),
            click.option(
                "--cluster", metavar="SYSTEM", help="Many cases: a batch system, slurm, pbs, sge or"
                " lsf (pip install \"mriprep[cluster]\").",
            ),
            click.option(
                "--cluster-options", type=_FILE, metavar="YAML", help="Its options, as dask-jobqueue"
                " takes them, and 'jobs', how many of its jobs.",
            ),
            click.option(
                "--threads", type=click.IntRange(min=1), help="Threads in each case; cores/jobs"
                " without it.",
            ),
            click.option(
                "--memory", type=click.FloatRange(min=0, min_open=True), metavar="GB",
                help="What all cases together may fill of this machine; 90 % of what is free.",
            ),
            click.option(
                "--case-memory", type=click.FloatRange(min=0, min_open=True), metavar="GB",
                help="What one case may take before it is stopped.",
            ),
            click.option(
                "--case-timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
                help="How long one case may take before it is stopped.",
            ),
            click.option("--force", is_flag=True, help="Do cases again that are done already."),
            click.option(
                "--participant-label", multiple=True, metavar="LABEL",
                help="Only this subject, with or without 'sub-'; may be repeated.",
            ),
            click.option(
                "--session-label", multiple=True, metavar="LABEL",
                help="Only this session, with or without 'ses-'; may be repeated.",
            ),
            click.option(
                "--bids-filter-file", type=_FILE, metavar="JSON", help="Which images of a BIDS"
                " dataset, by their entities.",
            ),
            click.option(
                "--work-dir", type=_FILE, help="Where temporary files go.",
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def holds_many(sources: tuple[Path, ...], given: dict[str, Any]) -> bool:
    """Whether an input is to be done as a cohort: it holds several cases, or it is asked for."""
    asked = [o for o in OF_MANY if given.get(o) not in (None, (), False)]
    if not asked and not (len(sources) == 1 and several(sources[0])):
        return False
    if len(sources) > 1:
        raise InputError(
            f"{_flag(asked[0])} is for many cases, which come as one input; {len(sources)} were given",
            hint="give a BIDS dataset, a folder or a table of cases",
        )
    for option in _OF_ONE:
        if given.get(option) not in (None, ()):
            raise InputError(
                f"{_flag(option)} speaks of one scan, and there may be many",
                hint="give the scan that you mean, or say it in a table of cases",
            )
    return True


def run_many(source: Path, output: Path, recipe: Any, given: dict[str, Any]) -> int:
    """Do a recipe to all cases of an input, and say what came of it; the exit code."""
    from mriprep.cli.cohort_progress import shown
    from mriprep.cohorts.job import Options
    from mriprep.cohorts.run import Limits, run_cohort
    from mriprep.core.age import parse_age

    if given["age"]:
        parse_age(given["age"])
    if given["reference"] and recipe.session is None:
        raise RecipeError(
            f"--reference is for sessions, and the recipe '{recipe.name}' takes one contrast",
            hint="say which with --contrast, or take --recipe multimodal or brats",
        )
    cases = listed(source, given)
    place, limits = _where(given), Limits(given["case_timeout"], _mb(given["case_memory"]))
    options = Options(
        contrast=given["contrast"],
        reference=given["reference"],
        age=given["age"],
        dicom_engine=given["dicom_engine"],
        offline=given["offline"],
        report=given["report"],
        quality=given["quality"],
    )
    with shown() as watch:
        summary = run_cohort(
            recipe,
            cases,
            output,
            options=options,
            where=place,
            limits=limits,
            force=given["force"],
            scratch=given["work_dir"],
            watch=watch,
            origin=source,
        )
    return told(summary)


def listed(source: Path, given: dict[str, Any]) -> list[Any]:
    """The cases of an input, those that are wanted."""
    from mriprep.cases import list_cases

    cases = list_cases(
        source,
        participants=given["participant_label"],
        filters=given["bids_filter_file"],
        wanted=(given["contrast"],) if given["contrast"] else (),
        processes=os.cpu_count() or 1,
    )
    sessions = {s.removeprefix("ses-") for s in given["session_label"]}
    kept = [c for c in cases if not sessions or c.session in sessions]
    if not kept:
        there = ", ".join(sorted({c.session for c in cases if c.session})) or "none"
        raise InputError(
            f"there is no session {' or '.join(sorted(sessions))}", hint=f"there are: {there}"
        )
    return kept


def told(summary: Any) -> int:
    """Say what came of a cohort; the exit code."""
    counts = summary.counts
    words = [f"{counts[s]} {s}" for s in ("done", "doubtful", "skipped", "failed", "stopped")
             if counts.get(s)]  # fmt: skip
    if summary.not_begun:
        words.append(f"{summary.not_begun} not begun")
    total = sum(counts.values()) + summary.not_begun
    click.echo(f"{total} case{'s' if total != 1 else ''}: {', '.join(words) or 'none'}")
    shown = 0
    for case in summary.cases():
        if case["status"] in ("failed", "doubtful"):
            shown += 1
            if shown > 10:
                continue
            doubtful = case["status"] == "doubtful"
            what = case["reason"]
            if doubtful:
                what = f"{what + '; ' if what else ''}look before you use it"
            click.secho(f"{case['case']}: ", fg="yellow" if doubtful else "red", nl=False, err=True)
            click.echo(what, err=True)
            if case["hint"]:
                click.echo(f"  hint: {case['hint']}", err=True)
    if shown > 10:
        click.echo(f"and {shown - 10} more: see cases.tsv", err=True)
    if summary.why is not None:
        click.secho("stopped: ", fg="red", nl=False, err=True)
        click.echo(summary.why, err=True)
    if summary.stopped:
        click.echo("run the same command again to go on: what is done is kept", err=True)
    click.echo(f"ledger: {summary.folder}")
    if summary.overview is not None:
        if any(summary.overview.counts.values()):
            say_verdicts(summary.overview)
        click.echo(f"all images: {summary.page}")
    return int(summary.exit_code)


def several(source: Path) -> bool:
    """Whether a path holds several cases."""
    from mriprep.cases import list_cases
    from mriprep.cases.bids import is_bids
    from mriprep.cases.table import TABLES
    from mriprep.intake import is_image, scans_below
    from mriprep.run import listening

    path = expanded(source)
    if path.is_file() and path.suffix.lower() != ".zip":
        return path.suffix.lower() in TABLES
    if not path.exists() or is_image(path):
        return False
    if path.is_dir():
        if is_bids(path):
            return True
        files = scans_below(path)
        if files and all(len(same) == 1 for same in files.values()):
            return False
    try:
        with listening():  # said again when they are listed to be done
            return len(list_cases(path, processes=os.cpu_count() or 1)) > 1
    except InputError:  # said again, and better, by whatever reads it as one case
        return False


def _where(given: dict[str, Any]) -> Any:
    from mriprep.cohorts.clusters import Where, read_options

    asked = [o for o in ("scheduler", "cluster") if given[o]]
    if len(asked) == 2:
        raise InputError("--scheduler and --cluster are two places", hint="give one of them")
    if given["cluster_options"] and not given["cluster"]:
        raise InputError("--cluster-options are of a batch system", hint="say which with --cluster")
    if asked == ["scheduler"] and isinstance(given["jobs"], int):
        raise InputError(
            "--jobs is for this machine; a scheduler's workers say how many cases they do at once",
            hint="start them with `dask worker ADDRESS --nthreads N`",
        )
    return Where(
        jobs=given["jobs"] if isinstance(given["jobs"], int) else None,
        scheduler=given["scheduler"],
        cluster=given["cluster"],
        cluster_options=read_options(given["cluster_options"])
        if given["cluster_options"]
        else None,
        threads=given["threads"],
        memory_mb=_mb(given["memory"]),
    )


def _mb(gigabytes: float | None) -> float | None:
    return None if gigabytes is None else 1000 * gigabytes


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
