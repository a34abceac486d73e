"""``split``: which cases train, validate and test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mriprep.export.splitting import Split

_PATH = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"], "show_default": True}


@click.command(context_settings=_HELP, short_help="Folds and a test part, nobody on both sides.")
@click.argument("out", type=_PATH, metavar="OUT")
@click.option("--by", type=click.Choice(["subject"]), default="subject",
              help="What is kept together: all sessions of a person.")  # fmt: skip
@click.option(
    "--stratify",
    default="age,sex,site",
    metavar="FACTS",
    help="Facts in which the folds shall be alike; 'none' for none.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, help="How many folds.")
@click.option(
    "--test",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    help="Share of the persons that is kept for the end.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, help="Of chance.")
@click.option(
    "--key",
    type=_PATH,
    metavar="FILE.tsv",
    help="Whose code is whose, as `mriprep scan --key` writes it: subjects who are one person stay"
    " together. Nothing of it is written.",
)
@click.option("--force", is_flag=True, help="Replace another split.")
def split(out: Path, **given: Any) -> int:
    """Split the cases in OUT into folds and a test part: OUT/splits.tsv and splits.json.

    \b
      mriprep split out/ --by subject --stratify age,sex,site --folds 5 --test 0.1 --seed 1

    Nobody is on both sides: sessions of a subject stay together, and so do subjects of whom the
    same scan is there. The same cases and seed give the same split, whatever the order of files.
    An existing split is not replaced without --force. docs/splits.md says more.
    """  # noqa: D301
    from mriprep.export.splitting import split as work

    text = given.pop("stratify")
    names = [] if text.strip().lower() == "none" else [n.strip() for n in text.split(",")]
    done = work(out, stratify=[n for n in names if n], **given)
    for note in done.notes:
        click.secho("note: ", fg="yellow", nl=False, err=True)
        click.echo(note, err=True)
    _show(done)
    click.echo(f"{'wrote' if done.changed else 'the same as before:'} {done.path}")
    return 0


def _show(done: Split) -> None:
    """The balance as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, caption="(apart from all: standard deviations, or share)")
    for name in ("part", "persons", "cases", *done.factors):
        table.add_column(name, justify="left" if name == "part" else "right")
    for row in done.balance:
        cells = [_cell(row["factors"][f], whole=row["part"] == "all") for f in done.factors]
        table.add_row(row["part"], str(row["persons"]), str(row["cases"]), *cells)
    if not done.factors:
        table.caption = None
    Console().print(table)


def _cell(about: dict[str, Any], *, whole: bool) -> str:
    if "counts" in about:
        text = " ".join(f"{n} {c}" for n, c in about["counts"].items())
    elif about["mean"] is None:
        return "n/a"
    else:
        text = f"{about['mean']:.1f} ± {about['sd']:.1f}"
    return text if whole else f"{text} ({about['apart']:.2f})"
