"""A phantom as a scanner would send it: a classic MR DICOM series, one file a slice."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mriprep.core import Grid, InputError, OutputRefused

from .model import Phantom

#: DICOM's words for the sequence of each contrast; times in ms, angle in degrees.
SEQUENCES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "T1w": {
            "ScanningSequence": ["GR", "IR"],
            "SequenceVariant": ["SK", "SP", "MP"],
            "RepetitionTime": 2300,
            "EchoTime": 2.98,
            "InversionTime": 900,
            "FlipAngle": 9,
        },
        "T2w": {
            "ScanningSequence": "SE",
            "SequenceVariant": ["SK", "SP"],
            "RepetitionTime": 3200,
            "EchoTime": 96,
            "FlipAngle": 120,
        },
        "FLAIR": {
            "ScanningSequence": ["SE", "IR"],
            "SequenceVariant": ["SK", "SP", "MP"],
            "RepetitionTime": 9000,
            "EchoTime": 125,
            "InversionTime": 2500,
            "FlipAngle": 120,
        },
        "PDw": {
            "ScanningSequence": "SE",
            "SequenceVariant": ["SK", "SP"],
            "RepetitionTime": 3200,
            "EchoTime": 14,
            "FlipAngle": 120,
        },
    }
)

_MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
_SEXES = ("M", "F", "O")
_LPS = np.array([-1.0, -1.0, 1.0])


def write_dicom(
    phantom: Phantom,
    folder: str | os.PathLike[str],
    *,
    series_description: str | None = None,
    age: float | None = None,
    sex: str = "O",
) -> Path:
    """Write a phantom's image as a DICOM series (MR Image Storage, explicit little endian).

    Slices lie along the array's third axis; the first axis runs along a row
    of the image and the second down its columns. Floating-point voxels are
    rounded to 16 bits. The same phantom gives the same files.

    Parameters
    ----------
    phantom : Phantom
        What to write.
    folder : path
        A folder that does not exist yet, or is empty; it appears whole or
        not at all.
    series_description : str, optional
        By default ``"T1w MPRAGE phantom"`` and the like.
    age : float, optional
        Patient's age, years; the phantom's own if left out.
    sex : {"O", "M", "F"}
        Patient's sex.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If the age or sex is none, or the grid's axes are not at right angles.
    OutputError
        If the folder has files in it.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputRefused(f"'{target}' is not empty", hint="give a new or an empty folder")
    grid = phantom.grid
    if not np.allclose(grid.direction.T @ grid.direction, np.eye(3), atol=1e-4):
        raise InputError("the axes of the phantom's grid are not at right angles")
    contrast = str(phantom.facts["contrast"])
    age = phantom.facts["age_years"] if age is None else age
    pixels = _pixels(phantom)
    shared = {
        **_patient(phantom.facts["seed"], age, sex),
        **_series(contrast, series_description, pixels),
        **SEQUENCES[contrast],
        **_geometry(grid),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for k in range(grid.shape[2]):
            _write_slice(staging / f"IM{k + 1:04d}.dcm", shared, grid, pixels, k)
        staging.chmod(0o755)
        os.replace(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return target


def _pixels(phantom: Phantom) -> np.ndarray[Any, np.dtype[np.integer[Any]]]:
    data = phantom.image.data
    kind = np.dtype(np.uint16 if data.dtype.kind == "u" else np.int16)
    limits = np.iinfo(kind)
    return np.clip(np.round(data), limits.min, limits.max).astype(kind)


def _patient(seed: int, age: float | None, sex: str) -> dict[str, Any]:
    if sex not in _SEXES:
        raise InputError(f"'{sex}' is not a patient's sex in DICOM", hint="M, F or O")
    if age is not None and not 0 <= age <= 120:
        raise InputError(f"age is in years, 0 to 120, got {age}")
    patient = {
        "PatientName": "PHANTOM",
        "PatientID": f"PHANTOM{seed}",
        "PatientSex": sex,
        "StudyInstanceUID": _uid("study", seed, age, sex),
        "FrameOfReferenceUID": _uid("frame", seed, age, sex),
        "StudyID": "1",
        "StudyDate": "20000101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "PatientBirthDate": "",
    }
    if age is not None:
        # Two years and more are told in years, as scanners do.
        patient["PatientAge"] = f"{int(age):03d}Y" if age >= 2 else f"{int(age * 12):03d}M"
    return patient


def _series(contrast: str, description: str | None, pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    name = "T1w MPRAGE" if contrast == "T1w" else contrast
    description = f"{name} phantom" if description is None else description
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {
        "Modality": "MR",
        "SeriesInstanceUID": _uid("series", description, digest),
        "SeriesNumber": list(SEQUENCES).index(contrast) + 1,
        "SeriesDescription": description,
        "ProtocolName": description,
        "Manufacturer": "mriprep phantom",
        "ManufacturerModelName": "digital head",
        "MagneticFieldStrength": 3,
        "ImagingFrequency": 127.7,
        "MRAcquisitionType": "3D",
        "ScanOptions": "",
        "EchoTrainLength": 1,
        "EchoNumbers": 1,
        "NumberOfAverages": 1,
        "BodyPartExamined": "HEAD",
        "PatientPosition": "HFS",
        "PositionReferenceIndicator": "",
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "AcquisitionNumber": 1,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "WindowCenter": int(pixels.max()) // 2,
        "WindowWidth": max(int(pixels.max()), 1),
    }


def _geometry(grid: Grid) -> dict[str, Any]:
    columns, rows, _ = grid.shape
    si, sj, sk = grid.spacing
    return {
        "Rows": rows,
        "Columns": columns,
        "PixelSpacing": _decimals([sj, si]),
        "SliceThickness": _decimals([sk])[0],
        "SpacingBetweenSlices": _decimals([sk])[0],
        "ImageOrientationPatient": _decimals(
            [*(_LPS * grid.direction[:, 0]), *(_LPS * grid.direction[:, 1])]
        ),
    }


def _write_slice(
    path: Path, shared: Mapping[str, Any], grid: Grid, pixels: np.ndarray[Any, Any], k: int
) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    ds = Dataset()
    for name, value in shared.items():
        setattr(ds, name, value)
    ds.SOPClassUID = _MR_IMAGE_STORAGE
    ds.SOPInstanceUID = _uid("image", shared["SeriesInstanceUID"], k)
    ds.InstanceNumber = k + 1
    position = _LPS * grid.to_world((0, 0, k))
    ds.ImagePositionPatient = _decimals(position)
    normal = np.cross(grid.direction[:, 0], grid.direction[:, 1])
    ds.SliceLocation = _decimals([grid.to_world((0, 0, k)) @ normal])[0]
    little = pixels[:, :, k].T.astype(pixels.dtype.newbyteorder("<"), order="C")
    ds.PixelData = little.tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)


def _decimals(values: Any) -> list[Any]:
    """Numbers as DICOM's decimal strings, which have room for 16 characters."""
    from pydicom.valuerep import DSfloat

    # Adding zero turns -0 into 0.
    return [DSfloat(float(v) + 0.0, auto_format=True) for v in values]


def _uid(*what: object) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=["mriprep phantom", *map(str, what)]))
