"""What a folder holds, file by file, and whose it is."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mriprep.io.dicom_headers import unreadable

from . import known, naming
from .allowed import CLASSES

Kind = Literal["dicom", "nifti", "json", "gradients"]

_HEAD = 1024
_TEXT_MOST = 64 * 2**20
_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Held:
    """A file that was not let through.

    Parameters
    ----------
    path : PurePosixPath
        Its name in the input, which may name somebody: not for reports.
    why : str
        The reason, without any value of the file.
    """

    path: PurePosixPath = field(repr=False)
    why: str


@dataclass
class Series:
    """The files of one DICOM series, and why it is held back, if it is."""

    uid: str = field(repr=False)
    study: str = field(repr=False)
    person: str = field(repr=False)
    name: str = field(repr=False)
    number: int = 0
    files: list[tuple[int, PurePosixPath]] = field(default_factory=list, repr=False)
    why: str = ""


@dataclass
class Gathered:
    """Everything in a folder."""

    root: Path
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    others: list[tuple[Kind, PurePosixPath]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    words: set[str] = field(default_factory=set, repr=False)


def gather(root: Path) -> Gathered:
    """Look at every file below a folder; links and special files are held back unread."""
    found = Gathered(root)
    for path, why in _below(root, PurePosixPath()):
        if why:
            found.held.append(Held(path, why))
            continue
        try:
            _look(found, path)
        except Unknown as error:
            found.held.append(Held(path, str(error)))
        except OSError:
            found.held.append(Held(path, "it cannot be read"))
        label = naming.subject_of(path)
        if label and not label.isdigit():
            found.words.update(known.words_in(label))
    for series in found.series.values():
        series.files.sort()
    return found


class Unknown(ValueError):
    """Not a file that is let through."""


def _below(root: Path, inside: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    try:
        entries = sorted(os.scandir(root / inside), key=lambda e: e.name)
    except OSError:
        yield inside, "the folder cannot be read"
        return
    for entry in entries:
        path = inside / entry.name
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError:
            yield path, "it cannot be read"
            continue
        if stat.S_ISDIR(mode):
            yield from _below(root, path)
        elif stat.S_ISREG(mode):
            yield path, ""
        else:
            yield path, "a link or a special file, which is not followed"


def _look(found: Gathered, path: PurePosixPath) -> None:
    file = found.root / path
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    if not head:
        raise Unknown("it is empty")
    if head[128:132] == b"DICM" or _bare(head):
        _dicom(found, path)
        return
    ending = naming.extension(path.name)
    kind: Kind | None = None
    if ending in (".nii", ".nii.gz"):
        kind = "nifti"
    elif ending == ".json":
        kind = "json"
        _words_of_json(found, file)
    elif ending in (".bval", ".bvec"):
        kind = "gradients"
    if ending == "" and path.suffix.lower() in (".tsv", ".csv"):
        raise Unknown("a table, whose columns may say anything: docs/deidentify.md makes a new one")
    if kind is None:
        raise Unknown("no DICOM, NIfTI (.nii, .nii.gz), JSON or gradient file: it may say anything")
    found.others.append((kind, path))


def _bare(head: bytes) -> bool:
    """Whether a file begins with a DICOM element, as files without a preamble do."""
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    small = int.from_bytes(head[4:8], "little") < 256
    return head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0" and (explicit or small)


def read_dataset(file: Path, *, pixels: bool) -> Any:
    """Read a DICOM file; pydicom's remarks, which quote values, are not shown.

    Raises
    ------
    Unknown
        If it cannot be read.
    """
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(file, stop_before_pixels=not pixels, force=True)
        except unreadable():
            raise Unknown("a damaged DICOM file") from None


def _dicom(found: Gathered, path: PurePosixPath) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = read_dataset(found.root / path, pixels=False)
        try:
            found.words |= known.of_dataset(ds)
            meta = getattr(ds, "file_meta", {})
            if str(meta.get("MediaStorageSOPClassUID") or "") == _DIRECTORY:
                raise Unknown("the index of a medium (DICOMDIR), which names everybody on it")
            uid, study = (
                str(ds.get(k) or "").strip() for k in ("SeriesInstanceUID", "StudyInstanceUID")
            )
            if not uid or not ds.get("SOPInstanceUID"):
                raise Unknown("a damaged DICOM file: it names no series or no image")
            name = str(ds.get("PatientName") or "").strip()
            person = str(ds.get("PatientID") or "").strip() or name or study or uid
            series = found.series.setdefault(
                (person, uid), Series(uid, study, person, name, _whole(ds.get("SeriesNumber")))
            )
            series.why = series.why or _why_not(ds)
            series.files.append((_whole(ds.get("InstanceNumber")), path))
        except unreadable():
            raise Unknown("a damaged DICOM file") from None


def _whole(value: Any) -> int:
    try:
        return max(0, min(int(value), 10**6))
    except (TypeError, ValueError):
        return 0


def _why_not(ds: Any) -> str:
    """Why a series may have text in its pixels, by its header; empty if nothing says so."""
    if str(ds.get("BurnedInAnnotation") or "").strip().upper() not in ("", "NO", "N"):
        return "its header says that there is text in its pixels (BurnedInAnnotation)"
    if str(ds.get("SOPClassUID") or "") not in CLASSES:
        return "no MR image: a picture of a screen, a report or another object may say anything"
    if str(ds.get("ConversionType") or "").strip():
        return "a secondary capture: made of a screen, a film or a document"
    if str(ds.get("Modality") or "MR").strip() != "MR":
        return "its header says that it is no MR scan (Modality)"
    return ""


def _words_of_json(found: Gathered, file: Path) -> None:
    import json

    if file.stat().st_size > _TEXT_MOST:
        raise Unknown("it is too large for a sidecar")
    try:
        data = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return  # it is held back when it is cleaned
    for keyword in known.NAMING if isinstance(data, dict) else ():
        if isinstance(data.get(keyword), str):
            found.words.update(known.words_in(data[keyword]))
