"""Digital heads with faces, of all contrasts, orientations and types."""

from __future__ import annotations

import functools
import warnings

import numpy as np

import mriprep as mp
from mriprep.core import (
    Grid,
    MriprepWarning,
)
from mriprep.declare import keeping
from mriprep.phantom import head
from mriprep.steps import _face

#: Every contrast, orientation, spacing and type of voxel at least once.
SCANS = (
    ("T1w", {"spacing": 3.0, "orientation": "LAS", "rotation": (6, -5, 9), "dtype": "int16"}),
    ("T2w", {"spacing": (2.0, 2.0, 6.0), "orientation": "PSR", "dtype": "uint8"}),
    ("FLAIR", {"spacing": 4.0, "orientation": "LPS", "age": 6.0, "dtype": "uint16"}),
    ("PDw", {"spacing": (5.0, 2.5, 2.5), "orientation": "RAS", "rotation": (-9, 0, 4)}),
    ("T1w", {"grid": "oblique", "rotation": (4, -3, 6), "dtype": "float64"}),
)


def oblique():
    from mriprep.core import Transform

    affine = Transform.rigid((15, -15, 0)).matrix @ np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = np.array([3, -12, -8]) - affine[:3, :3] @ ((np.array([66, 86, 80]) - 1) / 2)
    return Grid((66, 86, 80), affine)


@functools.cache
def scan(number=0):
    contrast, how = SCANS[number]
    how = {**how, "grid": oblique()} if "grid" in how else how
    return head(contrast, labels=False, seed=number, **how)


def done(image, *given, **how):
    with keeping() as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        result = mp.deface(image, *given, **how)
    return result, kept["face"], kept["defaced"]


def true_pose(monkeypatch):
    """What lets `deface` place the face of a phantom by its true pose, in the place of a registration."""

    def use(made, score=1.0):
        def placed(image, brain, facts):
            return _face.Place(brain, np.asarray(made.pose.matrix), score, facts)

        monkeypatch.setattr("mriprep.steps.deface.place", placed)
        return made

    return use
