"""Slices, how they are shown, and the way back."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from mriprep.core import GeometryError, InputError, MriprepWarning, RecipeError, Volume
from mriprep.core.slices import PLANES, Slices, restack
from mriprep.io.slices import read_slices, write_slices
from mriprep.steps.reorient import reorient
from mriprep.steps.slices import slices

SHAPE = (18, 20, 22)
AFFINE = np.array([[2, 0, 0, -17], [0, 2.5, 0, -20], [0, 0, 3, -31], [0, 0, 0, 1.0]])


def oblique():
    c, s = np.cos(0.35), np.sin(0.35)
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return turn @ np.array([[1, 0, 0, 0], [0, c, s, 0], [0, -s, c, 0], [0, 0, 0, 1]]) @ AFFINE


def head(affine=AFFINE, dtype=np.int16):
    """A bright block in RAS: x 4..13, y 5..15, z 6..17; values all differ somewhere."""
    data = np.random.default_rng(0).integers(0, 20, SHAPE)
    data[4:14, 5:16, 6:18] += 500 + np.arange(12) * 20
    return Volume(data.astype(dtype), affine)


@pytest.mark.parametrize("code", ["RAS", "LPS", "PSR", "AIL"])
@pytest.mark.parametrize(
    ("plane", "up", "right"),
    # Unit steps in RAS that go up and to the right in the picture.
    [
        ("axial", (0, 1, 0), (-1, 0, 0)),
        ("coronal", (0, 0, 1), (-1, 0, 0)),
        ("sagittal", (0, 0, 1), (0, -1, 0)),
    ],
)
def test_up_and_right_are_where_they_should_be(code, plane, up, right):
    centre = np.array([9, 10, 11])
    for step, row, column in ((0, 0, 0), (up, -1, 0), (right, 0, 1)):
        data = np.zeros(SHAPE, np.float32)
        data[tuple(centre + 3 * np.asarray(step))] = 1
        image = reorient(Volume(data, AFFINE), to=code)
        everything = np.ones(image.shape, bool)
        cut = slices(image, image.replace(everything, role="mask"), plane=plane, window=(0, 100))
        _, r, c = np.argwhere(cut.stack == 1)[0]
        if step == 0:
            origin = (r, c)
        assert (r - origin[0], c - origin[1]) == (3 * row, 3 * column)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("code", ["RAS", "LPS", "PSR", "oblique"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_restacking_is_exact(code, plane, dtype):
    image = head(oblique(), np.float32) if code == "oblique" else reorient(head(), to=code)
    image = image.replace((image.data / 4).astype(dtype))
    cut = slices(image, plane=plane, content=0)
    assert len(cut) == image.shape[cut.axis]
    back = restack(cut)
    assert back.grid == image.grid
    assert np.array_equal(back.data, image.data)
    assert back.data.dtype == np.float32


def test_slices_that_were_left_out_are_filled():
    image = head()
    cut = slices(image, every=3)
    back = restack(cut, fill=-1).data
    kept = list(cut.indices)
    assert np.array_equal(back[:, :, kept], image.data[:, :, kept])
    assert (np.delete(back, kept, axis=2) == -1).all()


def test_which_slices_are_taken():
    image = head()
    assert slices(image).indices == tuple(range(6, 18))
    assert slices(image, every=5).indices == (6, 11, 16)
    assert slices(image, plane="coronal").indices == tuple(range(5, 16))
    assert slices(image, plane="sagittal").indices == tuple(range(4, 14))
    assert slices(reorient(image, to="RAI")).indices == tuple(range(22 - 18, 22 - 6))


def test_content_is_a_share_of_the_fullest_slice():
    image = head()
    inside = np.zeros(SHAPE, bool)
    inside[4:14, 5:15, 8] = True  # 100 voxels
    inside[4, 5:10, 9] = True  # 5
    inside[4, 5:9, 10] = True  # 4
    mask = Volume(inside, AFFINE, "mask")
    cut = slices(image, mask)
    assert cut.indices == (8, 9)
    assert cut.content == (1, 0.05)
    assert slices(image, mask, content=0.04).indices == (8, 9, 10)
    assert slices(image, mask, content=0).indices == tuple(range(22))


def test_positions_are_world_coordinates_of_the_centres():
    cut = slices(head(), plane="coronal")
    assert np.allclose(cut.positions, -20 + 2.5 * np.arange(5, 16))
    image = head(oblique(), np.float32)
    cut = slices(image)
    centre = image.affine @ [8.5, 9.5, cut.indices[2], 1]
    assert cut.positions[2] == pytest.approx(centre[2])


def test_the_window():
    image = head()
    inside = np.asarray(image.data) > 100
    mask = Volume(inside, AFFINE, "mask")
    sample = image.data[inside]
    assert np.allclose(slices(image, mask).window, np.percentile(sample, (0.5, 99.5)), rtol=1e-6)
    low, high = slices(image).window
    assert low == pytest.approx(np.percentile(image.data, 0.5))
    assert high == pytest.approx(np.percentile(sample, 99.5))


def test_labels_come_along():
    image = head()
    labels = Volume((image.data // 100).astype(np.uint16), AFFINE, "labels")
    cut = slices(image, None, labels, plane="sagittal", content=0)
    assert cut.labels is not None
    assert cut.labels.dtype == np.uint16
    assert np.array_equal(restack(cut, cut.labels, role="labels").data, labels.data)


def test_labels_and_masks_as_content():
    image = head()
    inside = np.zeros(SHAPE, bool)
    inside[4:14, 5:15, 3:19] = True
    mask = Volume(inside, AFFINE, "mask")
    drawn = np.zeros(SHAPE, np.int16)
    drawn[6:9, 6:9, 8:12] = 2
    labels = Volume(drawn, AFFINE, "labels")
    assert slices(image, mask, labels, keep="label").indices == (8, 9, 10, 11)
    assert slices(image, mask, labels, keep="mask").indices == tuple(range(3, 19))
    # The window is that of the mask, whatever is kept.
    assert slices(image, mask, labels, keep="label").window == slices(image, mask).window
    with pytest.raises(InputError, match="there are no labels"):
        slices(image, mask, keep="label")
    with pytest.raises(InputError, match="no voxel has a label"):
        slices(image, mask, labels.replace(np.zeros_like(drawn)), keep="label")
    with pytest.raises(InputError, match="there is none"):
        slices(image, keep="mask")


def test_slices_by_distance():
    image = head()  # slices of 3 mm
    assert slices(image, spacing=9, content=0).indices == tuple(range(0, 22, 3))
    assert slices(image, spacing=1, content=0).indices == tuple(range(22))
    with pytest.raises(InputError, match="both every and spacing"):
        slices(image, spacing=9, every=2)


def test_inputs_that_cannot_be_meant():
    image = head()
    with pytest.raises(InputError, match="slices: the mask is empty"):
        slices(image, Volume(np.zeros(SHAPE, bool), AFFINE, "mask"))
    with pytest.raises(InputError, match="slices: the image is constant"):
        slices(Volume(np.zeros(SHAPE), AFFINE))
    with pytest.raises(GeometryError, match=r"the labels .* not on the image's grid"):
        slices(image, None, Volume(np.ones(SHAPE, int), np.eye(4), "labels"))
    with pytest.raises(RecipeError, match=r"slices\.plane"):
        slices(image, plane="transverse")
    data = np.array(image.data, np.float32)
    data[0, 0, 0] = np.nan
    with pytest.warns(MriprepWarning, match="slices: 1 voxels"):
        slices(image.replace(data))


def test_slices_check_themselves():
    cut = slices(head())
    about = {"plane": "axial", "grid": cut.grid, "window": (0, 1)}
    with pytest.raises(GeometryError, match="1 axial slices"):
        Slices(np.zeros((1, 3, 3)), indices=(4,), content=(1,), **about)
    with pytest.raises(InputError, match="ascend"):
        Slices(cut.stack[:2], indices=(4, 4), content=(1, 1), **about)
    with pytest.raises(InputError, match="window"):
        Slices(cut.stack[:1], indices=(4,), content=(1,), **{**about, "window": (2, 2)})
    with pytest.raises(GeometryError, match="undo any resizing"):
        restack(cut, np.zeros((2, 5, 5)))
    with pytest.raises(ValueError, match="read-only"):
        cut.stack[0] = 0


# -- files ------------------------------------------------------------------------------------


def with_labels(**parameters):
    image = head(oblique(), np.float32)
    labels = Volume((image.data // 100).astype(np.int32), image.affine, "labels")
    return slices(image, None, labels, **parameters)


def test_names_and_table(tmp_path):
    cut = with_labels(every=4)
    files = write_slices(cut, tmp_path / "new", stem="sub-01_T1w")
    names = [f.name for f in files]
    assert names[:2] == [
        "sub-01_T1w_plane-axial_slice-0006.png",
        "sub-01_T1w_plane-axial_slice-0006_dseg.png",
    ]
    assert names[-2:] == ["sub-01_T1w_plane-axial_slices.csv", "sub-01_T1w_plane-axial_slices.json"]
    assert sorted(names) == sorted(f.name for f in (tmp_path / "new").iterdir())
    rows = list(csv.DictReader(files[-2].open()))
    assert [int(row["index"]) for row in rows] == list(cut.indices)
    assert [float(row["position_mm"]) for row in rows] == list(cut.positions)
    assert rows[1]["labels"] == "sub-01_T1w_plane-axial_slice-0010_dseg.png"
    about = json.loads(files[-1].read_text())
    assert about["grid"]["affine_ras"] == cut.grid.affine.tolist()


@pytest.mark.parametrize(("format", "levels"), [("png8", 255), ("png16", 65535)])
def test_pictures(tmp_path, format, levels):
    cut = with_labels(plane="coronal", format=format)
    files = write_slices(cut, tmp_path, stem="a")
    low, high = cut.window
    picture = np.asarray(Image.open(files[0]))
    assert picture.dtype == (np.uint8 if levels == 255 else np.uint16)
    expected = np.round(np.clip((cut.stack[0] - low) / (high - low), 0, 1) * levels)
    assert np.abs(picture - expected).max() <= 1
    assert max(np.asarray(Image.open(f)).max() for f in files[:-2:2]) == levels
    assert np.array_equal(np.asarray(Image.open(files[1])), cut.labels[0])
    back = read_slices(tmp_path)
    half = (high - low) / levels / 2
    assert np.abs(back.stack - np.clip(cut.stack, low, high)).max() <= half * 1.01
    same_apart_from_the_stack(cut, back)


def test_arrays_are_exact(tmp_path):
    cut = with_labels(plane="sagittal", format="npy")
    write_slices(cut, tmp_path, stem="a")
    back = read_slices(tmp_path / "a_plane-sagittal_slices.csv")
    assert np.array_equal(back.stack, cut.stack)
    same_apart_from_the_stack(cut, back)
    assert np.array_equal(restack(back).data, restack(cut).data)


def same_apart_from_the_stack(a, b):
    assert (a.plane, a.axis, a.indices, a.positions, a.content, a.window, a.grid, a.format) == (
        *(b.plane, b.axis, b.indices, b.positions, b.content, b.window, b.grid, b.format),
    )
    assert np.array_equal(a.labels, b.labels)
    assert a.labels.dtype == b.labels.dtype


def test_labels_of_16_bit_and_beyond(tmp_path):
    cut = with_labels()
    large = Slices(**{**vars(cut), "labels": cut.labels * 1000})
    files = write_slices(large, tmp_path, stem="a")
    assert np.asarray(Image.open(files[1])).dtype == np.uint16
    assert np.array_equal(read_slices(tmp_path).labels, large.labels)
    for labels in (cut.labels * 100_000, cut.labels - 1):
        beyond = Slices(**{**vars(cut), "labels": labels})
        with pytest.raises(InputError, match="do not fit a picture"):
            write_slices(beyond, tmp_path / "b", stem="a")
        write_slices(beyond, tmp_path / "c", stem="a", format="npy")
        assert np.array_equal(read_slices(tmp_path / "c").labels, labels)


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    write_slices(with_labels(every=2), tmp_path, stem="a")
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    cut = with_labels()
    beyond = Slices(**{**vars(cut), "labels": cut.labels * 100_000})
    with pytest.raises(InputError):
        write_slices(beyond, tmp_path, stem="a")
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == before


def test_writing_again_replaces_and_is_the_same(tmp_path):
    write_slices(with_labels(), tmp_path, stem="a")
    write_slices(with_labels(plane="coronal"), tmp_path, stem="a")
    first = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    write_slices(with_labels(), tmp_path, stem="a")
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == first
    write_slices(with_labels(every=4), tmp_path, stem="a")
    assert len(list(tmp_path.glob("a_plane-axial_slice-????.png"))) == 3
    assert len(list(tmp_path.glob("a_plane-coronal_slice-????.png"))) == 11
    with pytest.raises(InputError, match="one stem and plane"):
        read_slices(tmp_path)


@pytest.mark.parametrize("stem", ["", "../a", "a/b", ".a", "a b"])
def test_stems_are_plain_names(tmp_path, stem):
    with pytest.raises(InputError, match="cannot begin a file name"):
        write_slices(with_labels(), tmp_path, stem=stem)


def test_a_table_cannot_name_files_elsewhere(tmp_path):
    files = write_slices(with_labels(), tmp_path / "in", stem="a")
    table = files[-2]
    table.write_text(table.read_text().replace("a_plane-axial_slice-0006.png", "../secret.png"))
    with pytest.raises(InputError, match="outside its folder"):
        read_slices(tmp_path / "in")


def test_damaged_files_are_named(tmp_path):
    files = write_slices(with_labels(), tmp_path, stem="a")
    files[0].write_bytes(files[0].read_bytes()[:40])
    with pytest.raises(InputError, match=r"a_plane-axial_slices\.json cannot be read"):
        read_slices(tmp_path)
    files[0].unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_slices(tmp_path)
    with pytest.raises(InputError, match="found: none"):
        read_slices(tmp_path.parent / tmp_path.name / "..")
