"""MetaImage headers: .mha, and .mhd with its .raw or .zraw."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, OutputRefused

from .header import (
    LPS_TO_RAS,
    Block,
    Header,
    beside,
    geometry_fault,
    header_text,
    shape_fault,
    trimmed,
)
from .sniff import Content

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2",
    "MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip

#: MetaIO itself knows no more.
_MOST_AXES = 10

# One meaning, several names, in the order in which MetaIO prefers them.
_ORIGIN = ("Offset", "Position", "Origin")
_DIRECTION = ("TransformMatrix", "Rotation", "Orientation")
_SPACING = ("ElementSpacing", "ElementSize")


def parse(content: Content) -> Header:
    """Read a MetaImage header: https://itk.org/Wiki/ITK/MetaIO/Documentation.

    Raises
    ------
    InputError
        If it is damaged, or needs what mriprep does not read.
    """
    path = content.path
    text, start = header_text(path, rb"ElementDataFile\s*=[^\n]*\n")
    fields = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        fields[name.strip()] = value.strip()
    try:
        return _header(path, fields, start)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path} has a damaged MetaImage header ({type(error).__name__}: {error})",
            hint="convert it again from its source",
        ) from error


def _header(path: Path, fields: dict[str, str], start: int) -> Header:
    rank, sizes = int(fields["NDims"]), tuple(int(n) for n in fields["DimSize"].split())
    if len(sizes) != rank or rank > _MOST_AXES:  # before matrices of that size are made
        raise ValueError(f"{rank} axes with {len(sizes)} sizes")
    shape = trimmed(sizes)
    fault = shape_fault(path, shape)
    faults: list[InputError] = [fault] if fault else []
    channels = int(fields.get("ElementNumberOfChannels", 1))
    if channels != 1:
        faults.append(
            InputError(
                f"{path} holds {channels} numbers at each voxel, which is not supported",
                hint="give an image with one number a voxel",
            )
        )
    name = fields["ElementType"]
    if name not in _TYPES:
        faults.append(InputError(f"{path} holds voxels of type {name}, which are not supported"))
    big = fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))
    dtype = np.dtype(_TYPES.get(name, "u1")).newbyteorder(">" if _true(big) else "<")
    affine = np.eye(rank + 1)
    direction = _numbers(fields, _DIRECTION, np.eye(rank)).reshape(rank, rank).T
    spacing = _numbers(fields, _SPACING, np.ones(rank))
    affine[:rank, :rank] = direction * spacing
    affine[:rank, rank] = _numbers(fields, _ORIGIN, np.zeros(rank))
    # Of a 4D image's matrix, the part that is space.
    keep = [0, 1, 2, rank]
    ras = LPS_TO_RAS @ affine[np.ix_(keep, keep)] if rank >= 3 else None
    if ras is not None:
        lost = geometry_fault(path, ras, spacing[:3])
        faults += [lost] if lost else []
    return Header(
        path=path,
        format="MetaImage",
        shape=shape,
        dtype=dtype,
        block=_block(path, fields, start, math.prod(shape) * dtype.itemsize),
        affine=ras,
        faults=tuple(faults),
    )


def _true(word: str) -> bool:
    return word.strip().lower()[:1] in ("t", "1")


def _numbers(
    fields: dict[str, str], names: tuple[str, ...], default: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    for name in names:
        if name in fields:
            found = np.array([float(n) for n in fields[name].split()])
            if found.size != default.size:
                raise ValueError(f"{name} has {found.size} numbers, not {default.size}")
            return found
    return default


def _block(path: Path, fields: dict[str, str], start: int, count: int) -> Block:
    if not _true(fields.get("BinaryData", "True")):
        raise InputError(
            f"{path} holds its voxels as text, which is not supported",
            hint="write it again as binary, for instance with 3D Slicer",
        )
    name = fields["ElementDataFile"]
    local = name.upper() == "LOCAL"
    source = path if local else beside(path, name)
    skip = int(fields.get("HeaderSize", 0))
    packed = _true(fields.get("CompressedData", "False"))
    begin = start if local else max(skip, 0)
    if skip == -1 and not packed:  # the voxels are the file's end
        begin = source.stat().st_size - count
    if begin < 0:
        raise ValueError("the data file is shorter than its voxels")
    return Block(source, begin, "zlib" if packed else "raw", 0)


def encode(grid: Grid, dtype: npt.DTypeLike, packed_bytes: int) -> bytes:
    """Make the header of an .mha whose voxels follow as a zlib stream.

    Raises
    ------
    OutputError
        If the axes are not square to each other, which the format cannot say.
    """
    direction = LPS_TO_RAS[:3, :3] @ grid.direction
    if not np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
        raise OutputRefused(
            "MetaImage cannot hold axes that are not square to each other (a shear)",
            hint="write it as .nii.gz or .nrrd, or resample it first",
        )
    origin = LPS_TO_RAS[:3, :3] @ grid.affine[:3, 3]

    def numbers(values: npt.ArrayLike) -> str:
        return " ".join(repr(float(v)) for v in np.ravel(values))

    kind = np.dtype(dtype).newbyteorder("=").str[1:]
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(packed_bytes),
        "TransformMatrix": numbers(direction.T),
        "Offset": numbers(origin),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": numbers(grid.spacing),
        "DimSize": " ".join(map(str, grid.shape)),
        "ElementType": next(name for name, code in _TYPES.items() if code == kind),
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{name} = {value}\n" for name, value in fields.items()).encode("ascii")
