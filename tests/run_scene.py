"""A bright box on an odd grid, and runs of a few steps on it."""

from __future__ import annotations

import dataclasses

import numpy as np

from mriprep import declare
from mriprep.core import (
    Case,
    Grid,
    Transform,
    Volume,
)
from mriprep.io.images import write_image
from mriprep.recipe import load
from mriprep.run import execute

#: Oblique, anisotropic, of an unusual orientation.
AFFINE = Transform.rigid((8, -5, 12), (10, -20, 30)).matrix @ np.array(
    [[0, 0, -2.0, 0], [-1.2, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 0, 1]]
)


GRID = Grid((24, 20, 16), AFFINE)


def head(seed=0, dtype=np.float32):
    """A bright box in noise."""
    data = np.random.default_rng(seed).normal(20, 3, GRID.shape)
    data[6:18, 5:15, 4:12] += 200
    return Volume(np.maximum(data, 0).astype(dtype), GRID, meta={"contrast": "T1w"})


def box(role="mask", low=(6, 5, 4), high=(18, 15, 12), value=1, grid=GRID):
    data = np.zeros(grid.shape, np.uint8)
    data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return Volume(data, grid, role)


def run(*steps, image=None, **given):
    case = Case("sub-01", {"T1w": head() if image is None else image})
    return execute(load({"name": "mine", "steps": list(steps)}), case, **given)


def center(volume):
    """Where the middle of what is not 0 lies in the world, mm."""
    return volume.grid.to_world(np.argwhere(np.asarray(volume.data) > 0).mean(0))


def replace_function(monkeypatch, name, function):
    """Let a step of the registry do something else."""
    original = declare.get
    monkeypatch.setattr(
        declare,
        "get",
        lambda n: dataclasses.replace(original(n), function=function) if n == name else original(n),
    )


def box_template(folder):
    """A template with a bright box, as a file."""
    affine = np.eye(4)
    affine[:3, 3] = GRID.center - 17
    data = np.random.default_rng(5).normal(20, 3, (34, 36, 38)).astype(np.float32)
    data[8:26, 8:26, 8:26] += 200
    path = folder / "tpl-Test_T1w.nii.gz"
    write_image(Volume(data, affine), path)
    return path
