"""The fast reader of headers gives what pydicom gives, and leaves the rest to it."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from mriprep.io import dicom_headers
from mriprep.io.dicom_files import DiskFile
from mriprep.io.dicom_headers import Header, read_header
from mriprep.io.dicom_tags import Unusual
from mriprep.phantom import head, write_dicom


def both(path: Path) -> tuple[Header, Header]:
    """The header by the fast reader and by pydicom."""
    with path.open("rb", buffering=0) as file:
        source = DiskFile(path, file.fileno())
        fast = dicom_headers._fast(source, source.head(16 * 1024), None)
        slow = dicom_headers._slow(source, True, None)
    assert slow is not None
    return fast, slow


def assert_same(path: Path) -> None:
    fast, slow = both(path)
    for field in dataclasses.fields(Header):
        a, b = getattr(fast, field.name), getattr(slow, field.name)
        assert type(a) is type(b), field.name
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, field.name


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    return write_dicom(head(spacing=8.0), tmp_path_factory.mktemp("dicom") / "d")


@pytest.fixture
def slice_file(series, tmp_path) -> Path:
    shutil.copytree(series, tmp_path / "d")
    return sorted((tmp_path / "d").iterdir())[3]


def changed(path: Path, **values) -> Path:
    ds = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(ds, name, value)
    ds.save_as(path)
    return path


def test_a_phantoms_slice(slice_file):
    assert_same(slice_file)
    header = read_header(slice_file)
    assert header is not None
    assert (header.contrast, header.lost, header.syntax) == ("T1w", 0, "1.2.840.10008.1.2.1")


@pytest.mark.parametrize(
    "values",
    [
        {"SpecificCharacterSet": "ISO_IR 100", "SeriesDescription": "Schädel nativ t1"},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Ärzte^Öl", "SeriesDescription": "é"},
        {"SeriesDescription": "", "EchoTime": None, "InversionTime": ""},
        {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"], "EchoNumbers": 2},
        {"ReferencedImageSequence": [pydicom.Dataset(), pydicom.Dataset()]},
        {"ContrastBolusAgent": "Gadovist", "PatientAge": "030M"},
        {"PixelSpacing": [1.25, 0.1234567890123]},
    ],
)
def test_what_headers_may_hold(slice_file, values):
    assert_same(changed(slice_file, **values))


def test_sequences_of_undefined_length_are_passed_over(slice_file):
    ds = pydicom.dcmread(slice_file)
    inner = pydicom.Dataset()
    inner.PatientID = "inner"
    outer = pydicom.Dataset()
    outer.SeriesInstanceUID = "1.2.3"  # not that of the file
    outer.ReferencedStudySequence = [inner]
    ds.ReferencedImageSequence = [outer, inner]
    for element in (ds["ReferencedImageSequence"], outer["ReferencedStudySequence"]):
        element.is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    ds.save_as(slice_file)
    assert b"\xff\xff\xff\xff" in slice_file.read_bytes()[:3000]
    assert_same(slice_file)


def test_a_long_header_is_read_on(slice_file):
    ds = pydicom.dcmread(slice_file)
    block = ds.private_block(0x0019, "SOMETHING", create=True)
    block.add_new(0x10, "OB", bytes(60_000))
    ds.save_as(slice_file)
    assert_same(slice_file)


def test_what_is_unusual_is_pydicoms(slice_file):
    expected = read_header(slice_file)
    ds = pydicom.dcmread(slice_file)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(slice_file)
    with pytest.raises(Unusual):
        both(slice_file)
    header = read_header(slice_file)
    assert header is not None
    assert expected is not None
    assert (header.uid, header.facts) == (expected.uid, expected.facts)
    np.testing.assert_array_equal(header.positions, expected.positions)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 100])
def test_lost_pixels_are_counted(slice_file, implicit, cut):
    if implicit:
        ds = pydicom.dcmread(slice_file)
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        ds.save_as(slice_file, implicit_vr=True)
    assert_same(slice_file)
    slice_file.write_bytes(slice_file.read_bytes()[:-cut])
    header = read_header(slice_file)
    assert header is not None
    # What the pixels' own header takes is counted as pixels: fewer are missed than are lost.
    assert 0 <= header.lost <= cut
    assert header.lost > 0 or cut < 12


def test_what_follows_the_pixels_is_no_loss(slice_file):
    changed(slice_file, DataSetTrailingPadding=bytes(64))
    header = read_header(slice_file)
    assert header is not None
    assert header.lost == 0


def test_damage_never_raises_anything_but_value_errors(slice_file):
    whole = slice_file.read_bytes()
    rng = np.random.default_rng(4)
    for _ in range(100):
        data = bytearray(whole)
        for at in rng.integers(132, 1500, size=3):
            data[at] = rng.integers(256)
        slice_file.write_bytes(data[: rng.integers(140, len(data))])
        with contextlib.suppress(ValueError):
            read_header(slice_file)


def test_every_real_header_is_the_same(data, tmp_path):
    import tarfile

    count = unusual = 0
    for name in ("child-10y-siemens-trio", "fixtures-vendors", "fixtures-transfer-syntaxes"):
        with tarfile.open(data / "dicom" / f"{name}.tar.xz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                content = file.read() if file else b""
                if content[128:132] != b"DICM":
                    continue
                count += 1
                if name.startswith("child") and count % 8:
                    continue
                path = tmp_path / "file"
                path.write_bytes(content)
                try:
                    assert_same(path)
                except Unusual:
                    unusual += 1
    assert count > 250
    assert unusual < 0.15 * count


def test_members_of_a_zip_are_read_as_files_are(slice_file, tmp_path):
    import zipfile

    from mriprep.io.dicom_scan import read_headers

    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(slice_file.parent.iterdir()):
            archive.write(file, file.name)
        archive.writestr("note.txt", "x")
    inside, outside = read_headers(tmp_path / "a.zip"), read_headers(slice_file.parent)
    assert inside.other == 1
    assert list(inside.found) == list(outside.found)
    for a, b in zip(inside.found.values(), outside.found.values(), strict=True):
        assert a.facts == b.facts
        np.testing.assert_array_equal(a.positions, b.positions)
