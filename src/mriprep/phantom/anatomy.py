"""The head in template space: the fraction of every tissue in every voxel, drawn once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineMissing, Grid

from .shapes import Blob, Floats, coordinates, coverage, distance, union, window
from .solids import AIRWAYS, BONES, MUSCLES, ORBITS, OUTLINE

#: Value of each tissue in a label volume; 0 is air.
TISSUES: Mapping[str, int] = MappingProxyType(
    {
        "csf": 1,
        "gm": 2,
        "wm": 3,
        "bone": 4,
        "soft": 5,
        "fluid": 6,
        "fat": 7,
        "marrow": 8,
        "lesion": 9,
    }
)

#: The lattice that the head is drawn on: 1 mm, from below the chin to above the vertex.
GRID = Grid(
    (199, 256, 248),
    np.array([[1, 0, 0, -99], [0, 1, 0, -131], [0, 0, 1, -143], [0, 0, 0, 1]]),
)

LESION_CENTER = (30.0, -24.0, 34.0)
LESION_RADIUS_MM = 13.0

_CSF_MM = 1.5  # between the template's brain mask and the skull
_SKULL_MM = 6.0
_SCALP_MM = 6.5
_SKIN_MM = 1.6
_TEMPLATE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The drawn head, all arrays (X, Y, Z) on :data:`GRID`.

    Parameters
    ----------
    fractions : mapping of str to uint8 array
        255 times the fraction of each tissue; what is left is air.
    brain : uint8 array
        255 times the part of the voxel inside the brain mask.
    texture : int8 array
        1000 times the relative deviation of a voxel's intensity from its tissues'.
    """

    fractions: Mapping[str, npt.NDArray[np.uint8]]
    brain: npt.NDArray[np.uint8]
    texture: npt.NDArray[np.int8]


@lru_cache(maxsize=2)
def anatomy(lesion: bool = False) -> Anatomy:
    """Draw the head around the brain of the MNI152 tissue maps.

    Parameters
    ----------
    lesion : bool
        Put a round lesion in the right hemisphere's white matter.

    Returns
    -------
    Anatomy
        Kept in memory (about 140 MB) for the next call.

    Raises
    ------
    EngineMissing
        If nilearn, which carries the maps, is not installed.
    """
    if lesion:
        return _with_lesion(anatomy(False))
    t1, gm, wm = (_template_map(name) for name in ("t1", "gm", "wm"))
    brain = _blur((t1 > 0).astype(np.float32), 0.7)
    skull_to_brain = _brain_distance(t1 > 0)
    tissues = _brain_tissues(gm, wm)
    texture = _texture(t1, gm, wm)
    canvas = _Canvas()
    _paint_brain(canvas, tissues, skull_to_brain)
    del tissues, t1, gm, wm
    _paint_skull_and_face(canvas, skull_to_brain)
    fractions = {name: _bytes(f) for name, f in canvas.fractions.items()}
    return Anatomy(MappingProxyType(fractions), _bytes(brain), texture)


class _Canvas:
    """Tissue fractions painted from the front to the back: what is painted first hides what comes later."""

    def __init__(self) -> None:
        self.fractions = {
            name: np.zeros(GRID.shape, np.float32) for name in TISSUES if name != "lesion"
        }
        self.free = np.ones(GRID.shape, np.float32)

    def paint(self, tissue: str, alpha: Floats, at: Any = ...) -> None:
        taken = self.free[at] * alpha
        if tissue != "air":
            self.fractions[tissue][at] += taken
        self.free[at] -= taken
        if tissue == "air":
            # Air is what no tissue takes: hold its place so that nothing is painted behind it.
            self.held = getattr(self, "held", None)

    def blobs(self, blobs: Iterable[Blob]) -> None:
        for blob in blobs:
            at = window(blob, GRID)
            self.paint(
                blob.tissue, coverage(distance(blob, coordinates(GRID, at))) * blob.opacity, at
            )
