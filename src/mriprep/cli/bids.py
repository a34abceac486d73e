"""``mriprep bids``: the command line of BIDS-Apps (doi:10.1371/journal.pcbi.1005209)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mriprep.core import InputError

_FILE = click.Path(path_type=Path)
#: Options that take several values after one name, as BIDS-Apps have them.
_SEVERAL = ("--participant-label", "--session-label")


class _BidsCommand(click.Command):
    """Takes names with underscores as well, and several labels after one name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, of arguments as click wants them."""
        return super().parse_args(ctx, spread(args))


def spread(args: Sequence[str]) -> list[str]:
    """``--participant_label 01 02`` as ``--participant-label 01 --participant-label 02``."""
    given: list[str] = []
    several: str | None = None
    fresh = False
    for argument in args:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            name = name.replace("_", "-")
            several, fresh = (name, True) if name in _SEVERAL and not equals else (None, False)
            given.append(name + equals + value)
        elif argument.startswith("-") or several is None:
            several = None
            given.append(argument)
        else:
            given += [argument] if fresh else [several, argument]
            fresh = False
    return given


@click.command(
    cls=_BidsCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="The command line of BIDS-Apps.",
)
@click.argument("bids_dir", type=_FILE)
@click.argument("output_dir", type=_FILE)
@click.argument("analysis_level", type=click.Choice(["participant", "group"]))
@click.option("--participant-label", multiple=True, metavar="LABEL...",
              help="Only these subjects, with or without 'sub-'.")  # fmt: skip
@click.option("--session-label", multiple=True, metavar="LABEL...",
              help="Only these sessions, with or without 'ses-'.")  # fmt: skip
@click.option("--bids-filter-file", type=_FILE, metavar="JSON",
              help="Which images, by their entities.")  # fmt: skip
@click.option("--nprocs", "--n-cpus", "nprocs", type=click.IntRange(min=1),
              help="Cases at once; as many as cores and memory take without it.")  # fmt: skip
@click.option("--omp-nthreads", type=click.IntRange(min=1), help="Threads in each case.")
@click.option("--mem", "--mem-gb", "mem", type=click.FloatRange(min=0, min_open=True), metavar="GB",
              help="What all cases together may fill.")  # fmt: skip
@click.option("-w", "--work-dir", type=_FILE, help="Where temporary files go.")
@click.option("--recipe", "-r", "recipe_name", default="adult-t1", show_default=True,
              help="A preset (see `mriprep recipes`) or the path of a YAML file.")  # fmt: skip
@click.option("--template", help="Template to register to.")
@click.option("--contrast", help="Which contrast, for recipes that take one.")
@click.option("--set", "settings", multiple=True, metavar="STEP.PARAMETER=VALUE",
              help="Set a parameter of the recipe; may be repeated.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Never try the network: templates must be there.")
@click.option("--case-timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="How long one case may take before it is stopped.")  # fmt: skip
@click.option("--force", is_flag=True, help="Do cases again that are done already.")
@click.option("--report/--no-report", default=True, show_default=True,
              help="Write the HTML reports.")  # fmt: skip
@click.option("--quality/--no-quality", default=True, show_default=True,
              help="Measure the quality of each image, and judge it.")  # fmt: skip
@click.option("--skip-bids-validation", is_flag=True,
              help="Taken for the sake of the contract: mriprep reads what it can.")  # fmt: skip
@click.option("-v", "--verbose", count=True,
              help="Taken for the sake of the contract: a log of each case is in runs/.")  # fmt: skip
def bids(bids_dir: Path, output_dir: Path, analysis_level: str, **given: Any) -> int:
    """Preprocess a BIDS dataset, as a BIDS-App does.

    ANALYSIS_LEVEL is 'participant', which does the subjects (those that are done are left as
    they are), or 'group', which puts the scores of all of them in one table.

    \b
      mriprep bids bids/ out/ participant --participant-label 01 02 --nprocs 4 -w /scratch
      mriprep bids bids/ out/ group
    """  # noqa: D301
    if not bids_dir.is_dir():
        raise InputError(f"'{bids_dir}' is no folder", hint="give the root of a BIDS dataset")
    if analysis_level == "group":
        from mriprep.cohorts.scores import write_scores

        click.echo(f"scores: {write_scores(output_dir)}")
        if any(output_dir.glob("sub-*/**/*_quality.json")):
            from mriprep.cohorts.report import report

            click.echo(f"all images: {report(output_dir).page}")
        return 0
    return _participants(bids_dir, output_dir, given)


def _participants(bids_dir: Path, output_dir: Path, given: dict[str, Any]) -> int:
    from mriprep.io.offline import staying_offline

    from .cohort import run_many
    from .pipeline import recipe_of

    if not (bids_dir / "dataset_description.json").is_file():
        raise InputError(
            f"'{bids_dir}' has no dataset_description.json: it is no BIDS dataset",
            hint="for other folders and tables take `mriprep run`",
        )
    with staying_offline(given["offline"]):
        return run_many(
            bids_dir,
            output_dir,
            recipe_of({**given, "skip": ()}),
            {
                **given,
                "jobs": given["nprocs"],
                "threads": given["omp_nthreads"],
                "memory": given["mem"],
                "case_memory": None,
                "scheduler": None,
                "cluster": None,
                "cluster_options": None,
                "reference": None,
                "age": None,
                "dicom_engine": "dcm2niix",
            },
        )
