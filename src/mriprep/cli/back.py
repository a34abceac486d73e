"""``restore`` and ``apply``: the way back, and anything along it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mriprep.core import InputError, OutputRefused, Role, Transform, Volume

from .step_commands import _image
from .step_outputs import spare_inputs, spare_sidecar

_FILE = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}
_ROLE = click.option(
    "--role", type=click.Choice(["auto", *(str(r) for r in Role)]), default="auto",
    show_default=True, help="What the voxels mean; interpolation follows from it. auto: by the BIDS"
    " suffix (dseg, mask, probseg), else as they look, which is said.",
)  # fmt: skip
_LABELS = click.option(
    "--labels", type=click.Choice(["onehot", "nearest"]), default="onehot", show_default=True,
    help="How labels and masks are interpolated: the label with most linear weight, or the nearest"
    " voxel's.",
)  # fmt: skip
_ANTIALIAS = click.option(
    "--antialias/--no-antialias", default=True, show_default=True,
    help="Average over voxels that are larger than the input's.",
)  # fmt: skip


@click.command(context_settings=_HELP, short_help="Bring a network's output to the native grid.")
@click.argument("prediction", type=_FILE, metavar="PREDICTION")
@click.argument("output", type=_FILE, metavar="OUT")
@click.option(
    "--record", type=_FILE, help="The run's record: the JSON beside the preprocessed image, the"
    " image itself, or the folder that `mriprep run` wrote. Looked for around PREDICTION by the"
    " case's name (sub-01) if left out.",
)  # fmt: skip
@click.option("--like", type=_FILE, help="Another image of the native world, whose grid to use.")
@_ROLE
@click.option(
    "--ignore-header", is_flag=True, help="The voxels are those of the preprocessed image in order,"
    " whatever PREDICTION's header says.",
)  # fmt: skip
@click.option("--argmax", is_flag=True, help="Of 4D probabilities, write the most likely class.")
@_LABELS
@_ANTIALIAS
def restore(prediction: Path, output: Path, **given: Any) -> None:
    """Bring a network's output from the preprocessed grid to the scan's own.

    PREDICTION is an image or a .npy array on the grid of the image that
    `mriprep run` wrote (4D: one volume a class, background first), or a
    folder of predicted slices with the names of mriprep's. Slices, crop,
    pad, reorientation and resampling are undone in one interpolation. OUT
    gets a JSON beside it that says how.

    \b
      mriprep restore sub-01_dseg.nii.gz native_dseg.nii.gz --record out/
      mriprep restore predicted_slices/ native_dseg.nii.gz --record out/sub-01
    """  # noqa: D301
    from mriprep.back import found_record
    from mriprep.carry import bring_back
    from mriprep.io.images import read_grid
    from mriprep.run import listening

    _check_image(output)
    if not prediction.exists():
        raise InputError(f"'{prediction}' does not exist", hint="give the network's output")
    found = found_record(given["record"], prediction)
    _spare(output, [prediction, given["record"], given["like"], found.path])
    began = time.perf_counter()
    with listening() as said:
        done = bring_back(
            prediction,
            found,
            role=_asked(given),
            like=read_grid(given["like"]) if given["like"] else None,
            ignore_header=given["ignore_header"],
            labels=given["labels"],
            antialias=given["antialias"],
            argmax=given["argmax"],
        )
    about = {
        "Description": "a prediction, brought back to the native grid",
        "Sources": [prediction.name],
        "record": found.path.name if found.path else None,
        "case": found.content.get("case"),
        **done.about,
    }
    _finish("restore", prediction, done.volumes, output, about, said, time.perf_counter() - began)


@click.command(context_settings=_HELP, short_help="Carry an image or label to template or native.")
@click.argument("image", type=_FILE, metavar="IMAGE")
@click.argument("output", type=_FILE, metavar="OUT")
@click.option("--to", required=True, metavar="[template, native, FILE]",
              help="The preprocessed grid, the scan's own, or the grid of an image of the world that"
              " IMAGE is not in.")  # fmt: skip
@click.option("--record", type=_FILE, help="The run's record, as for `restore`.")
@click.option("--transform", type=_FILE, help="A transform in ITK's format instead of a record:"
              " template mm to scan mm, as mriprep writes it.")  # fmt: skip
@click.option("--from", "start", type=click.Choice(["native", "template"]),
              help="In which world IMAGE lies, where its grid does not say.")  # fmt: skip
@_ROLE
@click.option("--interpolation", type=click.Choice(["linear", "cubic"]), default="linear",
              show_default=True, help="For images.")  # fmt: skip
@_LABELS
@_ANTIALIAS
def apply(image: Path, output: Path, **given: Any) -> None:
    """Carry an image, mask or labels along the chain of a run, interpolated once.

    IMAGE lies in the scan's world (another scan of the session that is
    aligned with it, a drawn region) or in the template's (an atlas).

    \b
      mriprep apply lesion.nii.gz lesion_template.nii.gz --to template --record out/sub-01
      mriprep apply atlas.nii.gz atlas_native.nii.gz --to native --record out/sub-01
      mriprep apply atlas.nii.gz atlas_flair.nii.gz --to FLAIR.nii.gz --from template --record out/
    """  # noqa: D301
    from mriprep.back import found_record
    from mriprep.carry import carry_along, chain_of, role_of
    from mriprep.io.images import read_grid
    from mriprep.run import listening

    _check_image(output)
    if given["record"] and given["transform"]:
        raise InputError(
            "both --record and --transform were given", hint="the record holds the transform: one"
        )
    to: Any = given["to"]
    other = None if to in ("template", "native") else Path(to)
    if other is not None and not other.exists():
        raise InputError(
            f"--to: '{to}' does not exist", hint="give template, native, or an image's path"
        )
    began = time.perf_counter()
    with listening() as said:
        volume = role_of(_image(image, "image"), _asked(given), image.name)
        if given["transform"]:
            source, chain = given["transform"], chain_of(_transform(given["transform"]))
        else:
            found = found_record(given["record"], image)
            source, chain = found.path, found.chain
        _spare(output, [image, given["record"], given["transform"], other, source])
        done = carry_along(
            volume,
            chain,
            read_grid(other) if other is not None else to,
            start=given["start"],
            labels=given["labels"],
            interpolation=given["interpolation"],
            antialias=given["antialias"],
        )
    about = {
        "Description": f"carried to {other.name if other is not None else to}",
        "Sources": [image.name],
        "record" if not given["transform"] else "transform": source.name if source else None,
        **done.about,
    }
    _finish("apply", image, done.volumes, output, about, said, time.perf_counter() - began)


def _transform(path: Path) -> Transform:
    """A transform, with the grids that the record beside it tells, if there is one."""
    from mriprep.core import Grid
    from mriprep.io.strict_json import load_json
    from mriprep.io.transforms import read_transform
    from mriprep.run_record import sidecar_path

    found = read_transform(path)
    try:
        output = load_json(sidecar_path(path))["output"]
        reference, moving = (
            Grid.from_dict(output[k]) if output.get(k) else None
            for k in ("reference_grid", "moving_grid")
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return found
    return Transform(found.matrix, reference, moving)


def _asked(given: Mapping[str, Any]) -> str | None:
    return None if given["role"] == "auto" else given["role"]


def _check_image(path: Path) -> None:
    from mriprep.io.sniff import WRITABLE, extension

    if extension(path, WRITABLE) is None:
        raise OutputRefused(
            f"an image cannot be written as '{path.name}'",
            hint=f"give a name that ends on {', '.join(WRITABLE)}",
        )


def _spare(output: Path, inputs: Sequence[Path | None]) -> None:
    """Refuse to write over an input, or over the record beside one."""
    from mriprep.run_record import sidecar_path

    given = [p for p in inputs if p is not None]
    spare_inputs(output, given)
    records = [p if p.suffix == ".json" else sidecar_path(p) for p in given if not p.is_dir()]
    beside = sidecar_path(output)
    if any(beside.exists() and r.exists() and beside.samefile(r) for r in records):
        raise InputError(
            f"the JSON beside OUT, '{beside.name}', is the record of an input",
            hint="give OUT another name; mriprep never writes over what it reads",
        )
    spare_sidecar(output)


def _finish(
    command: str,
    source: Path,
    volumes: Sequence[Volume],
    output: Path,
    about: Mapping[str, Any],
    said: Sequence[str],
    seconds: float,
) -> None:
    """Write image and record, and say so."""
    from importlib.metadata import version

    from mriprep.io.atomic import write_json
    from mriprep.io.hashes import file_hash
    from mriprep.io.images import write_image
    from mriprep.io.predictions import write_classes
    from mriprep.record import public, voxel_hash
    from mriprep.run_record import sidecar_path

    for warning in said:
        click.echo(f"note: {warning}", err=True)
    record = {
        **about,
        "GeneratedBy": [{"Name": "mriprep", "Version": version("mriprep")}],
        "command": command,
        "input_sha256": file_hash(source) if source.is_file() else None,
        "output": {
            "file": output.name,
            "voxels_sha256": [voxel_hash(v) for v in volumes],
            "dtype": str(volumes[0].data.dtype),
            "grid": volumes[0].grid.to_dict(),
        },
        "warnings": list(said),
        "seconds": round(seconds, 3),
    }
    if len(volumes) > 1:
        write_classes(volumes, output)
    else:
        write_image(volumes[0], output)
    beside = write_json(public(record, [source.parent]), sidecar_path(output))
    share = about["outside_share"]
    outside = f"; {share:.1%} of it lay outside and is {about['outside_is']}" if share else ""
    click.echo(
        f"taken as {about['role']}, {about['interpolation']}; now {volumes[0].grid}{outside}",
        err=True,
    )
    click.echo(f"wrote {output}, {beside}", err=True)
