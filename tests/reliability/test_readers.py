"""Whatever stands in a file, it is read or refused in words: no other exception, no memory by its claim."""

from __future__ import annotations

import gzip
import io
import struct
import time
import tracemalloc
import warnings
from pathlib import Path

import hypothesis.strategies as st
import nibabel as nib
import numpy as np
import pytest
import tally
from hypothesis import HealthCheck, given, settings
from pydicom import dcmread

import mriprep as mp
from mriprep.cases.table import from_table
from mriprep.core import Grid, MriprepError, Transform, Volume
from mriprep.io.images import read_grid, read_image, write_image
from mriprep.io.inspect import inspect_image
from mriprep.io.transforms import read_transform
from mriprep.phantom import Phantom
from mriprep.phantom.dicom import write_dicom
from mriprep.recipe import load

DATA = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
# Numbers that programs stumble over, as they stand in the headers of NIfTI (position, type).
PLACES = (
    [(40 + 2 * i, "<h") for i in range(8)] + [(70, "<h"), (72, "<h"), (108, "<f"), (112, "<f"),
    (116, "<f"), (252, "<h"), (254, "<h"), (0, "<i"), (123, "<b")]
    + [(76 + 4 * i, "<f") for i in range(8)] + [(256 + 4 * i, "<f") for i in range(18)]
)  # fmt: skip
NUMBERS = {
    "<h": [-32768, -1, 0, 1, 7, 8, 2, 4, 16, 512, 1024, 2304, 32767],
    "<i": [-(2**31), -1, 0, 348, 540, 2**31 - 1],
    "<b": [-128, -1, 0, 127],
    "<f": [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e-45, 3e38, 352.5, -1e9, 2.0**40],
}
NOISE = {"suppress_health_check": list(HealthCheck), "deadline": None, "database": None}


def how_often(number):
    return settings(max_examples=tally.examples(number), **NOISE)


def tried(call, *arguments):
    """Call it; what it refuses is said in words."""
    tally.case()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(*arguments)
        except MriprepError as error:
            assert error.message  # noqa: PT017
            return error


def refused(call, *arguments):
    """Call it; it is refused, within seconds, and without the memory that was claimed."""
    tracemalloc.start()
    began = time.process_time()
    try:
        said = tried(call, *arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(said, MriprepError), said
    assert peak < 2**28
    assert time.process_time() - began < 20
    return said


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("readers")


@pytest.fixture(scope="module")
def nifti(place) -> bytes:
    return write_image(Volume(DATA, np.eye(4)), place / "whole.nii").read_bytes()


@how_often(150)
@given(
    st.lists(
        st.sampled_from(PLACES).flatmap(
            lambda p: st.tuples(st.just(p[0]), st.just(p[1]), st.sampled_from(NUMBERS[p[1]]))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_nifti_headers(place, nifti, changes):
    content = bytearray(nifti)
    for position, kind, value in changes:
        struct.pack_into(kind, content, position, value)
    path = place / "odd.nii"
    path.write_bytes(content)
    grid = tried(read_grid, path)
    tried(inspect_image, path)
    volume = tried(read_image, path)
    if isinstance(volume, Volume):  # what is read has a world in which one can measure
        assert isinstance(grid, Grid)
        assert np.isfinite(volume.grid.affine).all()
        assert volume.data.nbytes < 2**20


SHAPES = st.sampled_from(["3 4 5", "-3 4 5", "0 4 5", "3 4", "3 4 5 0", "99999 99999 99999", "3.5 4 5",
                          "1e9 4 5", "nan 4 5", "", "3 4 5 " * 40, "4294967297 1 60"])  # fmt: skip
FLOATS = st.sampled_from(["1", "nan", "inf", "-1", "0", "1e400", "none", "(", "\u0660"])


@how_often(100)
@given(SHAPES, FLOATS, FLOATS, st.sampled_from(["short", "int8", "block", "x", "double"]),
       st.sampled_from(["raw", "gzip", "bz2", "ascii", "hex", "zrl"]), st.binary(max_size=140),
       st.sampled_from(["", "data file: /etc/passwd\n", "data file: ../../secret\n", "data file: LIST\n",
                        "data file: %s.raw 1 999999999 1\n", "line skip: 999999999\n", "byte skip: -1\n"]))  # fmt: skip
def test_nrrd_headers(place, sizes, a, b, kind, encoding, data, more):
    text = (f"NRRD0004\ntype: {kind}\ndimension: 3\nsizes: {sizes}\nspace: left-posterior-superior\n"
            f"space directions: ({a},0,0) (0,{b},0) (0,0,1)\nendian: little\nencoding: {encoding}\n"
            f"{more}\n")  # fmt: skip
    path = place / "odd.nrrd"
    path.write_bytes(text.encode() + data)
    volume = tried(read_image, path)
    assert not isinstance(volume, Volume) or volume.data.nbytes < 2**16
    tried(inspect_image, path)


@how_often(60)
@given(SHAPES, FLOATS, st.sampled_from(["MET_SHORT", "MET_DOUBLE", "X"]),
       st.sampled_from(["LOCAL", "/etc/passwd", "../a", "LIST", "%d.raw 1 999999999", ""]),
       st.binary(max_size=140))  # fmt: skip
def test_metaimage_headers(place, sizes, a, kind, where, data):
    text = (f"ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = {a == '1'}\nDimSize = {sizes}\n"
            f"ElementSpacing = {a} 1 1\nElementType = {kind}\nElementDataFile = {where}\n")  # fmt: skip
    path = place / "odd.mha"
    path.write_bytes(text.encode() + data)
    volume = tried(read_image, path)
    assert not isinstance(volume, Volume) or volume.data.nbytes < 2**16


@how_often(60)
@given(st.lists(st.tuples(st.integers(0, 22), st.sampled_from([-(2**31), -1, 0, 1, 3, 4, 2**31 - 1, 0x7FC00000])),
                min_size=1, max_size=4))  # fmt: skip
def test_mgh_headers(place, changes):
    buffer = io.BytesIO()
    image = nib.MGHImage(DATA, np.eye(4))
    image.to_file_map({"image": nib.FileHolder(fileobj=buffer)})
    content = bytearray(buffer.getvalue())
    for position, value in changes:
        struct.pack_into(">i", content, 4 * position, value)
    path = place / "odd.mgh"
    path.write_bytes(content)
    volume = tried(read_image, path)
    assert not isinstance(volume, Volume) or volume.data.nbytes < 2**20


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(4096, 4096, 3000), (32767, 32767, 32767), (1, 1, 32767)])
def test_a_claim_of_a_hundred_gigabytes(place, nifti, shape, packed):
    """The header alone is read; neither the claim nor a stream that unpacks for ever is believed."""
    content = bytearray(nifti)
    struct.pack_into("<4h", content, 40, 3, *shape)
    path = place / ("claim.nii.gz" if packed else "claim.nii")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    refused(read_image, path)


def test_a_sparse_file_of_its_claim(place, nifti, monkeypatch):
    """A file as long as its header says, 100 GB of nothing: it is asked whether it fits into memory."""
    monkeypatch.setattr("mriprep.io.memory.free_bytes", lambda: 8e9)
    content = bytearray(nifti)
    struct.pack_into("<4h", content, 40, 3, 4096, 4096, 3000)
    path = place / "sparse.nii"
    path.write_bytes(content)
    try:
        with path.open("r+b") as file:
            file.truncate(352 + 2 * 4096 * 4096 * 3000)
    except OSError:
        pytest.skip("this disk has no sparse files")
    said = refused(read_image, path)
    assert "memory" in said.message
    path.unlink()


# -- DICOM --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def series(place) -> list[bytes]:
    small = Volume(
        np.arange(480, dtype=np.int16).reshape(8, 10, 6), np.diag([-2.0, -2.0, 3.0, 1.0])
    )
    facts = {"contrast": "T1w", "seed": 1, "age_years": 30.0}
    phantom = Phantom(small, small, small, small, Transform(np.eye(4)), facts=facts)
    write_dicom(phantom, place / "dicom")
    return [p.read_bytes() for p in sorted((place / "dicom").rglob("*")) if p.is_file()][:4]


@how_often(25)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
       st.one_of(st.just(0), st.integers(1, 3000)))  # fmt: skip
def test_dicom_bytes(place, series, changes, cut):
    folder = place / "damaged"
    folder.mkdir(exist_ok=True)
    for i, whole in enumerate(series):
        content = bytearray(whole)
        if i == 1:
            head = min(len(content), 2500)  # where the elements are
            for position, value in changes:
                content[128 + position % (head - 128)] = value
            content = content[: len(content) - cut]
        (folder / f"{i}.dcm").write_bytes(content)
    tried(mp.read, folder)


ELEMENTS = {
    "Rows": [0, 1, 65535], "Columns": [0, 65535], "BitsAllocated": [0, 1, 7, 64],
    "SamplesPerPixel": [0, 3, 65535], "NumberOfFrames": ["-1", "0", "2147483647"],
    "PixelSpacing": [["0", "0"], ["-1", "1"], ["1e300", "1e300"]],
    "ImageOrientationPatient": [["0"] * 6, ["1", "0", "0", "1", "0", "0"], ["1e308"] * 6],
    "ImagePositionPatient": [["1e308", "0", "0"], ["0", "0", "0"]],
    "RescaleSlope": ["0", "1e308", "-1"],
    "SeriesInstanceUID": ["../../../evil", "", "1." * 30],
    "SeriesDescription": ["../../evil", "a/b\\c", "\x1b[31mred", "x" * 64, "名前" * 10],
    "PatientID": ["../../evil", "", "\u202e", "CON"],
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTS)
def test_dicom_values(place, series, name, tmp_path):
    """Every slice says the same odd thing; nothing is written beside the folder."""
    for value in ELEMENTS[name]:
        folder = tmp_path / "in" / "series"
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for i, whole in enumerate(series):
                dataset = dcmread(io.BytesIO(whole))
                dataset.SpecificCharacterSet = "ISO_IR 192"
                setattr(dataset, name, value)
                dataset.save_as(folder / f"{i}.dcm")
        tried(mp.read, folder)
        assert [p.name for p in tmp_path.iterdir()] == ["in"]
        assert sorted(p.name for p in folder.iterdir()) == [f"{i}.dcm" for i in range(len(series))]


# -- texts --------------------------------------------------------------------------------------

WORDS = st.sampled_from(["steps", "name", "n4", "zscore", "reorient", "&a", "*a", "<<", "!!python/object:os.system",
                         "!!binary", ".nan", "-.inf", "1e999", "0x" + "f" * 40, "2001-99-99", "? ", "- ", ": ", "[", "]", "{",
                         "}", "\n", "  ", "|", ">", "%YAML 9.9", "---", "\u2028", "\x00", "\ufeff", "9" * 60])  # fmt: skip


@how_often(150)
@given(st.lists(WORDS, max_size=30), st.booleans())
def test_recipes(place, words, sensible):
    path = place / "odd.yaml"
    path.write_text("name: a\nsteps:\n- zscore\n" * sensible + "".join(words), "utf-8")
    tried(load, path)


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.system ['touch {mark}']", "!!python/name:os.system", "steps: !!python/module:os",
     "steps: [!!python/object/new:subprocess.Popen [['touch', '{mark}']]]"],
)  # fmt: skip
def test_recipes_that_would_run_code(tmp_path, text):
    path = tmp_path / "evil.yaml"
    path.write_text(text.replace("{mark}", str(tmp_path / "mark")))
    refused(load, path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("depth", [9, 30])
def test_a_billion_aliases(tmp_path, depth):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, depth)]
    path = tmp_path / "laughs.yaml"
    path.write_text("\n".join(lines))
    refused(load, path)


CELLS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["../../../etc/passwd", "/dev/zero", "=cmd|' /C calc'!A0", "sub-01", "a/b", "..", ".", "", "\x00",
     "x" * 300, "http://example.org/a.nii.gz", "\\\\host\\share", "~root/a.nii", "-1", "nan", "1e999"]
)  # fmt: skip


@how_often(120)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=6),
       st.sampled_from(["subject,T1w", "participant_id\tT1w\tage", "subject;session;path;contrast", ""]))  # fmt: skip
def test_tables(place, rows, head):
    mark = next((m for m in "\t;" if m in head), ",")
    path = place / "odd.csv"
    path.write_text("\n".join([head, *(mark.join(r) for r in rows)]), "utf-8")
    found = tried(from_table, path)
    for source in found if isinstance(found, list) else ():  # files are named after cases
        assert source.name == Path(source.name).name
        assert "\x00" not in source.name
        assert source.name not in ("", ".", "..")


@how_often(60)
@given(st.binary(max_size=400), st.sampled_from([".csv", ".yaml", ".nii", ".nii.gz", ".nrrd", ".mgz", ".tfm", ".mat",
                                                 ".parquet", ".zip", ".dcm", ".recipe"]))  # fmt: skip
def test_bytes_of_anything(place, content, ending):
    path = place / f"odd{ending}"
    path.write_bytes(content)
    read = {".csv": from_table, ".parquet": from_table, ".yaml": load, ".recipe": load, ".tfm": read_transform,
            ".mat": read_transform}.get(ending, mp.read)  # fmt: skip
    tried(read, path)
