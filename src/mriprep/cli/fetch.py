"""``fetch``: the weights of networks, fetched once, so that runs need no network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mriprep.core import EngineMissing

if TYPE_CHECKING:
    from mriprep.weights.fetch import Progress

_HELP = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_HELP, short_help="Fetch the weights of networks.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "listing", is_flag=True, help="Say which there are, and which are here.")
@click.option("--all", "everything", is_flag=True, help="Fetch all of them.")
@click.option("--to", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Put them into FOLDER/NAME; MRIPREP_WEIGHTS=FOLDER then finds them there.")  # fmt: skip
@click.option("--offline", is_flag=True, help="Never try the network: say what is missing.")
def fetch(
    names: tuple[str, ...], listing: bool, everything: bool, to: Path | None, offline: bool
) -> int:
    """Fetch the weights of networks, checked against the published SHA-256.

    \b
      mriprep fetch --list
      mriprep fetch mindgrab
      mriprep fetch --all --to /data/weights

    What broke off is gone on with. Weights that cannot be fetched are told
    with the address and the place to put them by hand; docs/weights.md has
    their licences.
    """  # noqa: D301
    from mriprep import weights

    if listing:
        _list()
        return 0
    everything = everything or (offline and not names)  # what is missing, of all
    if everything == bool(names):
        raise click.UsageError(
            f"say which weights: {', '.join(weights.names())}; or --all, or --list"
        )
    wanted = weights.names() if everything else list(dict.fromkeys(names))
    for name in wanted:  # a name that is not right is told before anything is fetched
        weights.describe(name)
    failed: list[EngineMissing] = []
    for name in wanted:
        try:
            with _watching() as progress:
                folder = weights.fetch(name, offline=offline, progress=progress, to=to)
        except EngineMissing as error:
            failed.append(error)
            continue
        click.echo(f"{name}: {folder}")
        click.echo(f"  licence: {weights.describe(name).licence}", err=True)
    for earlier in failed[:-1]:
        click.secho("error: ", fg="red", nl=False, err=True)
        click.echo(str(earlier), err=True)
    if failed:
        raise failed[-1]
    return 0


def _list() -> None:
    from mriprep import weights

    for name in weights.names():
        entry = weights.describe(name)
        here = "here" if weights.is_here(name) else "not here"
        size = "size not known" if entry.size is None else f"{entry.size / 1e6:.1f} MB"
        click.secho(name, bold=True, nl=False)
        click.echo(f" ({here}, {size}): {entry.title}")
        click.echo(f"  for:     {entry.use}")
        click.echo(f"  licence: {entry.licence}")
        click.echo(f"  cite:    {entry.citation}")
        click.echo(f"  from:    {entry.page}")
        for file in entry.files:
            if file.sha256 is None:
                click.echo(f"  {file.name}: no SHA-256 is published; the first fetch is noted")
    click.echo(f"folder: {weights.home()} ({weights.whence()})")


@contextmanager
def _watching() -> Iterator[Progress | None]:
    """A bar on stderr in a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
               TransferSpeedColumn(), TimeRemainingColumn())  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def listen(file: str, there: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file, total=total)
            bar.update(tasks[file], completed=there, total=total)

        yield listen
