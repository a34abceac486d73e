"""Small scans for the tests of the command line, and what a command said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mriprep.core import Grid, Transform, Volume

AFFINE = Transform.rigid((4, -3, 5), (5, -7, 11)).matrix @ np.diag([-1, 1.5, 2, 1])
GRID = Grid((20, 16, 12), AFFINE)


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def refused(self, message: str, hint: str = "", code: int = 2) -> None:
        """Check what every bad command looks like: words on stderr, nothing on stdout."""
        assert self.code == code
        assert self.out == ""
        assert re.search(message, self.err), self.err
        assert hint in self.err
        assert "Traceback" not in self.err


def image(seed: int = 0) -> Volume:
    """A bright box in noise."""
    data = np.random.default_rng(seed).integers(0, 40, GRID.shape).astype(np.int16)
    data[4:16, 3:13, 2:10] += 200
    return Volume(data, GRID)


def box(role: str = "mask", value: int = 1) -> Volume:
    """A box within the bright one."""
    data = np.zeros(GRID.shape, np.uint8)
    data[6:14, 5:11, 4:8] = value
    return Volume(data, GRID, role)


def names(folder: Path) -> list[str]:
    """All files below a folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
