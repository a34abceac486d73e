"""Slices: pictures or arrays of two dimensions, all contrasts as channels, with an index of them.

A sample is ``sub-01_plane-axial_slice-0093``: the slice at index 93 of the case's own array axis.
``index.csv`` and ``index.parquet`` have a row a sample. Slices are turned and flipped as
radiologists see them, see :class:`mriprep.core.Slices`; nothing is interpolated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError
from mriprep.core.errors import nearest
from mriprep.core.slices import PLANES

from . import words
from .arrays import Arrays, about_changed, each
from .collect import Item
from .output import Written
from .selection import Progress, Selection
from .slicing import Cut, Format, Keep, channel_names, cut, written
from .webdataset import SHARD_MB, Shards, npy

INDEX = "index"


def write(
    selection: Selection,
    folder: Path,
    *,
    progress: Progress | None = None,
    plane: str = "axial",
    format: Format = "npy",
    keep: Keep = "content",
    content: float = 0.05,
    every: int = 1,
    spacing: float | None = None,
    neighbours: int = 0,
    window: Sequence[float] = (0.5, 99.5),
    shard_mb: float = SHARD_MB,
) -> Written:
    """Write slices and their index.

    Parameters
    ----------
    selection : Selection
        What is to be written.
    folder : Path
        Where to.
    progress : callable, optional
        Told how far it is.
    plane : {"axial", "coronal", "sagittal"}
        Of an oblique volume the nearest one.
    format : {"npy", "npz", "png8", "png16", "webdataset"}
        ``npy``: image (C, H, W), labels and mask (H, W), a file each.
        ``npz``: one file a sample. ``png8``, ``png16``: a picture a
        contrast, within its window. ``webdataset``: tar shards, those of a
        fold apart.
    keep : {"content", "mask", "label"}
        What counts as content, see :func:`mriprep.slices`.
    content : float
        Least content of a slice, as a share of the fullest one's.
    every : int
        Take every so manieth slice.
    spacing : float, optional
        Instead: about so far apart, mm.
    neighbours : int
        So many slices on each side are channels too (2.5D): of each contrast
        2k+1, in the order in which they lie. At the ends of the volume the
        last one stands for those that are missing. Not for pictures.
    window : (2,) floats
        Percentiles within the mask (or the foreground) of a case's image that
        are black and white in pictures; recorded for every format.
    shard_mb : float
        About how large a shard may become, megabytes.

    Raises
    ------
    InputError
        If an option cannot be, or nothing is kept of any case.
    """
    _check(selection, plane, format, keep, content, every, spacing, neighbours, window)
    shards = Shards(selection, folder, shard_mb) if format == "webdataset" else None
    rows: list[dict[str, Any]] = []
    cases: dict[str, Any] = {}
    changed: dict[str, tuple[str, ...]] = {}
    empty: dict[str, str] = {}
    for item, arrays in each(shards.ordered() if shards else selection, progress):
        found = cut(
            arrays, plane=plane, keep=keep, content=content, every=every, spacing=spacing,
            neighbours=neighbours, window=(window[0], window[1]), contrasts=selection.contrasts,
            case=item.case,
        )  # fmt: skip
        if isinstance(found, str):
            empty[item.case] = f"has no slices: {found}"
            continue
        new = [_row(selection, item, arrays, found, n) for n in range(len(found.indices))]
        if shards is None:
            _put(folder, item, found, new, format)
        else:
            name = shards.place(item)
            new = [{**row, "shard": name} for row in new]
            shards.add(name, _members(found, new))
        rows += new
        changed[item.case] = arrays.changed
        cases[item.case] = {
            "slices": len(found.indices),
            "windows": dict(zip(selection.contrasts, found.windows, strict=True)),
            "grid": Grid(arrays.image.shape[1:], arrays.affine).to_dict(),
            "voxels_sha256": arrays.hashes,
        }
    selection = selection.without(empty)
    rows.sort(key=lambda r: (r["case"], r["index"]))
    columns = _write_index(rows, selection, folder)
    about = {
        "plane": plane,
        "slice_format": format,
        "view": "radiological",
        "channels": channel_names(selection.contrasts, neighbours),
        "keep": keep,
        "content": content,
        "every": every,
        "spacing_mm": spacing,
        "window_percentiles": list(window),
        "samples": len(rows),
        "columns": columns,
        **({"shards": shards.names} if shards else {}),
    }
    readme = words.opening(selection, f"{plane.capitalize()} slices ({format})") + _README
    return Written(selection, about, cases, readme, about_changed(changed))


_README = """\
index.csv and index.parquet have a row a sample: its files (or shard), case, subject, split, fold, where it
lies (index, position_mm), the windows of its contrasts, and how many pixels each label has.

    import pandas, numpy
    index = pandas.read_parquet("index.parquet")
    train = index[(index.split != "test") & (index.fold != 0)]
    image = numpy.load(train.image.iloc[0])        # npy: (C, H, W)

Predictions go back into the volume: write them as sub-01/sub-01_plane-axial_slice-0093.png (or .npy), a
folder a case, and mriprep restore sub-01/ sub-01_native.nii.gz --record OUT
"""


def _put(folder: Path, item: Item, found: Cut, rows: list[dict[str, Any]], form: str) -> None:
    """Write a case's samples as files, and name these in the rows."""
    for n, row in enumerate(rows):
        for column, (name, array) in written(found, n, row["sample"], form).items():
            path = folder / column.partition("_")[0] / item.case / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _save(path, array)
            row[column] = path.relative_to(folder).as_posix()


def _members(found: Cut, rows: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A case's samples as keys and members of a shard."""
    for n, row in enumerate(rows):
        members = {"image.npy": npy(found.image(n))}
        members |= {f"{k}.npy": npy(v[n]) for k, v in found.companions.items()}
        yield row["sample"], {**members, "json": json.dumps(row, sort_keys=True).encode()}


def _save(path: Path, content: Any) -> None:
    if path.suffix == ".npy":
        np.save(path, content, allow_pickle=False)
    elif path.suffix == ".npz":
        np.savez_compressed(path, **content)
    else:
        from PIL import Image

        Image.fromarray(np.ascontiguousarray(content)).save(path, format="PNG")


# -- the index --------------------------------------------------------------------------------


def _row(selection: Selection, item: Item, arrays: Arrays, found: Cut, n: int) -> dict[str, Any]:
    """What the index says of a sample, its files apart."""
    index = found.indices[n]
    row: dict[str, Any] = {
        "sample": f"{item.case}_plane-{found.plane}_slice-{index:04d}",
        "case": item.case,
        "subject": item.subject,
        "session": item.session,
        "plane": found.plane,
        "axis": found.axis,
        "index": index,
        "position_mm": round(found.positions[n], 4),
        "height": found.shape[0],
        "width": found.shape[1],
        "spacing_rows_mm": round(found.spacing[0], 6),
        "spacing_columns_mm": round(found.spacing[1], 6),
        "content": round(found.content[n], 6),
    }
    for contrast, (low, high) in zip(selection.contrasts, found.windows, strict=True):
        row |= {f"window_low_{contrast}": low, f"window_high_{contrast}": high}
    row |= selection.split_of(item)
    row |= selection.facts_of(item)
    for value, pixels in zip(*_counts(found.companions, n), strict=True):
        row[f"label_{value}"] = pixels
    if "mask" in found.companions:
        row["mask_pixels"] = int(np.count_nonzero(found.companions["mask"][n]))
    return row


def _counts(companions: Mapping[str, npt.NDArray[Any]], n: int) -> tuple[list[int], list[int]]:
    """Labels of a slice, background apart, and their pixels."""
    if "labels" not in companions:
        return [], []
    values, pixels = np.unique(companions["labels"][n], return_counts=True)
    known = values != 0
    return values[known].tolist(), pixels[known].tolist()


def _write_index(rows: list[dict[str, Any]], selection: Selection, folder: Path) -> list[str]:
    """Both tables: the same columns, in the same order; what is not known is empty."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    labels = sorted(
        {c for r in rows for c in r if c.startswith("label_")}, key=lambda c: int(c[6:])
    )
    files = sorted({c for r in rows for c in r if c.partition("_")[0] in ("image", "labels")
                    or c in ("mask", "shard")})  # fmt: skip
    first = ["sample", *files]
    facts = [f for f in selection.facts if any(f in r for r in rows)]
    others = list(dict.fromkeys(c for r in rows for c in r))
    last = [*facts, *labels, "mask_pixels"]
    columns = [
        *first,
        *(c for c in others if c not in {*first, *last}),
        *(c for c in last if c in others),
    ]
    with_labels = {r["case"] for r in rows if any(c in r for c in ("labels", *labels))}
    for row in rows:
        if row["case"] in with_labels:
            row |= {c: row.get(c, 0) for c in labels}
    table = pa.table({c: _column([r.get(c) for r in rows]) for c in columns})
    # Opened here: it takes names for UTF-8, and for addresses.
    with (folder / f"{INDEX}.parquet").open("wb") as file:
        parquet.write_table(table, file)
    with (folder / f"{INDEX}.csv").open("wb") as file:
        csv.write_csv(table, file)
    return columns


def _column(values: list[Any]) -> list[Any]:
    """Values of one type: numbers, or texts where one is a text."""
    known = [v for v in values if v is not None]
    if any(isinstance(v, str) for v in known):
        return [None if v is None else str(v) for v in values]
    if any(isinstance(v, float) for v in known):
        return [None if v is None else float(v) for v in values]
    return values


# -- what can be asked for --------------------------------------------------------------------


def _check(
    selection: Selection,
    plane: str,
    format: str,
    keep: str,
    content: float,
    every: int,
    spacing: float | None,
    neighbours: int,
    window: Sequence[float],
) -> None:
    for what, value, accepted in (
        ("plane", plane, tuple(PLANES)),
        ("format of slices", format, get_args(Format)),
        ("way to keep slices", keep, get_args(Keep)),
    ):
        if value not in accepted:
            raise InputError(f"'{value}' is no {what}", hint=nearest(str(value), accepted))
    if every < 1 or (spacing is not None and not spacing > 0):
        raise InputError("slices are taken by a number from 1 up, or a distance above 0 mm")
    if spacing is not None and every != 1:
        raise InputError("both every and spacing are asked for", hint="give one of them")
    if not 0 <= content <= 1:
        raise InputError(f"a content of {content:g}", hint="a share, from 0 to 1")
    if len(window) != 2 or not 0 <= window[0] < window[1] <= 100:
        raise InputError(
            "a window is two percentiles, the lower first", hint="for instance 0.5 99.5"
        )
    if not 0 <= neighbours <= 16:
        raise InputError(f"{neighbours} neighbours", hint="from 0 to 16")
    if neighbours and format.startswith("png"):
        raise InputError(
            "a picture has no place for neighbours",
            hint="npy, npz or webdataset; of pictures, load those of the indices beside",
        )
    if keep == "label" and not any(i.labels for i in selection.items):
        raise InputError(
            "slices with labels are to be kept, and no case has any",
            hint="say which labels: --labels NAME, or --keep content",
        )
