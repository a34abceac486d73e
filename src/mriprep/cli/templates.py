"""``templates``: which there are, which one an age takes, and fetching them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mriprep.core import InputError
from mriprep.core.errors import nearest

if TYPE_CHECKING:
    from mriprep.templates import Choice, Template

_HELP = {"help_option_names": ["-h", "--help"]}
_FOLDER = click.option(
    "--folder", type=click.Path(path_type=Path), help="A folder of your own with a templates.yaml."
)
_CONTRAST = click.option("--contrast", help="The scan's: T1w, T2w, PDw, FLAIR, ...  [default: T1w]")


@click.group(context_settings=_HELP, short_help="Which templates there are, by age; fetch them.")
def templates() -> None:
    """Which templates there are, which one an age takes, and fetching them.

    \b
      mriprep templates list
      mriprep templates choose --age 7 --contrast T1w
      mriprep templates fetch MNIPediatricAsym:cohort-3

    Folders of your own join the catalogue by the environment variable
    MRIPREP_TEMPLATES; docs/templates.md says what their templates.yaml holds.
    """  # noqa: D301


@templates.command(
    "list", context_settings=_HELP, short_help="List all templates of the catalogue."
)
@_FOLDER
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def list_(folder: Path | None, as_json: bool) -> None:
    """List all templates: ages, contrasts, licence, whether they are on this machine and where."""
    rows = [_row(c) for c in _all(folder)]
    if as_json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    from rich.console import Console
    from rich.table import Table

    from mriprep.templates import templateflow_home

    table = Table(title="templates", title_justify="left")
    for column in ("name", "ages", "contrasts", "on this machine"):
        table.add_column(column, no_wrap=column in ("name", "ages"), overflow="fold")
    for row in rows:
        here = [c for c, file in row["files"].items() if file]
        table.add_row(row["name"], row["ages"], " ".join(row["files"]), " ".join(here) or "no")
    Console().print(table)
    for name, about in {r["template"]: r for r in rows}.items():
        click.secho(name, bold=True, nl=False)
        click.echo(f": {about['title'] or 'your own'}")
        click.echo(f"  licence: {about['licence']}")
        places = {str(Path(f).parent) for r in rows if r["template"] == name
                  for f in r["files"].values() if f}  # fmt: skip
        for place in sorted(places):
            click.echo(f"  {place}")
    click.echo(f"TemplateFlow's folder: {templateflow_home()} (TEMPLATEFLOW_HOME)")


@templates.command(context_settings=_HELP, short_help="Say which template an age takes, and why.")
@click.option("--age", required=True, help="7.5 (years), 30mo, 6w, 14d, or adult.")
@_CONTRAST
@click.option("--among", default="auto", show_default=True, metavar="NAME",
              help="Among which: auto (all), NIHPD, or one template's name.")  # fmt: skip
@_FOLDER
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def choose(age: str, contrast: str | None, among: str, folder: Path | None, as_json: bool) -> None:
    """Say which template an age takes, why, and where its file is or how to get it."""
    from mriprep import templates as catalogue

    choice = catalogue.pick(folder or among, contrast=contrast, age=age)
    if choice is None:
        raise _unknown(among)
    found = catalogue.locate(choice)
    if as_json:
        told = {**_row(choice), "contrast": choice.contrast, "why": choice.why}
        json.dump(told, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    click.secho(choice.spec, bold=True, nl=False)
    click.echo(f" ({choice.contrast})")
    click.echo(f"  why:     {choice.why}")
    click.echo(f"  licence: {choice.entry.licence}")
    _where(choice, found)


@templates.command(context_settings=_HELP, short_help="Fetch a template by TemplateFlow's client.")
@click.argument("name")
@_CONTRAST
@click.option("--age", help="Which cohort, by age, where NAME has several; all of them by default.")
@click.option("--offline", is_flag=True, help="Never try the network: say what is missing.")
def fetch(name: str, contrast: str | None, age: str | None, offline: bool) -> int:
    """Fetch a template into TemplateFlow's folder, so that runs need no network.

    NAME is a name of the catalogue (NIHPD: all of its cohorts; with
    ``:cohort-3`` one) or of TemplateFlow. Where it cannot be fetched, what is
    wanted and where to put it is said.
    """
    from mriprep import templates as catalogue

    with catalogue.staying_offline(offline):
        wanted = _named(name, contrast, age)
        if not wanted:  # a name that the catalogue does not know
            click.echo(f"{name} ...", err=True)
            _got(catalogue.find(name, contrast=contrast))
            return 0
        missing: list[tuple[Choice, InputError]] = []
        for choice in wanted:
            found = catalogue.locate(choice)
            if found is None:
                click.echo(f"{choice.spec} ({choice.contrast}) ...", err=True)
                try:
                    # Where one could not be fetched the next would wait in vain for the network.
                    off = catalogue.is_offline() or bool(missing)
                    found = catalogue.obtain(choice, offline=off)
                except InputError as error:
                    missing.append((choice, error))
                    continue
            _got(found)
    if not missing:
        return 0
    first = missing[0][1]
    if len(missing) == 1:
        raise first
    files = [f for c, _ in missing for f in _files(c)]
    raise InputError(
        f"{len(missing)} of {len(wanted)} are missing; {first.message}",
        hint="put these files there, or run this again where there is a network:\n  "
        + "\n  ".join(map(str, files)),
    )


def _named(name: str, contrast: str | None, age: str | None) -> list[Choice]:
    """Everything of the catalogue that a name means; nothing if it does not know it."""
    from mriprep import templates as catalogue
    from mriprep.templates.catalogue import load
    from mriprep.templates.choose import taken

    if age is not None or ":" in name:
        choice = catalogue.pick(name, contrast=contrast, age=age)
        return [choice] if choice else []
    everything = load()
    entries = everything.named("mni152" if name in catalogue.BUNDLED else name)
    if not entries:
        catalogue.pick(name)  # refuses what is no template's name
    return [taken(e, c, contrast, everything) for e in entries for c in e.cohorts]


def _all(folder: Path | None) -> list[Choice]:
    from mriprep.templates.catalogue import load
    from mriprep.templates.choose import taken

    everything = load() if folder is None else load([folder])
    return [taken(e, c, None, everything) for e in everything for c in e.cohorts]


def _row(choice: Choice) -> dict[str, Any]:
    """A cohort as plain data: its ages, files by contrast, terms."""
    from dataclasses import replace

    from mriprep.templates import locate

    entry, cohort = choice.entry, choice.cohort
    has = [c for c in entry.contrasts if entry.has(cohort, c)]
    found = {c: locate(replace(choice, contrast=c)) for c in has}
    return {
        "name": choice.spec,
        "template": entry.name,
        "title": entry.title,
        "ages": entry.span(cohort),
        "years": [cohort.first, None if cohort.last == float("inf") else cohort.last],
        "files": {c: str(t.image) if t else None for c, t in found.items()},
        "licence": entry.licence,
        "citation": entry.citation,
    }


def _files(choice: Choice) -> list[Path]:
    """The files that are wanted of a template, wherever they come from."""
    from mriprep.templates.fetch import wanted_files

    entry, cohort = choice.entry, choice.cohort
    if entry.source == "templateflow":
        named = {"cohort": cohort.name} if cohort.name else {}
        return list(wanted_files(entry.name, named, choice.contrast))
    return [f for f in (cohort.files.get(choice.contrast), cohort.mask) if f]


def _where(choice: Choice, found: Template | None) -> None:
    if found is not None:
        click.echo(f"  image:   {found.image}")
        click.echo(f"  mask:    {found.mask or 'none: found when it is needed'}")
        return
    click.echo("  it is not on this machine. Get it by")
    if choice.entry.source == "nilearn":
        click.echo("    pip install nilearn")
        return
    if choice.entry.source == "templateflow":
        more = "" if choice.contrast == "T1w" else f" --contrast {choice.contrast}"
        click.echo(f"    mriprep templates fetch {choice.spec}{more}")
        click.echo("  or by")
    click.echo("    putting these files there:")
    for file in _files(choice):
        click.echo(f"      {file}")


def _got(found: Template) -> None:
    click.echo(f"{found.name}: {found.image}")
    if found.licence:
        click.echo(f"  licence: {found.licence}")


def _unknown(name: str) -> InputError:
    from mriprep.templates.catalogue import load

    names = {n for e in load() for n in (e.name, e.part_of) if n}
    return InputError(f"the catalogue has no '{name}'", hint=nearest(name, {*names, "auto"}))
