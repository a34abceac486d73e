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

from .shapes import Blob, Floats, ball, coordinates, coverage, distance, union, window
from .solids import AIRWAYS, BONES, CORD, MUSCLES, OPENINGS, ORBITS, OUTLINE

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
    (191, 240, 248),
    np.array([[1, 0, 0, -95], [0, 1, 0, -127], [0, 0, 1, -143], [0, 0, 0, 1]]),
)

#: The lesion that a phantom may have, in the right hemisphere's white matter.
LESION = ball("lesion", (30.0, -24.0, 34.0), 13.0)

_HALF = Grid((96, 120, 124), np.vstack([np.c_[2 * np.eye(3), GRID.affine[:3, 3]], [0, 0, 0, 1]]))
_CSF_MM = 1.8  # from the template's brain mask to the skull
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
        500 times the relative deviation of a voxel's T1w intensity from its tissues'.
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
        Kept in memory (about 120 MB) for the next call.

    Raises
    ------
    EngineMissing
        If nilearn, which carries the maps, is not installed.
    """
    if lesion:
        return _with_lesion(anatomy(False))
    t1, gm, wm = (_template_map(name) for name in ("t1", "gm", "wm"))
    brain = _bytes(_blur((t1 > 0).astype(np.float32), 0.7))
    texture = _texture(t1, gm, wm)
    to_brain = _distance_to_brain(t1 > 0, closing=6)
    vault = _distance_to_brain(t1 > 0, closing=16)
    canvas = _Canvas()
    _paint_brain(canvas, gm, wm, to_brain)
    del t1, gm, wm
    _paint_head(canvas, to_brain, vault)
    fractions = {name: _bytes(f) for name, f in canvas.fractions.items()}
    return Anatomy(MappingProxyType(fractions), brain, texture)


class _Canvas:
    """Tissue fractions, painted from the front to the back: what comes first hides what comes later."""

    def __init__(self) -> None:
        names = [name for name in TISSUES if name != "lesion"]
        self.fractions = {name: np.zeros(GRID.shape, np.float32) for name in names}
        self.free = np.ones(GRID.shape, np.float32)

    def paint(self, tissue: str, alpha: Floats, at: Any = ...) -> None:
        taken = self.free[at] * alpha
        self.free[at] -= taken
        if tissue != "air":
            self.fractions[tissue][at] += taken

    def blobs(self, blobs: Iterable[Blob]) -> None:
        for blob in blobs:
            at = window(blob, GRID)
            self.paint(blob.tissue, coverage(distance(blob, coordinates(GRID, at))), at)


def _paint_brain(canvas: _Canvas, gm: Floats, wm: Floats, to_brain: Floats) -> None:
    """Brain and fluid inside the skull."""
    inside = coverage(to_brain - np.float32(_CSF_MM))
    # The maps are averages of many brains: sharpened, they look like one brain's.
    csf, gm, wm = (p ** np.float32(1.8) for p in (np.clip(1 - gm - wm, 0, 1), gm, wm))
    scale = inside / np.maximum(csf + gm + wm, 1e-6)
    for name, part in (("csf", csf), ("gm", gm), ("wm", wm)):
        canvas.fractions[name] += part * scale
    canvas.free -= inside


def _paint_head(canvas: _Canvas, to_brain: Floats, vault: Floats) -> None:
    """Everything outside the brain, from the inside out."""
    bone = to_brain - np.float32(_CSF_MM)  # depth into the skull from within
    # The outside of the skull does not follow the brain's folds, but is never far from them.
    outside = np.maximum(vault - np.float32(_CSF_MM + _SKULL_MM), bone - 9)
    outside -= np.float32(0.8) * _noise(20, 1)
    skin = _distance_to_skin(vault - np.float32(_CSF_MM + _SKULL_MM + _SCALP_MM))
    del to_brain, vault
    canvas.blobs(OPENINGS)
    canvas.paint("air", 1 - coverage(skin))
    canvas.paint("soft", 1 - coverage(skin + np.float32(_SKIN_MM)))
    canvas.blobs(CORD)
    canvas.paint("bone", coverage(bone - np.float32(1.8)))
    canvas.blobs((*ORBITS, *AIRWAYS))
    diploe = np.maximum(outside + 2, 2 - bone) + np.float32(0.4) * _noise(8, 2)
    canvas.paint("marrow", coverage(diploe) * (0.8 * _above(-45)))
    canvas.paint("bone", coverage(outside))
    canvas.blobs(BONES)
    del bone, outside, diploe
    fat_depth = np.float32(5.0) + 3 * (1 - _above(-35)) + np.float32(0.9) * _noise(12, 3)
    lobules = np.clip(0.85 + np.float32(0.1) * _noise(3, 4), 0, 1)
    canvas.paint("fat", (1 - coverage(skin + fat_depth)) * lobules)
    canvas.blobs(MUSCLES)
    # Sheets of fat between the muscles, which run up and down.
    sheets = np.exp(-np.square(_noise((9, 13, 30), 5) / np.float32(0.22)))
    canvas.paint("fat", np.float32(0.7) * sheets)
    canvas.paint("soft", np.ones(1, np.float32))


def _with_lesion(plain: Anatomy) -> Anatomy:
    at = window(LESION, GRID, margin=8.0)
    surface = distance(LESION, coordinates(GRID, at)) + np.float32(2) * _noise(10, 6)[at]
    inside = coverage(surface, 4.0) * (plain.brain[at] / np.float32(255))
    fractions = {name: f.copy() for name, f in plain.fractions.items()}
    for f in fractions.values():
        f[at] = _bytes(f[at] / np.float32(255) * (1 - inside))
    fractions["lesion"] = np.zeros(GRID.shape, np.uint8)
    fractions["lesion"][at] = _bytes(inside)
    return Anatomy(MappingProxyType(fractions), plain.brain, plain.texture)


def _template_map(name: str) -> Floats:
    """A map of the MNI152 template on our lattice, in [0, 1]."""
    import nibabel as nib

    # Looked up, not imported: nilearn's own loader brings in scikit-learn and pandas.
    package = find_spec("nilearn")
    if package is None or not package.submodule_search_locations:
        raise EngineMissing(
            "the phantom is drawn around tissue maps that come with nilearn, which is not installed",
            hint="pip install nilearn",
        )
    folder = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    image = nib.load(folder / _TEMPLATE.format(name))
    data = np.asarray(image.dataobj)
    start = np.round(GRID.to_index(image.affine[:3, 3])).astype(int)
    ours = tuple(slice(max(s, 0), s + n) for s, n in zip(start, data.shape, strict=True))
    out = np.zeros(GRID.shape, np.float32)
    held = out[ours].shape
    theirs = tuple(slice(max(-s, 0), max(-s, 0) + n) for s, n in zip(start, held, strict=True))
    out[ours] = data[theirs] / np.float32(data.max())
    return out


def _distance_to_brain(brain: npt.NDArray[np.bool_], closing: float) -> Floats:
    """Signed distance to the brain with its clefts closed, mm, smooth."""
    from scipy.ndimage import distance_transform_edt as edt
    from scipy.ndimage import gaussian_filter

    margin = int(closing // 2) + 2
    coarse = np.pad(brain[::2, ::2, ::2], margin)
    depth = edt(edt(~coarse, sampling=2) < closing, sampling=2) - closing
    signed = np.where(depth > 0, -depth, edt(depth <= 0, sampling=2))
    inner = slice(margin, -margin)
    return _upsample(gaussian_filter(signed.astype(np.float32), 1.2)[inner, inner, inner])


def _distance_to_skin(scalp: Floats) -> Floats:
    """Signed distance to the outline of the head, face and neck, mm."""
    xyz = coordinates(_HALF)
    outline = union([scalp[::2, ::2, ::2], *(distance(blob, xyz) for blob in OUTLINE)], 6.0)
    return _upsample(outline)


def _texture(t1: Floats, gm: Floats, wm: Floats) -> npt.NDArray[np.int8]:
    """What the template's T1w brain has beyond its tissue maps, and grain everywhere else."""
    inside = t1 > 0
    maps = np.stack([(1 - gm - wm)[inside], gm[inside], wm[inside]], axis=1)
    means, *_ = np.linalg.lstsq(maps, t1[inside], rcond=None)
    deviation = 0.07 * _noise(3, 7) + 0.03 * _noise(2, 8)
    deviation[inside] = t1[inside] / (maps @ means) - 1
    return np.clip(np.round(500 * np.clip(deviation, -0.2, 0.2)), -127, 127).astype(np.int8)


def _noise(size_mm: float | tuple[float, float, float], seed: int) -> Floats:
    """Smooth random field of unit variance whose blobs are about `size_mm` wide; always the same."""
    from scipy.ndimage import gaussian_filter

    white = np.random.default_rng([2009, seed]).standard_normal(_HALF.shape, dtype=np.float32)
    smooth = gaussian_filter(white, np.divide(size_mm, 4), truncate=3)
    return _upsample(smooth / smooth.std())


def _above(z_mm: float, over_mm: float = 20.0) -> Floats:
    """1 above a height, 0 below it, smoothly in between; broadcasts over the lattice."""
    _, _, z = coordinates(GRID)
    height: Floats = np.clip((z - np.float32(z_mm)) / np.float32(over_mm) + np.float32(0.5), 0, 1)
    return height


def _upsample(half: Floats) -> Floats:
    """Linear interpolation from every second voxel to all of them."""
    for axis, size in enumerate(GRID.shape):
        full = np.empty((*half.shape[:axis], size, *half.shape[axis + 1 :]), np.float32)
        # The axis first, as a view, for slices that read the same along each.
        new, old = np.moveaxis(full, axis, 0), np.moveaxis(half, axis, 0)
        new[::2] = old
        new[1::2] = old[: size // 2]
        between = new[1 : size - 1 : 2]
        between += old[1 : (size + 1) // 2]
        between *= np.float32(0.5)
        half = full
    return half


def _blur(data: Floats, sigma: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    blurred: Floats = gaussian_filter(data, sigma, truncate=3)
    return blurred


def _bytes(fraction: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    rounded = np.round(np.clip(fraction, 0, 1) * np.float32(255))
    return np.asarray(rounded, dtype=np.uint8)
