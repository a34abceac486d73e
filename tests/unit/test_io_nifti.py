"""NIfTI headers: what is taken from them, what is repaired, what is refused."""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mriprep.core import GeometryError, Grid, InputError, MriprepWarning, Transform, Volume
from mriprep.io.images import read_grid, read_image, write_image

SHAPE = (6, 7, 8)
#: Oblique, anisotropic, axes in the order P S R.
AFFINE = Transform.rigid((12, -7, 20), (5, -30, 44)).matrix @ np.array(
    [[0, 0, 2.5, -9], [-1.2, 0, 0, 60], [0, 0.9, 0, -70], [0, 0, 0, 1]]
)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Make a file with header fields as given, none of them corrected on the way."""

    def make(
        data: np.ndarray | None = None,
        affine: np.ndarray = AFFINE,
        version: int = 1,
        **fields: object,
    ) -> Path:
        data = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) if data is None else data
        kind = nib.Nifti1Image if version == 1 else nib.Nifti2Image
        image = kind(data, affine, dtype=data.dtype)
        image.set_qform(affine, 1)
        image.set_sform(affine, 1)
        path = tmp_path / "a.nii"
        nib.save(image, path)
        raw = bytearray(path.read_bytes())
        record = image.header.structarr.dtype
        header = np.frombuffer(raw[: record.itemsize], record).copy()
        for name, value in fields.items():
            header[name] = value
        raw[: record.itemsize] = header.tobytes()
        path.write_bytes(raw)
        return path

    return make


def quietly(path: Path) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_image(path)


# -- sform, qform, neither ----------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("form", ["both", "sform", "qform"])
def test_either_form_alone_is_enough(make: Callable[..., Path], version: int, form: str) -> None:
    lost = {"sform": {"qform_code": 0}, "qform": {"sform_code": 0}}.get(form, {})
    path = make(version=version, **lost)
    image = quietly(path)
    assert_allclose(image.affine, AFFINE, atol=1e-4)
    assert_allclose(image.affine, nib.load(path).affine, atol=1e-5)
    assert image.meta["format"] == f"NIfTI-{version}"


def test_big_endian_files_are_made_native(tmp_path: Path) -> None:
    data = np.arange(60, dtype=">i2").reshape(3, 4, 5)
    image = nib.Nifti1Image(data, AFFINE, nib.Nifti1Header(endianness=">"))
    image.header.set_data_dtype(">i2")
    nib.save(image, tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:4] == b"\0\0\x01\x5c"
    read = quietly(tmp_path / "a.nii")
    assert read.data.dtype.isnative
    assert np.array_equal(read.data, data)
    assert_allclose(read.affine, AFFINE, atol=1e-4)


def test_disagreeing_forms_are_told_in_mm(make: Callable[..., Path]) -> None:
    turned = Transform.rigid((0, 0, 10), (3, 0, 0)).matrix @ AFFINE
    expected = Grid(SHAPE, AFFINE).distance(Grid(SHAPE, turned))
    path = make(srow_x=turned[0], srow_y=turned[1], srow_z=turned[2], sform_code=2)
    with pytest.warns(MriprepWarning, match="disagree by") as caught:
        image = read_image(path)
    text = str(caught[0].message)
    told = re.search(r"disagree by ([\d.]+) mm at the farthest corner", text)
    assert told
    assert float(told[1]) == pytest.approx(expected, rel=1e-3)
    assert "the aligned sform was taken, not the scanner qform" in text
    assert_allclose(image.affine, turned, atol=1e-4)
    with pytest.warns(MriprepWarning, match="disagree"):
        read_grid(path)


def test_rounding_between_the_forms_is_not_told(make: Callable[..., Path]) -> None:
    nudged = AFFINE.copy()
    nudged[:3, 3] += 0.1  # of a voxel of 0.9 mm
    quietly(make(srow_x=nudged[0], srow_y=nudged[1], srow_z=nudged[2]))


def test_without_codes_the_orientation_is_unknown(make: Callable[..., Path]) -> None:
    path = make(qform_code=0, sform_code=0)
    with pytest.warns(MriprepWarning, match="left and right may be swapped"):
        image = read_image(path)
    assert_allclose(image.affine, nib.load(path).affine, atol=1e-5)
    assert image.grid.orientation == "LAS"
    assert_allclose(image.grid.center, 0, atol=1e-6)


# -- damage -------------------------------------------------------------------------------------

_BAD_SPACINGS = [
    [1, 0, 1, 1, 1, 1, 1, 1],
    [1, 1, -1, 1, 1, 1, 1, 1],
    [1, 1, 1, np.nan, 1, 1, 1, 1],
    [1, np.inf, 1, 1, 1, 1, 1, 1],
]


@pytest.mark.parametrize("pixdim", _BAD_SPACINGS)
def test_a_bad_spacing_is_repaired_from_the_sform(
    make: Callable[..., Path], pixdim: list[float]
) -> None:
    with pytest.warns(MriprepWarning, match="taken from the sform"):
        image = read_image(make(pixdim=pixdim))
    assert_allclose(image.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize("pixdim", _BAD_SPACINGS)
@pytest.mark.parametrize("codes", [{"sform_code": 0}, {"sform_code": 0, "qform_code": 0}])
def test_a_bad_spacing_without_an_sform_is_refused(
    make: Callable[..., Path], pixdim: list[float], codes: dict[str, int]
) -> None:
    path = make(pixdim=pixdim, **codes)
    for read in (read_image, read_grid):
        with pytest.raises(GeometryError, match="does not say where its voxels lie") as error:
            read(path)
        assert "convert it again" in (error.value.hint or "")


@pytest.mark.parametrize("row", [[0, 0, 0, 0], [np.nan] * 4])
def test_a_damaged_sform_is_replaced_by_the_qform(
    make: Callable[..., Path], row: list[float]
) -> None:
    with pytest.warns(MriprepWarning, match=r"sform cannot be used.*scanner qform was taken"):
        image = read_image(make(srow_x=row, srow_y=row, srow_z=row))
    assert_allclose(image.affine, AFFINE, atol=1e-4)
    with pytest.raises(GeometryError):
        read_image(make(srow_x=row, srow_y=row, srow_z=row, qform_code=0))


@pytest.mark.parametrize("code", [-300, 99])
def test_codes_that_do_not_exist(make: Callable[..., Path], code: int) -> None:
    """Above 0 a form counts, whatever its code, as for nibabel; below it does not."""
    path = make(sform_code=code)
    assert_allclose(quietly(path).affine, nib.load(path).affine, atol=1e-4)


def test_a_zero_column_and_parallel_axes_are_refused(make: Callable[..., Path]) -> None:
    zero, parallel = AFFINE.copy(), AFFINE.copy()
    zero[:3, 1] = 0
    parallel[:3, 1] = parallel[:3, 0]
    for affine in (zero, parallel):
        path = make(srow_x=affine[0], srow_y=affine[1], srow_z=affine[2], qform_code=0)
        with pytest.raises(GeometryError, match="sform"):
            read_image(path)


@pytest.mark.parametrize("quaternion", [np.nan, 3.0])
def test_an_impossible_quaternion_is_refused(make: Callable[..., Path], quaternion: float) -> None:
    with pytest.raises(GeometryError, match="qform"):
        read_image(make(quatern_b=quaternion, sform_code=0))


def test_a_spacing_that_contradicts_the_sform_is_told(make: Callable[..., Path]) -> None:
    with pytest.warns(MriprepWarning, match=r"pixdim\) is 1x1x1 mm"):
        image = read_image(make(pixdim=[1] * 8, qform_code=0))
    assert_allclose(image.affine, AFFINE, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": [0, 6, 7, 8, 1, 1, 1, 1]}, "claims 0 axes"),
        ({"dim": [9, 6, 7, 8, 1, 1, 1, 1]}, "claims 9 axes"),
        ({"dim": [3, 6, -7, 8, 1, 1, 1, 1]}, "claims the sizes 6x-7x8"),
        ({"dim": [3, 6, 0, 8, 1, 1, 1, 1]}, "claims the sizes 6x0x8"),
        ({"datatype": 32}, "complex numbers"),
        ({"datatype": 1792}, "complex numbers"),
        ({"datatype": 128}, "RGB colours"),
        ({"datatype": 2304}, "RGBA colours"),
        ({"datatype": 1536}, "128-bit floats"),
        ({"datatype": 1}, "single bits"),
        ({"datatype": 77}, "type number 77"),
        ({"vox_offset": np.nan}, "voxels begin at byte nan"),
        ({"vox_offset": 100}, "voxels begin at byte 100"),
        ({"vox_offset": -1}, "voxels begin at byte -1"),
        ({"scl_slope": 2, "scl_inter": np.inf}, "scl_inter = inf"),
        ({"sizeof_hdr": 99}, "damaged NIfTI header"),
    ],
)
def test_damaged_fields_are_refused(
    make: Callable[..., Path], fields: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_image(make(**fields))


def test_a_header_cut_short(make: Callable[..., Path]) -> None:
    path = make(version=2)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="ends within its header"):
        read_image(path)


def test_an_offset_of_0_means_right_after_the_header(make: Callable[..., Path]) -> None:
    expected = quietly(make()).data
    assert np.array_equal(quietly(make(vox_offset=0)).data, expected)


# -- scaling and units --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8"])
@pytest.mark.parametrize(("slope", "inter"), [(0.25, 0), (2, -1000), (1, 7), (-1.5, 3)])
def test_scaling(make: Callable[..., Path], dtype: str, slope: float, inter: float) -> None:
    data = (np.arange(np.prod(SHAPE)) % 251).reshape(SHAPE).astype(dtype)
    path = make(data, scl_slope=slope, scl_inter=inter)
    image = quietly(path)
    assert image.data.dtype == np.float32
    assert_allclose(image.data, nib.load(path).get_fdata(), rtol=1e-6)
    assert image.meta["header"]["slope"] == slope
    assert image.meta["header"]["dtype"] == np.dtype(dtype).name


def test_large_integers_are_scaled_before_they_are_rounded(make: Callable[..., Path]) -> None:
    data = np.full(SHAPE, 2**30 + 3, np.int32)
    image = quietly(make(data, scl_slope=1, scl_inter=-(2**30)))
    assert (image.data == 3).all()


@pytest.mark.parametrize("slope", [0, np.nan, np.inf])
def test_no_slope_means_no_scaling(make: Callable[..., Path], slope: float) -> None:
    image = quietly(make(scl_slope=slope, scl_inter=5))
    assert image.data.dtype == np.int16
    assert image.data[0, 0, 1] == 1


@pytest.mark.parametrize(("code", "factor", "name"), [(1, 1e-3, "metres"), (3, 1e3, "microns")])
@pytest.mark.parametrize("forms", [{}, {"sform_code": 0}, {"qform_code": 0}])
def test_other_units_are_converted(
    make: Callable[..., Path], code: int, factor: float, name: str, forms: dict[str, int]
) -> None:
    stored = AFFINE.copy()
    stored[:3] *= factor
    path = make(affine=stored, xyzt_units=code | 8, **forms)
    with pytest.warns(MriprepWarning, match=name):
        image = read_image(path)
    assert_allclose(image.affine, AFFINE, atol=1e-3)


def test_a_unit_that_cannot_be_is_not_believed(make: Callable[..., Path]) -> None:
    with pytest.warns(MriprepWarning, match=r"in metres, which would make it.*taken to be mm"):
        image = read_image(make(xyzt_units=1))
    assert_allclose(image.affine, AFFINE, atol=1e-4)


def test_an_unknown_unit_is_mm(make: Callable[..., Path]) -> None:
    assert_allclose(quietly(make(xyzt_units=0)).affine, AFFINE, atol=1e-4)


# -- writing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "code"),
    [(None, 1), ("native", 1), ("MNI152NLin2009cAsym", 4), ("MNIPediatricAsym", 4), ("T2w", 2)],
)
def test_codes_say_what_the_world_is(tmp_path: Path, space: str | None, code: int) -> None:
    volume = Volume(np.ones(SHAPE, np.uint8), AFFINE, meta={"space": space} if space else {})
    content = gzip.decompress(write_image(volume, tmp_path / "a.nii.gz").read_bytes())
    header = nib.Nifti1Header(content[:348], check=True)
    assert (header["qform_code"], header["sform_code"]) == (code, code)
    assert header.get_xyzt_units()[0] == "mm"
    assert (header["scl_slope"], header["scl_inter"]) == (1, 0)
    assert header["vox_offset"] == 352


def test_a_sheared_affine_has_no_qform(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[:3, 0] += 0.3 * affine[:3, 1]
    path = write_image(Volume(np.ones(SHAPE, np.uint8), affine), tmp_path / "a.nii")
    header = nib.load(path).header
    assert (header["qform_code"], header["sform_code"]) == (0, 1)
    assert_allclose(header["pixdim"][1:4], np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6)
    assert_allclose(quietly(path).affine, affine, atol=1e-4)


def test_axes_too_long_for_the_format_are_refused(tmp_path: Path) -> None:
    from mriprep.core import OutputError

    long = Volume(np.zeros((40000, 1, 1), np.uint8), np.eye(4))
    with pytest.raises(OutputError, match="32767"):
        write_image(long, tmp_path / "a.nii")
    assert list(tmp_path.iterdir()) == []
