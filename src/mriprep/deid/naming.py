"""New names of files and folders: codes, and words that are known to name no one."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from .keyed import Keyed
from .words import DESCRIBING, ENTITIES, FOLDERS, SUFFIXES

_EXTENSIONS = (".nii.gz", ".nii", ".json", ".bval", ".bvec")


def extension(name: str) -> str:
    """The extension of a file that is copied, in lower case; empty for another."""
    low = name.lower()
    return next((e for e in _EXTENSIONS if low.endswith(e) and len(low) > len(e)), "")


#: Of files that a sidecar may describe: images of all formats, and BIDS' tables.
_DESCRIBED = (
    ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".hdr", ".img", ".tsv.gz", ".tsv",
)  # fmt: skip


def described(path: PurePosixPath) -> PurePosixPath | None:
    """The path without its extension where a sidecar may be about such a file, else None."""
    low = path.name.lower()
    ending = next((e for e in _DESCRIBED if low.endswith(e)), "")
    return path.with_name(path.name[: -len(ending)]) if ending and len(low) > len(ending) else None


def renamed(path: PurePosixPath, keyed: Keyed) -> PurePosixPath:
    """The new name of a file, by its name in the input.

    Subjects get the code that DICOM files of the same identifier get. Files
    whose names differ in their extension alone still do so afterwards.
    """
    ending = extension(path.name)
    stem = path.name[: len(path.name) - len(ending)]
    parts = [_folder(p, keyed) for p in path.parent.parts]
    if re.match(r"sub-[^_]+(_|$)", stem):
        return PurePosixPath(*parts, _bids(stem, keyed) + ending)
    if stem == "dataset_description" and ending == ".json" and not parts:
        return PurePosixPath(path.name.lower())
    code = keyed.code("file", str(path.parent / stem))
    suffix = SUFFIXES.get(re.split(r"[_\-. ]", stem)[-1].lower())
    return PurePosixPath(*parts, f"image-{code}{f'_{suffix}' if suffix else ''}{ending}")


def subject_of(path: PurePosixPath) -> str:
    """The label of the subject in a BIDS path; empty where there is none."""
    for part in reversed(path.parts):
        found = re.match(r"sub-([^_./]+)", part)
        if found:
            return found[1]
    return ""


def _folder(part: str, keyed: Keyed) -> str:
    for entity in ("sub", "ses"):
        if part.startswith(f"{entity}-"):
            return _entity(entity, part[4:], keyed)
    return part if part in FOLDERS else f"folder-{keyed.code('folder', part, 8)}"


def _bids(stem: str, keyed: Keyed) -> str:
    *pairs, suffix = stem.split("_")
    if "-" in suffix:
        pairs, suffix = [*pairs, suffix], "image"
    new = []
    for pair in pairs:
        entity, _, label = pair.partition("-")
        if entity in ("sub", "ses", *ENTITIES):
            new.append(_entity(entity, label, keyed))
        else:
            new.append(f"desc-{keyed.code('entity', pair, 6)}")
    known = SUFFIXES.get(suffix.lower())
    return "_".join([*new, known or f"desc-{keyed.code('suffix', suffix, 6)}_image"])


def _entity(entity: str, label: str, keyed: Keyed) -> str:
    if entity == "sub":
        return f"sub-{keyed.subject(label)}"
    plain = re.fullmatch(r"[0-9]{1,2}", label) or (entity != "ses" and label.lower() in DESCRIBING)
    return f"{entity}-{label if plain else keyed.code(entity, label, 6)}"
