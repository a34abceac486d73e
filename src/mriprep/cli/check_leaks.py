"""``check-leaks``: whether anybody, or any image, is on both sides of a split."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}
_SHOWN = 40


@click.command("check-leaks", context_settings=_HELP,
               short_help="Who, or which image, is on both sides of a split.")  # fmt: skip
@click.argument("split", type=_PATH, metavar="SPLIT")
@click.option("--out", type=_PATH, metavar="OUT",
              help="What `mriprep run` wrote: the scans that cases were made of are compared.")  # fmt: skip
@click.option("--images", type=_PATH, metavar="DIR",
              help="Where the images of the cases are, if not beside SPLIT.")  # fmt: skip
@click.option(
    "--key",
    type=_PATH,
    metavar="FILE.tsv",
    help="Whose code is whose, as `mriprep scan --key` writes it. Nothing of it is shown.",
)
@click.option("--voxels/--no-voxels", default=True,
              help="Read images and compare voxels, also flipped and turned.  [yes]")  # fmt: skip
def check_leaks(
    split: Path, out: Path | None, images: Path | None, key: Path | None, voxels: bool
) -> int:
    """Look for people and images on both sides of SPLIT, whoever made it.

    \b
      mriprep check-leaks out/                                   # of `mriprep split`
      mriprep check-leaks nnUNet_raw/Dataset501_Heads/
      mriprep check-leaks splits_final.json --images imagesTr/
      mriprep check-leaks folds.csv --out out/                   # case or subject, and split or fold
      mriprep check-leaks slices/                                # train/, val/, test/

    Found are: the same case, the same person (another session), the same image, copies that were
    flipped or turned, and names that look like sessions of one person. Exit code 1 if something
    leaks, 4 if only names are alike.
    """  # noqa: D301
    from mriprep.cli.progress import counting
    from mriprep.export.leaks import check_leaks as work

    with counting() as progress:
        found = work(split, out=out, images=images, key=key, voxels=voxels, progress=progress)
    for note in found.notes:
        click.secho("note: ", fg="yellow", nl=False, err=True)
        click.echo(note, err=True)
    for leak in found.leaks[:_SHOWN]:
        click.secho(f"{leak.kind}: ", fg="red" if leak.sure else "yellow", nl=False)
        rounds = "" if leak.rounds == ("all",) else f", {', '.join(leak.rounds)}"
        one, other = (f"{n} ({p})" for n, p in zip((leak.one, leak.other), leak.parts, strict=True))
        click.echo(f"{one} and {other}{rounds}: {leak.why}")
    if len(found.leaks) > _SHOWN:
        click.echo(f"and {len(found.leaks) - _SHOWN} more")
    sure = sum(leak.sure for leak in found.leaks)
    of = f"{found.kind}, {found.members} cases or files, voxels of {found.compared} compared"
    if not found.leaks:
        click.echo(f"no leak found ({of})")
        return 0
    guesses = len(found.leaks) - sure
    told = [f"{n} {w}" for n, w in ((sure, "that leak"), (guesses, "whose names are alike")) if n]
    click.echo(f"pairs: {' and '.join(told)} ({of})")
    return 1 if sure else 4
