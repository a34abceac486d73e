"""A name in every place of a data set where one has been seen, or could hide."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

NAME = "Zquyxwv"  # in no vocabulary, and too odd for chance
NUMBER = "90817263"


def _code(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "X1", "99" + NAME[:4], meaning
    return item


def _person() -> Dataset:
    item = Dataset()
    item.PersonName = f"{NAME}^Nested"
    item.PersonIdentificationCodeSequence = Sequence([_code(NAME)])
    return item


#: Standard attributes: keyword and value. All kinds of text, dates that are numbers, and sequences.
TEXTS: dict[str, object] = {
    "PatientName": f"{NAME}^Ann", "PatientID": NUMBER, "OtherPatientIDs": [NUMBER, NAME],
    "OtherPatientNames": [f"{NAME}^B"], "PatientBirthName": NAME, "PatientMotherBirthName": NAME,
    "PatientAddress": f"1 {NAME} Street", "PatientComments": f"called {NAME}",
    "PatientTelephoneNumbers": NUMBER, "MilitaryRank": NAME, "BranchOfService": NAME,
    "EthnicGroup": NAME, "Occupation": NAME, "AdditionalPatientHistory": f"of {NAME}",
    "PatientReligiousPreference": NAME, "CountryOfResidence": NAME, "MedicalAlerts": NAME,
    "ResponsiblePerson": f"{NAME}^C", "ReferringPhysicianName": f"{NAME}^Dr",
    "ReferringPhysicianAddress": NAME, "PerformingPhysicianName": f"{NAME}^Dr",
    "OperatorsName": f"{NAME}^Op", "NameOfPhysiciansReadingStudy": f"{NAME}^Dr",
    "RequestingPhysician": f"{NAME}^Dr", "InstitutionName": f"{NAME} Hospital",
    "InstitutionAddress": NAME, "InstitutionalDepartmentName": NAME, "StationName": NAME,
    "AccessionNumber": NUMBER, "StudyID": NAME, "StudyDescription": f"brain of {NAME}",
    "SeriesDescription": f"T1 MPRAGE {NAME} sag", "ProtocolName": f"mprage_{NAME}",
    "ImageComments": NAME, "StudyComments": NAME, "AcquisitionComments": NAME,
    "DerivationDescription": NAME, "ContrastBolusAgent": f"{NAME} 5 ml", "DeviceSerialNumber": NAME,
    "SoftwareVersions": NAME, "Manufacturer": f"SIEMENS {NAME}", "ManufacturerModelName": NAME,
    "SequenceName": NAME, "ReceiveCoilName": NAME, "ImagedNucleus": NAME, "BodyPartExamined":
    NAME.upper(), "ScanOptions": NAME.upper(), "ImageType": ["ORIGINAL", "PRIMARY", NAME.upper()],
    "PatientState": NAME, "AdmittingDiagnosesDescription": NAME, "RequestedProcedureDescription":
    NAME, "PerformedProcedureStepDescription": NAME, "PerformedProcedureStepID": NAME,
    "ScheduledProcedureStepID": NAME, "RetrieveAETitle": NAME, "PerformedStationAETitle": NAME,
    "ClinicalTrialSubjectID": NAME, "ClinicalTrialSiteName": NAME, "TextString": NAME,
    "UnformattedTextValue": NAME, "PositionReferenceIndicator": NAME, "RescaleType": NAME,
    "WindowCenterWidthExplanation": NAME, "RequestedProcedureComments": NAME, "TextValue": NAME,
    "BarcodeValue": NAME, "EncapsulatedDocument": NAME.encode() + b"\0", "DocumentTitle": NAME,
}  # fmt: skip


def plant(ds: Dataset) -> int:
    """Write the name into a data set in all the places there are; says how many."""
    for keyword, value in TEXTS.items():
        setattr(ds, keyword, value)
    ds.ReferringPhysicianIdentificationSequence = Sequence([_person()])
    deep = _code(NAME)
    deep.ConceptNameCodeSequence = Sequence([_code(NAME)])
    deep.ContentSequence = Sequence([_person()])
    ds.ContentSequence = Sequence([deep])
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.3", f"1.2.{NUMBER}"
    ds.ReferencedImageSequence = Sequence([reference])
    ds.SourceImageSequence = Sequence([reference])
    ds.RequestAttributesSequence = Sequence([_person()])
    original = Dataset()
    original.ModifiedAttributesSequence = Sequence([_person()])
    ds.OriginalAttributesSequence = Sequence([original])
    # An allowed sequence with what is not allowed, and with private elements, in it.
    measures = Dataset()
    measures.PixelSpacing, measures.ImageComments = ds.PixelSpacing, NAME
    measures.private_block(0x0077, NAME, create=True).add_new(1, "LO", NAME)
    ds.PixelMeasuresSequence = Sequence([measures])
    icon = Dataset()
    icon.Rows, icon.Columns, icon.BitsAllocated = 4, 4, 8
    icon.PixelData = NAME.encode().ljust(16, b"\0")
    ds.IconImageSequence = Sequence([icon])
    # Private: a creator that is a name, creators that are known with text in numbers' places.
    ds.private_block(0x0009, NAME, create=True).add_new(1, "LO", NAME)
    ds.private_block(0x0011, "ACME", create=True).add_new(2, "OB", NAME.encode("utf-16-le"))
    siemens = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    siemens.add_new(0x0C, "IS", "1000")
    siemens.add_new(0x0E, "UN", NAME.encode() + bytes(9))
    siemens.add_new(0x08, "CS", NAME.upper())
    csa = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    csa.add_new(0x10, "OB", _csa())
    csa.add_new(0x20, "OB", b"SV10" + f"tPatientName = {NAME}".encode())
    # Overlays, curves, a group that nobody knows, padding after the pixels, odd elements.
    ds.add_new(0x60000010, "US", 2)
    ds.add_new(0x60000022, "LO", NAME)
    ds.add_new(0x60003000, "OW", NAME.encode() + b"\0")
    ds.add_new(0x50003000, "OW", NAME.encode() + b"\0")
    ds.add_new(0x00231234, "LO", NAME)
    ds.add_new(0xFFFCFFFC, "OB", NAME.encode() + b"\0")
    ds.DataSetTrailingPadding = NAME.encode() + b"\0"
    ds.EchoTime = ds.EchoTime
    ds.PixelData = ds.PixelData + NAME.encode() + b"\0"
    ds.preamble = NAME.encode().ljust(128, b"\0")
    ds.file_meta.SourceApplicationEntityTitle = NAME
    ds.file_meta.PrivateInformationCreatorUID = f"1.2.{NUMBER}"
    ds.file_meta.PrivateInformation = NAME.encode() + b"\0"
    ds.file_meta.ImplementationVersionName = NAME
    return len(TEXTS) + 28


def _csa() -> bytes:
    """A Siemens header with a name in it, and a number that may stay."""
    parts = [struct.pack("<4s4sII", b"SV10", b"\4\3\2\1", 2, 77)]
    for name, vr, value in (("PatReinPattern", b"ST", NAME), ("B_value", b"IS", "1000")):
        text = value.encode() + b"\0"
        parts += [struct.pack("<64si4siiI", name.encode(), 1, vr, 22, 1, 77)]
        parts += [struct.pack("<4i", len(text), len(text), 77, len(text))]
        parts += [text + bytes(-len(text) % 4)]
    return b"".join(parts)


def plant_series(folder: Path, phantom) -> int:
    """A DICOM series with the name in everything, its folder and files too."""
    from mriprep.phantom import write_dicom

    write_dicom(phantom, folder)
    places = 0
    for n, file in enumerate(sorted(folder.iterdir())):
        ds = pydicom.dcmread(file)
        places = plant(ds)
        with pydicom.config.disable_value_validation():
            ds.save_as(folder / f"{NAME}_{n:03d}.dcm", enforce_file_format=True)
        if n:
            file.unlink()
        else:  # text after the end of the data set
            with file.open("ab") as left:
                left.write(NAME.encode())
            file.unlink()
    return places + 3


def plant_bids(root: Path) -> int:
    """A BIDS folder with the name in headers, extensions, sidecars and names."""
    place = root / f"sub-{NAME}" / "ses-20190304" / "anat"
    place.mkdir(parents=True)
    rng = np.random.default_rng(1)
    image = nibabel.Nifti1Image(
        rng.integers(0, 900, (9, 8, 7)).astype("i2"), np.diag([2.0, 3, 4, 1])
    )
    header = image.header
    header["descrip"], header["db_name"], header["aux_file"] = NAME, NAME, NAME
    header["intent_name"], header["data_type"] = NAME, NAME[:10]
    for code, text in ((4, NAME), (6, NAME), (2, f"(0010,0010) {NAME}"), (44, f'{{"n":"{NAME}"}}')):
        header.extensions.append(nibabel.nifti1.Nifti1Extension(code, text.encode()))
    stem = f"sub-{NAME}_ses-20190304_acq-{NAME}_T1w"
    image.to_filename(place / f"{stem}.nii.gz")
    plain = root / NAME / f"scan of {NAME} flair.nii"
    plain.parent.mkdir()
    image.to_filename(plain)
    with plain.open("ab") as file:
        file.write(NAME.encode("utf-16-le"))
    second = nibabel.Nifti2Image(np.asarray(image.dataobj).astype("f4"), image.affine)
    second.header["descrip"] = second.header["intent_name"] = NAME
    second.header["aux_file"] = NAME
    second.to_filename(plain.with_name(f"{NAME}2.nii"))
    sidecar = {
        "EchoTime": 0.003, "PatientName": NAME, "PatientID": NUMBER, NAME: 1, "Manufacturer": "GE " + NAME,
        "SeriesDescription": f"{NAME} T1w", "ImageType": ["ORIGINAL", NAME], "PhaseEncodingDirection":
        "j-", "InstitutionName": NAME, "SliceTiming": [0.0, 0.5], "nested": {"a": [{"b": NAME}]},
        "EchoNumber": {"deep": [NAME]}, "RepetitionTime": f"2 {NAME}", "ProtocolName": [NAME],
        "TaskName": NAME, "IntendedFor": f"sub-{NAME}/x.nii", "ConversionSoftware": NAME,
    }  # fmt: skip
    (place / f"{stem}.json").write_text(json.dumps(sidecar))
    (root / "dataset_description.json").write_text(
        json.dumps({"Name": NAME, "BIDSVersion": "1.9.0", "Authors": [NAME]})
    )
    (place / f"{stem}.bval").write_text("0 1000\n")
    (place / f"{stem}.bvec").write_text(f"0 1\n0 0\n0 {NAME}\n")  # held back
    (root / "participants.tsv").write_text(f"participant_id\tname\nsub-{NAME}\t{NAME}\n")
    (root / f"{NAME}.txt").write_text(NAME)
    return 33
