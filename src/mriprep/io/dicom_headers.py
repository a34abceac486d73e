"""What the header of one DICOM file says, without what identifies a patient."""

from __future__ import annotations

import os
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mriprep.core.grid import FloatArray

from .dicom_contrast import UNKNOWN, Guess, Rules, guess
from .dicom_facts import (
    PATIENT,
    bids_facts,
    has_agent,
    patient_token,
    private_words,
    token,
    without,
)
from .dicom_files import DiskFile, Source, check_deflated
from .dicom_tags import (
    ELEMENTS,
    FIRST_BYTES,
    MOSAIC_COUNT,
    MOST_BYTES,
    Elements,
    Short,
    Unusual,
    read_elements,
)
from .dicom_values import (
    FRAMES,
    SHARED,
    each,
    first,
    first_list,
    one,
    reals,
    scanning_sequence,
    whole,
    words,
)

_DIRECTORY = "1.2.840.10008.1.3.10"  # the index of a medium, DICOMDIR
#: Headers of one series agree in these: what follows from them is worked out once.
_OF_IMAGE = {"SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "AcquisitionNumber"}
_OF_SERIES = (*(t for k, (t, _) in ELEMENTS.items() if k not in _OF_IMAGE), MOSAIC_COUNT)
#: Series that are remembered; a scan of more only takes longer.
_MOST_REMEMBERED = 4096
#: Their pixels are stored as they are, so that their number of bytes is known.
PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_PIXELS = b"\xe0\x7f\x10\x00"

#: The parts of a header that are read; names and numbers of patients only to tell them apart
#: and to keep them out of the rest.
TAGS = (*ELEMENTS, SHARED, FRAMES, MOSAIC_COUNT)

_UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    NotImplementedError, struct.error, OverflowError, RecursionError, MemoryError,
)  # fmt: skip


def unreadable() -> tuple[type[Exception], ...]:
    """What pydicom raises on a file that it cannot make sense of."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (*_UNREADABLE, BytesLengthException, InvalidDicomError)


@dataclass(frozen=True)
class Header:
    """One DICOM file. Times in ms, lengths in mm, positions and directions in LPS.

    Parameters
    ----------
    path : Path
        The file.
    uid, series_uid : str
        Of the image and of its series; for grouping, never shown.
    number, instance : int or None
        Of the series and of the image in it.
    image_type : tuple of str
        ImageType.
    rows, columns, samples : int
        Size of the picture; zero rows where the file holds none.
    frames : int
        Pictures in the file; slices of a mosaic count as frames.
    mosaic : bool
        Whether the picture is a patchwork of slices; rows and columns are then a slice's.
    spacing : (2,) floats or None
        Between rows, then between columns.
    thickness, echo : float or None
        Slice thickness; echo time.
    echo_number : int or None
        EchoNumbers.
    positions, orientations : (frames, 3) and (frames, 6) arrays, or None
        None where the header does not tell them for every frame.
    description : str
        Of the series, free of the patient's name and identifier.
    contrast : str or None
        A guess.
    facts : dict
        BIDS names and units, with ``age`` (years) and ``sex``.
    guessed : Guess
        The contrast with its confidence and reason.
    patient, study : str
        Tell patients and studies apart within this process; never written.
    rank : str
        Puts patients into an order that stays the same; never written.
    moment : str
        Of the study, to put sessions in order; never written.
    syntax : str
        TransferSyntaxUID; empty where the file does not say.
    acquisition : int or None
        AcquisitionNumber.
    lost : int
        Bytes of its pixels that the file lacks: it was cut off.
    """

    path: Path
    uid: str
    series_uid: str
    number: int | None
    instance: int | None
    image_type: tuple[str, ...]
    rows: int
    columns: int
    samples: int
    frames: int
    mosaic: bool
    spacing: tuple[float, float] | None
    thickness: float | None
    echo: float | None
    echo_number: int | None
    positions: FloatArray | None
    orientations: FloatArray | None
    description: str
    contrast: str | None
    facts: dict[str, Any]
    patient: str = ""
    study: str = ""
    rank: str = field(default="", repr=False)
    moment: str = field(default="", repr=False)
    guessed: Guess = UNKNOWN
    syntax: str = ""
    acquisition: int | None = None
    lost: int = 0


def read_header(path: str | Path, rules: Rules | None = None) -> Header | None:
    """Read a file's header; None if it is not DICOM.

    Raises
    ------
    ValueError
        If it is DICOM and damaged.
    OSError
        If it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        return header_of(DiskFile(path, handle), rules)
    finally:
        os.close(handle)


def header_of(source: Source, rules: Rules | None = None) -> Header | None:
    """Read the header of a file on a disk or in an archive; None if it is not DICOM.

    Classic files are read by :mod:`mriprep.io.dicom_tags`, all others by pydicom.

    Raises
    ------
    ValueError
        If it is DICOM and damaged.
    """
    start = source.head(FIRST_BYTES)
    marked = start[128:132] == b"DICM"
    if not marked and not _looks_bare(start[:140]):
        return None
    if marked:
        try:
            return _fast(source, start, rules)
        except Unusual:
            pass
    return _slow(source, marked, rules)


def _fast(source: Source, start: bytes, rules: Rules | None) -> Header:
    try:
        elements = read_elements(start)
    except Short:
        if source.size <= len(start):
            raise
        elements = read_elements(source.head(MOST_BYTES))
    if not elements.get("SeriesInstanceUID"):
        raise Unusual
    shared, pixels = _shared(elements, elements.syntax, rules)
    return _header(source, elements, _lost_fast(source, pixels), shared)


def _slow(source: Source, marked: bool, rules: Rules | None) -> Header | None:
    import pydicom

    try:
        # pydicom's remarks quote the values that it dislikes: these may be names.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydicom")
            check_deflated(source, marked)
            file = source.open()
            header = pydicom.dcmread(
                file, stop_before_pixels=True, specific_tags=list(TAGS), force=not marked
            )
            at = file.tell()
            if not header.get("SeriesInstanceUID"):
                kind = header.file_meta.get("MediaStorageSOPClassUID")
                if marked and kind != _DIRECTORY:
                    raise ValueError("it names no series")
                return None
            syntax = str(header.file_meta.get("TransferSyntaxUID") or "")
            shared, pixels = _shared(header, syntax, rules)
            return _header(source, header, max(0, pixels - (source.size - at)), shared)
    except unreadable() as error:
        if marked:
            raise ValueError(f"damaged DICOM file ({type(error).__name__})") from None
        return None


def _looks_bare(start: bytes) -> bool:
    """Whether a file begins with a DICOM element, as files without a preamble do."""
    if len(start) < 16 or start[:2] not in (b"\x02\x00", b"\x08\x00") or start[3] != 0:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") < 256


def _pixel_bytes(ds: Any, syntax: str) -> int:
    """How many bytes the pixels of a file take; 0 where that cannot be told."""
    numbers = [
        whole(ds.get(k)) or 0 for k in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    ]
    if syntax not in PLAIN or 0 in numbers[:2] or numbers[3] % 8:
        return 0
    rows, columns, samples, bits = numbers
    frames = whole(ds.get("NumberOfFrames")) or 1
    return rows * columns * (samples or 1) * (bits or 16) // 8 * frames


def _lost_fast(source: Source, expected: int) -> int:
    """How many of the bytes of its pixels a file lacks."""
    if not expected:
        return 0
    stored = expected + expected % 2
    for header in (12, 8):  # explicit, implicit
        at = source.size - stored - header
        if at > 0:
            there = source.piece(at, 4)
            if there is None or there == _PIXELS:
                return 0
    raise Unusual  # something follows the pixels, or not all of them are there


#: Fields of a :class:`Header` that the files of a series share, and the bytes of a file's pixels.
Shared = tuple[dict[str, Any], int]
#: With the rules, so that their identity stays theirs as long as it is part of a key.
_remembered: dict[Any, tuple[Shared, Rules | None]] = {}


def _shared(ds: Any, syntax: str, rules: Rules | None) -> Shared:
    """What follows from the elements that the files of a series share."""
    if not isinstance(ds, Elements):
        return _worked_out(ds, syntax, rules), _pixel_bytes(ds, syntax)
    key = (ds.key(_OF_SERIES), syntax, id(rules))
    held = _remembered.get(key)
    if held is None:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        held = (_worked_out(ds, syntax, rules), _pixel_bytes(ds, syntax)), rules
        _remembered[key] = held
    return held[0]


def _worked_out(ds: Any, syntax: str, rules: Rules | None) -> dict[str, Any]:
    echo = first(ds, "EchoTime", ("MREchoSequence", "EffectiveEchoTime"))
    facts = bids_facts(ds, echo)
    description = str(ds.get("SeriesDescription") or "").strip()
    protocol = str(ds.get("ProtocolName") or "").strip()
    guessed = _guessed(ds, [description, protocol], facts, echo, rules)
    private = private_words(ds)
    for name, text in (("SeriesDescription", description), ("ProtocolName", protocol)):
        if text:
            facts[name] = without(text, private)
    rows, columns = whole(ds.get("Rows")) or 0, whole(ds.get("Columns")) or 0
    frames = whole(ds.get("NumberOfFrames")) or 1
    image_type = words(ds.get("ImageType"))
    slices = _mosaic_slices(ds) if "MOSAIC" in image_type else None
    if slices:
        tiles = int(np.ceil(np.sqrt(slices)))
        rows, columns, frames = rows // tiles, columns // tiles, slices
    spacing = first_list(ds, "PixelSpacing", ("PixelMeasuresSequence", "PixelSpacing"), 2)
    study = str(ds.get("StudyInstanceUID") or "")
    patient = "|".join(str(ds.get(k) or "").strip() for k in PATIENT)
    return {
        "series_uid": str(ds.get("SeriesInstanceUID") or ""),
        "number": whole(ds.get("SeriesNumber")),
        "image_type": image_type,
        "rows": rows,
        "columns": columns,
        "samples": whole(ds.get("SamplesPerPixel")) or 1,
        "frames": frames,
        "mosaic": "MOSAIC" in image_type,
        "spacing": None if spacing is None else (spacing[0], spacing[1]),
        "thickness": first(ds, "SliceThickness", ("PixelMeasuresSequence", "SliceThickness")),
        "echo": echo,
        "echo_number": whole(one(ds.get("EchoNumbers"))),
        "orientations": each(ds, "ImageOrientationPatient", "PlaneOrientationSequence", frames, 6),
        "description": without(description, private),
        "contrast": guessed.contrast,
        "facts": facts,
        "patient": patient_token(ds),
        "study": token(study) if study else "",
        "rank": token(patient, salted=False),
        "moment": f"{ds.get('StudyDate') or ''}{ds.get('StudyTime') or ''}",
        "guessed": guessed,
        "syntax": syntax,
    }


def _guessed(
    ds: Any, names: list[str], facts: dict[str, Any], echo: float | None, rules: Rules | None
) -> Guess:
    modality = str(ds.get("Modality") or "")
    if modality not in ("MR", "OT", "SC"):
        return UNKNOWN
    guessed = guess(
        names,
        image_type=words(ds.get("ImageType")),
        sequence=scanning_sequence(ds),
        variant=words(ds.get("SequenceVariant")),
        repetition_ms=_milliseconds(facts, "RepetitionTime"),
        echo_ms=echo,
        inversion_ms=_milliseconds(facts, "InversionTime"),
        flip_deg=facts.get("FlipAngle"),
        acquisition=str(ds.get("AcquisitionContrast") or ""),
        sop_class=str(ds.get("SOPClassUID") or ""),
        modality=modality,
        contrast_agent=has_agent(ds),
        rules=rules,
    )
    return guessed if modality == "MR" or guessed.contrast == "screenshot" else UNKNOWN


def _header(source: Source, ds: Any, lost: int, shared: dict[str, Any]) -> Header:
    return Header(
        path=source.path,
        uid=str(ds.get("SOPInstanceUID") or source.path),
        instance=whole(ds.get("InstanceNumber")),
        positions=_positions(ds, shared["frames"]),
        acquisition=whole(ds.get("AcquisitionNumber")),
        lost=lost,
        **shared,
    )


def _positions(ds: Any, frames: int) -> FloatArray | None:
    if not isinstance(ds, Elements):
        return each(ds, "ImagePositionPatient", "PlanePositionSequence", frames, 3)
    # A classic file: the same, without looking for functional groups.
    vector = reals(ds.get("ImagePositionPatient"), 3)
    return None if vector is None or frames != 1 else np.array([vector])


def _milliseconds(facts: dict[str, Any], name: str) -> float | None:
    return facts[name] * 1e3 if name in facts else None


def _mosaic_slices(ds: Any) -> int | None:
    element = ds.get(MOSAIC_COUNT)
    value = None if element is None else element.value
    if isinstance(value, bytes):  # without its type, in implicit transfer syntax
        value = int.from_bytes(value[:2], "little")
    return whole(value)
