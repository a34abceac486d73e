"""NRRD headers: attached (.nrrd) and detached (.nhdr)."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import GeometryError, Grid, InputError
from mriprep.core.grid import FloatArray

from .header import (
    LPS_TO_RAS,
    MILLIMETRES,
    Block,
    Header,
    Oddity,
    beside,
    geometry_fault,
    header_text,
    shape_fault,
    trimmed,
    unit_oddity,
)
from .sniff import Content

# The format's names for a type, after removing what C allows to be left out.
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int",
           "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
_DTYPES = {name: kind for kind, names in _TYPES.items() for name in names}

_SPACES: dict[str, npt.NDArray[np.float64]] = {
    "right-anterior-superior": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1, 1, 1]),
    "left-posterior-superior": LPS_TO_RAS,
}
_SPACES |= {"".join(word[0] for word in name.split("-")): m for name, m in _SPACES.items()}

#: Kinds of an axis along which whole volumes follow each other.
_SERIES = {"list", "time", "vector", "scalar", "stub", "none", "???", "domain", "space"}


def parse(content: Content) -> Header:
    """Read a NRRD header: https://teem.sourceforge.net/nrrd/format.html.

    Raises
    ------
    InputError
        If it is damaged, or needs what mriprep does not read.
    """
    path = content.path
    text, start = header_text(path, rb"\r?\n\r?\n")
    fields = _fields(text)
    try:
        header = _header(path, fields, start)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{path} has a damaged NRRD header ({type(error).__name__}: {error})",
            hint="convert it again from its source",
        ) from error
    return header


def _fields(text: str) -> dict[str, str]:
    """The fields of a header, spaces in their names removed; free key/value pairs (:=) left out."""
    fields = {}
    for line in text.splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[name.replace(" ", "").lower()] = value.strip()
    return fields


def _header(path: Path, fields: dict[str, str], start: int) -> Header:
    sizes = [int(n) for n in fields["sizes"].split()]
    rank = int(fields["dimension"])
    if len(sizes) != rank:
        raise ValueError(f"{rank} axes with {len(sizes)} sizes")
    kinds = [k.lower() for k in fields.get("kinds", "").split()] or ["???"] * rank
    spatial = _spatial_axes(fields, kinds, rank)
    others = [axis for axis in range(rank) if axis not in spatial]
    faults: list[InputError] = []
    colours = [kinds[axis] for axis in others if kinds[axis] not in _SERIES and sizes[axis] > 1]
    if colours:
        faults.append(
            InputError(
                f"{path} holds {colours[0]} at each voxel, which is not supported",
                hint="give an image with one number a voxel",
            )
        )
    shape = trimmed(tuple(sizes[axis] for axis in (*spatial, *others)))
    fault = shape_fault(path, shape)
    faults += [fault] if fault else []
    if len(others) == 1 and others[0] not in (0, rank - 1):
        faults.append(InputError(f"{path} has its volumes along an axis between those of space"))
    name = fields["type"].lower()
    if name not in _DTYPES:
        faults.append(InputError(f"{path} holds voxels of type '{name}', which are not supported"))
    big = fields.get("endian", "little").lower() == "big"
    dtype = np.dtype(_DTYPES.get(name, "u1")).newbyteorder(">" if big else "<")
    affine, oddities, lost = _geometry(path, fields, spatial)
    faults += [lost] if lost else []
    return Header(
        path=path,
        format="NRRD",
        shape=shape,
        dtype=dtype,
        block=_block(path, fields, start, math.prod(sizes) * dtype.itemsize),
        affine=affine,
        facts={"space": fields.get("space", "unknown")},
        oddities=tuple(oddities),
        faults=tuple(faults),
        interleaved=others[:1] == [0],
    )


def _spatial_axes(fields: dict[str, str], kinds: list[str], rank: int) -> list[int]:
    if "spacedirections" in fields:
        vectors = _vectors(fields["spacedirections"])
        # ITK counts the time of a series as a fourth direction of space.
        return [axis for axis in range(rank) if vectors[axis] is not None][:3]
    space = [axis for axis in range(rank) if kinds[axis] in ("domain", "space")]
    return space if len(space) == 3 else list(range(min(rank, 3)))


def _geometry(
    path: Path, fields: dict[str, str], spatial: list[int]
) -> tuple[FloatArray | None, list[Oddity], GeometryError | None]:
    oddities = []
    affine, spacing = np.eye(4), np.ones(3)
    to_ras = _SPACES.get(fields.get("space", "").lower())
    if len(spatial) != 3:
        reason = f"{len(spatial)} of its axes are axes of space, not 3"
        return None, [], GeometryError(f"{path} does not say where its voxels lie: {reason}")
    if "spacedirections" in fields:
        vectors = _vectors(fields["spacedirections"])
        affine[:3, :3] = np.array([vectors[axis] for axis in spatial], dtype=np.float64).T[:3]
    elif "spacings" in fields:
        spacing = np.array([float(n) for n in fields["spacings"].split()])[spatial]
        affine[:3, :3] = np.diag(spacing)
    if "spaceorigin" in fields:
        affine[:3, 3] = np.array(_vectors(fields["spaceorigin"])[0], dtype=np.float64)[:3]
    if to_ras is None or "spacedirections" not in fields:
        oddities.append(
            Oddity(
                "the header does not say how the image lies in the patient"
                f" (space: {fields.get('space', 'not given')})",
                "the axes were assumed to run to the left, the back and up (as ITK does);"
                " left and right may be swapped",
                "convert it again from the DICOM files, or check it in a viewer",
            )
        )
    factor, unit_notes = _length_unit(fields)
    affine[:3] *= factor
    affine = (LPS_TO_RAS if to_ras is None else to_ras) @ affine
    return affine, oddities + unit_notes, geometry_fault(path, affine, spacing)


def _length_unit(fields: dict[str, str]) -> tuple[float, list[Oddity]]:
    units = set(re.findall(r'"([^"]*)"', fields.get("spaceunits", fields.get("units", ""))))
    found = {u for u in units if u in MILLIMETRES}
    if len(found) > 1:
        raise ValueError(f"axes in different units: {sorted(found)}")
    unit = found.pop() if found else "mm"
    return MILLIMETRES[unit], [] if unit == "mm" else [unit_oddity(unit, MILLIMETRES[unit])]


def _vectors(text: str) -> list[list[float] | None]:
    """``"none (1,0,0) (0,1,0)"`` as numbers, None where an axis is not one of space."""
    return [
        None if part.lower() == "none" else [float(n) for n in part.strip("()").split(",")]
        for part in re.findall(r"none|\([^)]*\)", text, flags=re.IGNORECASE)
    ]


def _block(path: Path, fields: dict[str, str], start: int, count: int) -> Block:
    encoding = fields["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise InputError(
            f"{path} is packed as '{encoding}', which is not supported",
            hint="write it again as raw or gzip, for instance with 3D Slicer",
        )
    raw = encoding == "raw"
    detached = fields.get("datafile")
    source = path if detached is None else beside(path, detached)
    begin = 0 if detached is not None else start
    if int(fields.get("lineskip", 0)):
        raise InputError(f"{path} skips lines of its data file, which is not supported")
    skip = int(fields.get("byteskip", 0))
    if skip == -1 and raw:  # the voxels are the file's end
        begin, skip = source.stat().st_size - count, 0
    if skip < 0 or begin < 0:
        raise ValueError(f"byte skip {skip}")
    return Block(source, begin, "raw" if raw else "gzip", skip)


def encode(grid: Grid, dtype: npt.DTypeLike) -> bytes:
    """Make the header of an attached NRRD whose voxels follow as gzip."""
    affine = LPS_TO_RAS @ grid.affine

    def vector(numbers: Any) -> str:
        return f"({','.join(repr(float(n)) for n in numbers)})"

    kind = np.dtype(dtype).newbyteorder("=").str[1:]
    name = next(n for n in _TYPES[kind] if not n.endswith("char") or kind == "i1")
    return "\n".join(
        [
            "NRRD0004",
            f"type: {name}",
            "dimension: 3",
            "space: left-posterior-superior",
            f"sizes: {' '.join(map(str, grid.shape))}",
            f"space directions: {' '.join(vector(affine[:3, axis]) for axis in range(3))}",
            "kinds: domain domain domain",
            "endian: little",
            "encoding: gzip",
            f"space origin: {vector(affine[:3, 3])}",
            "",
            "",
        ]
    ).encode("ascii")
