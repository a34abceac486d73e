"""Text in pixels is seen, and pixels hold voxels alone."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest

import mriprep as mp
from deid_scene import ball, change, datasets, draw
from mriprep.phantom import write_dicom


@pytest.fixture
def exam(tmp_path):
    return write_dicom(ball(), tmp_path / "exam")


@pytest.mark.parametrize("text", ["DOE JANE", "1971-03-04"])
@pytest.mark.parametrize("size", [10, 16, 30])
@pytest.mark.parametrize("value", [4000, 400])
def test_text_is_seen_and_noise_is_not(text, size, value):
    from PIL import Image, ImageDraw, ImageFont

    from mriprep.deid.pixels import has_text

    picture = ball((256, 256, 2)).image.data[..., 0].astype("i2")
    assert not has_text(picture)
    canvas = Image.new("1", picture.shape)
    ImageDraw.Draw(canvas).text((2, 3), text, fill=1, font=ImageFont.load_default(size))
    picture[np.array(canvas)] = value
    assert has_text(picture)


def test_who_has_looked_lets_text_like_voxels_through(exam, tmp_path):
    from mriprep.deid.folder import NothingLeft

    shutil.copytree(exam, tmp_path / "in")
    draw(tmp_path / "in", value=4000)
    with pytest.raises(NothingLeft, match="text in the pixels") as told:
        mp.deidentify(tmp_path / "in", tmp_path / "o")
    assert len(told.value.held) == 12
    assert mp.deidentify(tmp_path / "in", tmp_path / "o", keep=["voxels"]).written == 12
    change(tmp_path / "in", BurnedInAnnotation="YES")  # what the header says still counts
    with pytest.raises(NothingLeft, match="BurnedInAnnotation"):
        mp.deidentify(tmp_path / "in", tmp_path / "p", keep=["voxels"])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: change(f, BurnedInAnnotation="YES"), "BurnedInAnnotation"),
        (lambda f: change(f, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "picture of a screen"),
        (lambda f: change(f, ConversionType="WSD"), "secondary capture"),
        (lambda f: change(f, Modality="OT"), "no MR scan"),
        (lambda f: draw(f, value=4000), "text in the pixels"),
    ],
)
def test_series_that_may_show_text_are_held_back_whole(exam, tmp_path, spoil, why):
    shutil.copytree(exam, tmp_path / "in" / "bad")
    spoil(tmp_path / "in" / "bad")
    good = tmp_path / "in" / "good"
    shutil.copytree(exam, good)
    for file in good.iterdir():
        ds = pydicom.dcmread(file)
        ds.SeriesInstanceUID = "1.2.3.4"
        ds.save_as(file)
    done = mp.deidentify(tmp_path / "in", tmp_path / "o")
    assert done.written == 12
    assert [why in h.why for h in done.held] == [True] * 12
    assert {h.path.parts[0] for h in done.held} == {"bad"}


def test_a_tiny_number_of_a_direction_stays(exam, tmp_path):
    change(exam, ImageOrientationPatient=[-1, 0, 2.05e-17, 0, -1, 0])
    first = datasets(mp.deidentify(exam, tmp_path / "o"))[0]
    assert first.ImageOrientationPatient[2] == 2.05e-17


def test_pixels_hold_nothing_but_voxels(exam, tmp_path):
    for n, file in enumerate(sorted(exam.iterdir())):
        ds = pydicom.dcmread(file)
        pixels = ds.pixel_array.astype("u2") & 0xFFF
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        if n != 3:  # an overlay of old, in the bits above; once without saying so
            ds.add_new(0x60000102, "US", 12)
        ds.PixelData = (pixels | 0x1000).tobytes()
        ds.save_as(file)
    done = mp.deidentify(exam, tmp_path / "o")
    assert [h.why for h in done.held] == [
        "there is something in bits of its pixels that are not the voxels'"
    ]
    assert all(d.pixel_array.max() < 0x1000 for d in datasets(done))
