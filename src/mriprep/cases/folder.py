"""Cases of a folder of images, by the names of the files and of their folders."""

from __future__ import annotations

import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mriprep.core import InputError, MriprepWarning
from mriprep.intake import DERIVED, IMAGE, case_name, is_image
from mriprep.io.images import contrast_of
from mriprep.outputs import is_derivative

from .source import CaseSource, ImageSource, clean, in_order, label_of, name_of, sex_of
from .table import read_rows

#: What masks and segmentations are called at their end.
_COMPANIONS = {
    "mask": "mask", "seg": "labels", "dseg": "labels", "labels": "labels", "label": "labels",
}  # fmt: skip
_ENTITIES = re.compile(r"(?<![A-Za-z0-9])sub-([A-Za-z0-9]+)(?:_ses-([A-Za-z0-9]+))?")
_SESSION = re.compile(r"ses-([A-Za-z0-9]+)$")


def images_below(folder: Path) -> list[Path]:
    """The image files in a folder and below it, sorted; not hidden ones, nor in derivatives."""
    found = []
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and not is_derivative(Path(inside, f))
        )
        found += [Path(inside, n) for n in sorted(names) if n[0] != "." and is_image(n)]
    return found


def from_folder(folder: Path, files: Iterable[Path] | None = None) -> list[CaseSource]:
    """Cases of a folder of images (NIfTI, MGH, NRRD, MetaImage), with all its subfolders.

    A file's case is what its name says (``sub-01_ses-2_T1w.nii.gz``), or its
    folder's (``sub-01/T1w.nii.gz``), or what its name begins with
    (``patient7_t1.nii.gz``); its contrast is what its name ends on. Masks and
    segmentations end on ``mask``, ``seg``, ``dseg`` or ``labels``. Where no
    name tells a contrast, every file is a case of its own. Ages and the like
    come from a ``participants.tsv`` in the folder.

    Raises
    ------
    InputError
        If there is no image, or two are of the same contrast of one case.

    Warns
    -----
    MriprepWarning
        Of files that are left out.
    """
    there = images_below(folder) if files is None else list(files)
    made = [f.name for f in there if DERIVED.search(f.name)]
    there = [f for f in there if not DERIVED.search(f.name)]
    if not there:
        raise InputError(
            f"there is no {'scan' if made else 'image'} in '{folder.name}'"
            + (f": {_some(made)} are made of scans (desc-, space-)" if made else ""),
            hint="give the folder of the scans" if made else "give .nii.gz files",
        )
    if made:
        warnings.warn(left_derived(made), MriprepWarning, stacklevel=3)
    told = [(f, *_told(f)) for f in there]
    if not any(contrast for _, contrast, role, _ in told if role == "image"):
        return with_participants(_one_each(folder, there), folder)
    cases: dict[tuple[str, str | None], list[ImageSource]] = defaultdict(list)
    spellings: dict[str, str] = {}
    left = []
    for file, contrast, role, begin in told:
        if contrast is None and role == "image":
            left.append(file.name)
            continue
        subject, session = _whose(file, begin, folder)
        label = label_of(subject, "sub")
        if spellings.setdefault(label, subject) != subject:
            raise InputError(
                f"'{spellings[label]}' and '{subject}' would both be called sub-{label}",
                hint="files are named by letters and digits alone: rename one of them",
            )
        cases[label, session].append(ImageSource(contrast, str(file.absolute()), role=role))
    if left:
        warnings.warn(
            f"left out {len(left)} images whose names do not end on a contrast: {_some(left)}",
            MriprepWarning,
            stacklevel=3,
        )
    found = [_case(*whose, images) for whose, images in cases.items()]
    found = [c for c in found if c.contrasts]
    return with_participants(sorted(found, key=lambda c: c.name), folder)


def left_derived(names: list[str]) -> str:
    """What is said of files that are no scans."""
    return f"left out {len(names)} images made of scans (desc-, space-): {_some(names)}"


def _told(file: Path) -> tuple[str | None, str, str]:
    """Contrast, role and beginning of a file's name."""
    stem = IMAGE.sub("", file.name)
    words = re.split(r"[_.-]", stem)
    role = _COMPANIONS.get(words[-1].lower(), "image")
    begin = stem
    if role != "image":
        begin = begin[: -len(words[-1])].rstrip("_.-")
        words = words[:-1]
        while words and contrast_of(f"{words[-1]}.nii") is None:  # T1c_brain-mask is of T1c
            words = words[:-1]
        if not words:
            return None, role, begin
        begin = begin[: begin.rindex(words[-1]) + len(words[-1])]
    contrast = contrast_of(f"{words[-1]}.nii")
    if contrast == "T1w" and re.search(r"(^|_)ce-", stem):
        contrast = "T1c"
    if contrast is not None:
        begin = begin[: -len(words[-1])].rstrip("_.-")
    return contrast, role, begin


def _whose(file: Path, begin: str, root: Path) -> tuple[str, str | None]:
    match = _ENTITIES.search(file.name)
    if match:
        return match[1], match[2]
    session = next((m[1] for p in file.parents if (m := _SESSION.fullmatch(p.name))), None)
    for parent in file.parents:
        if (match := _ENTITIES.fullmatch(parent.name)) is not None:
            return match[1], match[2] or session
        if parent == root:
            break
    # A word that all of a folder's files could begin with says less than the folder's name.
    return (begin or file.parent.name or "case"), session


def _one_each(folder: Path, files: Iterable[Path]) -> list[CaseSource]:
    cases: dict[str, CaseSource] = {}
    for file in files:
        if IMAGE.sub("", file.name).split("_")[-1].lower() in _COMPANIONS:
            continue
        name = case_name(file, "case")
        if name in cases:
            raise InputError(
                f"'{file.name}' and '{Path(cases[name].images[0].path).name}' would both be called"
                f" {name}",
                hint="rename one of them, or list the images in a table (subject, contrast, path)",
            )
        subject, _, session = name.removeprefix("sub-").partition("_ses-")
        image = ImageSource(None, str(file.absolute()))
        cases[name] = CaseSource(name, subject, session or None, (image,))
    return list(cases.values())


def _case(subject: str, session: str | None, images: list[ImageSource]) -> CaseSource:
    name = name_of(subject, session)
    by_contrast: dict[str | None, list[str]] = defaultdict(list)
    for image in images:
        if image.role == "image":
            by_contrast[image.contrast].append(Path(image.path).name)
    for contrast, names in by_contrast.items():
        if len(names) > 1:
            raise InputError(
                f"{len(names)} images of {name} are {contrast}: {_some(names)}",
                hint="keep one of each contrast, or list those that you mean in a table"
                " (subject, session, contrast, path)",
            )
    return CaseSource(name, subject, session, in_order(images))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


# -- participants.tsv -------------------------------------------------------------------------

_ABOUT = {"age": "age", "sex": "sex", "gender": "sex", "site": "site", "group": "label",
          "diagnosis": "label", "label": "label", "split": "split"}  # fmt: skip


def with_participants(cases: Iterable[CaseSource], folder: Path) -> list[CaseSource]:
    """Cases with what a folder's ``participants.tsv`` says of them, where it is there."""
    table = folder / "participants.tsv"
    if not table.is_file():
        return list(cases)
    told: dict[str, Mapping[str, Any]] = {}
    for row in read_rows(table):
        named = {str(k).strip().lower(): v for k, v in row.items()}
        who = clean(named.get("participant_id"))
        if who:
            told[who.removeprefix("sub-")] = named
    return [_informed(c, told.get(c.subject, {})) for c in cases]


def _informed(case: CaseSource, row: Mapping[str, Any]) -> CaseSource:
    new: dict[str, Any] = {}
    for column, name in _ABOUT.items():
        value = clean(row.get(column))
        if value is None or getattr(case, name) is not None or name in new:
            continue
        if name == "age":
            continue  # settled when it is read: a session's own table comes first, with its units
        new[name] = sex_of(value) if name == "sex" else value
    return replace(case, **new)
