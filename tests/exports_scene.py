"""Four cases of two folds, and what stands in an export beside the voxels."""

from __future__ import annotations

import json

import mriprep as mp
import mriprep.export as exports
from exported import make, split

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


def four_cases(folder):
    """Four cases, two folds, one case for the test; labels 0, 1, 2."""
    return split(make(folder, CASES, values=(0, 1, 2)), FOLDS)


def every_format(out, folder):
    """Every format, written once."""
    every = {"slices": {"content": 0.0}}
    return {
        to: mp.export(out, to=to, output=folder / to, **every.get(to, {})) for to in exports.FORMATS
    }
