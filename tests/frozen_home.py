"""Scans of three people in two contrasts, a run of them with fitted states, and its frozen recipe."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import mriprep as mp
from mriprep.cli import main
from mriprep.core import Grid, Transform, Volume

AFFINE = Transform.rigid((4, -3, 5), (5, -7, 11)).matrix @ np.diag([-1.0, -1.25, 2, 1])
GRID = Grid((22, 18, 14), AFFINE)
CASES = ("sub-01", "sub-02", "sub-03")


def scan(seed):
    data = np.random.default_rng(seed).normal(20, 3, GRID.shape)
    data[4:18, 3:15, 2:12] *= 8
    return Volume(np.maximum(data, 0).astype(np.float32), GRID)


def make_home(home):
    """scans/, a state for each contrast, the recipe with them, and out/, made by it."""
    for contrast, shift in (("T1w", 0), ("FLAIR", 100)):
        for n, case in enumerate(CASES):
            mp.write(scan(shift + n), home / "scans" / f"{case}_{contrast}.nii.gz")
        paths = sorted((home / "scans").glob(f"*_{contrast}.nii.gz"))
        mp.fit("nyul", paths, "foreground").write(home / "fits" / f"nyul_{contrast}.json")
    steps = [
        {"background": {"output": "mask"}},
        {"resample": {"spacing": 1.5}},
        {"nyul": {"state": str(home / "fits" / "nyul_{contrast}.json")}},
        {"slices": {"plane": "axial"}},
    ]
    with (home / "recipe.yaml").open("w") as file:
        json.dump({"name": "small", "steps": steps}, file)  # JSON is YAML
    for case in CASES:
        for contrast in ("T1w", "FLAIR"):
            run = recipe_of(home)(home / "scans" / f"{case}_{contrast}.nii.gz")
            run.write(home / "out", quality=False)
    shutil.move(home / "fits", home / "moved")  # what is frozen needs none of it
    mp.freeze(home / "out", home / "model.recipe")
    return home


def recipe_of(home):
    return mp.recipe(home / "recipe.yaml")


def written(out, case, contrast, desc="preproc"):
    (path,) = out.glob(f"{case}/anat/*_desc-{desc}_{contrast}.nii.gz")
    return path


def recorded(out, case, contrast, desc="preproc"):
    path = written(out, case, contrast, desc)
    return json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in arguments])
    return left.value.code
