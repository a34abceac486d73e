"""A folder as `mriprep run` writes it, of small images, for the tests of exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mriprep import derivatives
from mriprep.core import Case, Grid, Transform, Volume
from mriprep.recipe import load
from mriprep.run import execute

#: Oblique, anisotropic, LPS.
AFFINE = Transform.rigid((4, -3, 5), (5, -7, 11)).matrix @ np.diag([-1.0, -1.25, 2, 1])
SHAPE = (22, 18, 14)
RECIPE = {
    "name": "small",
    "title": "A small one",
    "steps": [{"background": {"output": "mask"}}, "zscore"],
}
#: Labels as somebody drew them: with a gap.
LABELS = (0, 1, 3)


def scan(seed: int, grid: Grid, kind: str = "<f4") -> Volume:
    data = np.random.default_rng(seed).normal(20, 3, grid.shape)
    data[4:18, 3:15, 2:12] += 200
    return Volume(np.maximum(data, 0).astype(kind), grid)


def drawn(seed: int, grid: Grid, values=LABELS) -> Volume:
    data = np.zeros(grid.shape, np.int16)
    data[6:12, 5:11, 4:9] = values[1]
    data[8 + seed % 3 : 12, 6:10, 5:8] = values[2]
    return Volume(data, grid, "labels")


def make(
    folder: Path,
    cases=("sub-01", "sub-02", "sub-03", "sub-04"),
    contrasts=("T1w", "FLAIR"),
    values=LABELS,
    shape=SHAPE,
    labels: bool = True,
) -> Path:
    """Preprocess small images into a folder; every case lies elsewhere and has another age."""
    recipe = load(RECIPE)
    for number, name in enumerate(cases):
        affine = AFFINE.copy()
        affine[:3, 3] += number
        grid = Grid(shape, affine)
        facts = {"age": 20.0 + number, "sex": "FM"[number % 2], "site": "A", "diagnosis": "none"}
        for c, contrast in enumerate(contrasts):
            case = Case(name, {contrast: scan(10 * number + c, grid)}, facts)
            given = drawn(number, grid, values) if labels else None
            done = execute(recipe, case, labels=given)
            assert done.failure is None, done.error
            derivatives.write(done, folder)
    return folder


def split(out: Path, rows) -> Path:
    """Write splits.tsv; rows of case and fold, None for the test part."""
    lines = ["case\tsubject\tfold\tsplit\tage"]
    for case, fold in rows:
        part = "test" if fold is None else "val" if fold == 0 else "train"
        subject = case.partition("_")[0].removeprefix("sub-")
        lines.append(f"{case}\t{subject}\t{'n/a' if fold is None else fold}\t{part}\t30")
    (out / "splits.tsv").write_text("\n".join(lines) + "\n")
    return out


def record(out: Path, case: str, contrast: str = "T1w") -> Path:
    """The record of an image."""
    (found,) = out.glob(f"{case.replace('_', '/')}/anat/*_desc-preproc_{contrast}.json")
    return found


def edit(path: Path, **changes) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
