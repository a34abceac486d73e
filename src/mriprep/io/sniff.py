"""What a file is, by its content: names lie, the first bytes do not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mriprep.core import InputError

from .blocks import explained
from .given import leads_to

#: Extensions of the images that can be read, and of those, written.
READABLE = (".nii", ".nii.gz", ".mgh", ".mgz", ".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")

#: Enough for the longest binary header and to recognise everything else.
HEAD_BYTES = 1024

Format = Literal["nifti", "mgh", "nrrd", "metaimage"]

_GZIP = b"\x1f\x8b"

#: What people hand over instead of an image: the first bytes, what it is, what to do.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG", "a PNG picture", "give the scan itself, not a picture of it"),
    (b"\xff\xd8\xff", "a JPEG picture", "give the scan itself, not a picture of it"),
    (b"II*\0", "a TIFF picture", "give the scan itself, not a picture of it"),
    (b"MM\0*", "a TIFF picture", "give the scan itself, not a picture of it"),
    (b"%PDF", "a PDF document", "give the scan itself"),
    (b"PK\x03\x04", "a zip archive", "unpack it first, or give an archive of DICOM files"),
    (b"\x89HDF", "an HDF5 file (perhaps MINC 2)", "convert it to .nii.gz first"),
    (b"CDF\x01", "a NetCDF file (perhaps MINC 1)", "convert it to .nii.gz first"),
    (b"\x93NUMPY", "a NumPy array", "an array has no geometry: make it a mriprep.Volume"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the content: git lfs pull"),
    (b"/annex/objects/", "a git-annex pointer", "fetch the content: datalad get"),
    (b"<!doctype html", "a web page", "the download failed: fetch the file again"),
    (b"<html", "a web page", "the download failed: fetch the file again"),
)


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Parameters
    ----------
    path : Path
        The file.
    format : str
        Its format.
    packed : bool
        Whether the whole file is gzip.
    head : bytes
        The first bytes, unpacked.
    """

    path: Path
    format: Format
    packed: bool
    head: bytes


def sniff(path: Path) -> Content:
    """Say which image format a file holds.

    Raises
    ------
    InputError
        If it is missing, a folder, unreadable, empty or not an image.
    """
    kind = leads_to(path)
    if kind == "folder":
        raise InputError(
            f"{path} is a folder, an image file is needed",
            hint="a folder of DICOM files, or a BIDS folder, is read as a case",
        )
    if kind == "missing":
        raise InputError(f"{path} does not exist", hint=_where_it_ends(path))
    with explained(path), path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        packed = head.startswith(_GZIP)
        if packed:
            from isal import igzip

            file.seek(0)
            with igzip.IGzipFile(fileobj=file, mode="rb") as stream:
                head = stream.read(HEAD_BYTES)
    if not head:
        raise InputError(f"{path} is empty", hint="copy or convert it again from its source")
    format_ = _format(head)
    if format_ is None or (packed and format_ in ("nrrd", "metaimage")):
        raise _not_an_image(path, head, packed)
    return Content(path, format_, packed, head)


def extension(path: Path, accepted: tuple[str, ...]) -> str | None:
    """The longest of the accepted extensions that a name ends with, or None."""
    name = path.name.lower()
    fitting = (e for e in accepted if name.endswith(e) and len(name) > len(e))
    return max(fitting, key=len, default=None)


def _format(head: bytes) -> Format | None:
    if head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0":
        return "nifti"
    if head.startswith(b"NRRD00"):
        return "nrrd"
    if re.match(rb"\s*(ObjectType|NDims|Comment)\s*=", head):
        return "metaimage"
    # MGH has no magic: version 1, four sizes, one of its five voxel types, big-endian.
    if head[:4] == b"\0\0\0\x01" and head[20:24] in {bytes((0, 0, 0, n)) for n in (0, 1, 3, 4, 10)}:
        return "mgh"
    return None


def _not_an_image(path: Path, head: bytes, packed: bool) -> InputError:
    what, hint = (
        "not an image, whatever its name: its content is none of the known formats",
        f"known are {', '.join(READABLE)}",
    )
    if head[128:132] == b"DICM":
        what, hint = "one DICOM file", "give the folder that holds the whole series"
    elif head[257:262] == b"ustar":
        what, hint = "a tar archive", "unpack it first"
    elif head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
        pair = head[344:348] == b"ni1\0"
        what = "the header of a NIfTI pair (.hdr and .img)" if pair else "an Analyze 7.5 header"
        hint = "convert it to .nii.gz first" + (
            "" if pair else "; Analyze does not say left from right"
        )
    elif head.startswith(b"NRRD00") or b"ObjectType" in head[:64]:
        what, hint = "a packed image", "unpack it first with gunzip"
    else:
        lower = head.lstrip().lower()
        for start, name, remedy in _OTHERS:
            if head.startswith(start) or lower.startswith(start):
                what, hint = name, remedy
                break
    return InputError(f"{path} is {what}{' inside a gzip file' if packed else ''}", hint=hint)


def _where_it_ends(path: Path) -> str:
    for folder in path.parents:
        if folder.is_dir():
            return (
                f"the folder {folder} exists, what follows does not"
                if (folder != path.parent)
                else "the folder exists: check the name and its extension"
            )
    return "check the path"
