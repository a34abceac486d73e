"""Where the voxels of a NIfTI file lie: its sform, its qform, its units and their contradictions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mriprep.core import GeometryError, Grid
from mriprep.core.grid import FloatArray

from .header import MILLIMETRES, Oddity, unit_oddity

LENGTH_UNITS = {1: "m", 2: "mm", 3: "um"}
_CODES = ("unknown", "scanner", "aligned", "Talairach", "MNI", "template")

#: An sform and a qform that put a corner further apart than this part of a voxel disagree.
#: Below it lies what 32-bit quaternions of half turns round away.
_DISAGREE_VOXELS = 0.25

#: Fields of view of a head or body, mm; lengths in another unit that fall outside are mistaken.
_PLAUSIBLE_MM = (2.0, 5000.0)


def geometry(
    path: Path, raw: np.void, shape: tuple[int, ...]
) -> tuple[FloatArray | None, list[Oddity], GeometryError | None]:
    """Work out the affine of a NIfTI file.

    The sform is taken where its code is set, else the qform, as nibabel does.

    Parameters
    ----------
    path : Path
        The file, for messages.
    raw : record
        The header's fields.
    shape : tuple of int
        Sizes of the axes.

    Returns
    -------
    affine : (4, 4) array or None
        Index to RAS+ mm.
    oddities : list of Oddity
        What was odd, and which way it was decided.
    fault : GeometryError or None
        Why there is no affine.
    """
    factor, oddities = _length_unit(raw, shape)
    scale = np.diag([factor, factor, factor, 1.0])
    spacing = np.array(raw["pixdim"][1:4], dtype=np.float64) * factor
    spacing_ok = bool(np.isfinite(spacing).all() and (spacing > 0).all())
    x, y, z = np.maximum((*shape, 1, 1, 1)[:3], 1)
    sizes = (int(x), int(y), int(z))
    sform, qform = int(raw["sform_code"]) > 0, int(raw["qform_code"]) > 0
    s, s_fault = _usable(sizes, scale @ _sform(raw)) if sform else (None, "")
    q, q_fault = _usable(sizes, scale @ _qform(raw)) if qform else (None, "")
    names = f"the {_code(raw, 'sform')} sform", f"the {_code(raw, 'qform')} qform"
    if s is not None:
        if not spacing_ok:
            oddities.append(
                Oddity(
                    f"the header's spacing (pixdim) is {_listed(spacing)}",
                    "it makes no sense and was taken from the sform",
                    "write the image again: mriprep fills in every field",
                )
            )
        elif q is not None:
            oddities += _disagreement(s, q, names)
        elif not np.allclose(spacing, s.spacing, rtol=0.01):
            oddities.append(
                Oddity(
                    f"the header's spacing (pixdim) is {_listed(spacing)} mm, the sform's"
                    f" {_listed(np.array(s.spacing))} mm",
                    "the sform was taken; software that reads the spacing alone sees other sizes",
                    "write the image again: mriprep sets both alike",
                )
            )
        return s.affine, oddities, None
    if q is not None:
        if sform:
            oddities.append(
                Oddity(
                    f"the sform cannot be used ({s_fault})",
                    f"{names[1]} was taken",
                    "check left and right in a viewer; write the image again",
                )
            )
        return q.affine, oddities, None
    if sform or qform:
        reason = "; ".join(
            f"{name}: {fault}"
            for name, fault in zip(names, (s_fault, q_fault), strict=True)
            if fault
        )
        return None, oddities, _damaged(path, reason)
    if not spacing_ok:
        return None, oddities, _damaged(path, f"spacing {_listed(spacing)}")
    # Without codes nibabel assumes this too, as SPM and Analyze did.
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(sizes) - 1) / 2)
    oddities.append(
        Oddity(
            "the header does not say how the image lies in the patient (sform and qform codes are 0)",
            "the axes were assumed to run to the left, the front and up; left and right may be swapped",
            "convert it again from the DICOM files, or set the orientation and check it in a viewer",
        )
    )
    return affine, oddities, None


def _length_unit(raw: np.void, shape: tuple[int, ...]) -> tuple[float, list[Oddity]]:
    unit = LENGTH_UNITS.get(int(raw["xyzt_units"]) & 7, "mm")
    factor = MILLIMETRES[unit]
    if factor == 1:
        return 1.0, []
    name = {"m": "metres", "um": "microns"}[unit]
    columns = np.array(
        raw["srow"][:, :3] if int(raw["sform_code"]) > 0 else np.diag(raw["pixdim"][1:4])
    )
    extent = float((np.linalg.norm(columns, axis=0)[: len(shape)] * shape[:3]).max(initial=0))
    low, high = _PLAUSIBLE_MM
    if low < extent < high and not low < extent * factor < high:
        return 1.0, [
            Oddity(
                f"the header gives lengths in {name}, which would make it {extent * factor:.3g} mm wide",
                "the unit was taken to be mm",
                "write the image again: mriprep writes mm",
            )
        ]
    return factor, [unit_oddity(name, factor)]


def _sform(raw: np.void) -> FloatArray:
    affine = np.eye(4)
    affine[:3] = raw["srow"]
    return affine


def _qform(raw: np.void) -> FloatArray:
    bcd = np.array(raw["quatern"], dtype=np.float64)
    square = float(bcd @ bcd)
    if not square < 1.01:  # NaN too
        return np.full((4, 4), np.nan)
    rest = 1 - square
    # Half turns have a = 0, which 32-bit b, c, d miss by their last digit.
    a = math.sqrt(rest) if rest > 3 * np.finfo(np.float32).eps else 0.0
    w, x, y, z = np.array([a, *bcd]) / math.hypot(a, *bcd)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    spacing = np.array(raw["pixdim"][1:4], dtype=np.float64)
    if (spacing <= 0).any():
        return np.zeros((4, 4))
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing
    affine[:3, 2] *= -1 if raw["pixdim"][0] == -1 else 1
    affine[:3, 3] = raw["qoffset"]
    return affine


def _usable(sizes: tuple[int, int, int], affine: FloatArray) -> tuple[Grid | None, str]:
    try:
        return Grid(sizes, affine), ""
    except GeometryError as error:
        return None, error.message


def _disagreement(s: Grid, q: Grid, names: tuple[str, str]) -> list[Oddity]:
    apart = s.distance(q)
    if apart <= _DISAGREE_VOXELS * min(s.spacing):
        return []
    return [
        Oddity(
            f"the sform and the qform disagree by {apart:.4g} mm at the farthest corner",
            f"{names[0]} was taken, not {names[1]}; software that prefers the qform"
            " places the image elsewhere",
            "write the image again: mriprep sets both alike",
        )
    ]


def _damaged(path: Path, reason: str) -> GeometryError:
    return GeometryError(
        f"{path} does not say where its voxels lie: {reason}",
        hint="convert it again from its source; `mriprep inspect` shows what the header holds",
    )


def _code(raw: np.void, form: str) -> str:
    code = int(raw[f"{form}_code"])
    return _CODES[code] if 0 <= code < len(_CODES) else f"code {code}"


def _listed(spacing: npt.NDArray[np.float64]) -> str:
    return "x".join(f"{s:g}" for s in spacing)


def quaternion(rotation: FloatArray) -> FloatArray:
    """The unit quaternion (a, b, c, d), a >= 0, of the rotation nearest to a matrix (Bar-Itzhack 2000).

    See https://doi.org/10.2514/2.4654.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    matrix = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, yx + xy, xz + zx],
            [xz - zx, yx + xy, yy - xx - zz, zy + yz],
            [yx - xy, xz + zx, zy + yz, zz - xx - yy],
        ]
    )
    _, vectors = np.linalg.eigh(matrix)
    best: FloatArray = vectors[:, -1]
    return -best if best[0] < 0 else best
