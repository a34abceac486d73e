"""NIfTI-1 and NIfTI-2 headers, read with suspicion and written in full."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import GeometryError, Grid, InputError, OutputError
from mriprep.core.grid import FloatArray

from .header import MILLIMETRES, Block, Header, Oddity, shape_fault, trimmed, unit_oddity
from .sniff import Content

# Field: (type, byte offset). https://nifti.nimh.nih.gov
_NIFTI1: dict[str, tuple[str, int]] = {
    "sizeof_hdr": ("i4", 0),
    "regular": ("S1", 38),
    "dim": ("8i2", 40),
    "datatype": ("i2", 70),
    "bitpix": ("i2", 72),
    "pixdim": ("8f4", 76),
    "vox_offset": ("f4", 108),
    "scl_slope": ("f4", 112),
    "scl_inter": ("f4", 116),
    "xyzt_units": ("u1", 123),
    "qform_code": ("i2", 252),
    "sform_code": ("i2", 254),
    "quatern": ("3f4", 256),
    "qoffset": ("3f4", 268),
    "srow": ("(3,4)f4", 280),
    "magic": ("S4", 344),
}
_NIFTI2: dict[str, tuple[str, int]] = {
    "sizeof_hdr": ("i4", 0),
    "datatype": ("i2", 12),
    "bitpix": ("i2", 14),
    "dim": ("8i8", 16),
    "pixdim": ("8f8", 104),
    "vox_offset": ("i8", 168),
    "scl_slope": ("f8", 176),
    "scl_inter": ("f8", 184),
    "qform_code": ("i4", 344),
    "sform_code": ("i4", 348),
    "quatern": ("3f8", 352),
    "qoffset": ("3f8", 376),
    "srow": ("(3,4)f8", 400),
    "xyzt_units": ("i4", 500),
}

#: NIfTI's numbers for the types of voxel that mriprep reads and writes.
DATATYPES = {
    2: "u1", 256: "i1", 4: "i2", 512: "u2", 8: "i4", 768: "u4", 1024: "i8", 1280: "u8",
    16: "f4", 64: "f8",
}  # fmt: skip
_REFUSED = {
    1: ("single bits", "convert them to uint8"),
    32: ("complex numbers", "take the magnitude first"),
    128: ("RGB colours", "give the scan itself, not a picture of it"),
    1536: ("128-bit floats", "convert them to float32"),
    1792: ("complex numbers", "take the magnitude first"),
    2048: ("complex numbers", "take the magnitude first"),
    2304: ("RGBA colours", "give the scan itself, not a picture of it"),
}
_UNITS = {1: "m", 2: "mm", 3: "um"}
_CODES = ("unknown", "scanner", "aligned", "Talairach", "MNI", "template")

#: An sform and a qform that put a corner further apart than this part of a voxel disagree.
#: Below it lies what 32-bit quaternions of half turns round away.
_DISAGREE_VOXELS = 0.25

#: Fields of view of a head or body, mm; lengths in another unit that fall outside are mistaken.
_PLAUSIBLE_MM = (2.0, 5000.0)


def parse(content: Content) -> Header:
    """Read a NIfTI header.

    Raises
    ------
    InputError
        If the header is too damaged to describe; lesser faults are kept in it.
    """
    path, raw = content.path, _record(content)
    second = int(raw["sizeof_hdr"]) == 540
    rank = int(raw["dim"][0])
    if not 1 <= rank <= 7:
        raise InputError(
            f"{path} claims {rank} axes: its NIfTI header is damaged",
            hint="convert it again from its source",
        )
    shape = trimmed(tuple(int(n) for n in raw["dim"][1 : rank + 1]))
    faults: list[InputError] = []
    fault = shape_fault(path, shape)
    if fault:
        faults.append(fault)
    code = int(raw["datatype"])
    if code not in DATATYPES:
        what, hint = _REFUSED.get(code, (f"type number {code}", "convert it to float32"))
        faults.append(InputError(f"{path} holds {what}, which are not supported", hint=hint))
    dtype = np.dtype(DATATYPES.get(code, "u1")).newbyteorder(raw["dim"].dtype.byteorder)
    offset = float(raw["vox_offset"])
    least = 544 if second else 352
    # Some writers leave the offset at 0 in a file that holds its voxels itself.
    offset = least if offset == 0 else offset
    if not math.isfinite(offset) or offset < least:
        faults.append(
            InputError(f"{path} says that its voxels begin at byte {offset:g}, in its header")
        )
        offset = least
    slope, inter = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or not math.isfinite(slope):  # the standard's way to say "not scaled"
        slope, inter = 1.0, 0.0
    elif not math.isfinite(inter):
        faults.append(InputError(f"{path} adds scl_inter = {inter} to every voxel"))
    affine, oddities, lost = _geometry(path, raw, shape)
    faults += [lost] if lost else []
    return Header(
        path=path,
        format="NIfTI-2" if second else "NIfTI-1",
        shape=shape,
        dtype=dtype,
        block=Block(path, 0, "gzip" if content.packed else "raw", int(offset)),
        affine=affine,
        facts={
            "slope": float(raw["scl_slope"]),
            "inter": float(raw["scl_inter"]),
            "qform_code": int(raw["qform_code"]),
            "sform_code": int(raw["sform_code"]),
            "xyzt_units": _UNITS.get(int(raw["xyzt_units"]) & 7, "unknown"),
        },
        slope=slope,
        inter=inter,
        oddities=tuple(oddities),
        faults=tuple(faults),
    )


def _record(content: Content) -> np.void:
    head = content.head
    for order in "<>":
        for size, fields in ((348, _NIFTI1), (540, _NIFTI2)):
            if int(np.frombuffer(head, f"{order}i4", 1)[0]) != size:
                continue
            if len(head) < size:
                raise InputError(f"{content.path} is truncated: it ends within its header")
            record: np.void = np.frombuffer(head, _layout(fields, order, size), 1)[0]
            return record
    raise InputError(f"{content.path} has a damaged NIfTI header: its size is neither 348 nor 540")


def _layout(fields: dict[str, tuple[str, int]], order: str, size: int) -> np.dtype[Any]:
    return np.dtype(
        {
            "names": list(fields),
            "formats": [np.dtype(kind).newbyteorder(order) for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": size,
        }
    )


# -- geometry -----------------------------------------------------------------------------------


def _geometry(
    path: Path, raw: np.void, shape: tuple[int, ...]
) -> tuple[FloatArray | None, list[Oddity], GeometryError | None]:
    factor, oddities = _length_unit(raw, shape)
    scale = np.diag([factor, factor, factor, 1.0])
    spacing = np.array(raw["pixdim"][1:4], dtype=np.float64)
    sizes = (*shape, 1, 1, 1)[:3]
    sform, qform = int(raw["sform_code"]) > 0, int(raw["qform_code"]) > 0
    s, s_fault = _usable(_sform(raw)) if sform else (None, "")
    q, q_fault = _usable(_qform(raw)) if qform else (None, "")
    names = f"the {_code(raw, 'sform')} sform", f"the {_code(raw, 'qform')} qform"
    if s is not None:
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            oddities.append(
                Oddity(
                    f"the header's spacing (pixdim) is {_listed(spacing)}",
                    "it makes no sense and was taken from the sform",
                    "write the image again: mriprep fills in every field",
                )
            )
        elif q is not None:
            oddities += _disagreement(sizes, s, q, factor, names)
        return scale @ s, oddities, None
    if q is not None:
        if sform:
            oddities.append(
                Oddity(
                    f"the sform cannot be used ({s_fault})",
                    f"{names[1]} was taken",
                    "check left and right in a viewer; write the image again",
                )
            )
        return scale @ q, oddities, None
    if sform or qform:
        reason = "; ".join(
            f"{name}: {fault}"
            for name, fault in zip(names, (s_fault, q_fault), strict=True)
            if fault
        )
        return None, oddities, _damaged(path, reason)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
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
    return scale @ affine, oddities, None


def _length_unit(raw: np.void, shape: tuple[int, ...]) -> tuple[float, list[Oddity]]:
    unit = _UNITS.get(int(raw["xyzt_units"]) & 7, "mm")
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


def _usable(affine: FloatArray) -> tuple[FloatArray | None, str]:
    if not np.isfinite(affine).all():
        return None, "NaN or infinity"
    if (np.abs(affine[:3, :3]).max(axis=0) == 0).any():
        return None, "a voxel has no size, or a negative one, along an axis"
    # Judged with voxels of about 1, since metres and microns are converted later.
    scaled = affine.copy()
    scaled[:3, :3] /= np.abs(affine[:3, :3]).max()
    try:
        Grid((1, 1, 1), scaled)
    except GeometryError as error:
        return None, error.message
    return affine, ""


def _disagreement(
    sizes: tuple[int, ...], s: FloatArray, q: FloatArray, factor: float, names: tuple[str, str]
) -> list[Oddity]:
    shape = (sizes[0], sizes[1], sizes[2])
    if min(shape) < 1:
        return []
    apart = Grid(shape, s).distance(Grid(shape, q))
    if apart <= _DISAGREE_VOXELS * min(Grid(shape, s).spacing):
        return []
    return [
        Oddity(
            f"the sform and the qform disagree by {apart * factor:.4g} mm at the farthest corner",
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
    return _CODES[code] if code < len(_CODES) else f"code-{code}"


def _listed(spacing: npt.NDArray[np.float64]) -> str:
    return "x".join(f"{s:g}" for s in spacing)


# -- writing ------------------------------------------------------------------------------------


def encode(grid: Grid, dtype: npt.DTypeLike, code: int) -> bytes:
    """Make the header of a single-file NIfTI-1 image, the 4 bytes before its voxels included.

    Parameters
    ----------
    grid : Grid
        Where the voxels lie.
    dtype : dtype_like
        Of the voxels; little-endian.
    code : int
        What the world is: 1 the scanner, 2 another scan, 4 MNI.

    Raises
    ------
    OutputError
        If an axis is longer than NIfTI-1 can say.
    """
    if max(grid.shape) > np.iinfo(np.int16).max:
        raise OutputError(
            f"NIfTI-1 holds up to 32767 voxels along an axis, got {grid.shape}",
            hint="write it as .nrrd",
        )
    record = np.zeros((), _layout(_NIFTI1, "<", 348))
    kind = np.dtype(dtype)
    record["sizeof_hdr"] = 348
    record["regular"] = b"r"
    record["dim"] = (3, *grid.shape, 1, 1, 1, 1)
    record["datatype"] = next(n for n, name in DATATYPES.items() if np.dtype(name) == kind)
    record["bitpix"] = kind.itemsize * 8
    record["vox_offset"] = 352
    record["scl_slope"] = 1
    record["xyzt_units"] = 2
    record["sform_code"] = code
    record["srow"] = grid.affine[:3]
    direction = grid.direction
    mirror = np.linalg.det(direction) < 0
    record["pixdim"] = (-1 if mirror else 1, *grid.spacing, 0, 0, 0, 0)
    # A qform is a rotation: axes that are not square to each other are the sform's alone.
    if np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        record["qform_code"] = code
        record["quatern"] = _quaternion(direction * (1, 1, -1 if mirror else 1))[1:]
        record["qoffset"] = grid.affine[:3, 3]
    record["magic"] = b"n+1"
    return record.tobytes() + bytes(4)


def _quaternion(rotation: FloatArray) -> FloatArray:
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
