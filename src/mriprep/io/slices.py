"""Slices as pictures or arrays, with a table and the grid that lead back into the volume."""

from __future__ import annotations

import csv
import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, MriprepError
from mriprep.core.errors import nearest, unwritable
from mriprep.core.slices import FORMATS, Slices, display_shape

from .given import leads_to
from .strict_json import load_json

#: Type and white of the picture formats.
_GREY: dict[str, tuple[type[np.unsignedinteger[Any]], int]] = {
    "png8": (np.uint8, 255),
    "png16": (np.uint16, 65535),
}
_COLUMNS = (
    *("file", "labels", "axis", "index", "position_mm", "content"),
    *("window_low", "window_high"),
)


def write_slices(
    slices: Slices, folder: Path | str, *, stem: str, format: str | None = None
) -> list[Path]:
    """Write slices, one file each, with a table and the volume's grid beside.

    ``{stem}_plane-axial_slice-0093.png`` is the slice at index 93 of the
    volume's own array, ``..._slice-0093_dseg.png`` its labels (lossless),
    ``{stem}_plane-axial_slices.csv`` says where each slice was, and
    ``..._slices.json`` holds the grid. Slices of the same stem and plane
    that were there before are replaced; the JSON file comes last, so a
    folder that has it is whole.

    Parameters
    ----------
    slices : Slices
        The slices.
    folder : path
        Where to; made if there is none.
    stem : str
        First part of the names: letters, digits, ``.``, ``_``, ``+`` and ``-``.
    format : {"png8", "png16", "npy"}, optional
        Instead of ``slices.format``. Pictures hold the window of the slices
        in 8 or 16 bit; ``npy`` the float32 values as they are.

    Returns
    -------
    list of Path
        All files, the table and the JSON last.

    Raises
    ------
    InputError
        If stem or format cannot be used, or labels do not fit a picture.
    OutputError
        If the files cannot be written; then those of before are still there.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", stem):
        raise InputError(
            f"'{stem}' cannot begin a file name",
            hint="use letters, digits, '.', '_', '+' and '-' only",
        )
    format = slices.format if format is None else format
    if format not in FORMATS:
        raise InputError(f"'{format}' is not a format", hint=nearest(format, FORMATS))
    folder = Path(folder)
    prefix = f"{stem}_plane-{slices.plane}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".slices-", dir=folder) as temporary:
            names = _write_all(slices, Path(temporary), prefix, format)
            (folder / names[-1]).unlink(missing_ok=True)
            for old in folder.glob(f"{prefix}_slice-*"):
                if old.name not in names:
                    old.unlink()
            for name in names:
                os.replace(Path(temporary) / name, folder / name)
    except OSError as error:
        raise unwritable(error)(
            f"the slices could not be written to {folder}: {error.strerror}",
            hint="is there space left, and may you write there?",
        ) from error
    return [folder / name for name in names]


def read_slices(path: Path | str) -> Slices:
    """Read slices that :func:`write_slices` wrote.

    Parameters
    ----------
    path : path
        The JSON file, the table, or a folder that holds slices of one stem and plane.

    Returns
    -------
    Slices
        As written from NPY; from pictures, intensities within the window
        are within half a level of grey, and those beyond are cut off.

    Raises
    ------
    InputError
        If a file is missing, damaged or not what the table says.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("*_slices.json"))
        if len(found) != 1:
            listing = ", ".join(f.name for f in found) or "none"
            raise InputError(
                f"{path} should hold slices of one stem and plane, found: {listing}",
                hint="name the *_slices.json file that is meant",
            )
        path = found[0]
    try:
        return _read(path.with_suffix(".json"))
    except MriprepError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"the slices of {path.name} cannot be read: {error}",
            hint="write them again; a table, a picture or the JSON file is missing or damaged",
        ) from error


# -- writing ----------------------------------------------------------------------------------


def _write_all(slices: Slices, folder: Path, prefix: str, format: str) -> list[str]:
    suffix = ".npy" if format == "npy" else ".png"
    table: list[dict[str, Any]] = []
    files: list[str] = []
    for n, (index, position, content) in enumerate(
        zip(slices.indices, slices.positions, slices.content, strict=True)
    ):
        file = f"{prefix}_slice-{index:04d}{suffix}"
        _save(folder / file, _grey(slices.stack[n], slices.window, format))
        beside = ""
        files.append(file)
        if slices.labels is not None:
            beside = f"{prefix}_slice-{index:04d}_dseg{suffix}"
            files.append(beside)
            _save(folder / beside, _as_picture(slices.labels[n], format))
        row = (file, beside, slices.axis, index, position, content, *slices.window)
        table.append(dict(zip(_COLUMNS, row, strict=True)))
    with (folder / f"{prefix}_slices.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    about = {
        "plane": slices.plane,
        "format": format,
        "view": "radiological",
        "labels": None if slices.labels is None else str(slices.labels.dtype),
        "grid": slices.grid.to_dict(),
    }
    text = json.dumps(about, indent=2) + "\n"
    (folder / f"{prefix}_slices.json").write_text(text, encoding="utf-8")
    return [*files, f"{prefix}_slices.csv", f"{prefix}_slices.json"]


def _grey(
    values: npt.NDArray[np.float32], window: tuple[float, float], format: str
) -> npt.NDArray[Any]:
    if format == "npy":
        return values
    dtype, white = _GREY[format]
    low, high = window
    share = (values.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * white).astype(dtype)


def _as_picture(labels: npt.NDArray[Any], format: str) -> npt.NDArray[Any]:
    if format == "npy":
        return labels
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest > 65535:
        raise InputError(
            f"labels from {lowest} to {highest} do not fit a picture of 16 bit",
            hint="write them as npy",
        )
    return labels.astype(np.uint8 if highest <= 255 else np.uint16)


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    if path.suffix == ".npy":
        np.save(path, array, allow_pickle=False)
        return
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(array)).save(path, format="PNG")


# -- reading ----------------------------------------------------------------------------------


def _read(path: Path) -> Slices:
    about = load_json(path)
    with path.with_suffix(".csv").open(newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    grid = Grid.from_dict(about["grid"])
    window = float(table[0]["window_low"]), float(table[0]["window_high"])
    picture = display_shape(grid, about["plane"])[1:]
    stack = _load_all(path.parent, (row["file"] for row in table), picture)
    if about["format"] != "npy":
        share = stack.astype(np.float64) / _GREY[about["format"]][1]
        stack = window[0] + share * (window[1] - window[0])
    labels = None
    if about["labels"] is not None:
        labels = _load_all(path.parent, (row["labels"] for row in table), picture)
        labels = labels.astype(np.dtype(about["labels"]))
    return Slices(
        stack=stack.astype(np.float32),
        plane=about["plane"],
        indices=tuple(int(row["index"]) for row in table),
        grid=grid,
        window=window,
        content=tuple(float(row["content"]) for row in table),
        labels=labels,
        format=about["format"],
    )


def _load_all(folder: Path, names: Iterable[str], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return np.stack([_load(folder, name, shape) for name in names])


def _load(folder: Path, name: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if name != Path(name).name:
        raise InputError(f"the table names a file outside its folder: '{name}'")
    path = folder / name
    leads_to(path)
    if path.suffix == ".npy":
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    else:
        from PIL import Image

        with Image.open(path, formats=["PNG"]) as picture:
            if picture.size != shape[::-1]:
                raise InputError(f"{name} has {picture.size} pixels, its grid says {shape[::-1]}")
            array = np.asarray(picture)
    if array.shape != shape:
        raise InputError(f"{name} is an array of {array.shape}, its grid says {shape}")
    return array
