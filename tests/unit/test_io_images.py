"""What is accepted as an image file, what is refused, and what is said about it."""

from __future__ import annotations

import gzip
import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriprep.core import GeometryError, Grid, InputError, MriprepWarning, OutputError, Role, Volume
from mriprep.io.images import contrast_of, read_grid, read_image, write_image

RNG = np.random.default_rng(7)
AFFINE = np.array([[-1.5, 0, 0, 30], [0, 0, 2, -20], [0, 1, 0, 5], [0, 0, 0, 1.0]])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound file of 6x7x8 voxels."""
    data = RNG.integers(0, 1000, (6, 7, 8)).astype(np.int16)
    return write_image(Volume(data, AFFINE), tmp_path / "sub-1_T1w.nii.gz")


def refused(path: Path, *words: str, volume: int | None = None) -> InputError:
    """Both ways of reading refuse the file alike, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError) as voxels:
            read_image(path, volume=volume)
    for word in words:
        assert word in str(voxels.value)
    return voxels.value


# -- reading ------------------------------------------------------------------------------------


def test_meta_says_where_it_came_from(path: Path) -> None:
    image = read_image(path)
    assert image.role is Role.IMAGE
    assert image.data.dtype == np.int16
    assert image.meta["source"] == str(path)
    assert image.meta["format"] == "NIfTI-1"
    assert image.meta["contrast"] == "T1w"
    assert image.meta["header"] == {
        "dtype": "int16",
        "slope": 1.0,
        "inter": 0.0,
        "qform_code": 1,
        "sform_code": 1,
        "xyzt_units": "mm",
    }


def test_text_fields_of_the_header_are_not_kept(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4))
    image.header["descrip"] = b"DOE^JANE"
    image.header["aux_file"] = b"DOE^JANE"
    image.header["intent_name"] = b"DOE^JANE"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JANE"))
    nib.save(image, tmp_path / "a.nii")
    read = read_image(tmp_path / "a.nii")
    assert "DOE" not in repr(dict(read.meta))
    assert (read.data == 1).all()


def test_the_grid_needs_the_header_alone(path: Path, tmp_path: Path) -> None:
    grid = read_grid(path)
    assert grid.matches(Grid((6, 7, 8), AFFINE), 1e-4)
    raw = gzip.decompress(path.read_bytes())
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(gzip.compress(raw[:400]))
    assert read_grid(cut) == grid


@pytest.mark.parametrize("role", list(Role))
def test_roles(tmp_path: Path, role: Role) -> None:
    data = (RNG.random((5, 6, 7)) > 0.5).astype(np.uint8)
    stored = read_image(write_image(Volume(data, np.eye(4)), tmp_path / "a.nii"), role=role)
    assert stored.role is role
    assert np.array_equal(stored.data, data)


def test_a_role_that_does_not_fit_names_the_file(tmp_path: Path) -> None:
    halves = Volume(np.full((3, 4, 5), 0.5, np.float32), np.eye(4))
    path = write_image(halves, tmp_path / "halves.nii")
    with pytest.raises(InputError, match=r"halves\.nii: labels must be whole"):
        read_image(path, role="labels")
    with pytest.raises(InputError, match="not a role"):
        read_image(path, role="picture")


def test_nan_and_infinity_are_kept_and_counted(tmp_path: Path) -> None:
    data = np.zeros((4, 5, 6), np.float32)
    data[0, 0, :3] = np.nan
    data[1, 1, 1] = -np.inf
    path = write_image(Volume(data, np.eye(4)), tmp_path / "a.nii")
    with pytest.warns(MriprepWarning, match="3 NaN and 1 infinite of 120 voxels"):
        image = read_image(path)
    assert np.array_equal(image.data, data, equal_nan=True)


def test_warnings_point_at_the_caller(tmp_path: Path) -> None:
    path = write_image(Volume(np.full((3, 4, 5), np.nan), np.eye(4)), tmp_path / "a.nii")
    with pytest.warns(MriprepWarning) as caught:
        read_image(path)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("sub-1_T1w.nii.gz", "T1w"),
        ("sub-1_ses-2_FLAIR.nii", "FLAIR"),
        ("sub-1_ce-gadolinium_T1w.nii.gz", "T1c"),
        ("T2w.mgz", "T2w"),
        ("sub-1_t1w.nrrd", "T1w"),
        ("sub-1_T1w_brain.nii.gz", None),
        ("scan.nii.gz", None),
        ("T1w", "T1w"),
    ],
)
def test_contrast_by_name(given: str, taken: str | None) -> None:
    assert contrast_of(given) == taken


# -- what is refused ----------------------------------------------------------------------------


def test_missing_files_and_folders(tmp_path: Path) -> None:
    refused(tmp_path / "none.nii", "does not exist", "the folder exists")
    refused(tmp_path / "a" / "b" / "none.nii", "does not exist", f"{tmp_path} exists")
    refused(tmp_path, "is a folder")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("is empty",)),
        (gzip.compress(b"", mtime=0), ("is empty",)),
        (b"hello world", ("not an image", ".nii.gz")),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), ("PNG",)),
        (b"\n<!DOCTYPE html><html>", ("a web page", "download")),
        (b"version https://git-lfs.github.com/spec/v1\n", ("Git LFS pointer",)),
        (b"/annex/objects/MD5E-s1--0.nii.gz\n", ("git-annex",)),
        (b"PK\x03\x04" + bytes(100), ("zip archive",)),
        (bytes(128) + b"DICM" + bytes(500), ("DICOM", "folder")),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), ("HDF5",)),
        (bytes(257) + b"ustar" + bytes(300), ("tar archive",)),
        (
            gzip.compress(bytes(257) + b"ustar" + bytes(300), mtime=0),
            ("tar archive inside a gzip",),
        ),
        (gzip.compress(b"NRRD0004\ntype: float\n", mtime=0), ("packed image", "gunzip")),
        (b"\x5c\x01\0\0" + bytes(344), ("Analyze 7.5",)),
        (b"\x5c\x01\0\0" + bytes(340) + b"ni1\0", ("NIfTI pair",)),
        (b"\x1f\x8b" + bytes(100), ("damaged",)),
        (gzip.compress(bytes(5000), mtime=0)[:20], ("truncated",)),
        (b"\x1f", ("not an image",)),
    ],
)
def test_what_is_no_image_is_called_by_its_name(
    tmp_path: Path, content: bytes, words: tuple[str, ...]
) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(content)
    refused(path, "a.nii.gz", *words)


@pytest.mark.parametrize("keep", [0.999, 0.6, 0.2])
def test_a_truncated_file_is_refused(path: Path, keep: float, tmp_path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    refused(path, "truncated")
    plain = tmp_path / "plain.nii"
    content = gzip.decompress(content)
    plain.write_bytes(content[: max(352, int(len(content) * keep))])
    refused(plain, "truncated")
    with pytest.raises(InputError, match="truncated"):
        read_grid(plain)


def test_damage_within_a_gzip_is_found_by_its_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF  # the checksum itself
    path.write_bytes(content)
    refused(path, "damaged")


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(
    path: Path, tmp_path: Path, packed: bool
) -> None:
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()  # 54 TB
    lying = tmp_path / "lying.nii"
    lying.write_bytes(gzip.compress(bytes(raw)) if packed else bytes(raw))
    error = refused(lying, "54000000000000 bytes")
    assert "truncated or damaged" in error.message


def test_more_than_the_memory_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("mriprep.io.blocks.np.empty", empty)
    refused(path, "more voxels than there is memory for")


def test_names_that_lie_are_read_by_content(path: Path, tmp_path: Path) -> None:
    expected = read_image(path).data
    raw = gzip.decompress(path.read_bytes())
    for name, content in (
        ("gzip.nii", path.read_bytes()),
        ("plain.nii.gz", raw),
        ("nifti.mha", raw),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.warns(MriprepWarning, match="read by its content"):
            assert np.array_equal(read_image(tmp_path / name).data, expected)
    (tmp_path / "no-extension").write_bytes(raw)
    assert np.array_equal(read_image(tmp_path / "no-extension").data, expected)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (1, 30, 20), (20, 30, 1, 5)])
def test_two_dimensional_images_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), tmp_path / "a.nii")
    refused(tmp_path / "a.nii", "2D image", "20", "30")
    with pytest.raises(InputError, match="2D image"):
        read_grid(tmp_path / "a.nii")


def test_a_4d_series_needs_a_choice(tmp_path: Path) -> None:
    data = RNG.integers(0, 99, (4, 5, 6, 3)).astype(np.int16)
    for name in ("a.nii", "a.nii.gz"):
        path = tmp_path / name
        nib.save(nib.Nifti1Image(data, AFFINE), path)
        refused(path, "4D", "3 volumes of 4x5x6", "--volume", "volume=0")
        with pytest.raises(InputError, match="4D"):
            read_grid(path)
        for volume in range(3):
            assert np.array_equal(read_image(path, volume=volume).data, data[..., volume])
        assert read_grid(path, volume=2) == read_image(path, volume=0).grid
        for volume in (3, -1):
            refused(path, f"no volume {volume}", "it holds 3", volume=volume)


def test_a_fourth_axis_of_length_1_is_no_series(tmp_path: Path) -> None:
    data = RNG.random((4, 5, 6, 1, 1)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "a.nii")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_image(tmp_path / "a.nii").data, data[..., 0, 0])
    refused(tmp_path / "a.nii", "no volume 1", volume=1)


def test_vectors_are_refused(tmp_path: Path) -> None:
    field = nib.Nifti1Image(np.zeros((4, 5, 6, 1, 3), np.float32), AFFINE)
    nib.save(field, tmp_path / "a.nii")
    refused(tmp_path / "a.nii", "5 axes", "vectors")


# -- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.img", "a.nii.bz2", "a", "a.nhdr", "a.mgz", ".nii"])
def test_unknown_extensions_are_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(OutputError, match=r"accepted: \.nii, \.nii\.gz, \.nrrd, \.mha"):
        write_image(Volume(np.ones((2, 3, 4)), np.eye(4)), tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_equal_volumes_give_equal_bytes(tmp_path: Path, ending: str, order: str) -> None:
    data = RNG.normal(size=(30, 40, 50)).astype(np.float32)
    first = write_image(Volume(data, AFFINE), tmp_path / f"a{ending}")
    volume = Volume(np.array(data, order=order), AFFINE)  # type: ignore[call-overload]
    second = write_image(volume, tmp_path / "b" / f"other{ending}")
    assert first.read_bytes() == second.read_bytes()
    if ending == ".nii.gz":
        assert first.read_bytes()[3:8] == bytes(5)  # no name, no time


@pytest.mark.parametrize(
    ("data", "role", "dtype"),
    [
        (np.array([0, 1], bool), "mask", "uint8"),
        (np.array([0, 255], np.int64), "labels", "uint8"),
        (np.array([0, 256], np.int64), "labels", "int16"),
        (np.array([-1, 3], np.int32), "labels", "int16"),
        (np.array([0, 40000], np.int64), "labels", "uint16"),
        (np.array([0, 70000], np.int64), "labels", "int32"),
        (np.array([0, 3e9], np.float64), "image", "float32"),
        (np.array([0, 1], np.float64), "probability", "float32"),
        (np.array([0, 1], np.float16), "image", "float32"),
        (np.array([-5, 5], np.int16), "image", "int16"),
        (np.array([0, 60000], np.uint16), "image", "uint16"),
        (np.array([0, 9], np.int64), "image", "int32"),
        (np.array([0, 2**40], np.int64), "image", "int64"),
        (np.array([0, 2**63], np.uint64), "image", "uint64"),
        (np.array([0, 9], ">i2"), "image", "int16"),
    ],
)
@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_types_on_disk(
    tmp_path: Path, data: np.ndarray, role: str, dtype: str, ending: str
) -> None:
    volume = Volume(np.tile(data, (2, 3, 4)), np.eye(4), Role(role))
    back = read_image(write_image(volume, tmp_path / f"a{ending}"), role=role)
    assert back.meta["header"]["dtype"] == dtype
    assert np.array_equal(back.data, volume.data)


def test_another_type_is_rounded_and_checked(tmp_path: Path) -> None:
    data = np.linspace(-3.4, 300.4, 24, dtype=np.float32).reshape(2, 3, 4)
    volume, path = Volume(data, np.eye(4)), tmp_path / "a.nii"
    back = read_image(write_image(volume, path, dtype=np.int16))
    assert back.data.dtype == np.int16
    assert np.array_equal(back.data, np.rint(data))
    assert np.array_equal(read_image(write_image(volume, path, dtype="float64")).data, data)
    with pytest.raises(OutputError, match=r"-3\.4 to 300\.4 do not fit uint8"):
        write_image(volume, path, dtype=np.uint8)
    with pytest.raises(OutputError, match="do not fit int16"):
        write_image(volume.replace(np.full((2, 3, 4), np.nan)), path, dtype=np.int16)
    with pytest.raises(OutputError, match="do not fit float32"):
        write_image(volume.replace(np.full((2, 3, 4), 1e300)), path, dtype=np.float32)
    for wrong in ("complex64", "float16", "no type"):
        with pytest.raises(OutputError, match="accepted: float32"):
            write_image(volume, path, dtype=wrong)
    assert read_image(path).data.dtype == np.float64, "refusals leave the old file"


def test_float64_beyond_float32_is_not_made_infinite(tmp_path: Path) -> None:
    volume = Volume(np.full((2, 3, 4), 1e300), np.eye(4))
    with pytest.raises(OutputError, match="do not fit float32"):
        write_image(volume, tmp_path / "a.nii")
    back = read_image(write_image(volume, tmp_path / "a.nii", dtype="float64"))
    assert (back.data == 1e300).all()


def test_inputs_are_not_modified(tmp_path: Path) -> None:
    data = RNG.normal(size=(4, 5, 6))
    before = data.copy()
    volume = Volume(data, AFFINE)
    for ending in (".nii.gz", ".nrrd", ".mha"):
        write_image(volume, tmp_path / f"a{ending}", dtype=np.int16)
    assert np.array_equal(data, before)


def test_a_shear_is_refused_where_the_format_has_none(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    volume = Volume(np.ones((3, 4, 5), np.uint8), affine)
    with pytest.raises(OutputError, match="shear"):
        write_image(volume, tmp_path / "a.mha")
    assert not (tmp_path / "a.mha").exists()
    assert read_grid(write_image(volume, tmp_path / "a.nrrd")).matches(volume.grid, 1e-9)


def test_geometry_errors_are_input_errors() -> None:
    assert issubclass(GeometryError, InputError)


def test_heavy_libraries_stay_out() -> None:
    import subprocess

    code = (
        "import sys, mriprep.io.images, mriprep.io.transforms, mriprep.io.inspect;"
        "print({'nibabel','SimpleITK','nrrd','isal','scipy','torch'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
