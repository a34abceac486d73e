"""Where a step's command writes: everything is checked before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mriprep.core import InputError, OutputRefused
from mriprep.declare import Step

#: Options that name a file to be written, beside OUT.
_MORE_OUTPUTS = ("face_mask", "picture", "field")
TRANSFORM_ENDINGS = (".tfm", ".txt", ".mat")


def check_outputs(
    step: Step, output_path: Path, inputs: Sequence[Any], given: Mapping[str, Any]
) -> None:
    """Refuse outputs that could not be written, or would take the place of something.

    Raises
    ------
    InputError
        If a name's ending is none that can be written, two outputs are one file, one is
        an input, or a sidecar that is not mriprep's lies where the record goes.
    OutputRefused
        If nothing can be written there.
    """
    _check_names(step, output_path, given.get("picture"))
    outputs = {"OUT": output_path, **{o: given[o] for o in _MORE_OUTPUTS if given.get(o)}}
    seen: set[Path] = set()
    for name, path in outputs.items():
        spare_inputs(path, inputs, name)
        if path.absolute() in seen:
            raise InputError(
                f"{_option(name)} is the same file as another output: '{path}'",
                hint="give each a name of its own",
            )
        seen.add(path.absolute())
        _check_place(path, folder=step.makes == "slices" and name == "OUT")
    spare_sidecar(output_path)


def _check_names(step: Step, path: Path, picture: Path | None) -> None:
    """Refuse what could not be written before anything is computed."""
    if step.makes == "transform" and path.suffix not in TRANSFORM_ENDINGS:
        raise InputError(
            f"a transform cannot be written as '{path.name}'",
            hint=f"{step.name} makes a transform: give a name that ends on"
            f" {', '.join(TRANSFORM_ENDINGS)}; `mriprep resample --to` takes it from there",
        )
    if picture is not None and picture.suffix.lower() != ".png":
        raise InputError(
            f"a picture cannot be written as '{picture.name}'", hint="give a name that ends on .png"
        )
    if step.makes not in ("transform", "slices"):
        from mriprep.io.sniff import WRITABLE, extension

        if extension(path, WRITABLE) is None:
            raise InputError(
                f"an image cannot be written as '{path.name}'",
                hint=f"give a name that ends on {', '.join(WRITABLE)}",
            )


def spare_sidecar(output: Path) -> None:
    """Refuse to put a record in the place of another file's: the name of both is made of the stem.

    Raises
    ------
    InputError
        If the JSON beside `output` is not mriprep's, or tells of a file that is there.
    """
    from mriprep.io.strict_json import load_json
    from mriprep.run_record import sidecar_path

    record = sidecar_path(output)
    if not record.is_file():
        return
    try:
        about = load_json(record)
        ours = about["GeneratedBy"][0]["Name"] == "mriprep"
    except (OSError, ValueError, LookupError, TypeError):
        ours = False
    if not ours:
        raise InputError(
            f"'{record}' is not mriprep's, and the record of this step would take its place",
            hint="give another name or folder for OUT",
        )
    told = about.get("output")
    owner = told.get("file") if isinstance(told, dict) else None
    if isinstance(owner, str) and owner != output.name and (output.parent / owner).is_file():
        raise InputError(
            f"'{record}' is the record of '{owner}', and that of '{output.name}' would take its place",
            hint="give OUT a name that differs in more than its ending, or another folder",
        )


def _check_place(path: Path, *, folder: bool) -> None:
    """Refuse what nothing can be written to: below a file, in place of a folder, where one may not."""
    above = next(p for p in path.absolute().parents if p.exists())
    why = ""
    if path.is_dir() and not folder:
        why = "there is a folder of that name"
    elif path.exists() and not path.is_file() and not path.is_dir():
        why = "a pipe, socket or device is there"
    elif not above.is_dir():
        why = f"'{above}' is a file, not a folder"
    elif not os.access(above, os.W_OK):
        why = f"the folder '{above}' may not be written to"
    if why:
        raise OutputRefused(f"cannot write '{path}': {why}", hint="give another name or folder")


def _option(name: str) -> str:
    return name if name == "OUT" else f"--{name.replace('_', '-')}"


def spare_inputs(output: Path, inputs: Sequence[Any], name: str = "OUT") -> None:
    """Refuse to write over what is read: a scan may be the only one there is."""
    for given in inputs:
        if output.exists() and Path(given).exists() and output.samefile(given):
            raise InputError(
                f"{_option(name)} is the same file as an input: '{output}'",
                hint="give another name; mriprep never writes over what it reads",
            )
