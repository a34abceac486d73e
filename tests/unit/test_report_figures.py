"""Pictures of the report: sides, outlines, aspect, colours and histograms against known shapes."""

from __future__ import annotations

import base64
import io
import re

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from mriprep.core import Volume
from mriprep.core.slices import Slices
from mriprep.qc import figures
from mriprep.snapshot import PLANES, Histogram, take


def pixels(src):
    head, _, body = src.partition(",")
    assert head == "data:image/webp;base64"
    colours = np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))).astype(float)
    grey = np.ptp(colours, axis=-1).max() < 2
    return colours[..., 0] if grey else colours


def polylines(path):
    """The vertices of a path of figures.outline, in pixels from the upper left corner of the picture."""
    lines = []
    for x0, y0, moves in re.findall(r"M(-?\d+) (-?\d+)l([-\d ]+)", path):
        steps = np.array(moves.split(), dtype=float).reshape(-1, 2)
        start = np.array([float(x0), float(y0)])
        lines.append((np.cumsum(steps, axis=0) + start) / 4)
    return lines


def stored(data, affine, orientation):
    """The same image in another storage order, by nibabel."""
    image = nib.Nifti1Image(data, affine)
    wanted = nib.orientations.axcodes2ornt(tuple(orientation))
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(affine), wanted)
    )
    assert "".join(nib.aff2axcodes(turned.affine)) == orientation
    return Volume(np.asarray(turned.dataobj), turned.affine)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PSR", "ILA"])
def test_a_blob_lies_on_the_sides_that_the_letters_say(orientation):
    data = np.zeros((30, 40, 50), np.float32)
    data[3:9, 28:36, 36:46] = 100  # the patient's left, front and top
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -15, -20, -25
    image = stored(data, affine, orientation)
    shot = take(image, (-9.0, 12.0, 16.0))
    for picture in figures.pictures(shot, (0, 100)):
        grey = pixels(picture.src)
        rows, columns = np.nonzero(grey > 128)
        left, right, top, bottom = picture.sides
        across = left if columns.mean() < grey.shape[1] / 2 else right
        upright = top if rows.mean() < grey.shape[0] / 2 else bottom
        assert {across, upright} <= {"L", "A", "S"}
        assert len({left, right, top, bottom}) == 4
    axial, coronal, sagittal = figures.pictures(shot, (0, 100))
    assert (axial.sides, coronal.sides) == (("R", "L", "A", "P"), ("R", "L", "S", "I"))
    assert sagittal.sides == ("A", "P", "S", "I")
    assert [p.position for p in (axial, coronal, sagittal)] == ["z +16 mm", "y +12 mm", "x −9 mm"]


def test_the_outline_of_a_disc_is_where_the_disc_is():
    y, x = np.mgrid[:64, :48]
    disc = ((y - 20) ** 2 + (x - 30) ** 2 <= 10.0**2).astype(np.float32)
    (line,) = polylines(figures.outline(disc, (0.5,)))
    # The centre of pixel (row 20, column 30) is at (30.5, 20.5) from the corner.
    assert np.allclose((line.min(0) + line.max(0)) / 2, (30.5, 20.5))
    radius = np.hypot(*(line - (30.5, 20.5)).T)
    assert radius.min() > 9.4
    assert radius.max() < 10.6
    # It passes half-way between every pair of neighbours of which one is inside.
    assert line[:, 0].max() == 41.0


def test_the_outline_keeps_holes_and_pieces_and_closes_at_the_border():
    mask = np.zeros((30, 30), np.float32)
    mask[:10, :10] = 1
    mask[15:28, 15:28] = 1
    mask[20:23, 20:23] = 0
    path = figures.outline(mask, (0.5,))
    lines = polylines(path)
    assert len(lines) == 3
    assert path.count("z") == 3
    corner = min(lines, key=lambda p: p.min())
    assert corner.min() == 0.0
    assert corner.max() == 10.0
    assert figures.outline(np.zeros((5, 5), np.float32), (0.5,)) == ""


def test_a_picture_has_the_shape_of_the_anatomy_and_its_outline_follows():
    data = np.zeros((40, 40, 10), np.float32)
    data[10:20, 15:35, 2:6] = 1
    spacing = (1.0, 1.0, 4.0)
    image = Volume(data, np.diag([*spacing, 1]))
    shot = take(image, (15.0, 25.0, 16.0), mask=image.replace(role="mask"))
    for picture in figures.pictures(shot, (0, 1)):
        assert (picture.width, picture.height) == (40, 40)
        assert picture.shape == 1
        sx, sy = (4 * float(s) for s in picture.scale.split())
        (line,) = (p * (sx, sy) for p in polylines(picture.mask))
        rows, columns = np.nonzero(pixels(picture.src) > 128)
        bright = [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]
        drawn = [*np.stack([line.min(0), line.max(0)]).T.ravel()]
        assert np.allclose(drawn, bright, atol=0.51)


def test_pictures_are_bounded_and_extreme_shapes_get_margins():
    big = Volume(np.random.default_rng(0).random((700, 30, 4), np.float32), np.eye(4))
    axial, coronal, sagittal = figures.pictures(take(big, big.grid.center), (0, 1))
    assert (axial.width, axial.height) == (384, 16)
    assert axial.margins
    assert axial.shape == 2.6
    assert max(coronal.width, coronal.height, sagittal.width, sagittal.height) <= 384


def test_the_window_is_black_to_white_and_nan_is_black():
    data = np.full((8, 8, 8), 5.0, np.float32)
    data[:4] = np.nan
    data[4:6] = 10
    image = Volume(data, np.eye(4))
    axial = figures.pictures(take(image, (4, 4, 4)), (0.0, 10.0))[0]
    row = pixels(axial.src)[4]  # the patient's right is on the left: columns run backwards
    assert np.allclose(row, [127.5, 127.5, 255, 255, 0, 0, 0, 0], atol=6)


def test_edges_of_a_template_lie_where_it_changes():
    x, y, z = np.mgrid[:60, :60, :60] - 30
    ball = (np.sqrt(x**2 + y**2 + z**2) < 20).astype(np.float32) * 100
    ball[30:, :, :] *= 2  # two tissues
    image = Volume(ball, np.eye(4))
    axial = figures.pictures(take(image, (30, 30, 30), overlay=image), (0, 200), edges=True)[0]
    points = np.concatenate(polylines(axial.edges))
    radius = np.hypot(points[:, 0] - 29.5, points[:, 1] - 29.5)
    on_surface = np.abs(radius - 20) < 1.5
    on_border = np.abs(points[:, 0] - 30) < 1.5
    assert (on_surface | on_border).all()
    assert on_surface.any()
    assert (on_border & ~on_surface).any()
    assert figures.pictures(take(image, (30, 30, 30), overlay=image), (0, 200))[0].edges == ""


def test_a_field_is_red_where_it_brightens_and_its_scale_is_relative():
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None, None]
    field = 3 * np.exp(0.2 * x) * np.ones((40, 40, 40), np.float32)
    image = Volume(np.full((40, 40, 40), 7, np.float32), np.eye(4))
    mask = Volume(np.ones((40, 40, 40)), np.eye(4), "mask")
    shot = take(image, (20, 20, 20), mask=mask, overlay=image.replace(field))
    (axial, *_), factor = figures.field_pictures(shot)
    assert factor == pytest.approx(np.exp(0.2), rel=0.02)
    colours = pixels(axial.src)
    left, right = colours[20, 2], colours[20, -3]  # of the picture: the patient's right and left
    assert left[0] > left[2] + 50
    assert right[2] > right[0] + 50
    with pytest.raises(ValueError, match="no field"):
        figures.field_pictures(take(image, (20, 20, 20)))


def test_a_contact_sheet_keeps_the_shape_and_says_where_slices_lie():
    data = np.random.default_rng(0).random((30, 20, 50)).astype(np.float32)
    volume = Volume(data, np.diag([1.0, 2.0, 1.5, 1.0]))
    stack = np.transpose(data, (2, 1, 0))[:, ::-1, ::-1]
    slices = Slices(stack, "axial", tuple(range(50)), volume.grid, (0.0, 1.0), (1.0,) * 50)
    tiles = figures.tiles(slices, most=7)
    assert len(tiles) == 7
    assert (tiles[0].label, tiles[-1].label) == ("z 0 mm", "z +74 mm")
    assert {t.width / t.height for t in tiles} == {30 / 40}
    assert pixels(tiles[0].src).shape == (40, 30)


def test_a_histogram_is_drawn_to_scale():
    histogram = Histogram(np.array([1, 3]), np.array([0.0, 1.0, 2.0]))
    assert figures.density(histogram).tolist() == [0.25, 0.75]
    path = figures.bars(histogram, (0.0, 4.0), 1.0, (100, 40))
    assert path == "M0.0 40L0.0 30.0L25.0 30.0L25.0 10.0L50.0 10.0L50.0 40Z"


def test_every_plane_has_letters():
    assert set(figures.SIDES) == set(PLANES)
