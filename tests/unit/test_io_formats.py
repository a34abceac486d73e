"""MGH, NRRD and MetaImage headers, the odd ones."""

from __future__ import annotations

import gzip
import struct
import warnings
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mriprep.core import GeometryError, InputError, MriprepWarning, Volume
from mriprep.io.images import read_grid, read_image

DATA = np.arange(60, dtype="<i2").reshape((3, 4, 5), order="F")
#: Directions to the left, back and up: LPS as the files have it.
LPS = np.diag([-1.0, -1, 1, 1])


def quietly(path: Path, volume: int | None = None) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_image(path, volume=volume)


def nrrd(path: Path, body: bytes = DATA.tobytes("F"), /, **fields: str | None) -> Path:
    """Make a NRRD file; a field that is None is left out."""
    header: dict[str, str | None] = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "3 4 5",
        "space directions": "(2,0,0) (0,3,0) (0,0,4)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(10,20,30)",
    } | {name.replace("_", " "): value for name, value in fields.items()}
    lines = ["NRRD0005", "# made for a test: with a colon"]
    lines += [f"{name}: {value}" for name, value in header.items() if value is not None]
    lines += ["DWMRI_b-value:=1000", "PatientName:=DOE^JANE"]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + body)
    return path


def mha(path: Path, body: bytes = DATA.tobytes("F"), /, **fields: str | None) -> Path:
    """Make a MetaImage file; a field that is None is left out."""
    header: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "10 20 30",
        "ElementSpacing": "2 3 4",
        "DimSize": "3 4 5",
        "ElementType": "MET_SHORT",
    } | fields
    header["ElementDataFile"] = header.pop("ElementDataFile", "LOCAL")
    lines = [f"{name} = {value}\n" for name, value in header.items() if value is not None]
    path.write_bytes("".join(lines).encode() + body)
    return path


EXPECTED = LPS @ np.array([[2, 0, 0, 10], [0, 3, 0, 20], [0, 0, 4, 30], [0, 0, 0, 1.0]])


# -- NRRD ---------------------------------------------------------------------------------------


def test_nrrd_raw_and_packed(tmp_path: Path) -> None:
    raw = DATA.tobytes("F")
    for name, path in {
        "raw": nrrd(tmp_path / "a.nrrd"),
        "gzip": nrrd(tmp_path / "b.nrrd", gzip.compress(raw), encoding="gzip"),
        "gz": nrrd(tmp_path / "c.nrrd", gzip.compress(raw), encoding="gz"),
        "skip": nrrd(tmp_path / "d.nrrd", b"junk" + raw, byte_skip="4"),
        "end": nrrd(tmp_path / "e.nrrd", b"junk" + raw, byteskip="-1"),
        "big": nrrd(tmp_path / "f.nrrd", DATA.astype(">i2").tobytes("F"), endian="big"),
    }.items():
        image = quietly(path)
        assert np.array_equal(image.data, DATA), name
        assert image.data.dtype == np.int16
        assert_allclose(image.affine, EXPECTED)
        assert "DOE" not in repr(dict(image.meta))


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("LPS", (-1, -1, 1)),
        ("RAS", (1, 1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
    ],
)
def test_nrrd_spaces(tmp_path: Path, space: str, signs: tuple[int, ...]) -> None:
    affine = quietly(nrrd(tmp_path / "a.nrrd", space=space)).affine
    assert_allclose(affine, np.diag([*signs, 1.0]) @ LPS @ EXPECTED)


@pytest.mark.parametrize("detached", ["a.raw", "sub/a.raw"])
def test_nrrd_detached(tmp_path: Path, detached: str) -> None:
    data = tmp_path / detached
    data.parent.mkdir(exist_ok=True)
    data.write_bytes(DATA.tobytes("F"))
    path = nrrd(tmp_path / "a.nhdr", b"", data_file=detached)
    assert np.array_equal(quietly(path).data, DATA)
    data.write_bytes(DATA.tobytes("F")[:-1])
    with pytest.raises(InputError, match="truncated"):
        read_grid(path)
    data.unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_image(path)


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../a.raw", "sub/../../a.raw", "LIST", "a%03d.raw 1 5 1"]
)
def test_data_files_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    for path in (
        nrrd(tmp_path / "a.nhdr", b"", data_file=name),
        mha(tmp_path / "a.mhd", b"", ElementDataFile=name),
    ):
        with pytest.raises(InputError, match="one file in the same folder"):
            read_image(path)


@pytest.mark.parametrize("first", [True, False])
def test_nrrd_series(tmp_path: Path, first: bool) -> None:
    series = np.stack([DATA, DATA + 100], axis=0 if first else 3)
    vectors = "(2,0,0) (0,3,0) (0,0,4)"
    path = nrrd(
        tmp_path / "a.nrrd",
        series.tobytes("F"),
        dimension="4",
        sizes="2 3 4 5" if first else "3 4 5 2",
        kinds="list domain domain domain" if first else "domain domain domain list",
        space_directions=f"none {vectors}" if first else f"{vectors} none",
    )
    with pytest.raises(InputError, match="2 volumes of 3x4x5"):
        read_image(path)
    assert np.array_equal(quietly(path, 0).data, DATA)
    assert np.array_equal(quietly(path, 1).data, DATA + 100)
    assert_allclose(read_grid(path, volume=1).affine, EXPECTED)


def test_nrrd_without_a_space_says_what_is_assumed(tmp_path: Path) -> None:
    path = nrrd(
        tmp_path / "a.nrrd", space=None, space_directions=None, space_origin=None, spacings="2 3 4"
    )
    with pytest.warns(MriprepWarning, match="left and right may be swapped"):
        image = read_image(path)
    assert_allclose(image.affine, LPS @ np.diag([2, 3, 4, 1.0]))


def test_nrrd_units(tmp_path: Path) -> None:
    path = nrrd(
        tmp_path / "a.nrrd",
        space_units='"um" "um" "um"',
        space_directions="(2000,0,0) (0,3000,0) (0,0,4000)",
        space_origin="(10000,20000,30000)",
    )
    with pytest.warns(MriprepWarning, match="um"):
        image = read_image(path)
    assert_allclose(image.affine, EXPECTED)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sizes": "3 4"}, "damaged NRRD header"),
        ({"sizes": None}, "damaged NRRD header"),
        ({"sizes": "3 four 5"}, "damaged NRRD header"),
        ({"space_directions": "(2,0,0) (0,3,0)"}, "damaged NRRD header"),
        ({"byte_skip": "-2"}, "damaged NRRD header"),
        ({"type": "block"}, "type 'block'"),
        ({"encoding": "bzip2"}, "packed as 'bzip2'"),
        ({"encoding": "ascii"}, "packed as 'ascii'"),
        ({"line_skip": "3"}, "skips lines"),
        ({"sizes": "3 4 500"}, "truncated"),
        ({"sizes": "3 4 -5"}, "claims the sizes"),
        ({"dimension": "2", "sizes": "12 5", "space_directions": None, "kinds": None}, "2D image"),
        (
            {
                "dimension": "4",
                "type": "uchar",
                "sizes": "3 2 2 2",
                "kinds": "RGB-color domain domain domain",
                "space_directions": "none (2,0,0) (0,3,0) (0,0,4)",
            },
            "rgb-color",
        ),
    ],
)
def test_nrrd_refusals(tmp_path: Path, fields: dict[str, str | None], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_image(nrrd(tmp_path / "a.nrrd", **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"space_directions": "(2,0,0) (0,0,0) (0,0,4)"},
        {"space_directions": "(2,0,0) (0,nan,0) (0,0,4)"},
        {"space_directions": "none none (0,0,4)"},
        {"space_directions": None, "spacings": "2 -3 4"},
        {"space_directions": None, "spacings": "2 nan 4"},
    ],
)
def test_nrrd_geometry_that_makes_no_sense(tmp_path: Path, fields: dict[str, str | None]) -> None:
    with pytest.raises(GeometryError, match="where its voxels lie"):
        read_grid(nrrd(tmp_path / "a.nrrd", **fields))


# -- MetaImage ----------------------------------------------------------------------------------


def test_metaimage_ways_to_keep_voxels(tmp_path: Path) -> None:
    raw = DATA.tobytes("F")
    (tmp_path / "d.raw").write_bytes(b"junk" + raw)
    (tmp_path / "d.zraw").write_bytes(zlib.compress(raw))
    packed = {"CompressedData": "True"}
    for name, path in {
        "raw": mha(tmp_path / "a.mha"),
        "zlib": mha(tmp_path / "b.mha", zlib.compress(raw), **packed),
        "big": mha(tmp_path / "c.mha", DATA.astype(">i2").tobytes("F"), ElementByteOrderMSB="True",
                   BinaryDataByteOrderMSB=None),
        "skip": mha(tmp_path / "d.mhd", b"", ElementDataFile="d.raw", HeaderSize="4"),
        "end": mha(tmp_path / "e.mhd", b"", ElementDataFile="d.raw", HeaderSize="-1"),
        "zraw": mha(tmp_path / "f.mhd", b"", ElementDataFile="d.zraw", **packed),
        "names": mha(tmp_path / "g.mha", Offset=None, Position="10 20 30", TransformMatrix=None,
                     Orientation="1 0 0 0 1 0 0 0 1", ElementSpacing=None, ElementSize="2 3 4"),
    }.items():  # fmt: skip
        image = quietly(path)
        assert np.array_equal(image.data, DATA), name
        assert_allclose(image.affine, EXPECTED, err_msg=name)


def test_metaimage_rows_of_its_matrix_are_axes(tmp_path: Path) -> None:
    path = mha(tmp_path / "a.mha", TransformMatrix="0 1 0 0 0 1 1 0 0")
    expected = np.array([[0, 0, 4, 10], [2, 0, 0, 20], [0, 3, 0, 30], [0, 0, 0, 1.0]])
    assert_allclose(quietly(path).affine, LPS @ expected)


def test_metaimage_series(tmp_path: Path) -> None:
    path = mha(
        tmp_path / "a.mha",
        np.stack([DATA, DATA + 9], 3).tobytes("F"),
        NDims="4",
        DimSize="3 4 5 2",
        TransformMatrix=" ".join(str(int(n)) for n in np.eye(4).ravel()),
        Offset="10 20 30 0",
        ElementSpacing="2 3 4 1",
    )
    image = quietly(path, 1)
    assert np.array_equal(image.data, DATA + 9)
    assert_allclose(image.affine, EXPECTED)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"DimSize": None}, "damaged MetaImage header"),
        ({"ElementSpacing": "2 3"}, "damaged MetaImage header"),
        ({"Offset": "x y z"}, "damaged MetaImage header"),
        ({"ElementNumberOfChannels": "3"}, "3 numbers at each voxel"),
        ({"ElementType": "MET_LONG_DOUBLE"}, "type MET_LONG_DOUBLE"),
        ({"BinaryData": "False"}, "voxels as text"),
        ({"DimSize": "3 4 5000"}, "truncated"),
        ({"CompressedData": "True"}, "damaged|truncated"),
        ({"NDims": "2", "DimSize": "3 20", "TransformMatrix": None, "Offset": None,
          "ElementSpacing": None}, "2D image"),
    ],
)  # fmt: skip
def test_metaimage_refusals(tmp_path: Path, fields: dict[str, str | None], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_image(mha(tmp_path / "a.mha", **fields))


@pytest.mark.parametrize("spacing", ["2 0 4", "2 -3 4", "2 nan 4"])
def test_metaimage_geometry_that_makes_no_sense(tmp_path: Path, spacing: str) -> None:
    with pytest.raises(GeometryError, match="where its voxels lie"):
        read_image(mha(tmp_path / "a.mha", ElementSpacing=spacing))


# -- MGH ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
def test_mgh(tmp_path: Path, ending: str, dtype: str) -> None:
    affine = LPS @ np.array([[0, 0, 2, -9], [1.2, 0, 0, 6], [0, 0.9, 0, -7], [0, 0, 0, 1]])
    image = nib.MGHImage(DATA.astype(dtype), affine.astype(np.float32))
    nib.save(image, tmp_path / f"a{ending}")
    read = quietly(tmp_path / f"a{ending}")
    assert np.array_equal(read.data, DATA)
    assert read.data.dtype == np.dtype(dtype)
    assert_allclose(read.affine, nib.load(tmp_path / f"a{ending}").affine, atol=1e-5)
    assert read.meta["format"] == ending[1:].upper()


def test_mgh_series_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.mgh"
    series = np.stack([DATA, DATA + 9], 3).astype("f4")
    nib.save(nib.MGHImage(series, np.eye(4, dtype=np.float32)), path)
    assert np.array_equal(quietly(path, 1).data, DATA + 9)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:200])
    with pytest.raises(InputError, match="within its header"):
        read_image(path)
    struct.pack_into(">f", content, 30, 0.0)  # the spacing along axis 0
    path.write_bytes(content)
    with pytest.raises(GeometryError, match="spacing"):
        read_image(path, volume=0)


def test_mgh_without_orientation_says_what_is_assumed(tmp_path: Path) -> None:
    path = tmp_path / "a.mgh"
    nib.save(nib.MGHImage(DATA.astype("f4"), np.eye(4, dtype=np.float32)), path)
    content = bytearray(path.read_bytes())
    struct.pack_into(">h", content, 28, 0)
    path.write_bytes(content)
    with pytest.warns(MriprepWarning, match="goodRASFlag"):
        image = read_image(path)
    # FreeSurfer's MRI_CORONAL; nibabel takes the transpose of its directions, LSP.
    assert image.grid.orientation == "LIA"
    assert image.spacing == (1, 1, 1)
