"""nnU-Net v2: a raw data set, and the folds for its preprocessed one.

Isensee et al. 2021, doi:10.1038/s41592-020-01008-z; the format is nnU-Net's
``documentation/dataset_format.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mriprep.core import InputError, OutputRefused, Role, Volume
from mriprep.io.atomic import write_json

from . import words
from .collect import Item
from .output import Link, Written, place
from .selection import Progress, Selection, read_companions, read_images

_FOLDER = re.compile(r"Dataset(\d{3})_([A-Za-z0-9_-]+)")
_NAME, _NUMBER = "mriprep", 501
_ENDING = ".nii.gz"

#: How many labels a note names.
_TOLD = 8


def target(output: Path, name: str | None, number: int | None) -> Path:
    """The data set's folder: `output` if it is named as one, else one in it.

    Raises
    ------
    OutputError
        If the number or name cannot be nnU-Net's.
    """
    match = _FOLDER.fullmatch(output.name)
    if match:
        if (number or int(match[1])) != int(match[1]) or (name or match[2]) != match[2]:
            raise OutputRefused(
                f"'{output.name}' and the name and number that were given differ",
                hint="say it once: --output nnUNet_raw --number 501 --name Lesions",
            )
        return output
    number = _NUMBER if number is None else number
    name = name or _NAME
    if not 1 <= number <= 999 or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise OutputRefused(
            f"nnU-Net has no data set {number} '{name}'",
            hint="a number from 1 to 999, and a name of letters, digits, - and _",
        )
    return output / f"Dataset{number:03d}_{name}"


def write(
    selection: Selection,
    folder: Path,
    *,
    link: Link | None = None,
    progress: Progress | None = None,
    name: str | None = None,
    number: int | None = None,
) -> Written:
    """Write ``imagesTr``, ``labelsTr``, ``imagesTs``, ``dataset.json`` and ``splits_final.json``.

    Labels that are not 0, 1, 2, ... are numbered anew, which ``dataset.json``
    and ``export.json`` tell. Images are read once, because nnU-Net takes no
    NaN.
    """
    held = set(selection.splits.test) if selection.splits else set()
    if not any(i.labels for i in selection.items if i.case not in held):
        raise InputError(
            "nnU-Net trains on labels, and no case has any",
            hint="give labels with the scans (mriprep run --labels, or a table's column), or name"
            " outputs that serve as labels: --labels brain, --labels tissues",
        )
    selection = selection.without(
        {i.case: "has no labels" for i in selection.items if not i.labels and i.case not in held}
    )
    values: set[int] = set()
    for step, item in enumerate(selection.items, 1):
        if progress is not None:
            progress(f"reading {item.case}", step, len(selection.items))
        values |= _look(item)
    new = _consecutive(values)
    cases = {}
    for step, item in enumerate(selection.items, 1):
        if progress is not None:
            progress(item.case, step, len(selection.items))
        cases[item.case] = _place(item, folder, item.case in held, new, link)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(exist_ok=True)
    about = _dataset_json(selection, new, name or _NAME, held)
    write_json(about, folder / "dataset.json")
    notes = []
    if selection.splits is not None and selection.folds:
        write_json(_folds(selection), folder / "splits_final.json")
        notes.append(
            "copy splits_final.json into nnUNet_preprocessed/DatasetNNN_NAME/ before training: else"
            " nnU-Net makes folds of its own, which know nothing of subjects"
        )
    changed = [f"{old} is {now}" for old, now in new.items() if old != now]
    if changed:
        told = ", ".join(changed[:_TOLD]) + (", ..." if len(changed) > _TOLD else "")
        notes.append(
            f"labels were numbered anew, as nnU-Net wants them: {told} (all of them: dataset.json)"
        )
    return Written(
        selection, {"label_values": {str(k): v for k, v in new.items()}}, cases,
        words.opening(selection, "nnU-Net v2 raw data set") + _README, tuple(notes),
    )  # fmt: skip


_README = """\
Put this folder into nnUNet_raw, then

    nnUNetv2_plan_and_preprocess -d NUMBER --verify_dataset_integrity
    cp splits_final.json $nnUNet_preprocessed/DatasetNNN_NAME/    (if it is here: the folds)
    nnUNetv2_train NUMBER 3d_fullres 0

nnU-Net normalises every channel again (z-score). To keep the intensities as they are, write
"noNorm" for the names of channels in dataset.json before planning.
"""


def _look(item: Item) -> set[int]:
    """The values of a case's labels; its images must be finite."""
    for contrast, volume in read_images(item).items():
        if volume.data.dtype.kind == "f" and not np.isfinite(volume.data).all():
            raise InputError(
                f"{item.case}: the {contrast} holds NaN or infinity, which nnU-Net refuses",
                hint="leave the case out (rate it 'fail'), or run a recipe with apply_mask",
            )
    labels = dict(read_companions(item)).get("labels")
    if labels is None:
        return set()
    values = {int(v) for v in np.unique(labels.data)}
    if min(values) < 0:
        raise InputError(
            f"{item.case}: labels are {min(values)} and more; nnU-Net knows none below 0",
            hint="change them before `mriprep run`",
        )
    return values


def _consecutive(values: set[int]) -> dict[int, int]:
    """Old to new values: background 0, the others 1, 2, ... in their order."""
    others = sorted(values - {0})
    if not others:
        raise InputError(
            "the labels hold nothing but background (0)", hint="are these the right labels?"
        )
    return {0: 0, **{old: new for new, old in enumerate(others, 1)}}


def _place(
    item: Item, folder: Path, test: bool, new: Mapping[int, int], link: Link | None
) -> dict[str, Any]:
    part = "Ts" if test else "Tr"
    images = {c: f"images{part}/{item.case}_{n:04d}{_ENDING}" for n, c in enumerate(item.images)}
    for contrast, path in item.images.items():
        place(path, folder / images[contrast], link)
    if item.labels is None:
        return {"files": {"images": images}}
    labels = f"labels{part}/{item.case}{_ENDING}"
    if all(old == now for old, now in new.items()):
        place(item.labels, folder / labels, link)
    else:
        _renumber(item, folder / labels, new)
    return {"files": {"images": images, "labels": labels}}


def _renumber(item: Item, path: Path, new: Mapping[int, int]) -> None:
    from mriprep.io.images import write_image

    labels = dict(read_companions(item))["labels"]
    old = np.array(sorted(new))
    now = np.array([new[v] for v in sorted(new)], np.int32)
    world = next(iter(item.records.values())).get("SpatialReference")
    meta = {"space": world} if world and world != "orig" else {}
    data = now[np.searchsorted(old, labels.data)]
    write_image(Volume(data, labels.grid, Role.LABELS, meta), path)


def _dataset_json(
    selection: Selection, new: Mapping[int, int], name: str, held: set[str]
) -> dict[str, Any]:
    names: dict[str, int] = {"background": 0}
    for old, now in new.items():
        if old:
            called = selection.label_names.get(old, f"label_{old}")
            names[called if called not in names else f"{called}_{old}"] = now
    return {
        "name": name,
        "channel_names": {str(n): c for n, c in enumerate(selection.contrasts)},
        "labels": names,
        "numTraining": sum(i.case not in held for i in selection.items),
        "file_ending": _ENDING,
        "mriprep": {"label_values": {str(old): now for old, now in new.items()}},
    }


def _folds(selection: Selection) -> list[dict[str, list[str]]]:
    assert selection.splits is not None
    return [
        {"train": list(selection.splits.train(f)), "val": list(selection.splits.val(f))}
        for f in selection.folds
    ]
