"""HDF5: one file, a group a case, arrays in chunks for patches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import words
from .arrays import about_changed, each
from .output import Written
from .selection import Progress, Selection
from .zarr import check_chunk

FILE = "dataset.h5"
#: Edge of a chunk, voxels.
CHUNK = 32


def write(
    selection: Selection,
    folder: Path,
    *,
    progress: Progress | None = None,
    chunk: int = CHUNK,
    compress: bool = False,
) -> Written:
    """Write ``dataset.h5``; compressed chunks are a tenth of the size and read several times slower."""
    import h5py

    check_chunk(chunk)
    cases: dict[str, Any] = {}
    changed = {}
    # No times in the file: equal data sets are equal bytes.
    with h5py.File(folder / FILE, "w", track_order=True) as file:
        for item, arrays in each(selection, progress):
            group = file.create_group(item.case, track_order=True)
            for name, data in {"image": arrays.image, **arrays.companions}.items():
                _array(group, name, data, chunk, compress)
            split = selection.split_of(item)
            group.attrs["affine_ras"] = arrays.affine
            group.attrs["subject"] = item.subject
            group.attrs["facts"] = json.dumps(selection.facts_of(item))
            group.attrs["voxels_sha256"] = json.dumps(dict(arrays.hashes))
            if split:
                group.attrs["split"] = split["split"]
                group.attrs["fold"] = -1 if split["fold"] is None else split["fold"]
            cases[item.case] = {"files": f"{FILE}:/{item.case}", "voxels_sha256": arrays.hashes}
            changed[item.case] = arrays.changed
        file.attrs["schema"] = 1
        file.attrs["contrasts"] = list(selection.contrasts)
        file.attrs["labels"] = json.dumps({str(v): n for v, n in selection.label_names.items()})
        file.attrs["folds"] = np.array(selection.folds, np.int64)
    return Written(
        selection, {"store": FILE, "chunk": chunk, "compress": compress}, cases,
        words.opening(selection, "HDF5 data set") + _README, about_changed(changed),
    )  # fmt: skip


_README = """\
    import h5py

    file = h5py.File("dataset.h5", "r")
    image = file["sub-01/image"]                   # (C, X, Y, Z)
    labels = file["sub-01/labels"]                 # (X, Y, Z)
    patch = image[:, 10:106, 20:116, 30:126]
    affine = file["sub-01"].attrs["affine_ras"]

With torch: mriprep.torch.Dataset(this folder, patch=96), which opens the file once a worker.
"""


def _array(group: Any, name: str, data: npt.NDArray[Any], chunk: int, compress: bool) -> None:
    edges = tuple(min(chunk, n) for n in data.shape[-3:])
    chunks = (*data.shape[:-3], *edges)
    packed = {"compression": "lzf", "shuffle": True} if compress else {}
    group.create_dataset(name, data=data, chunks=chunks, track_times=False, **packed)
