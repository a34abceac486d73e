"""``report``: the page and tables of everything below an output folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mriprep.qc.cohort import Overview

#: As of a run of many cases: it was done, and not all of it.
PARTLY = 3
#: Images that are named of each verdict; the page shows all.
MOST = 10


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="Compare all images of a cohort: a page, a table, outliers.",
)
@click.argument("output", type=click.Path(path_type=Path), metavar="OUT")
def report(output: Path) -> int:
    """Compare all images that were written below OUT, and show them.

    Writes OUT/index.html (all images, worst first; how they are spread by site and scanner; cases
    that failed), OUT/qc.tsv and OUT/qc.json. The page of each image is told where it stands among
    the others, and what in it is unusual. A run of many cases does this at its end; run it again
    when images came or went, or when they were rated.
    """
    from mriprep.cohorts.report import report as write

    done = write(output)
    say_verdicts(done)
    if done.failures:
        click.secho(f"{done.failures} failed", fg="red", nl=False, err=True)
        click.echo(": the page says where and why", err=True)
    if done.unmeasured:
        click.secho("not measured: ", fg="yellow", nl=False, err=True)
        click.echo(
            f"{len(done.unmeasured)} cases are done and have no quality file"
            f" ({_listed(done.unmeasured, 3)}):"
            " run them again with --force",
            err=True,
        )
    for name, why in done.problems[:10]:
        click.secho("not used: ", fg="yellow", nl=False, err=True)
        click.echo(f"{name}: {why}", err=True)
    if len(done.problems) > 10:
        click.echo(f"and {len(done.problems) - 10} more: the page lists them", err=True)
    for path in done.tables:
        click.echo(path)
    click.echo(f"open in a browser: {done.page}")
    return PARTLY if done.problems else 0


def say_verdicts(done: Overview) -> None:
    """Say how many images pass, and name those that do not."""
    total = sum(done.counts.values())
    told = ", ".join(f"{n} {v}" for v, n in reversed(list(done.counts.items())) if n)
    click.echo(f"{total} image{'' if total == 1 else 's'}{f': {told}' if told else ''}")
    for verdict in ("fail", "look"):
        names = [f"{case} {contrast}" for case, contrast, v in done.flagged if v == verdict]
        if names:
            click.echo(f"  {verdict}: {_listed(names, MOST)}")


def _listed(names: Sequence[str], most: int) -> str:
    """Names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
