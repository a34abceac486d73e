"""NIfTI-1 and NIfTI-2 headers, read with suspicion and written in full."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, OutputRefused

from .header import Block, Header, shape_fault, trimmed
from .nifti_geometry import LENGTH_UNITS, geometry, quaternion
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
    with np.errstate(invalid="ignore", over="ignore"):  # damaged numbers are looked for, and told
        affine, oddities, lost = geometry(path, raw, shape)
    faults += [lost] if lost else []
    return Header(
        path=path,
        format="NIfTI-2" if second else "NIfTI-1",
        shape=shape,
        dtype=dtype,
        block=Block(path, 0, "gzip" if content.packed else "raw", int(offset)),
        affine=affine,
        facts={
            "slope": _finite(raw["scl_slope"]),
            "inter": _finite(raw["scl_inter"]),
            "qform_code": int(raw["qform_code"]),
            "sform_code": int(raw["sform_code"]),
            "xyzt_units": LENGTH_UNITS.get(int(raw["xyzt_units"]) & 7, "unknown"),
        },
        slope=slope,
        inter=inter,
        oddities=tuple(oddities),
        faults=tuple(faults),
    )


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _record(content: Content) -> np.void:
    head = content.head
    for big in (False, True):
        for size, fields in ((348, _NIFTI1), (540, _NIFTI2)):
            if int.from_bytes(head[:4], "big" if big else "little") != size:
                continue
            if len(head) < size:
                raise InputError(f"{content.path} is truncated: it ends within its header")
            record: np.void = np.frombuffer(head, _layout(fields, size, big=big), 1)[0]
            return record
    raise InputError(f"{content.path} has a damaged NIfTI header: its size is neither 348 nor 540")


def _layout(fields: dict[str, tuple[str, int]], size: int, *, big: bool) -> np.dtype[np.void]:
    return np.dtype(
        {
            "names": list(fields),
            "formats": [
                np.dtype(kind).newbyteorder(">" if big else "<") for kind, _ in fields.values()
            ],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": size,
        }
    )


#: Free texts of a header, where names of people are found: (first byte, one past the last).
_TEXTS1 = ((4, 32), (148, 252), (328, 344))
_TEXTS2 = ((240, 344), (508, 524))


def kept(content: Content) -> bytes:
    """Make the header of a single file of what a file's own header says, without its free texts.

    Sizes, type, scale, geometry, units and timing stay as they are, byte for
    byte; extensions are left out. The 4 bytes before the voxels are included.
    """
    record = _record(content)
    first = int(record["sizeof_hdr"]) == 348
    head = bytearray(content.head[: 348 if first else 540])
    for start, end in _TEXTS1 if first else _TEXTS2:
        head[start:end] = bytes(end - start)
    order: Literal["<", ">"] = "<" if head[0] else ">"  # 348 and 540 have no zero as lowest byte
    fields = _NIFTI1 if first else _NIFTI2
    kind, at = fields["vox_offset"]
    offset = np.array(len(head) + 4, np.dtype(kind).newbyteorder(order)).tobytes()
    head[at : at + len(offset)] = offset
    at, magic = (344, b"n+1\0") if first else (4, b"n+2\0")
    head[at : at + 4] = magic
    return bytes(head) + bytes(4)


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
        raise OutputRefused(
            f"NIfTI-1 holds up to 32767 voxels along an axis, got {grid.shape}",
            hint="write it as .nrrd",
        )
    record = np.zeros((), _layout(_NIFTI1, 348, big=False))
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
        record["quatern"] = quaternion(direction * (1, 1, -1 if mirror else 1))[1:]
        record["qoffset"] = grid.affine[:3, 3]
    record["magic"] = b"n+1"
    return record.tobytes() + bytes(4)
