"""Evaluating the drawn head on any grid, once, with the averaging that thick voxels do."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, Transform
from mriprep.core.grid import FloatArray

from .anatomy import GRID, anatomy
from .shapes import Floats

#: Intensity of each tissue relative to white matter, of a 3 T scanner's usual sequences:
#: MPRAGE, turbo spin echo with long and with short echo time, fluid-suppressed turbo spin echo.
CONTRASTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "T1w": {
            "csf": 0.20,
            "gm": 0.68,
            "wm": 1.0,
            "bone": 0.06,
            "soft": 0.50,
            "fluid": 0.18,
            "fat": 1.20,
            "marrow": 0.70,
            "lesion": 0.52,
        },
        "T2w": {
            "csf": 2.60,
            "gm": 1.40,
            "wm": 1.0,
            "bone": 0.10,
            "soft": 0.55,
            "fluid": 2.50,
            "fat": 1.70,
            "marrow": 1.00,
            "lesion": 2.10,
        },
        "FLAIR": {
            "csf": 0.20,
            "gm": 1.28,
            "wm": 1.0,
            "bone": 0.10,
            "soft": 0.60,
            "fluid": 0.25,
            "fat": 1.30,
            "marrow": 0.75,
            "lesion": 2.10,
        },
        "PDw": {
            "csf": 1.10,
            "gm": 1.22,
            "wm": 1.0,
            "bone": 0.12,
            "soft": 0.80,
            "fluid": 1.10,
            "fat": 1.25,
            "marrow": 0.80,
            "lesion": 1.40,
        },
    }
)

#: How strongly, and which way, each contrast shows the template's T1w texture.
_TEXTURE = {"T1w": 1.0, "T2w": -0.7, "FLAIR": -0.4, "PDw": -0.3}

BRAIN = "brain"


def sample(name: str, grid: Grid, pose: Transform, *, lesion: bool = False) -> Floats:
    """Evaluate one map of the head on an image's grid.

    A voxel wider than the drawing's 1 mm gets the mean over its extent (a
    box-shaped slice profile); nothing is interpolated twice.

    Parameters
    ----------
    name : str
        A tissue or ``"brain"`` (fractions in [0, 1]), or a contrast
        (intensities, white matter 1).
    grid : Grid
        Where to evaluate it.
    pose : Transform
        Template mm to image mm.
    lesion : bool
        Of the head with the lesion.

    Returns
    -------
    (X, Y, Z) float32 array
        Values on `grid`; 0 outside the drawing.
    """
    # Numba is late: `import mriprep` does without it.
    from .kernel import mean_linear

    # Half the finest voxel size still averages well, and coarse grids are then quick.
    level = max(0, int(np.floor(np.log2(min(grid.spacing) / pose.scales[0]))) - 1)
    source, lattice = _level(name, lesion, level)
    size = np.divide(grid.spacing, lattice.spacing[0] * pose.scales[0])
    parts = np.maximum(np.round(size), 1).astype(int)
    to_source = np.linalg.inv(lattice.affine) @ pose.inverse().matrix @ grid.affine
    low, high = _reach(source.shape, to_source, grid.shape)
    out = np.zeros(grid.shape, np.float32)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    # Written apart: for a part of a larger array the loop would be compiled anew.
    block = np.empty(out[window].shape, np.float32)
    to_source[:3, 3] += to_source[:3, :3] @ low
    # So it would be for another type.
    mean_linear(np.ascontiguousarray(source, np.float32), to_source[:3], parts, block)
    if source.dtype == np.uint8:
        block /= np.float32(255)
    out[window] = block
    return out


def _reach(
    source: tuple[int, ...], to_source: FloatArray, shape: tuple[int, int, int]
) -> tuple[list[int], list[int]]:
    """The box of output voxels that a source lattice can reach."""
    corners = np.array(list(itertools.product(*((-1, n) for n in source))), dtype=np.float64)
    inverse = np.linalg.inv(to_source)
    there = corners @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.clip(np.floor(there.min(axis=0)) - 1, 0, shape).astype(int)
    high = np.clip(np.ceil(there.max(axis=0)) + 2, low, shape).astype(int)
    return low.tolist(), high.tolist()


@lru_cache(maxsize=64)
def _level(name: str, lesion: bool, level: int) -> tuple[npt.NDArray[Any], Grid]:
    """The filled part of a map at 1 mm (level 0), 2 mm, 4 mm, ..., and its lattice."""
    affine = GRID.affine.copy()
    affine[:3, :3] *= 2**level
    affine[:3, 3] += (2**level - 1) / 2
    data = _finest(name, lesion) if level == 0 else _coarse(name, lesion, level)
    grid = Grid(_triple(data.shape), affine)
    box = []
    for axis in range(3):
        used = np.flatnonzero(data.any(axis=tuple(a for a in range(3) if a != axis)))
        # One empty voxel around, where there is one, lets the edge fade as it should.
        first, last = (used[0], used[-1]) if used.size else (0, 0)
        box.append((max(int(first) - 1, 0), min(int(last) + 2, data.shape[axis])))
    window = data[tuple(slice(a, b) for a, b in box)]
    return window, grid.window([a for a, _ in box], window.shape)


def _finest(name: str, lesion: bool) -> npt.NDArray[Any]:
    if name in CONTRASTS:
        return _intensities(name, lesion)
    head = anatomy(lesion)
    return head.brain if name == BRAIN else head.fractions[name]


@lru_cache(maxsize=2)
def _intensities(contrast: str, lesion: bool) -> Floats:
    head = anatomy(lesion)
    total = np.zeros(GRID.shape, np.float32)
    for tissue, fraction in head.fractions.items():
        total += fraction * np.float32(CONTRASTS[contrast][tissue] / 255)
    total *= 1 + head.texture * np.float32(_TEXTURE[contrast] / 500)
    return total


@lru_cache(maxsize=32)
def _coarse(name: str, lesion: bool, level: int) -> Floats:
    finer = _finest(name, lesion) if level == 1 else _coarse(name, lesion, level - 1)
    scale = np.float32(255 if finer.dtype == np.uint8 else 1)
    even = np.pad(finer, [(0, n % 2) for n in finer.shape])
    x, y, z = (n // 2 for n in even.shape)
    means: Floats = even.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5), dtype=np.float32)
    return means / scale


def _triple(shape: tuple[int, ...]) -> tuple[int, int, int]:
    x, y, z = shape
    return x, y, z
