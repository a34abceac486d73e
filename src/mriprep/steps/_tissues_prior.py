"""Where white matter is to be expected rather than grey: by a template, or by depth alone.

CSF is left to intensities: ventricles differ more between people than any
template can say.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, MriprepError, MriprepWarning, Transform, Volume
from mriprep.core.grid import FloatArray
from mriprep.declare import keeping
from mriprep.kernels import tissues as loops

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

#: Log odds are kept as one of so many levels, this far to either side of 0.
_LEVELS, _MOST = 64, 3.5
#: Of white against grey matter by depth below the hull, as in the MNI152 maps, where grey matter
#: is averaged into white: deep inside, at the surface, and how deep the difference reaches, mm.
_DEEP, _SURFACE, _REACH = 0.5, -2.5, 5.0
#: The same where intensities say little.
_DEEP_WEAK = 1.0
#: Clefts narrower than twice this are inside the hull, mm.
_CLOSING = 8.0
#: Blur of the maps, for what an affine transform leaves; and what they say too much of grey matter.
_BLUR_MM, _LEAN = 2.0, 0.3


@dataclass(frozen=True)
class Places:
    """What is expected of every voxel: its kind of place, and log probabilities of states there.

    Parameters
    ----------
    kinds : (X, Y, Z) uint8
    table : (kinds, STATES) float32
    """

    kinds: npt.NDArray[np.uint8]
    table: Floats

    @classmethod
    def of(cls, odds: Floats) -> Places:
        """By log odds of white against grey matter, (X, Y, Z)."""
        step = 2 * _MOST / (_LEVELS - 1)
        kinds = np.clip((odds + _MOST) / step + 0.5, 0, _LEVELS - 1).astype(np.uint8)
        level = np.arange(_LEVELS) * step - _MOST
        none = np.zeros(_LEVELS)
        table = np.stack([none, -level / 4, -level / 2, none, level / 2], axis=1)
        return cls(kinds, table.astype(np.float32))

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Places:
        """Nothing is expected anywhere."""
        return cls(np.zeros(shape, np.uint8), np.zeros((1, loops.STATES), np.float32))


def by_depth(mask: Bools, q: Floats, spacing: tuple[float, ...], *, weak: bool) -> Places:
    """Grey matter lies at the surface: what is expected by depth below the hull of what is no CSF.

    Parameters
    ----------
    mask : (X, Y, Z) bool
        The brain.
    q : (X, Y, Z, STATES) float32
        States by intensity alone.
    spacing : (3,) floats
        Voxel size, mm.
    weak : bool
        Whether intensities hardly tell grey from white matter.
    """
    from scipy import ndimage

    from mriprep.kernels import sample

    step = triple([max(1, round(2.5 / s)) for s in spacing])
    size = np.multiply(step, spacing)
    matter = np.array([0, 0.5, 1, 1, 1], np.float32)
    _, held = loops.evidence(np.zeros(mask.shape, np.float32), mask, q, matter, matter, step)
    firm = np.pad(held > 0.5 * np.prod(step), [(int(_CLOSING / s) + 2,) * 2 for s in size])
    near = ndimage.distance_transform_edt(~firm, sampling=size) < _CLOSING
    hull = ndimage.distance_transform_edt(np.pad(near, 1), sampling=size)[1:-1, 1:-1, 1:-1]
    hull = ndimage.binary_fill_holes(hull > _CLOSING) | firm
    deep = ndimage.distance_transform_edt(hull, sampling=size).astype(np.float32)
    deep = deep[tuple(slice(int(_CLOSING / s) + 2, -int(_CLOSING / s) - 2) for s in size)]
    matrix = np.zeros((3, 4))
    for axis, n in enumerate(step):
        matrix[axis, axis], matrix[axis, 3] = 1 / n, 0.5 / n - 0.5
    depth = np.maximum(sample.linear(deep, matrix, triple(mask.shape)) - size.min() / 2, 0)
    inside = _DEEP_WEAK if weak else _DEEP
    odds = inside + (_SURFACE - _DEEP) * np.exp(-depth / np.float32(_REACH))
    return Places.of(odds.astype(np.float32))


def by_template(grid: Grid, to_template: FloatArray) -> Places:
    """What the MNI152 maps expect on a grid; `to_template` (4, 4) maps its mm to theirs."""
    from mriprep.kernels import sample

    odds, lattice = _expected()
    matrix = (np.linalg.inv(lattice.affine) @ to_template @ grid.affine)[:3]
    return Places.of(sample.linear(odds, matrix, grid.shape))


@lru_cache(maxsize=1)
def _expected() -> tuple[Floats, Grid]:
    """Log odds of white against grey matter, and where they lie."""
    from scipy import ndimage

    from mriprep.templates.maps import tissue_maps

    maps = tissue_maps()
    grid = maps["gm"].grid
    sigma = _BLUR_MM / np.asarray(grid.spacing)
    gm, wm = (ndimage.gaussian_filter(maps[n].data, sigma) for n in ("gm", "wm"))
    odds = np.log((wm + 0.02) / (gm + 0.02)) + _LEAN
    return odds.astype(np.float32), grid


def way(image: Volume, transform: Transform) -> FloatArray | None:
    """The map from an image's mm to the maps' mm by a transform (template mm to scan mm), (4, 4).

    None where the transform leads to a template whose tissues are not known.
    """
    from mriprep.templates.maps import WORLD

    name = transform.reference_name
    if not name.startswith(WORLD) and name not in ("reference", "template"):
        _say(
            f"tissues: the transform leads to '{name}', of which no tissue maps are known: it is"
            " not used"
        )
        return None
    here = [transform.moving, transform.reference]
    at = [g is not None and image.grid.matches(g) for g in here]
    if at[1] and not at[0]:
        return np.eye(4)
    if not at[0] and image.meta.get("interpolated"):
        # It was pulled through the transform already, or is one more step away: nobody knows.
        return np.eye(4) if _pulled(image, transform) else None
    return np.asarray(transform.inverse().matrix)


def _pulled(image: Volume, transform: Transform) -> bool:
    """Whether an image fills the reference's field of view."""
    reference = transform.reference
    return reference is not None and bool(
        np.linalg.norm(reference.center - image.grid.center) < max(image.spacing)
    )


def registered(image: Volume, mask: Volume) -> tuple[FloatArray | None, float]:
    """The way to the maps, found here, and how far it is to be trusted; None where it is not."""
    from ._trust import THRESHOLD
    from .register import register

    with keeping(), warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        try:
            found = register(image, mask, template="mni152", model="affine", contrast="T1w")
        except MriprepError:
            return None, 0.0
    score = float(found.meta.get("score", 0.0))
    return (np.asarray(found.inverse().matrix) if score >= THRESHOLD else None), score


def checked(transform: object) -> Transform:
    """Refuse what is no transform: an image has no way to the template in it."""
    if not isinstance(transform, Transform):
        raise InputError(
            f"tissues: transform must be a Transform, got {type(transform).__name__}",
            hint="give what register(image, mask, template='mni152') returns, or leave it out",
        )
    return transform


def triple(numbers: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = numbers
    return x, y, z


def _say(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=5)
