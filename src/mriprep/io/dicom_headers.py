"""What the header of one DICOM file says, without what identifies a patient."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mriprep.core.grid import FloatArray

from .dicom_contrast import guess
from .dicom_facts import bids_facts, has_agent, patient_token, private_words, without
from .dicom_values import (
    FRAMES,
    SHARED,
    each,
    first,
    first_list,
    one,
    scanning_sequence,
    whole,
    words,
)

_DIRECTORY = "1.2.840.10008.1.3.10"  # the index of a medium, DICOMDIR
_MOSAIC_COUNT = 0x0019_100A  # Siemens: number of slices in a mosaic

#: The parts of a header that are read; PatientName and PatientID only to keep them out of the rest.
TAGS = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "SeriesDescription", "ProtocolName", "Modality", "Manufacturer",
    "ManufacturerModelName", "MagneticFieldStrength", "ScanningSequence", "SequenceVariant",
    "MRAcquisitionType", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle",
    "EchoNumbers", "ImageType", "Rows", "Columns", "PixelSpacing", "SliceThickness",
    "ImageOrientationPatient", "ImagePositionPatient", "InstanceNumber", "NumberOfFrames",
    "SamplesPerPixel", "ContrastBolusAgent", "AcquisitionContrast", "EchoPulseSequence", "EchoPlanarPulseSequence",
    "PatientAge", "PatientSex", "PatientBirthDate", "StudyDate", "SeriesDate", "PatientName",
    "PatientID", SHARED, FRAMES, _MOSAIC_COUNT,
)  # fmt: skip

#: What pydicom raises on a file that it cannot make sense of.
UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    NotImplementedError, struct.error, OverflowError, RecursionError, MemoryError,
)  # fmt: skip


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
    patient : str
        Tells patients apart within this process; never written.
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


def read_header(path: Path) -> Header | None:
    """Read a file's header; None if it is not DICOM.

    Raises
    ------
    ValueError
        If it is DICOM and damaged.
    """
    import pydicom

    with open(path, "rb") as file:
        start = file.read(140)
    marked = start[128:132] == b"DICM"
    if not marked and not _looks_bare(start):
        return None
    try:
        # pydicom's remarks quote the values that it dislikes: these may be names.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pydicom")
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=list(TAGS), force=not marked
            )
            if not header.get("SeriesInstanceUID"):
                kind = header.file_meta.get("MediaStorageSOPClassUID")
                if marked and kind != _DIRECTORY:
                    raise ValueError("it names no series")
                return None
            return _header(path, header)
    except UNREADABLE as error:
        if marked:
            raise ValueError(f"damaged DICOM file ({type(error).__name__})") from None
        return None


def _looks_bare(start: bytes) -> bool:
    """Whether a file begins with a DICOM element, as files without a preamble do."""
    if len(start) < 16 or start[:2] not in (b"\x02\x00", b"\x08\x00") or start[3] != 0:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") < 256


def _header(path: Path, ds: Any) -> Header:
    rows, columns = whole(ds.get("Rows")) or 0, whole(ds.get("Columns")) or 0
    frames = whole(ds.get("NumberOfFrames")) or 1
    image_type = words(ds.get("ImageType"))
    slices = _mosaic_slices(ds) if "MOSAIC" in image_type else None
    if slices:
        tiles = int(np.ceil(np.sqrt(slices)))
        rows, columns, frames = rows // tiles, columns // tiles, slices
    echo = first(ds, "EchoTime", ("MREchoSequence", "EffectiveEchoTime"))
    facts = bids_facts(ds, echo)
    description = str(ds.get("SeriesDescription") or "").strip()
    protocol = str(ds.get("ProtocolName") or "").strip()
    contrast = None
    if ds.get("Modality") == "MR":
        contrast = guess(
            [description, protocol],
            image_type=image_type,
            sequence=scanning_sequence(ds),
            variant=words(ds.get("SequenceVariant")),
            repetition_ms=_milliseconds(facts, "RepetitionTime"),
            echo_ms=echo,
            inversion_ms=_milliseconds(facts, "InversionTime"),
            acquisition=str(ds.get("AcquisitionContrast") or ""),
            contrast_agent=has_agent(ds),
        )
    private = private_words(ds)
    for name, text in (("SeriesDescription", description), ("ProtocolName", protocol)):
        if text:
            facts[name] = without(text, private)
    spacing = first_list(ds, "PixelSpacing", ("PixelMeasuresSequence", "PixelSpacing"), 2)
    return Header(
        path=path,
        uid=str(ds.get("SOPInstanceUID") or path),
        series_uid=str(ds.get("SeriesInstanceUID") or ""),
        number=whole(ds.get("SeriesNumber")),
        instance=whole(ds.get("InstanceNumber")),
        image_type=image_type,
        rows=rows,
        columns=columns,
        samples=whole(ds.get("SamplesPerPixel")) or 1,
        frames=frames,
        mosaic="MOSAIC" in image_type,
        spacing=None if spacing is None else (spacing[0], spacing[1]),
        thickness=first(ds, "SliceThickness", ("PixelMeasuresSequence", "SliceThickness")),
        echo=echo,
        echo_number=whole(one(ds.get("EchoNumbers"))),
        positions=each(ds, "ImagePositionPatient", "PlanePositionSequence", frames, 3),
        orientations=each(ds, "ImageOrientationPatient", "PlaneOrientationSequence", frames, 6),
        description=without(description, private),
        contrast=contrast,
        facts=facts,
        patient=patient_token(ds),
    )


def _milliseconds(facts: dict[str, Any], name: str) -> float | None:
    return facts[name] * 1e3 if name in facts else None


def _mosaic_slices(ds: Any) -> int | None:
    element = ds.get(_MOSAIC_COUNT)
    value = None if element is None else element.value
    if isinstance(value, bytes):  # without its type, in implicit transfer syntax
        value = int.from_bytes(value[:2], "little")
    return whole(value)
