"""What a head looks like from outside: its surface as a picture, and how much of a face is left.

Pictures of a face belong to nobody but who holds the scan: nothing here is
called by reports; ``mriprep deface --picture`` is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, Volume
from mriprep.core.grid import FloatArray
from mriprep.kernels.otsu import otsu

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

#: The box that is looked at, mm of the template (or of the scan's world about its middle).
_LOW, _HIGH = (-105.0, -130.0, -150.0), (105.0, 125.0, 100.0)
#: Where a face is seen from the front, and ears from the side, mm of the template.
_FACE_X, _FACE_Z, _FACE_Y = (-55.0, 55.0), (-118.0, -12.0), 25.0
_EAR_Y, _EAR_Z, _EAR_X = (-45.0, 5.0), (-72.0, -16.0), 72.0
#: A point of the surface is gone if no surface is left within this of it, mm.
_NEAR_MM = 4.0


def upright(image: Volume, pose: FloatArray | None = None, spacing: float = 1.5) -> Volume:
    """The head in an isotropic box along the template's axes, or along the world's without a pose.

    Parameters
    ----------
    image : Volume
        A head; NaN and infinities count as 0.
    pose : (4, 4) float, optional
        Template mm to scan mm.
    spacing : float
        mm.
    """
    from mriprep.kernels import sample

    size = np.ceil((np.asarray(_HIGH) - _LOW) / spacing).astype(int)
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = _LOW
    if pose is None:
        pose = np.eye(4)
        pose[:3, 3] = image.grid.center - np.add(_LOW, _HIGH) / 2
    x, y, z = (int(n) for n in size)
    matrix = (np.linalg.inv(image.affine) @ pose @ affine)[:3]
    values = np.nan_to_num(image.floats(), posinf=0.0, neginf=0.0)
    return Volume(sample.linear(values, matrix, (x, y, z)), Grid((x, y, z), affine))


def level(values: Floats) -> float:
    """The intensity that parts a head from the air around it."""
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low + (otsu(np.clip(values, low, high)) - low) / 2)


def solid(values: Floats, threshold: float) -> Bools:
    """What is head: the largest piece above a threshold, without the specks of noise around it."""
    from scipy import ndimage

    labels, count = ndimage.label(ndimage.gaussian_filter(values, 0.7) > threshold)
    if not count:
        return np.zeros(values.shape, bool)
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))


def render(
    head: Volume, threshold: float | None = None, turn: float = 0.0
) -> npt.NDArray[np.uint8]:
    """A picture of a head's surface, seen from the front and lit from above.

    Parameters
    ----------
    head : Volume
        Upright, RAS, isotropic: what :func:`upright` makes.
    threshold : float, optional
        What is brighter is head.
    turn : float
        Turns the head about its height, degrees: 90 shows its left side.

    Returns
    -------
    (H, W) uint8 array
        The patient's left on the right of the picture; background 0.
    """
    from scipy import ndimage

    values = head.floats()
    threshold = level(values) if threshold is None else threshold
    inside = solid(values, threshold)
    # A smooth surface: the head's values about the threshold, its specks taken out.
    soft = ndimage.gaussian_filter(np.where(inside, np.minimum(values / threshold, 2), 0), 0.9)
    if turn:
        soft = ndimage.rotate(soft, turn, axes=(0, 1), reshape=False, order=1)
    across = soft[:, ::-1, :] > 0.75  # from the front
    hit = across.any(axis=1)
    first = np.argmax(across, axis=1)
    i, k = np.nonzero(hit)
    slopes = np.stack([g[i, soft.shape[1] - 1 - first[i, k], k] for g in np.gradient(soft)])
    normals = -slopes / np.maximum(np.linalg.norm(slopes, axis=0), 1e-6)
    light = np.array([0.25, 0.8, 0.55])
    shade = np.clip(light @ normals / np.linalg.norm(light), 0, 1)
    picture = np.zeros(hit.shape, np.uint8)
    picture[i, k] = np.round(50 + 205 * shade).astype(np.uint8)
    return np.asarray(picture[::-1, ::-1].T, order="C")


def picture(before: Volume, after: Volume, path: Path, pose: FloatArray | None = None) -> Path:
    """Write a picture of a head before and after its face was removed: front, half and full profile.

    Parameters
    ----------
    before, after : Volume
        On one grid.
    path : Path
        A PNG file.
    pose : (4, 4) float, optional
        Template mm to scan mm.
    """
    from PIL import Image

    from mriprep.io.atomic import atomic_path

    heads = [upright(v, pose) for v in (before, after)]
    threshold = level(heads[0].floats())
    rows = [np.hstack([render(h, threshold, turn) for turn in (0.0, 45.0, 90.0)]) for h in heads]
    with atomic_path(path) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary, format="PNG")
    return path


def removed(before: Volume, after: Volume, pose: FloatArray) -> dict[str, float]:
    """How much of a face's surface, and of the ears', is gone.

    The surface of the head before is looked at from the front (from the
    side, for ears), in a window of the template's world. A point of it is
    gone if the head after has no tissue within 4 mm of it.

    Parameters
    ----------
    before, after : Volume
        On one grid.
    pose : (4, 4) float
        Template mm to scan mm.

    Returns
    -------
    dict of str to float
        Shares, 0 to 1, of ``face`` and ``ears``; NaN where none is seen.
    """
    from scipy import ndimage

    heads = [upright(v, pose, 2.0) for v in (before, after)]
    grid = heads[0].grid
    threshold = level(heads[0].floats())
    old, new = (solid(h.floats(), threshold) for h in heads)
    far = ndimage.distance_transform_edt(~new, 2.0) if new.any() else np.full(new.shape, np.inf)
    x, y, z = (grid.affine[a, 3] + 2.0 * np.arange(n) for a, n in enumerate(grid.shape))
    shares: dict[str, float] = {}

    def share(points: list[npt.NDArray[np.int64]]) -> float:
        i, j, k = np.concatenate(points, axis=1)
        return float((far[i, j, k] > _NEAR_MM).mean()) if i.size else float("nan")

    i, k = np.nonzero(old.any(axis=1))
    j = old.shape[1] - 1 - np.argmax(old[:, ::-1], axis=1)[i, k]
    seen = _within(x[i], _FACE_X) & _within(z[k], _FACE_Z) & (y[j] > _FACE_Y)
    shares["face"] = share([np.stack([i, j, k])[:, seen]])
    sides = []
    for way in (1, -1):
        turned = old[::way]
        j, k = np.nonzero(turned.any(axis=0))
        i = np.argmax(turned, axis=0)[j, k]
        i = i if way == 1 else old.shape[0] - 1 - i
        seen = _within(y[j], _EAR_Y) & _within(z[k], _EAR_Z) & (np.abs(x[i]) > _EAR_X)
        sides.append(np.stack([i, j, k])[:, seen])
    shares["ears"] = share(sides)
    return shares


def _within(values: FloatArray, ends: tuple[float, float]) -> Bools:
    return np.asarray((values >= ends[0]) & (values <= ends[1]))
