"""A phantom written as DICOM comes back from other people's converters as it was."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import dcm2niix
import dicom2nifti
import nibabel as nib
import numpy as np
import pydicom
import pytest

from mriprep.core import Grid, InputError, OutputError, Transform
from mriprep.phantom import head, write_dicom


def oblique() -> Grid:
    affine = Transform.rigid((12, -8, 20), (-70, -95, -60)).matrix.copy()
    affine[:3, :3] *= (3.7, 3.1, 5.5)
    return Grid((44, 60, 30), affine)


CASES: dict[str, dict[str, Any]] = {
    "sagittal": {"orientation": "PSR", "spacing": 4, "dtype": "int16"},
    "axial-thick": {"orientation": "LPS", "spacing": (3, 3.5, 5.5), "dtype": "uint16"},
    "coronal-float": {"orientation": "RIA", "spacing": 4, "rotation": (0, 0, 9), "contrast": "T2w"},
    "left-handed": {"orientation": "LAS", "spacing": 4, "dtype": "int16", "contrast": "FLAIR"},
    "oblique": {"grid": oblique(), "dtype": "int16", "contrast": "PDw"},
}


def convert(program: str, folder: Path, out: Path) -> nib.Nifti1Image:
    out.mkdir()
    if program == "dcm2niix":
        command = [dcm2niix.bin, "-b", "y", "-z", "n", "-f", "scan", "-o", str(out), str(folder)]
        subprocess.run(command, check=True, capture_output=True)
        (path,) = out.glob("*.nii")
        return nib.load(path)
    dicom2nifti.dicom_series_to_nifti(str(folder), str(out / "scan.nii"), reorient_nifti=False)
    return nib.load(out / "scan.nii")


@pytest.mark.parametrize("program", ["dcm2niix", "dicom2nifti"])
@pytest.mark.parametrize("case", CASES)
def test_converters_give_back_voxels_and_place(case: str, program: str, tmp_path: Path) -> None:
    phantom = head(**CASES[case], labels=False)
    folder = write_dicom(phantom, tmp_path / "dicom")
    image = convert(program, folder, tmp_path / "nifti")
    written = np.round(phantom.image.data).astype(np.int32)
    got, wanted = (
        nib.as_closest_canonical(i) for i in (image, nib.Nifti1Image(written, phantom.grid.affine))
    )
    assert got.shape == wanted.shape
    there, here = (Grid(i.shape, i.affine) for i in (got, wanted))
    assert there.distance(here) < 0.01
    np.testing.assert_array_equal(np.asarray(got.dataobj), np.asarray(wanted.dataobj))


def test_the_header_says_what_a_scanner_would(tmp_path: Path) -> None:
    phantom = head("T1w", spacing=(4, 5, 6), age=7.4, labels=False)
    folder = write_dicom(phantom, tmp_path / "dicom", sex="F")
    files = sorted(folder.iterdir())
    assert len(files) == phantom.grid.shape[2]
    sets = [pydicom.dcmread(f) for f in files]
    first = sets[0]
    assert first.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert first.SOPClassUID == pydicom.uid.MRImageStorage
    assert (first.PatientAge, first.PatientSex, first.PatientName) == ("007Y", "F", "PHANTOM")
    assert (first.PixelSpacing[0], first.PixelSpacing[1], first.SliceThickness) == (5, 4, 6)
    assert first.InversionTime == 900
    assert first.MRAcquisitionType == "3D"
    assert first.SeriesDescription == "T1w MPRAGE phantom"
    assert len({s.SOPInstanceUID for s in sets}) == len(sets)
    assert len({s.SeriesInstanceUID for s in sets}) == 1
    assert not [e for s in sets for e in s if e.VR == "UI" and len(e.value) > 64]


def test_the_same_phantom_gives_the_same_files_and_another_its_own_series(tmp_path: Path) -> None:
    def written(name: str, **more: Any) -> Path:
        return write_dicom(head(spacing=8, labels=False, **more), tmp_path / name)

    one, same, other, t2 = (
        written("a"),
        written("b"),
        written("c", seed=1),
        written("d", contrast="T2w"),
    )
    for file in one.iterdir():
        assert file.read_bytes() == (same / file.name).read_bytes()
    a, c, d = (pydicom.dcmread(next(f.iterdir())) for f in (one, other, t2))
    assert a.StudyInstanceUID == d.StudyInstanceUID != c.StudyInstanceUID
    assert len({s.SeriesInstanceUID for s in (a, c, d)}) == 3


def test_babies_are_told_in_months(tmp_path: Path) -> None:
    folder = write_dicom(head(spacing=8, age=0.75, labels=False), tmp_path / "baby")
    assert pydicom.dcmread(next(folder.iterdir())).PatientAge == "009M"


def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path) -> None:
    phantom = head(spacing=8, labels=False)
    folder = tmp_path / "dicom"
    folder.mkdir()
    write_dicom(phantom, folder)  # an empty folder will do
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    with pytest.raises(OutputError, match="not empty"):
        write_dicom(phantom, folder)
    assert before == {f.name: f.read_bytes() for f in folder.iterdir()}
    with pytest.raises(InputError, match="sex"):
        write_dicom(phantom, tmp_path / "other", sex="X")
    sheared = np.diag([8.0, 8, 8, 1])
    sheared[0, 1] = 2
    with pytest.raises(InputError, match="right angles"):
        write_dicom(head(grid=Grid((20, 20, 20), sheared), labels=False), tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["dicom"]
