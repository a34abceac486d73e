"""WebDataset: tar shards that are read from one end to the other, from a disk or a bucket.

A sample is the members of one key: ``sub-01.image.npy`` (C, X, Y, Z), ``sub-01.labels.npy``,
``sub-01.mask.npy`` (X, Y, Z), ``sub-01.json``. Shards hold cases of one fold, or of the test
part: a fold's training part is the shards of all others.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError

from . import words
from .arrays import Arrays, about_changed, each
from .collect import Item
from .output import Written
from .selection import Progress, Selection

#: A shard is closed when it holds more than this, megabytes.
SHARD_MB = 512


def write(
    selection: Selection,
    folder: Path,
    *,
    progress: Progress | None = None,
    shard_mb: float = SHARD_MB,
) -> Written:
    """Write the shards; the same data set gives the same bytes."""
    shards = Shards(selection, folder, shard_mb)
    cases: dict[str, Any] = {}
    changed = {}
    for item, arrays in each(shards.ordered(), progress):
        name = shards.place(item)
        shards.add(name, [(item.case, _members(selection, item, arrays))])
        cases[item.case] = {"files": name, "voxels_sha256": arrays.hashes}
        changed[item.case] = arrays.changed
    readme = words.opening(selection, "WebDataset shards") + _README
    return Written(selection, {"shards": shards.names}, cases, readme, about_changed(changed))


_README = """\
    import webdataset as wds

    shards = "fold1-{000000..000002}.tar"          # export.json lists them: `shards`
    data = wds.WebDataset(shards, shardshuffle=False).decode().to_tuple("image.npy", "labels.npy", "json")

fold0-... holds the cases that validate in fold 0, and so on: train on the shards of the other
folds. all-... (or train-...) are cases of no fold, test-... the test part. Members are NPY and JSON; without
webdataset, tarfile and numpy read them.
"""


def groups_of(selection: Selection) -> Iterator[tuple[str, Sequence[str]]]:
    """Names of shards, and the cases that they hold."""
    splits, folds = selection.splits, selection.folds
    if splits is None:
        yield "all", [i.case for i in selection.items]
        return
    if len(folds) < splits.folds:  # one fold alone: all that does not validate in it trains
        yield "train", splits.train(folds[0])
    else:
        held = {*splits.test}
        yield "all", [c for c, f in splits.fold.items() if f is None and c not in held]
    for fold in folds:
        yield f"fold{fold}", splits.val(fold)
    yield "test", splits.test


class Shards:
    """Tar files that fill up, each of cases of one fold or part.

    Parameters
    ----------
    selection : Selection
        What is exported.
    folder : Path
        Where the files go.
    shard_mb : float
        A file that holds more is not added to.
    """

    def __init__(self, selection: Selection, folder: Path, shard_mb: float) -> None:
        if shard_mb <= 0:
            raise InputError(f"shards of {shard_mb} MB", hint="give a number above 0")
        self._selection, self._folder, self._most = selection, folder, shard_mb * 1e6
        self._inside = {c: group for group, cases in groups_of(selection) for c in cases}
        self._filled = 0
        #: Files by fold or part.
        self.names: dict[str, list[str]] = {}

    def ordered(self) -> Selection:
        """The cases in the order in which they are to be added: those of a fold together."""
        place = {c: n for n, c in enumerate(self._inside)}
        items = sorted(self._selection.items, key=lambda i: place[i.case])
        return replace(self._selection, items=tuple(items))

    def place(self, item: Item) -> str:
        """The file that a case goes into; a new one where the last is full."""
        group = self._inside[item.case]
        names = self.names.setdefault(group, [])
        if not names or self._filled > self._most:
            names.append(f"{group}-{len(names):06d}.tar")
            self._filled = 0
        return names[-1]

    def add(self, name: str, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> None:
        """Add samples, key and members each, to the file that was placed last."""
        with tarfile.open(self._folder / name, "a", format=tarfile.PAX_FORMAT) as tar:
            self._filled += sum(_add(tar, key, members) for key, members in samples)


def _members(selection: Selection, item: Item, arrays: Arrays) -> dict[str, bytes]:
    """What a case's sample holds."""
    about = {
        "case": item.case,
        "subject": item.subject,
        **selection.split_of(item),
        "contrasts": list(selection.contrasts),
        "affine_ras": arrays.affine.tolist(),
        "facts": selection.facts_of(item),
        "voxels_sha256": dict(arrays.hashes),
    }
    members = {"image.npy": npy(arrays.image)}
    members |= {f"{n}.npy": npy(data) for n, data in arrays.companions.items()}
    return {**members, "json": json.dumps(about, sort_keys=True).encode()}


def _add(tar: tarfile.TarFile, key: str, members: Mapping[str, bytes]) -> int:
    """Add a sample's members, each named after its key; how many bytes they take."""
    for name, content in members.items():
        entry = tarfile.TarInfo(f"{key}.{name}")  # mtime 0, no owner: equal bytes
        entry.size = len(content)
        entry.mode = 0o644
        tar.addfile(entry, io.BytesIO(content))
    return sum(map(len, members.values()))


def npy(data: npt.NDArray[Any]) -> bytes:
    """An array as a file of NumPy's holds it."""
    stream = io.BytesIO()
    np.save(stream, data, allow_pickle=False)
    return stream.getvalue()
