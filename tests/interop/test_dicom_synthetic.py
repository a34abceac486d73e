"""A made-up oblique series, written with pydicom, through the scan and both engines."""

from __future__ import annotations

import gc
import subprocess
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from mriprep import engines
from mriprep.core import EngineError, Grid, InputError, MriprepWarning, Transform
from mriprep.io.dicom import scan
from mriprep.io.dicom_geometry import along
from mriprep.steps.convert import convert as read_dicom

ENGINES = ("dcm2niix", "dicom2nifti")
ROWS, COLUMNS, SLICES = 16, 12, 8
SPACING = (0.9, 1.1)  # between rows, between columns
ORIGIN = np.array([-40.0, -55.0, 12.0])  # LPS
PATIENT = "Meier^Anna"


def truth(slices=SLICES, gap=1.7, angles=(12.0, -25.0, 8.0)):
    """Voxels (columns, rows, slices) and the grid, built from the definition of DICOM's geometry.

    A voxel lies at ORIGIN + i * row * spacing[1] + j * column * spacing[0] + k * gap * normal,
    in LPS (PS3.3, C.7.6.2.1.1); RAS turns the first two around.
    """
    turn = Transform.rigid(angles).matrix[:3, :3]
    affine = np.eye(4)
    affine[:3, 0] = turn[:, 0] * SPACING[1]
    affine[:3, 1] = turn[:, 1] * SPACING[0]
    affine[:3, 2] = turn[:, 2] * gap
    affine[:3, 3] = ORIGIN
    affine[:2] *= -1
    voxels = np.random.default_rng(7).integers(0, 4000, (COLUMNS, ROWS, slices), dtype=np.uint16)
    return voxels, Grid((COLUMNS, ROWS, slices), affine), turn


def write(folder: Path, slices=SLICES, gap=1.7, angles=(12.0, -25.0, 8.0), skip=(), **elements):
    """Write the series, a file a slice; return the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    voxels, grid, turn = truth(slices, gap, angles)
    for k in range(slices):
        if k in skip:
            continue
        ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
        uid = f"1.2.826.0.1.3680043.9.1.{k + 1}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = PATIENT, "PX-778", "20100301"
        ds.StudyDate, ds.StudyTime, ds.PatientSex = "20170831", "101010", "F"
        ds.Modality, ds.Manufacturer = "MR", "Testing"
        ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 3, k + 1, 1
        ds.SeriesDescription, ds.ProtocolName = "t1_mprage Meier", "t1_mprage"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        ds.MRAcquisitionType, ds.ScanningSequence, ds.SequenceVariant = "3D", ["GR", "IR"], "MP"
        ds.RepetitionTime, ds.EchoTime, ds.InversionTime, ds.FlipAngle = 2300, 2.98, 900, 9
        ds.MagneticFieldStrength, ds.PatientPosition = 3, "HFS"
        ds.ImagePositionPatient = [f"{x:.9g}" for x in ORIGIN + k * gap * turn[:, 2]]
        ds.ImageOrientationPatient = [f"{x:.9g}" for x in (*turn[:, 0], *turn[:, 1])]
        ds.PixelSpacing, ds.SliceThickness = list(SPACING), gap
        ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        for name, value in elements.items():
            setattr(ds, name, value)
        ds.PixelData = voxels[:, :, k].T.tobytes()  # rows are stored one after the other
        # Names do not tell the order.
        ds.save_as(folder / f"i{(k * 5) % slices:03d}", enforce_file_format=True)
    return voxels, grid


def voxels_as(volume, grid):
    """The volume's voxels and grid, axes as the grid's."""
    aligned, _, _ = along(volume.grid, grid)
    cosines = np.round(grid.direction.T @ volume.grid.direction).astype(int)
    order = np.argmax(np.abs(cosines), axis=1)
    backwards = [axis for axis in range(3) if cosines[axis, order[axis]] < 0]
    return np.flip(volume.data.transpose(order), backwards), aligned


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path, monkeypatch):
    """Temporary files go to a folder of the test, which must be empty afterwards."""
    folder = tmp_path / "tmpdir"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    gc.collect()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("angles", [(12.0, -25.0, 8.0), (95.0, 10.0, -20.0), (0.0, 90.0, 45.0)])
def test_voxels_and_world_come_back_exactly(engine, angles, tmp_path):
    voxels, grid = write(tmp_path / "case 01", angles=angles)
    case = read_dicom(tmp_path / "case 01", engine=engine)
    assert case.name == "case01"
    data, found = voxels_as(case["T1w"], grid)
    assert found.distance(grid) < 1e-3
    np.testing.assert_array_equal(data, voxels)
    assert case["T1w"].meta["engine"].startswith(engine)
    assert case["T1w"].meta["contrast"] == "T1w"


@pytest.mark.parametrize("engine", ENGINES)
def test_rescaled_values_are_the_headers(engine, tmp_path):
    voxels, grid = write(tmp_path / "a", RescaleSlope="2.5", RescaleIntercept="-7")
    data, _ = voxels_as(read_dicom(tmp_path / "a", engine=engine)["T1w"], grid)
    assert data.dtype == np.float32
    np.testing.assert_allclose(data, voxels * 2.5 - 7.0, rtol=1e-6)


def test_the_scan_tells_the_truth_and_no_name(tmp_path):
    _, grid = write(tmp_path / "a")
    [series] = scan(tmp_path / "a")
    assert series.grid is not None
    assert series.grid.distance(grid) < 1e-6
    assert (series.number, series.contrast, series.slices) == (3, "T1w", SLICES)
    assert (series.rows, series.columns) == (ROWS, COLUMNS)
    assert series.spacing == pytest.approx((1.1, 0.9, 1.7))
    assert series.description == "t1_mprage [removed]"
    assert series.facts == {
        "Modality": "MR",
        "Manufacturer": "Testing",
        "MRAcquisitionType": "3D",
        "ScanningSequence": "GR_IR",
        "SequenceVariant": "MP",
        "MagneticFieldStrength": 3.0,
        "RepetitionTime": 2.3,
        "EchoTime": 0.00298,
        "InversionTime": 0.9,
        "FlipAngle": 9.0,
        "SliceThickness": 1.7,
        "SeriesDescription": "t1_mprage [removed]",
        "ProtocolName": "t1_mprage",
        "age": 7.5,
        "age_from": "DICOM birth and study dates",
        "sex": "F",
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_of_the_patient_gets_out(engine, tmp_path):
    write(tmp_path / "a")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        [series] = scan(tmp_path / "a")
        case = read_dicom(tmp_path / "a", engine=engine)
    everything = repr((series, series.facts, case, dict(case.facts), dict(case["T1w"].meta)))
    everything += " ".join(str(w.message) for w in said)
    for secret in ("Meier", "Anna", "PX-778", "20100301", "20170831", str(tmp_path / "tmpdir")):
        assert secret not in everything.replace(repr(series.files), "")


def test_junk_copies_and_subfolders(tmp_path):
    write(tmp_path / "a" / "deep" / "er")
    for k, file in enumerate(sorted((tmp_path / "a/deep/er").iterdir())[:3]):
        (tmp_path / "a" / f"copy{k}.dcm").write_bytes(file.read_bytes())
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "empty").touch()
    (tmp_path / "a" / "zeros").write_bytes(b"\0" * 400)
    (tmp_path / "a" / "bare").write_bytes(b"\x08\x00\x05\x00CS\x04\x00" + b"junk" * 50)
    (tmp_path / "a" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 90)
    (tmp_path / "a" / "dead").symlink_to("nowhere")
    with pytest.warns(MriprepWarning) as said:
        [series] = scan(tmp_path / "a")
    text = " ".join(str(w.message) for w in said)
    assert len(series.files) == SLICES
    assert "3 copies" in text
    assert "left out 4 files that are not DICOM" in text
    assert "1 file that is damaged" in text


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("engine", ENGINES)
def test_files_without_a_preamble(engine, implicit, tmp_path):
    voxels, grid = write(tmp_path / "a")
    for file in (tmp_path / "a").iterdir():
        ds = pydicom.Dataset(pydicom.dcmread(file))
        with file.open("wb") as raw:
            out = DicomFileLike(raw)
            out.is_implicit_VR, out.is_little_endian = implicit, True
            write_dataset(out, ds)
    data, found = voxels_as(read_dicom(tmp_path / "a", engine=engine)["T1w"], grid)
    assert found.distance(grid) < 1e-3
    np.testing.assert_array_equal(data, voxels)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("angles", [(12.0, -25.0, 8.0), (95.0, 10.0, -20.0)])
def test_a_missing_slice_is_filled_and_said(engine, angles, tmp_path):
    voxels, grid = write(tmp_path / "a", slices=24, skip=(9,), angles=angles)
    with pytest.warns(MriprepWarning, match="1 of 24 slices missing: number 10"):
        case = read_dicom(tmp_path / "a", engine=engine)
    volume = case["T1w"]
    data, found = voxels_as(volume, grid)
    assert found.distance(grid) < 1e-3
    kept = [k for k in range(24) if k != 9]
    np.testing.assert_array_equal(data[..., kept], voxels[..., kept])
    between = np.round(voxels[..., [8, 10]].astype(float).mean(axis=-1))
    np.testing.assert_array_equal(data[..., 9], between)
    lost = np.take(volume.data, volume.meta["interpolated_slices"], volume.meta["slice_axis"])
    assert set(np.unique(lost)) == set(np.unique(between))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("skip", [(4, 5, 6), (3, 8, 13)])
def test_too_many_missing_slices_are_refused(engine, skip, tmp_path):
    write(tmp_path / "a", slices=24, skip=skip)
    with pytest.raises(InputError, match="incomplete: 3 of 24 slices missing"):
        read_dicom(tmp_path / "a", engine=engine)


def test_uneven_slices(tmp_path):
    write(tmp_path / "a", angles=(0, 0, 0))
    for file in (tmp_path / "a").iterdir():
        ds = pydicom.dcmread(file)
        if ds.InstanceNumber > 4:
            ds.ImagePositionPatient[2] += 0.7
            ds.save_as(file)
    [series] = scan(tmp_path / "a")
    assert series.grid is None
    with pytest.raises(InputError, match="not evenly spaced"):
        read_dicom(tmp_path / "a", engine="dicom2nifti")
    with pytest.warns(MriprepWarning, match="resampled copy"):
        case = read_dicom(tmp_path / "a")
    assert "resampled" in case["T1w"].meta["interpolated"]
    loose = engines.load("dicom", "dicom2nifti").convert(series.files, strict=False)
    assert loose.shape == (COLUMNS, ROWS, SLICES)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cut_off_file_never_gives_a_volume(engine, tmp_path):
    write(tmp_path / "a")
    file = tmp_path / "a" / "i003"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises((EngineError, InputError)):
        read_dicom(tmp_path / "a", engine=engine)


def test_what_was_acquired_twice_in_one_series_is_taken_apart(tmp_path):
    write(tmp_path / "a")
    for file in list((tmp_path / "a").iterdir()):
        ds = pydicom.dcmread(file)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID + ".2"
        ds.AcquisitionNumber = 2
        ds.PixelData = bytes(b ^ 1 for b in ds.PixelData)
        ds.save_as(file.with_suffix(".second"))
    found = scan(tmp_path / "a")
    assert [(s.key, s.slices, s.volumes, s.usable) for s in found] == [
        ("3-1", SLICES, 1, True),
        ("3-2", SLICES, 1, True),
    ]


def test_what_was_sent_twice_under_other_identifiers_counts_once(tmp_path):
    write(tmp_path / "a")
    for file in list((tmp_path / "a").iterdir())[:5]:
        ds = pydicom.dcmread(file)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID + ".2"
        ds.save_as(file.with_suffix(".second"))
    [series] = scan(tmp_path / "a")
    assert (series.slices, series.volumes, len(series.files)) == (SLICES, 1, SLICES)
    assert series.problems == ("5 copies of images that are there already",)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_time_series_is_refused(engine, tmp_path):
    write(tmp_path / "a")
    for file in list((tmp_path / "a").iterdir()):
        ds = pydicom.dcmread(file)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID + ".2"
        ds.InstanceNumber += SLICES
        ds.PixelData = bytes(b ^ 1 for b in ds.PixelData)
        ds.save_as(file.with_suffix(".second"))
    with pytest.raises(InputError, match="2 volumes"):
        read_dicom(tmp_path / "a", series="3", engine=engine)
    [series] = scan(tmp_path / "a")
    with pytest.raises(InputError, match="volumes"):
        engines.load("dicom", engine).convert(series.files)


def test_a_zip_archive(tmp_path):
    voxels, grid = write(tmp_path / "a")
    archive = tmp_path / "Case-7.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for i, slice_ in enumerate(sorted((tmp_path / "a").iterdir())):
            file.write(slice_, f"study/series/{i}")
    [series] = scan(archive)
    gc.collect()
    assert all(f.is_file() for f in series.files)
    case = read_dicom(archive)
    assert case.name == "Case7"
    np.testing.assert_array_equal(voxels_as(case["T1w"], grid)[0], voxels)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../evil", b"evil")
    with pytest.raises(InputError, match="outside"):
        scan(archive)
    assert not list(tmp_path.rglob("evil"))


def test_what_holds_no_dicom_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such"):
        scan(tmp_path / "nothing")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.txt").write_text("x")
    with pytest.raises(InputError, match="no DICOM image found"):
        scan(tmp_path / "a")
    with pytest.raises(InputError, match="no DICOM image found"):
        scan(tmp_path / "a/x.txt")


def test_dcm2niix_failures_are_told_in_its_words(tmp_path, monkeypatch):
    convert = engines.load("dicom", "dcm2niix").convert
    (tmp_path / "x").write_text("no DICOM")
    with pytest.raises(EngineError, match="dcm2niix") as caught:
        convert([tmp_path / "x"])
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.hint

    def never(*args, **kwargs):
        raise subprocess.TimeoutExpired("dcm2niix", kwargs["timeout"])

    monkeypatch.setattr(subprocess, "run", never)
    with pytest.raises(EngineError, match="within 5 s"):
        convert([tmp_path / "x"], timeout_s=5)


def test_a_users_defaults_file_changes_nothing(tmp_path, monkeypatch):
    voxels, grid = write(tmp_path / "a")
    (tmp_path / ".dcm2nii.ini").write_text("isGZ=1\nfilename=%n_%i\nisCrop=1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    np.testing.assert_array_equal(voxels_as(read_dicom(tmp_path / "a")["T1w"], grid)[0], voxels)


def test_dicom2niftis_switches_are_put_back(tmp_path):
    from dicom2nifti import settings

    write(tmp_path / "a")
    [series] = scan(tmp_path / "a")
    convert = engines.load("dicom", "dicom2nifti").convert
    convert(series.files, strict=False)
    assert settings.validate_slice_increment
    assert settings.validate_slicecount
    with pytest.raises(InputError, match="too few slices"):
        convert(series.files[:2])
    assert convert(series.files[:2], strict=False).shape == (COLUMNS, ROWS, 2)
