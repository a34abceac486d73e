"""``export``: what a run made, as a data set of a training framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mriprep.core import InputError

_PATH = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}
_SHOWN = 10


@click.command(context_settings=_HELP, short_help="A data set for nnU-Net, MONAI, TorchIO, ...")
@click.argument("out", type=_PATH, metavar="OUT")
@click.option(
    "--to",
    required=True,
    metavar="FORMAT[,FORMAT]",
    help="nnunet, monai, torchio, zarr, hdf5, webdataset or slices. Several, with a comma: each in"
    " a folder of its name in DIR.",
)
@click.option(
    "--output",
    "-o",
    required=True,
    type=_PATH,
    metavar="DIR",
    help="A folder that is empty or not there yet; for nnunet also nnUNet_raw itself.",
)
@click.option(
    "--contrasts",
    metavar="T1w,FLAIR",
    help="The channels, in this order; all contrasts by default. Cases that lack one are left out.",
)
@click.option(
    "--labels",
    metavar="NAME",
    help="Which labels: given (they came with the scans), brain, tissues, ... as in"
    " _desc-NAME_dseg and _desc-NAME_mask; none. Default: those that came with the scans,"
    " or the only ones there are.",
)
@click.option(
    "--label-name",
    "label_names",
    multiple=True,
    metavar="1=lesion",
    help="What a value of the labels means; may be repeated.",
)
@click.option(
    "--all/--exclude-failed",
    "everything",
    default=False,
    help="Take cases whose quality or rating is 'fail' too; they are left out by default.",
)
@click.option(
    "--fold",
    type=click.IntRange(min=0),
    metavar="K",
    help="Only this fold of OUT/splits.tsv: needed where a normaliser was fitted on its"
    " training part.",
)
@click.option(
    "--link",
    type=click.Choice(["hard", "symbolic"]),
    help="nnunet, monai, torchio: link image files instead of copying them.",
)
@click.option(
    "--fact",
    "facts",
    multiple=True,
    metavar="NAME",
    help="A fact to take along beyond age, sex, site and scanner; may be repeated.",
)
@click.option("--force", is_flag=True, help="Replace an earlier export in DIR, whole.")
@click.option("--name", metavar="NAME", help="nnunet: the data set's name.  [mriprep]")
@click.option("--number", type=click.IntRange(1, 999), help="nnunet: its number.  [501]")
@click.option(
    "--chunk",
    type=click.IntRange(8, 256),
    metavar="VOXELS",
    help="zarr, hdf5: edge of a chunk.  [zarr 64, hdf5 32]",
)
@click.option(
    "--compress/--no-compress",
    default=None,
    help="zarr, hdf5: smaller, or faster to read.  [zarr yes, hdf5 no]",
)
@click.option("--shard-mb", type=click.FloatRange(min=0, min_open=True),
              help="webdataset, also of slices: about how large a shard may become.  [512]")  # fmt: skip
@click.option("--plane", type=click.Choice(["axial", "coronal", "sagittal"]),
              help="slices: the plane.  [axial]")  # fmt: skip
@click.option(
    "--format",
    type=click.Choice(["npy", "npz", "png8", "png16", "webdataset"]),
    help="slices: how they are written.  [npy]",
)
@click.option(
    "--keep",
    type=click.Choice(["content", "mask", "label"]),
    help="slices: what counts as content: the mask or else the foreground; the mask; labels.  [content]",
)
@click.option(
    "--content",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="slices: least content, as a share of the slice with most; 0 takes all.  [0.05]",
)
@click.option("--every", type=click.IntRange(min=1), metavar="N", help="slices: one of N.  [1]")
@click.option("--spacing", type=click.FloatRange(min=0, min_open=True), metavar="MM",
              help="slices: about so far apart, instead of --every.")  # fmt: skip
@click.option("--neighbours", type=click.IntRange(0, 16), metavar="K",
              help="slices: K neighbours on each side as further channels.  [0]")  # fmt: skip
@click.option(
    "--window",
    type=(click.FloatRange(0, 100), click.FloatRange(0, 100)),
    default=None,
    metavar="LOW HIGH",
    help="slices: percentiles that are black and white in pictures.  [0.5 99.5]",
)
def export(out: Path, **given: Any) -> int:
    """Export what `mriprep run` wrote to OUT, for training.

    \b
      mriprep export out/ --to nnunet --output nnUNet_raw --number 501 --name Lesions --link hard
      mriprep export out/ --to monai --output lists/ --contrasts T1w,FLAIR --labels tissues
      mriprep export out/ --to zarr --output patches/             # random patches, fast
      mriprep export out/ --to torchio --output subjects/ --labels brain --all
      mriprep export out/ --to slices --output slices/ --format png16 --keep label
      mriprep export out/ --to nnunet,monai,slices --output sets/ # sets/nnunet, sets/monai, ...

    Images, masks and labels of a case must lie on one grid, which is checked before anything is
    written. Folds come from OUT/splits.tsv (`mriprep split`). What is left out is printed, and is
    in DIR/export.json with the record that each image comes from. DIR appears whole or not at
    all. docs/exports.md shows how each format is loaded.
    """  # noqa: D301
    from mriprep.export.exporting import options_of

    formats = [f.strip() for f in given.pop("to").split(",")]
    named = _names(given.pop("label_names"))
    target = given.pop("output")
    taken = options_of(formats, given)  # all are checked before the first is written
    for form, options in taken.items():
        _one(out, form, target / form if len(taken) > 1 else target, named, given, options)
    return 0


def _one(
    out: Path, to: str, target: Path, named: dict[int, str], given: dict[str, Any],
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Export to one format, and say what came of it."""
    from mriprep.cli.progress import counting
    from mriprep.export import export as work

    contrasts = given["contrasts"]
    with counting() as progress:
        done = work(
            out,
            to=to,
            output=target,
            contrasts=[c.strip() for c in contrasts.split(",")] if contrasts else None,
            labels=given["labels"],
            passed_only=not given["everything"],
            fold=given["fold"],
            facts=given["facts"],
            label_names=named,
            replace=given["force"],
            progress=progress,
            **options,
        )
    for gone in done.left[:_SHOWN]:
        click.secho("left out: ", fg="yellow", nl=False, err=True)
        click.echo(f"{gone.case}: {gone.why}", err=True)
    if len(done.left) > _SHOWN:
        click.echo(f"and {len(done.left) - _SHOWN} more: see export.json", err=True)
    for note in done.notes:
        click.secho("note: ", fg="yellow", nl=False, err=True)
        click.echo(note, err=True)
    click.echo(f"{done.cases} case{'s' if done.cases != 1 else ''}: {done.folder}")


def _names(pairs: tuple[str, ...]) -> dict[int, str]:
    """Names of labels by value."""
    found = {}
    for pair in pairs:
        value, _, name = pair.partition("=")
        if not value.strip().isdigit() or not name.strip():
            raise InputError(f"'{pair}' names no label", hint="for instance --label-name 1=lesion")
        found[int(value)] = name.strip()
    return found
