"""``mriprep.torch.Dataset``: what a run made, or an export, as a PyTorch data set.

Not loaded by ``import mriprep``: say ``import mriprep.torch``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from mriprep.core import InputError

from .export.shards import Window
from .export.splits import PARTS
from .export.stores import facts_alike, open_store

if TYPE_CHECKING:

    class _Base:
        """In the place of ``torch.utils.data.Dataset``, whose types mypy does not follow."""

else:
    _Base = torch.utils.data.Dataset

Sample = dict[str, Any]


class Dataset(_Base):
    """Cases as tensors, whole or a random patch of each.

    Parameters
    ----------
    out : path
        What `mriprep run` wrote, or an export to zarr or HDF5, from which
        patches are read many times faster.
    split : {"train", "val", "test"}, optional
        Which part; all cases by default.
    fold : int
        Of which fold.
    patch : int or (3,) ints, optional
        Edges of a patch, voxels, at a random place. A case that is smaller
        is padded with zeros at its ends.
    cache : bool
        Keep arrays in memory once they were read. Each worker keeps its own;
        :meth:`load` before they start shares them where workers are forked.
    contrasts, labels, passed_only
        As :func:`mriprep.export.collect`; of an export they are what they
        were.
    seed : int
        Of the patches' places.
    transform : callable, optional
        Done to each sample at the end.

    Notes
    -----
    A sample is a dictionary: ``image`` (C, X, Y, Z) float32, ``labels``
    (1, X, Y, Z) int64 and ``mask`` (1, X, Y, Z) uint8 where there are any,
    ``affine`` (4, 4) float64, index to RAS+ mm, of the patch if it is one,
    ``case``, and ``facts`` with the same names for all cases (NaN or ``n/a``
    where one is not known). Tensors of a cache are copied: change them as you
    like.

    Places of patches follow from `seed`, the epoch that :meth:`set_epoch`
    told and the case, whatever the number of workers. Without
    :meth:`set_epoch` they follow from the worker's seed, which torch draws
    anew each epoch (``torch.manual_seed``), and from how often a case was
    drawn.

    Raises
    ------
    InputError
        If there is nothing of that part, or a fitted state has seen what
        validates or tests.
    """

    def __init__(
        self,
        out: str | Path,
        split: str | None = None,
        fold: int = 0,
        patch: int | Sequence[int] | None = None,
        cache: bool = False,
        *,
        contrasts: Sequence[str] | None = None,
        labels: str | None = None,
        passed_only: bool = True,
        seed: int = 0,
        transform: Callable[[Sample], Any] | None = None,
    ) -> None:
        self.store = open_store(
            out, split=split, fold=fold, contrasts=contrasts, labels=labels,
            passed_only=passed_only,
        )  # fmt: skip
        self.contrasts = self.store.contrasts
        self.cases = self._cases(out, split, fold)
        self.patch = _edges(patch)
        self.cache, self.seed, self.transform = cache, seed, transform
        self._facts = facts_alike({c: self.store.facts(c) for c in self.cases})
        self._parts = self._common_parts()
        self._kept: dict[tuple[str, str], npt.NDArray[Any]] = {}
        self._drawn: dict[int, int] = {}
        # In shared memory: workers that live on from epoch to epoch see it change.
        self._epoch = torch.full((1,), -1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} cases, and no number {index}")
        index = int(index) % len(self)
        case = self.cases[index]
        grid = self.store.grid(case)
        start, window = (0, 0, 0), None
        if self.patch is not None:
            start = self._start(index, grid.shape)
            window = _window(start, self.patch, grid.shape)
        sample: Sample = {}
        for part in self._parts:
            array = self._padded(self._read(case, part, window))
            sample[part] = torch.from_numpy(array)
        affine = np.array(grid.affine)
        affine[:3, 3] = grid.to_world(np.asarray(start, dtype=np.float64))
        sample |= {
            "affine": torch.from_numpy(affine),
            "case": case,
            "facts": dict(self._facts[case]),
        }
        return sample if self.transform is None else self.transform(sample)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins: patches then follow from it alone, whatever the workers."""
        if epoch < 0:
            raise InputError(f"epochs count from 0, got {epoch}")
        self._epoch[0] = epoch

    def load(self) -> Dataset:
        """Read all cases into the cache, before workers are started; the data set itself."""
        self.cache = True
        for case in self.cases:
            for part in self._parts:
                self._read(case, part, (slice(0, 0),) * 3)
        return self

    def _cases(self, out: str | Path, split: str | None, fold: int) -> tuple[str, ...]:
        if split is None:
            return self.store.cases
        if split not in PARTS:
            raise InputError(
                f"'{split}' is not a part of a split", hint=f"accepted: {', '.join(PARTS)}"
            )
        if self.store.splits is None:
            raise InputError(
                f"'{out}' is not split, so it has no part '{split}'",
                hint="make a split: `mriprep split OUT --by subject --folds 5`; export again after it",
            )
        wanted = set(self.store.splits.part(split, fold))
        cases = tuple(c for c in self.store.cases if c in wanted)
        if not cases:
            raise InputError(f"'{out}' has no case in the part '{split}' of fold {fold}")
        return cases

    def _common_parts(self) -> tuple[str, ...]:
        """What every case has: samples of a batch have the same tensors."""
        having = [set(self.store.parts(c)) for c in self.cases]
        return tuple(p for p in ("image", "labels", "mask") if all(p in h for h in having))

    def _read(self, case: str, part: str, window: Window | None) -> npt.NDArray[Any]:
        """A part of a case in memory of its own, as the type that it has as a tensor."""
        if not self.cache:
            array = self.store.read(case, part, window)
        else:
            key = (case, part)
            if key not in self._kept:
                self._kept[key] = self.store.read(case, part, None)
            array = self._kept[key][(slice(None), *(window or (slice(None),) * 3))]
        kind = {"image": np.float32, "labels": np.int64, "mask": np.uint8}[part]
        return np.array(array, dtype=kind, order="C")

    def _padded(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.patch is None or array.shape[1:] == self.patch:
            return array
        after = [(0, n - m) for n, m in zip(self.patch, array.shape[1:], strict=True)]
        return np.pad(array, [(0, 0), *after])

    def _start(self, index: int, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The first voxel of a random patch; every place is as likely."""
        epoch = int(self._epoch[0])
        if epoch >= 0:
            entropy = [self.seed, 0, epoch, index]
        else:
            drawn = self._drawn[index] = self._drawn.get(index, -1) + 1
            entropy = [self.seed, 1, torch.initial_seed() % 2**64, index, drawn]
        draw = np.random.default_rng(entropy)
        assert self.patch is not None
        x, y, z = (
            int(draw.integers(0, max(n - m, 0) + 1)) for n, m in zip(shape, self.patch, strict=True)
        )
        return x, y, z


def _edges(patch: int | Sequence[int] | None) -> tuple[int, int, int] | None:
    if patch is None:
        return None
    edges = np.broadcast_to(np.asarray(patch), 3) if np.size(patch) in (1, 3) else np.zeros(3)
    if edges.dtype.kind not in "iu" or (edges < 1).any():
        raise InputError(f"a patch has one or three edges in voxels, got {patch}")
    x, y, z = (int(n) for n in edges)
    return x, y, z


def _window(
    start: tuple[int, int, int], patch: tuple[int, int, int], shape: tuple[int, int, int]
) -> Window:
    x, y, z = (slice(s, min(s + n, m)) for s, n, m in zip(start, patch, shape, strict=True))
    return x, y, z


__all__ = ["Dataset"]
