"""MONAI: data lists as ``load_decathlon_datalist`` and Auto3DSeg read them.

``datalist.json`` has all cases that train, each with its ``fold``;
``fold-0.json``, ... have ``training`` and ``validation`` of one fold. Where only one
fold is exported, the other folds of ``datalist.json`` would leak: it is not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mriprep.io.atomic import write_json

from . import words
from .collect import Item
from .files import Files, place_all
from .output import Link, Written
from .selection import Progress, Selection


def write(
    selection: Selection,
    folder: Path,
    *,
    link: Link | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write images, labels and masks, and the lists."""
    files = place_all(selection, folder, link, progress)
    entries = {i.case: _entry(selection, i, files[i.case]) for i in selection.items}
    splits = selection.splits
    head = _head(selection)
    held = list(splits.test) if splits else []
    train = [e for c, e in entries.items() if c not in held]
    if splits is not None:
        train = [_with_fold(e, splits.fold[e["case"]]) for e in train]
    test = [entries[c] for c in held]
    if splits is None or len(selection.folds) == splits.folds:
        write_json({**head, "training": train, "test": test}, folder / "datalist.json")
    if splits is not None:
        for fold in selection.folds:
            parts = {
                "training": [entries[c] for c in splits.train(fold)],
                "validation": [entries[c] for c in splits.val(fold)],
                "test": test,
            }
            write_json({**head, "fold": fold, **parts}, folder / f"fold-{fold}.json")
    cases = {c: {"files": f.to_dict()} for c, f in files.items()}
    readme = words.opening(selection, "MONAI data set") + _README
    return Written(selection, {}, cases, readme)


_README = """\
    from monai.data import Dataset, load_decathlon_datalist
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

    items = load_decathlon_datalist("fold-0.json", data_list_key="training")    # validation, test
    data = Dataset(items, LoadImaged(["image", "label"], ensure_channel_first=True))

datalist.json has all cases that train, each with the fold in which it validates, for Auto3DSeg and
for folds of your own. Paths are relative to the list.
"""


def _head(selection: Selection) -> dict[str, Any]:
    return {
        "name": "mriprep",
        "modality": {str(n): c for n, c in enumerate(selection.contrasts)},
        "labels": {
            str(v): n for v, n in sorted({0: "background", **selection.label_names}.items())
        },
        "tensorImageSize": "3D",
    }


def _entry(selection: Selection, item: Item, files: Files) -> dict[str, Any]:
    images = list(files.images.values())
    companions = {"label": files.labels, "mask": files.mask}
    return {
        "image": images if len(images) > 1 else images[0],
        **{k: v for k, v in companions.items() if v},
        "case": item.case,
        "subject": item.subject,
        **selection.facts_of(item),
    }


def _with_fold(entry: Mapping[str, Any], fold: int | None) -> dict[str, Any]:
    """An entry with its fold; one that always trains has none."""
    return dict(entry) if fold is None else {**entry, "fold": fold}
