"""Reading cases for training, whole or a patch: from a run's outputs, a zarr or an HDF5 export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineMissing, Grid, InputError
from mriprep.io.given import expanded
from mriprep.io.images import read_grid, read_image

from . import hdf5, output, zarr
from . import splits as splitting
from .selection import Selection, prepare
from .shards import ShardedArray, Window, attributes
from .splits import Splits, check_fold


class Store(Protocol):
    """Cases that can be read.

    ``parts`` are ``image``, and ``labels`` and ``mask`` where there are any.
    """

    cases: tuple[str, ...]
    contrasts: tuple[str, ...]
    splits: Splits | None

    def facts(self, case: str) -> Mapping[str, Any]:
        """What is known of a case."""
        ...

    def grid(self, case: str) -> Grid:
        """Where its voxels lie; no voxel is read."""
        ...

    def parts(self, case: str) -> tuple[str, ...]:
        """Which arrays it has."""
        ...

    def read(self, case: str, part: str, window: Window | None) -> npt.NDArray[Any]:
        """An array, (C, X, Y, Z), or the part of it in a window of voxels."""
        ...


def open_store(
    path: str | Path,
    *,
    split: str | None = None,
    fold: int = 0,
    contrasts: Sequence[str] | None = None,
    labels: str | None = None,
    passed_only: bool = True,
) -> Store:
    """Whatever lies at a path: a run's outputs, or an export to zarr or HDF5.

    Raises
    ------
    InputError
        If it is another export, or not split where a part is asked for.
    EngineMissing
        If the package that reads it is not installed.
    """
    folder = expanded(path)
    if not output.is_export(folder):
        if split is not None:
            splitting.read(folder)  # without a split there is no part: said before anything else
        selection = prepare(
            folder, contrasts=contrasts, labels=labels, passed_only=passed_only,
            fold=None if split is None else fold, check_states=split is not None,
        )  # fmt: skip
        return RunStore(selection)
    note = output.read_note(folder)
    if contrasts is not None or labels is not None:
        raise InputError(
            f"'{folder}' is an export, whose contrasts and labels are what they are",
            hint=f"it has {', '.join(note['contrasts'])}; leave contrasts and labels out",
        )
    if split is not None and note["folds"]:
        check_fold(split, fold, note["folds"])
    match note["format"]:
        case "zarr":
            return ZarrStore(folder, note)
        case "hdf5":
            return Hdf5Store(folder, note)
    raise InputError(
        f"'{folder}' is an export to {note['format']}, which has loaders of its own",
        hint="give the folder that `mriprep run` wrote, or an export to zarr or hdf5",
    )


class RunStore:
    """What `mriprep run` wrote: compressed files, of which a patch costs as much as the whole."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.items = {i.case: i for i in selection.items}
        self.cases = tuple(self.items)
        self.contrasts = selection.contrasts
        self.splits = selection.splits

    def facts(self, case: str) -> Mapping[str, Any]:
        """What is known of a case."""
        return self.selection.facts_of(self.items[case])

    def grid(self, case: str) -> Grid:
        """Where its voxels lie."""
        return read_grid(next(iter(self.items[case].images.values())))

    def parts(self, case: str) -> tuple[str, ...]:
        """Which arrays it has."""
        item = self.items[case]
        there = {"labels": item.labels, "mask": item.mask}
        return ("image", *(n for n, p in there.items() if p is not None))

    def read(self, case: str, part: str, window: Window | None) -> npt.NDArray[Any]:
        """An array (C, X, Y, Z)."""
        item = self.items[case]
        at = window or (slice(None),) * 3
        if part == "image":
            return np.stack([read_image(p).data[at] for p in item.images.values()])
        path = item.labels if part == "labels" else item.mask
        assert path is not None, part
        data = read_image(path, role=part).data[at]
        return data[None].astype(np.uint8) if part == "mask" else data[None]


class _Export:
    """What exports have in common: their note says all but the voxels."""

    def __init__(self, folder: Path, note: Mapping[str, Any], needs: str) -> None:
        import importlib.util

        if importlib.util.find_spec(needs) is None:
            raise EngineMissing(
                f"this export needs the package {needs}, which is not installed",
                hint='pip install "mriprep[export]"',
            )
        self.folder, self.about = folder, note["cases"]
        self.cases = tuple(self.about)
        self.contrasts = tuple(note["contrasts"])
        parted = {c: a for c, a in self.about.items() if "split" in a}
        self.splits = Splits.from_dict(parted) if parted else None
        self._grids: dict[str, Grid] = {}

    def facts(self, case: str) -> Mapping[str, Any]:
        """What is known of a case."""
        facts: Mapping[str, Any] = self.about[case]["facts"]
        return facts

    def parts(self, case: str) -> tuple[str, ...]:
        """Which arrays it has."""
        there = self.about[case]["voxels_sha256"]
        return ("image", *(n for n in ("labels", "mask") if n in there))


class ZarrStore(_Export):
    """An export to zarr."""

    def __init__(self, folder: Path, note: Mapping[str, Any]) -> None:
        super().__init__(folder, note, "numcodecs")
        self._arrays: dict[tuple[str, str], ShardedArray] = {}

    def _array(self, case: str, part: str) -> ShardedArray:
        if (case, part) not in self._arrays:  # opening one reads its metadata
            inner = "0" if part == "image" else f"labels/{part}/0"
            self._arrays[case, part] = ShardedArray(self.folder / zarr.STORE / case / inner)
        return self._arrays[case, part]

    def grid(self, case: str) -> Grid:
        """Where its voxels lie."""
        if case not in self._grids:
            about = attributes(self.folder / zarr.STORE / case)
            x, y, z = self._array(case, "image").space
            self._grids[case] = Grid((x, y, z), about["mriprep"]["affine_ras"])
        return self._grids[case]

    def read(self, case: str, part: str, window: Window | None) -> npt.NDArray[Any]:
        """An array (C, X, Y, Z)."""
        data = self._array(case, part).read(window)
        return data if part == "image" else data[None]


class Hdf5Store(_Export):
    """An export to HDF5."""

    def __init__(self, folder: Path, note: Mapping[str, Any]) -> None:
        super().__init__(folder, note, "h5py")
        self._opened: tuple[int, Any] | None = None

    @property
    def _file(self) -> Any:
        """The file; each process opens its own, because open ones do not survive a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            import h5py

            self._opened = (os.getpid(), h5py.File(self.folder / hdf5.FILE, "r"))
        return self._opened[1]

    def grid(self, case: str) -> Grid:
        """Where its voxels lie."""
        if case not in self._grids:
            group = self._file[case]
            self._grids[case] = Grid(group["image"].shape[1:], group.attrs["affine_ras"])
        return self._grids[case]

    def read(self, case: str, part: str, window: Window | None) -> npt.NDArray[Any]:
        """An array (C, X, Y, Z)."""
        array, at = self._file[f"{case}/{part}"], window or (slice(None),) * 3
        if part == "image":
            return np.asarray(array[(slice(None), *at)])
        return np.asarray(array[at])[None]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def facts_alike(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Facts with the same names for all cases, so that they batch: NaN and ``n/a`` where unknown."""
    names = sorted({n for facts in found.values() for n in facts})
    kinds = {n: [f[n] for f in found.values() if n in f] for n in names}
    numeric = {
        n: all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        for n, values in kinds.items()
    }
    return {
        case: {
            n: float(facts.get(n, float("nan"))) if numeric[n] else str(facts.get(n, "n/a"))
            for n in names
        }
        for case, facts in found.items()
    }
