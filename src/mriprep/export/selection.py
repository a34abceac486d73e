"""What is to be exported, decided and checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mriprep.core import GeometryError, Grid, InputError, Role, Volume
from mriprep.io.given import expanded
from mriprep.io.hashes import file_hash

from . import leaks_of_states
from . import splits as splitting
from .collect import Item, LeftOut, gather
from .leaks_of_states import State
from .splits import Splits

#: Facts that go along: what a network may be told of a scan. Names, dates and identifiers are none.
FACTS = (
    "age", "age_group", "sex", "site", "Modality", "MagneticFieldStrength", "Manufacturer",
    "ManufacturersModelName", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle",
    "SliceThickness",
)  # fmt: skip

#: Told how far an export is: the case that is begun, its number, how many there are.
Progress = Callable[[str, int, int], None]

#: Names of labels by value, where they are known.
_LABEL_NAMES = {
    "brain": {1: "brain"},
    "foreground": {1: "foreground"},
    "tissues": {1: "CSF", 2: "GM", 3: "WM"},
}


@dataclass(frozen=True)
class Selection:
    """Cases, channels, labels and folds of an export.

    Parameters
    ----------
    items : tuple of Item
        By name. Every image, mask and label map of an item is on one grid.
    left : tuple of LeftOut
        What is not taken, and why.
    contrasts : tuple of str
        The channels, in order.
    labels : str or None
        What the labels are called; None where no case has any.
    label_names : mapping of int to str
        What values mean, where that is known.
    splits : Splits or None
        Of these items.
    folds : tuple of int
        The folds that are exported.
    states : tuple of State
        Fitted states that went into the images.
    facts : tuple of str
        Which facts go along.
    passed_only : bool
        Whether what failed was left out.
    split_hash : str or None
        SHA-256 of ``splits.tsv``.
    """

    items: tuple[Item, ...]
    left: tuple[LeftOut, ...]
    contrasts: tuple[str, ...]
    labels: str | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    splits: Splits | None = None
    folds: tuple[int, ...] = ()
    states: tuple[State, ...] = ()
    facts: tuple[str, ...] = FACTS
    passed_only: bool = True
    split_hash: str | None = None

    def facts_of(self, item: Item) -> dict[str, Any]:
        """Those facts of a case that go along and are known."""
        found = {name: item.facts.get(name) for name in self.facts}
        return {k: v for k, v in found.items() if isinstance(v, str | int | float)}

    def split_of(self, item: Item) -> dict[str, Any]:
        """A case's part and fold; empty without a split."""
        if self.splits is None:
            return {}
        if item.case in self.splits.test:
            return {"split": "test", "fold": None}
        held = self.splits.val(self.folds[0]) if self.folds else ()
        part = "val" if item.case in held else "train"
        return {"split": part, "fold": self.splits.fold[item.case]}

    def without(self, cases: Mapping[str, str]) -> Selection:
        """The same without some cases, each with why.

        Raises
        ------
        InputError
            If nothing is left, or a fold is left without a case.
        """
        if not cases:
            return self
        left = (*self.left, *(LeftOut(c, why) for c, why in cases.items()))
        items = tuple(i for i in self.items if i.case not in cases)
        _some(items, left)
        splits = self.splits.of(i.case for i in items) if self.splits else None
        done = replace(
            self, items=items, left=tuple(sorted(left, key=lambda x: x.case)), splits=splits
        )
        _whole_folds(splits, self.folds)
        return done


def prepare(
    out: str | Path,
    *,
    contrasts: Sequence[str] | None = None,
    labels: str | None = None,
    passed_only: bool = True,
    fold: int | None = None,
    facts: Sequence[str] = (),
    label_names: Mapping[int, str] | None = None,
    check_states: bool = True,
    progress: Progress | None = None,
) -> Selection:
    """Decide what is exported of a folder, and check it.

    Parameters
    ----------
    out : path
        What `mriprep run` wrote; its ``splits.tsv`` is used if it is there.
    contrasts, labels, passed_only
        As :func:`mriprep.export.collect`.
    fold : int, optional
        Only this fold: its training and its validation part.
    facts : sequence of str
        Facts beyond :data:`FACTS` that go along.
    label_names : mapping of int to str, optional
        What values of labels mean.
    check_states : bool
        Whether fitted states may not have seen what validates or tests; not
        asked where no part of a split is.
    progress : callable, optional
        Told how far the checking is.

    Raises
    ------
    InputError
        If nothing can be exported, a case is not in the split, or a fitted
        state has seen what validates or tests.
    GeometryError
        If images, mask and labels of a case are not on one grid.
    """
    folder = expanded(out)
    found = gather(folder, contrasts, labels, passed_only)
    _some(found.items, found.left)
    splits = _splits(folder, found.items)
    if splits is None and fold is not None:
        raise InputError(
            f"there is no split in '{folder}', so there is no fold {fold}",
            hint="make one: `mriprep split OUT --by subject --folds 5 --seed 1`",
        )
    folds = () if splits is None else tuple(range(splits.folds)) if fold is None else (fold,)
    _whole_folds(splits, folds)
    states = leaks_of_states.check(found.items, splits if check_states else None, folds)
    for number, item in enumerate(found.items, 1):
        if progress is not None:
            progress(f"checking {item.case}", number, len(found.items))
        check_grids(item)
    names = {i.labels_name for i in found.items if i.labels}
    called = next(iter(sorted(n for n in names if n)), None)
    return Selection(
        found.items,
        found.left,
        found.contrasts,
        called,
        {**_LABEL_NAMES.get(called or "", {}), **(label_names or {})},
        splits,
        folds,
        tuple(states),
        tuple(dict.fromkeys([*FACTS, *facts])),
        passed_only,
        file_hash(folder / "splits.tsv") if splits is not None else None,
    )


def _some(items: Sequence[Item], left: Sequence[LeftOut]) -> None:
    if items:
        return
    why: dict[str, int] = {}
    for gone in left:
        why[gone.why] = why.get(gone.why, 0) + 1
    reasons = "; ".join(f"{n} {w}" for w, n in sorted(why.items(), key=lambda x: -x[1])[:4])
    raise InputError(
        f"no case is left to export: {reasons}",
        hint="name contrasts that the cases have, or take those that failed too: --all",
    )


def _splits(folder: Path, items: Sequence[Item]) -> Splits | None:
    if not (folder / "splits.tsv").is_file():
        return None
    return splitting.read(folder).of(i.case for i in items)


def _whole_folds(splits: Splits | None, folds: Sequence[int]) -> None:
    """Refuse folds in which nothing trains or nothing validates."""
    if splits is None:
        return
    for fold in folds:
        for what, cases in (("train", splits.train(fold)), ("validate", splits.val(fold))):
            if not cases:
                raise InputError(
                    f"fold {fold} has no case left to {what}",
                    hint="make the split again of the cases that passed: `mriprep split OUT ...`",
                )


def check_grids(item: Item) -> Grid:
    """The grid of a case's images, mask and labels, from headers alone.

    Raises
    ------
    GeometryError
        If they are not on one.
    """
    from mriprep.io.images import read_grid

    files = [*item.images.values(), *(p for p in (item.mask, item.labels) if p is not None)]
    first = read_grid(files[0])
    for path in files[1:]:
        grid = read_grid(path)
        if not grid.matches(first):
            raise GeometryError(
                f"{item.case}: {path.name} ({grid}) is not on the grid of {files[0].name} ({first})",
                hint="run a recipe for sessions (multimodal) over all contrasts; labels that come"
                " with the scan then follow the image",
            )
    return first


def read_images(item: Item) -> dict[str, Volume]:
    """The images of a case, by contrast."""
    from mriprep.io.images import read_image

    return {c: read_image(p) for c, p in item.images.items()}


def read_companions(item: Item) -> Iterator[tuple[str, Volume]]:
    """``labels`` and ``mask`` of a case, those there are, as whole numbers."""
    from mriprep.io.images import read_image

    if item.labels is not None:
        yield "labels", read_image(item.labels, role=Role.LABELS)
    if item.mask is not None:
        yield "mask", read_image(item.mask, role=Role.MASK)
