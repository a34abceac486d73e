"""Single image files: read as volumes, written whole."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, MriprepWarning, OutputRefused, Role, Volume

from . import metaimage, mgh, nifti, nrrd
from .atomic import atomic_path
from .blocks import explained, gzipped, read_voxels, slabs, zlibbed
from .given import expanded
from .header import Header, Oddity, checked
from .sniff import READABLE, WRITABLE, extension, sniff

_PARSERS = {
    "nifti": nifti.parse,
    "mgh": mgh.parse,
    "nrrd": nrrd.parse,
    "metaimage": metaimage.parse,
}

#: Extensions of what a file holds, and whether all of it is gzip.
_ENDINGS = {
    ("nifti", False): (".nii",),
    ("nifti", True): (".nii.gz",),
    ("mgh", False): (".mgh",),
    ("mgh", True): (".mgz",),
    ("nrrd", False): (".nrrd", ".nhdr"),
    ("metaimage", False): (".mha", ".mhd"),
}

#: BIDS suffixes of images, and what else T1 with contrast agent is called.
_SUFFIXES = (
    "T1w", "T2w", "FLAIR", "PDw", "T1c", "T2starw", "PDT2", "inplaneT1", "inplaneT2", "angio",
    "UNIT1", "T1map", "T2map", "T2starmap", "R1map", "R2map", "PDmap", "bold", "sbref", "dwi", "asl",
)  # fmt: skip
_CONTRASTS = {name.lower(): name for name in _SUFFIXES} | {
    "t1": "T1w", "t1n": "T1w", "t1ce": "T1c", "t1gd": "T1c", "t2": "T2w", "t2f": "FLAIR", "flair": "FLAIR",
    "pd": "PDw",
}  # fmt: skip

#: Spaces that are the scanner's own world.
_SCANNER_SPACES = ("native", "scanner")


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read what an image file says about itself, even when it cannot be read as a volume.

    Raises
    ------
    InputError
        If it is missing, not an image, or too damaged to describe.
    """
    content = sniff(expanded(path))
    with explained(content.path):
        header = _PARSERS[content.format](content)
    oddity = _misnamed(content.path, content.format, content.packed)
    if oddity:
        header = replace(header, oddities=(*header.oddities, oddity))
    return header


def read_image(
    path: str | os.PathLike[str], *, role: Role | str = Role.IMAGE, volume: int | None = None
) -> Volume:
    """Read an image file: NIfTI (.nii, .nii.gz), MGH (.mgh, .mgz), NRRD or MetaImage.

    The format is recognised by content. Stored numbers keep their type;
    where the header scales them the values are float32. NaN and infinities
    of an image are kept, with a warning.

    Parameters
    ----------
    path : path
        The file.
    role : {"image", "mask", "labels", "probability"}
        What its voxels mean.
    volume : int, optional
        Which volume of a 4D file, from 0.

    Returns
    -------
    Volume
        Axes as in the file, affine to RAS+ mm. ``meta`` holds ``source``,
        ``format``, ``contrast`` (from the file's name, or None) and
        ``header`` (plain facts).

    Raises
    ------
    InputError
        If the file is missing, damaged, not an image, 2D, or 4D with no
        volume chosen, or its voxels do not fit the role.
    GeometryError
        If the header does not say where the voxels lie.
    """
    header = read_header(path)
    grid, chosen = checked(header, volume)
    for oddity in header.oddities:
        warnings.warn(f"{header.path}: {oddity}", MriprepWarning, stacklevel=2)
    data = read_voxels(header, chosen)
    broken = non_finite(data)
    if broken:
        warnings.warn(f"{header.path}: {broken}; they were kept", MriprepWarning, stacklevel=2)
    if role == "mask" and data.dtype.kind in "iuf" and ((data != 0) & (data != data.max())).any():
        warnings.warn(
            f"{header.path} is taken as a mask, and holds more than two values: all above 0 is"
            " inside; is it the mask?",
            MriprepWarning,
            stacklevel=2,
        )
    meta = {
        "source": str(header.path),
        "format": header.format,
        "contrast": contrast_of(header.path),
        "header": {"dtype": header.dtype.name, **header.facts},
    }
    try:
        return Volume(data, grid, cast(Role, role), meta)
    except InputError as error:
        raise type(error)(f"{header.path}: {error.message}", hint=error.hint) from error


def read_grid(path: str | os.PathLike[str], *, volume: int | None = None) -> Grid:
    """Read where an image's voxels lie, from its header alone.

    Parameters
    ----------
    path : path
        The file.
    volume : int, optional
        Which volume of a 4D file, from 0.

    Raises
    ------
    InputError, GeometryError
        As :func:`read_image`.
    """
    header = read_header(path)
    grid, _ = checked(header, volume)
    for oddity in header.oddities:
        warnings.warn(f"{header.path}: {oddity}", MriprepWarning, stacklevel=2)
    return grid


def write_image(
    volume: Volume, path: str | os.PathLike[str], *, dtype: npt.DTypeLike | None = None
) -> Path:
    """Write a volume as NIfTI (.nii, .nii.gz), NRRD or .mha, whole or not at all.

    Masks are written as uint8, labels as the smallest integer type that
    holds them, probabilities as float32, images as they are (float64 as
    float32, 64-bit integers as int32 where they fit). Equal volumes give
    equal bytes.

    Parameters
    ----------
    volume : Volume
        What to write. ``meta["space"]`` sets the codes of a NIfTI's sform and
        qform: 4 where it begins with MNI, 1 (scanner) where there is none or
        it is ``native``, else 2.
    path : path
        Where, with the extension of the format; its folder is made when
        there is none.
    dtype : dtype_like, optional
        Another type of voxel. Fractions are rounded for an integer type.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    OutputError
        If the extension is not accepted, the values do not fit `dtype`, or
        writing fails. A file that was there before then stays as it was.
    """
    path = expanded(path)
    kind = extension(path, WRITABLE)
    if kind is None:
        raise OutputRefused(
            f"cannot write {path}: images are not written as '{path.suffix or path.name}'",
            hint=f"accepted: {', '.join(WRITABLE)}",
        )
    grid, data, stored = volume.grid, volume.data, stored_type(volume, dtype)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        match kind:
            case ".nii":
                file.write(nifti.encode(grid, stored, _space_code(volume)))
                file.writelines(slabs(data, stored))
            case ".nii.gz":
                with gzipped(file) as stream:
                    stream.write(nifti.encode(grid, stored, _space_code(volume)))
                    stream.writelines(slabs(data, stored))
            case ".nrrd":
                file.write(nrrd.encode(grid, stored))
                with gzipped(file) as stream:
                    stream.writelines(slabs(data, stored))
            case ".mha":
                packed = zlibbed(data, stored)
                file.write(metaimage.encode(grid, stored, sum(map(len, packed))))
                file.writelines(packed)
    return path


def contrast_of(path: str | os.PathLike[str]) -> str | None:
    """Guess the contrast from a file's name: its BIDS suffix, ``T1c`` with a contrast agent, or None."""
    name = Path(path).name
    stem = name[: -len(extension(Path(name), READABLE) or "") or None]
    contrast = _CONTRASTS.get(stem.rpartition("_")[2].lower())
    return "T1c" if contrast == "T1w" and re.search(r"(^|_)ce-", stem) else contrast


def non_finite(data: npt.NDArray[Any]) -> str:
    """Say how many voxels are NaN or infinite; empty when none is."""
    if data.dtype.kind != "f" or np.isfinite(data).all():
        return ""
    nan, infinite = int(np.isnan(data).sum()), int(np.isinf(data).sum())
    counts = [f"{n} NaN" for n in (nan,) if n] + [f"{n} infinite" for n in (infinite,) if n]
    return f"{' and '.join(counts)} of {data.size} voxels"


def stored_type(volume: Volume, dtype: npt.DTypeLike | None = None) -> np.dtype[Any]:
    """Choose the type in which a volume's voxels are written, or check the one that is asked for.

    Raises
    ------
    OutputError
        If `dtype` is not one that images are written in, or the values do not fit it.
    """
    data = volume.data
    target = _usual_type(volume) if dtype is None else _asked(dtype)
    if not _fits(data, target):
        raise OutputRefused(
            f"voxels of {data.min():g} to {data.max():g} do not fit {target.name}",
            hint="ask for a larger type (dtype='float64'), or rescale the image first",
        )
    return target


def _usual_type(volume: Volume) -> np.dtype[Any]:
    data = volume.data
    if volume.role is Role.MASK:
        return np.dtype(np.uint8)
    if volume.role is Role.LABELS:
        # int8 is left out: much software reads it as uint8.
        return next(
            np.dtype(t) for t in ("u1", "i2", "u2", "i4", "u4", "i8", "u8") if _fits(data, t)
        )
    if volume.role is Role.PROBABILITY or data.dtype.kind == "f":
        return np.dtype(np.float32)
    if data.dtype.itemsize == 8 and _fits(data, np.int32):
        return np.dtype(np.int32)
    return data.dtype.newbyteorder("=")


def _asked(dtype: npt.DTypeLike) -> np.dtype[Any]:
    accepted = {np.dtype(t) for t in nifti.DATATYPES.values()}
    try:
        target = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        target = None
    if target not in accepted:
        raise OutputRefused(
            f"images are not written as {dtype}",
            hint=f"accepted: {', '.join(sorted(t.name for t in accepted))}",
        )
    return target


def _fits(data: npt.NDArray[Any], dtype: npt.DTypeLike) -> bool:
    target = np.dtype(dtype)
    if np.can_cast(data.dtype, target):
        return True
    if target.kind == "f":
        # NaN and infinities stay what they are; only what would become infinite does not fit.
        biggest = np.abs(data, where=np.isfinite(data), out=np.zeros_like(data)).max()
        return bool(biggest <= np.finfo(target).max)
    limits = np.iinfo(target)
    return bool(np.isfinite(data).all() and data.min() >= limits.min and data.max() <= limits.max)


def _space_code(volume: Volume) -> int:
    space = str(volume.meta.get("space") or "native")
    if space.startswith("MNI"):
        return 4
    return 1 if space in _SCANNER_SPACES else 2


def _misnamed(path: Path, kind: str, packed: bool) -> Oddity | None:
    ending, fitting = extension(path, READABLE), _ENDINGS[kind, packed]
    if ending is None or ending in fitting:
        return None
    return Oddity(
        f"the file is named {ending} but holds what is named {fitting[0]}",
        "it was read by its content; other software may refuse it",
        f"rename it to {fitting[0]}",
    )
