"""Defacing a NIfTI file as the file it is: its header, its stored numbers, all its volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.io import blocks, nifti
from mriprep.io.atomic import atomic_path
from mriprep.io.header import Header
from mriprep.io.images import read_header
from mriprep.io.sniff import extension, sniff
from mriprep.steps import _face_fill

#: Endings of files that keep a NIfTI's header.
_ENDINGS = (".nii", ".nii.gz")


def alike(source: Path, target: Path) -> bool:
    """Whether the output can be the input's file with other voxels: both are NIfTI."""
    return (
        source.is_file()
        and extension(target, _ENDINGS) is not None
        and extension(source, _ENDINGS) is not None
        and sniff(source).format == "nifti"
    )


def write(source: Path, target: Path, face: Volume, method: str, fwhm: float) -> Path:
    """Write a NIfTI file again without a face.

    Stored numbers outside of the face are the same, and so is the header,
    less its free texts and extensions, in which names are found.

    Parameters
    ----------
    source, target : Path
        NIfTI files.
    face : Volume
        What to remove, of every volume: a mask on the file's grid.
    method : str
        ``blank``, ``shear`` or ``blur``.
    fwhm : float
        Of the blur, mm.
    """
    header = read_header(source)
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        parts = _parts(source, header, face, method, fwhm)
        if extension(target, _ENDINGS) == ".nii":
            file.writelines(parts)
        else:
            with blocks.gzipped(file) as stream:
                stream.writelines(parts)
    return target


def _parts(source: Path, header: Header, face: Volume, method: str, fwhm: float) -> Iterator[bytes]:
    gone = np.asarray(face.data)
    yield nifti.kept(sniff(source))
    for stored in blocks.stored_volumes(header):
        done = _without(face, stored, gone, header, method, fwhm)
        yield done.astype(header.dtype, copy=False).tobytes(order="F")


def _without(
    face: Volume,
    stored: npt.NDArray[Any],
    gone: npt.NDArray[np.bool_],
    header: Header,
    method: str,
    fwhm: float,
) -> npt.NDArray[Any]:
    if not gone.any():
        return stored
    image = face.replace(stored, role="image")
    if method == "blur":  # means of stored numbers are those of the values, scaled
        return _face_fill.blur(image, gone, fwhm)
    return _face_fill.blank(image, gone, -header.inter / header.slope)
