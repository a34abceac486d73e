"""What nibabel, SimpleITK and pynrrd say of the same files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.testing import assert_allclose

from mriprep.core import Grid, MriprepWarning, Role, Transform, Volume
from mriprep.io.images import read_grid, read_image, write_image

RNG = np.random.default_rng(11)
LPS = np.diag([-1.0, -1, 1, 1])
OBLIQUE = Transform.rigid((12, -7, 20), (5, -30, 44)).matrix @ np.array(
    [[0, 0, 2.5, -9], [-1.2, 0, 0, 60], [0, 0.9, 0, -70], [0, 0, 0, 1]]
)
AFFINES = {
    "RAS": np.diag([1.0, 2, 3, 1]),
    "LPS": np.diag([-1.0, -2, 3, 1]),
    "LAS": np.diag([-1.0, 2, 3, 1]),
    "oblique": OBLIQUE,
    "mirrored": OBLIQUE @ np.diag([-1, 1, 1, 1]),
}


def sitk_affine(image: sitk.Image) -> np.ndarray:
    """Index to RAS+ mm as SimpleITK has it."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return LPS @ affine


def sitk_array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0)


def quietly(path: Path, **options: Any) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("error", MriprepWarning)
        return read_image(path, **options)


# -- what we write ------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_simpleitk_reads_what_we_write(
    tmp_path: Path, ending: str, affine: np.ndarray, order: str
) -> None:
    data = np.array(RNG.normal(size=(7, 8, 9)), np.float32, order=order)  # type: ignore[call-overload]
    path = write_image(Volume(data, affine), tmp_path / f"a{ending}")
    image = sitk.ReadImage(path)
    assert np.array_equal(sitk_array(image), data)
    assert_allclose(sitk_affine(image), affine, atol=1e-4)


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_nibabel_finds_both_forms_alike(tmp_path: Path, affine: np.ndarray) -> None:
    data = RNG.integers(-99, 99, (7, 8, 9)).astype(np.int16)
    image = nib.load(write_image(Volume(data, affine), tmp_path / "a.nii.gz"))
    assert np.array_equal(np.asanyarray(image.dataobj), data)
    assert image.get_data_dtype() == np.int16
    assert_allclose(image.get_sform(), affine, atol=1e-4)
    assert_allclose(image.get_qform(), affine, atol=1e-4)
    assert_allclose(image.header.get_zooms(), np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_every_type_is_read_by_simpleitk(tmp_path: Path, dtype: str, ending: str) -> None:
    data = RNG.integers(0, 100, (4, 5, 6)).astype(dtype)
    path = write_image(Volume(data, np.eye(4)), tmp_path / f"a{ending}", dtype=dtype)
    found = sitk_array(sitk.ReadImage(path))
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, data)


def test_pynrrd_reads_what_we_write(tmp_path: Path) -> None:
    data = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    found, header = nrrd.read(str(write_image(Volume(data, OBLIQUE), tmp_path / "a.nrrd")))
    assert np.array_equal(found, data)
    assert header["space"] == "left-posterior-superior"
    assert_allclose(header["space directions"].T, (LPS @ OBLIQUE)[:3, :3], atol=1e-12)
    assert_allclose(header["space origin"], (LPS @ OBLIQUE)[:3, 3], atol=1e-12)


def test_a_mask_stays_a_mask(tmp_path: Path) -> None:
    mask = Volume(RNG.random((4, 5, 6)) > 0.5, np.eye(4), Role.MASK)
    path = write_image(mask, tmp_path / "a.nii.gz")
    assert nib.load(path).get_data_dtype() == np.uint8
    assert np.array_equal(read_image(path, role="mask").data, mask.data)


# -- what they write ----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_we_read_what_simpleitk_writes(
    tmp_path: Path, ending: str, packed: bool, affine: np.ndarray
) -> None:
    data = RNG.integers(-99, 99, (7, 8, 9)).astype(np.int16)
    image = sitk.GetImageFromArray(data.transpose(2, 1, 0))
    theirs = LPS @ affine
    spacing = np.linalg.norm(theirs[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((theirs[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(theirs[:3, 3].tolist())
    path = tmp_path / f"a{ending}"
    sitk.WriteImage(image, path, useCompression=packed)
    found = quietly(path)
    assert np.array_equal(found.data, data)
    assert_allclose(found.affine, affine, atol=1e-4)


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz"])
def test_colours_are_not_taken_for_a_volume(tmp_path: Path, ending: str) -> None:
    from mriprep.core import InputError

    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, tmp_path / f"a{ending}")
    with pytest.raises(InputError, match=r"not supported|vectors|3 volumes"):
        read_image(tmp_path / f"a{ending}")


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz"])
def test_a_series_of_simpleitk(tmp_path: Path, ending: str) -> None:
    data = RNG.integers(0, 99, (3, 6, 5, 4)).astype(np.int16)
    image = sitk.GetImageFromArray(data, isVector=False)
    image.SetSpacing((1, 2, 3, 1))
    sitk.WriteImage(image, tmp_path / f"a{ending}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)  # a 4D NRRD has no space
        found = read_image(tmp_path / f"a{ending}", volume=2)
    assert np.array_equal(found.data, data[2].T)
    assert_allclose(found.affine, LPS @ np.diag([1, 2, 3, 1]), atol=1e-6)


def test_a_lattice_point_is_in_the_same_place_for_all(tmp_path: Path) -> None:
    volume = Volume(np.zeros((40, 50, 60), np.uint8), OBLIQUE)
    path = write_image(volume, tmp_path / "a.nii.gz")
    itk = sitk.ReadImage(path)
    for index in ((0, 0, 0), (39, 0, 59), (17, 33, 5)):
        ours = read_grid(path).to_world(index)
        lps = np.array(itk.TransformIndexToPhysicalPoint(index))
        assert_allclose(ours, lps * (-1, -1, 1), atol=1e-3)
        assert_allclose(ours, nib.affines.apply_affine(nib.load(path).affine, index), atol=1e-4)


# -- real scans ---------------------------------------------------------------------------------


def _files(data: Path) -> list[Path]:
    return sorted([*(data / "nifti").rglob("*.nii.gz"), *(data / "templates").rglob("*.nii.gz")])


def test_every_real_nifti_is_read_as_nibabel_does(data: Path) -> None:
    files = _files(data)
    assert len(files) >= 40
    for path in files:
        theirs, ours = nib.load(path), quietly(path)
        assert_allclose(ours.affine, theirs.affine, atol=1e-4, err_msg=path.name)
        assert_allclose(ours.data, theirs.get_fdata(dtype=np.float32), rtol=1e-6, err_msg=path.name)
        assert read_grid(path) == ours.grid, path.name
        if ours.data.dtype.kind != "f":
            assert ours.data.dtype == theirs.get_data_dtype().newbyteorder("=")


def test_real_scans_there_and_back(data: Path, tmp_path: Path) -> None:
    for name in ("nifti/chris/PDw.nii.gz", "nifti/tcga-fg6692/T2w.nii.gz"):
        first = quietly(data / name)
        for ending in (".nii.gz", ".nrrd", ".mha"):
            if ending == ".mha" and not _is_square(first.grid):
                continue
            again = quietly(write_image(first, tmp_path / f"a{ending}"))
            assert np.array_equal(first.data, again.data)
            assert first.grid.matches(again.grid, 1e-3)


def _is_square(grid: Grid) -> bool:
    return bool(np.allclose(grid.direction.T @ grid.direction, np.eye(3), atol=1e-4))


def test_the_fetal_template_against_simpleitk(data: Path) -> None:
    path = data / "templates" / "fetal-t2" / "template_T2.nrrd"
    ours, theirs = quietly(path), sitk.ReadImage(path)
    assert np.array_equal(ours.data, sitk_array(theirs))
    assert_allclose(ours.affine, sitk_affine(theirs), atol=1e-9)
