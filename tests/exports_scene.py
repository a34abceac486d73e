"""Four cases of two folds, and what stands in an export beside the voxels."""

from __future__ import annotations

import json

CASES = ("sub-01", "sub-02", "sub-03", "sub-04")


FOLDS = [("sub-01", 0), ("sub-02", 1), ("sub-03", 1), ("sub-04", None)]


CONTRASTS = ("T1w", "FLAIR")


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def tree(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def note(done):
    return note_of(done.folder)


def note_of(folder):
    return json.loads((folder / "export.json").read_text())
