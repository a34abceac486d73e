"""What `mriprep deface` does on files beside the step: options, NIfTI files as they are, the picture."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mriprep.core import Volume

_FILE = click.Path(path_type=Path)


def options() -> list[click.Parameter]:
    """Options that the step itself does not have."""
    return [
        click.Option(["--face-mask"], type=_FILE, help="Write what was removed here too, a mask."),
        click.Option(
            ["--picture"],
            type=_FILE,
            metavar="FILE.png",
            help="Write a picture of the head's surface before and after. It shows the face:"
            " for your eyes alone.",
        ),
    ]


def whole(source: Path, target: Path, volume: int | None) -> bool:
    """Whether the output is the input's file with other voxels: both NIfTI, no volume chosen."""
    from . import face_file

    return volume is None and face_file.alike(source, target)


def looked_at(source: Path) -> int | None:
    """The volume in which the face is looked for, where a file holds several."""
    from mriprep.io.images import read_header

    if read_header(source).volumes == 1:
        return None
    click.echo("note: 4D: the face is looked for in volume 0 and removed from all", err=True)
    return 0


def write_whole(
    source: Path, target: Path, face: Volume, parameters: Mapping[str, Any]
) -> tuple[list[Path], Volume]:
    """Write the input's file without the face; the output, read again, is what records tell of."""
    from mriprep.io.images import read_header, read_image

    from . import face_file

    written = face_file.write(source, target, face, parameters["method"], parameters["fwhm"])
    first = None if read_header(target).volumes == 1 else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # told of the input already
        return [written], read_image(target, volume=first)


def extras(
    before: Volume, after: Volume, kept: Mapping[str, Any], given: Mapping[str, Any]
) -> list[Path]:
    """What was asked for beside the image: the mask, and the picture of the head."""
    import numpy as np

    written = []
    if given.get("face_mask") is not None:
        from mriprep.api import write

        written.append(write(kept["face"], given["face_mask"]))
    if given.get("picture") is not None:
        from mriprep.qc import faces

        pose = kept["defaced"].get("template_to_scan_ras_mm")
        click.echo("note: the picture shows the face; keep it where the scan is kept", err=True)
        pose = None if pose is None else np.asarray(pose)
        written.append(faces.picture(before, after, given["picture"], pose))
    return written
