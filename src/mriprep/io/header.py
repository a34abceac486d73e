"""What an image file says about itself, whatever its format, voxels unread."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import GeometryError, Grid, InputError
from mriprep.core.grid import FloatArray

from .memory import memory_fault

#: From ITK's and DICOM's world (x to the left, y to the back) to ours, and back.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Deflate cannot pack tighter than 1032 to 1: a file that claims more is damaged.
MAX_COMPRESSION = 1032

#: Millimetres in a unit of length, as formats name them.
MILLIMETRES = {"m": 1000.0, "mm": 1.0, "um": 0.001}

_LONGEST_TEXT = 1 << 20


@dataclass(frozen=True)
class Oddity:
    """Something about a file that is not as one would expect, and what to make of it."""

    what: str
    consequence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.consequence}"


@dataclass(frozen=True)
class Block:
    """Where the voxels lie in a file.

    Parameters
    ----------
    path : Path
        The file, which is not the header's file for .nhdr and .mhd.
    start : int
        Byte of the file where the (compressed) stream begins.
    codec : str
        How the stream is packed.
    skip : int
        Bytes of the unpacked stream before the first voxel.
    """

    path: Path
    start: int
    codec: Literal["raw", "gzip", "zlib"]
    skip: int


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Parameters
    ----------
    path : Path
        The file that was opened.
    format : str
        Name of the format.
    shape : tuple of int
        Sizes of all axes, ``(X, Y, Z)`` or ``(X, Y, Z, volumes)``, further axes of
        length 1 left out.
    dtype : numpy.dtype
        Of a voxel as stored, byte order included.
    block : Block
        Where the voxels lie.
    affine : (4, 4) array or None
        Index to RAS+ mm; None where the file does not allow to say.
    facts : mapping
        Plain header facts; nothing that could name a patient.
    slope, inter : float
        A voxel's value is ``slope * stored + inter``.
    oddities : tuple of Oddity
        What was odd, and how it was read all the same.
    faults : tuple of InputError
        Why the file cannot be read as a volume; empty when it can.
    interleaved : bool
        Whether the volumes' axis varies fastest in the file, not slowest.
    """

    path: Path
    format: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: Block
    affine: FloatArray | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    slope: float = 1.0
    inter: float = 0.0
    oddities: tuple[Oddity, ...] = ()
    faults: tuple[InputError, ...] = ()
    interleaved: bool = False

    @property
    def volumes(self) -> int:
        """How many volumes the file holds."""
        return self.shape[3] if len(self.shape) > 3 else 1

    @property
    def is_scaled(self) -> bool:
        """Whether values are not the stored numbers themselves."""
        return self.slope != 1 or self.inter != 0

    @property
    def volume_bytes(self) -> int:
        """Size of one volume's voxels as stored, bytes."""
        return math.prod(self.shape[:3]) * self.dtype.itemsize

    @property
    def reading_bytes(self) -> int:
        """Memory that reading one volume takes, bytes."""
        count = math.prod(self.shape[:3])
        taken = count * self.dtype.itemsize * (self.volumes if self.interleaved else 1)
        return taken + (count * 8 if self.is_scaled or self.interleaved else 0)


def trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without axes of length 1 at its end, but three axes at least where there are."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def checked(header: Header, volume: int | None = None) -> tuple[Grid, int]:
    """Check that a file can be read as one volume.

    Parameters
    ----------
    header : Header
        What the file says.
    volume : int, optional
        Which volume of a 4D file, from 0.

    Returns
    -------
    grid : Grid
        Where its voxels lie.
    volume : int
        The volume to read; 0 for a 3D file.

    Raises
    ------
    InputError, GeometryError
        If it cannot, with the reason.
    """
    path, shape = header.path, header.shape
    for fault in (*header.faults, size_fault(header), memory_fault(path, header.reading_bytes)):
        if fault:
            raise fault
    if volume is None and header.volumes > 1:
        raise InputError(
            f"{path} is 4D: it holds {header.volumes} volumes of {_times(shape[:3])} voxels",
            hint=f"choose one, counting from 0: `--volume 0` to `--volume {header.volumes - 1}`,"
            " in Python volume=0",
        )
    chosen = 0 if volume is None else volume
    if not 0 <= chosen < header.volumes:
        raise InputError(
            f"{path} has no volume {chosen}",
            hint=f"it holds {header.volumes}; counting starts at 0",
        )
    assert header.affine is not None, "a header without an affine has a fault"
    return Grid((shape[0], shape[1], shape[2]), header.affine), chosen


def shape_fault(path: Path, shape: tuple[int, ...]) -> InputError | None:
    """Why these sizes are not those of a volume or a series of volumes, or None."""
    if not shape or min(shape) < 1:
        return InputError(
            f"{path} claims the sizes {_times(shape) or 'none'}: its header is damaged",
            hint="convert it again from its source",
        )
    if len(shape) < 3 or min(shape[:3]) == 1:
        return InputError(
            f"{path} is a 2D image of {_times(shape[:3])} voxels; a volume of several slices is needed",
            hint="give the whole series; localisers and single slices cannot be used",
        )
    if len(shape) > 4:
        return InputError(
            f"{path} has {len(shape)} axes of {_times(shape)}: vectors or tensors, not an image",
            hint="give an image with three axes, or four of which one volume is chosen",
        )
    return None


def size_fault(header: Header) -> InputError | None:
    """Say whether the header claims more voxels than the file can hold, before memory is taken."""
    block = header.block
    present = block.path.stat().st_size - block.start
    claimed = header.volume_bytes * header.volumes
    room = (present if block.codec == "raw" else present * MAX_COMPRESSION) - block.skip
    if claimed <= room:
        return None
    return InputError(
        f"{header.path} is truncated or damaged: its header claims {claimed} bytes of voxels,"
        f" the file has room for {max(room, 0)}",
        hint="copy or convert it again from its source",
    )


def geometry_fault(
    path: Path, affine: FloatArray, spacing: npt.ArrayLike = (1, 1, 1)
) -> GeometryError | None:
    """Why an affine (4, 4), or the spacing it was made from, cannot be used, or None."""
    try:
        if not (np.asarray(spacing) > 0).all():  # NaN too
            raise GeometryError(f"spacing {np.asarray(spacing).tolist()} mm")
        Grid((1, 1, 1), affine)
    except GeometryError as error:
        return GeometryError(
            f"{path} does not say where its voxels lie: {error.message}",
            hint="convert it again from its source; `mriprep inspect` shows what the header holds",
        )
    return None


def header_text(path: Path, end: bytes) -> tuple[str, int]:
    """Read the text at the start of a file, up to and with the regular expression `end`.

    Returns
    -------
    text : str
        The header; the whole file where `end` does not come.
    start : int
        The byte after it.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST_TEXT)
    found = re.search(end, head)
    if not found and len(head) == _LONGEST_TEXT:
        raise InputError(f"{path} is damaged: its header does not end")
    start = found.end() if found else len(head)
    return head[:start].decode("latin-1"), start


def beside(path: Path, name: str) -> Path:
    """Find the data file that a header names, in the header's folder or below it."""
    part = Path(name)
    if part.is_absolute() or ".." in part.parts or "%" in name or name.upper().startswith("LIST"):
        raise InputError(
            f"{path} has its voxels in '{name}'; one file in the same folder is accepted",
            hint="write it again as one file, for instance .nii.gz",
        )
    file = path.parent / part
    if not file.is_file():
        raise InputError(
            f"{path} has its voxels in '{name}', which does not exist",
            hint="keep the header and its data file together",
        )
    return file


def unit_oddity(name: str, factor: float) -> Oddity:
    """Say that lengths were not in mm and were converted."""
    return Oddity(
        f"the header gives lengths in {name}",
        f"they were multiplied by {factor:g} to mm; software that ignores the unit reads other sizes",
        "write the image again: mriprep writes mm",
    )


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
