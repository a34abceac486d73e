"""Image files that are taken as they are: names in an export, copied or linked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .collect import Item
from .output import Link, place
from .selection import Progress, Selection


@dataclass(frozen=True)
class Files:
    """Where a case's files lie, relative to the export."""

    images: Mapping[str, str]
    labels: str | None
    mask: str | None

    def to_dict(self) -> dict[str, object]:
        """As plain data."""
        found = {"images": dict(self.images), "labels": self.labels, "mask": self.mask}
        return {k: v for k, v in found.items() if v}


def place_all(
    selection: Selection, folder: Path, link: Link | None, progress: Progress | None
) -> dict[str, Files]:
    """Put the files of every case into ``images``, ``labels`` and ``masks``."""
    done = {}
    for number, item in enumerate(selection.items, 1):
        if progress is not None:
            progress(item.case, number, len(selection.items))
        done[item.case] = _place(item, folder, link)
    return done


def _place(item: Item, folder: Path, link: Link | None) -> Files:
    names = Files(
        {c: f"images/{item.case}_{c}.nii.gz" for c in item.images},
        f"labels/{item.case}.nii.gz" if item.labels else None,
        f"masks/{item.case}.nii.gz" if item.mask else None,
    )
    for contrast, path in item.images.items():
        place(path, folder / names.images[contrast], link)
    if item.labels and names.labels:
        place(item.labels, folder / names.labels, link)
    if item.mask and names.mask:
        place(item.mask, folder / names.mask, link)
    return names
