"""Faces are removed, brains are not: on the digital head, whose pose and brain are known."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy import ndimage

import mriprep as mp
from face_scene import SCANS, done, scan, true_pose
from mriprep.core import (
    DoubtWarning,
    EngineError,
    GeometryError,
    Grid,
    InputError,
    MriprepWarning,
    Volume,
)
from mriprep.declare import keeping
from mriprep.phantom import head
from mriprep.qc import faces
from mriprep.steps import _face_region, _face_shear


@pytest.fixture
def known(monkeypatch):
    """In the place of a registration: the head's true pose."""
    return true_pose(monkeypatch)


@pytest.mark.parametrize("number", range(len(SCANS)))
def test_the_face_goes_and_the_brain_stays(known, number):
    made = known(scan(number))
    result, face, facts = done(made.image, made.brain)
    shares = faces.removed(made.image, result, made.pose.matrix)
    assert shares["face"] > 0.98
    assert shares["ears"] > 0.6  # of what the window shows of them and of the skin around
    assert not (face.data & made.brain.data).any()
    assert facts["brain_voxels_touched"] == 0
    assert facts["face_was"] == "found"
    # Nothing within the margin either, whatever the spacing.
    near = ndimage.distance_transform_edt(~made.brain.data, made.image.spacing)
    assert near[face.data].min() > 5.0
    # All else is as it was, to the bit; so is where it lies.
    assert result.data.dtype == made.image.data.dtype
    assert result.grid == made.image.grid
    assert result.meta == made.image.meta
    np.testing.assert_array_equal(result.data[~face.data], made.image.data[~face.data])
    assert not result.data[face.data].any()


def test_found_by_registration_it_is_the_same_region(known):
    made = scan(2)
    _, found, facts = done(made.image, made.brain)
    known(made)
    _, true, _ = done(made.image, made.brain)
    overlap = 2 * (found.data & true.data).sum() / (found.data.sum() + true.data.sum())
    assert overlap > 0.97
    assert facts["registration_score"] > 0.5


def test_the_outline_of_the_face_is_no_hole_in_the_noise(known):
    """The air in front of the face goes too, to the edge of the image."""
    made = known(scan(0))
    _, face, _ = done(made.image, made.brain)
    data = np.asarray(face.data)
    order, flip = face.grid.axes_to("RAS")
    data = np.flip(data.transpose(order), [a for a in range(3) if flip[a]])
    front = data.any(axis=1)
    assert data[:, -1][front].mean() > 0.5
    assert data[:, -1].sum() > 100


def test_a_plane_under_the_brain(known):
    made = known(scan(0))
    result, face, _ = done(made.image, made.brain, method="shear", ears=False)
    assert faces.removed(made.image, result, made.pose.matrix)["face"] > 0.7
    assert not (face.data & made.brain.data).any()
    back = np.linalg.inv(made.pose.matrix)
    points = made.grid.to_world(np.argwhere(made.brain.data)) @ back[:3, :3].T + back[:3, 3]
    normal, offset = _face_shear.plane(points)
    assert normal[1] > 0 > normal[2]
    assert (points @ normal).max() == pytest.approx(offset, abs=1e-6)
    there = made.grid.to_world(np.argwhere(face.data)) @ back[:3, :3].T + back[:3, 3]
    assert (there @ normal).min() > offset + 4.9


def test_blur_keeps_nothing_fine(known):
    made = known(scan(0))
    result, face, _ = done(made.image, made.brain, method="blur")
    assert result.data.dtype == np.int16
    np.testing.assert_array_equal(result.data[~face.data], made.image.data[~face.data])
    inside = ndimage.binary_erosion(face.data, iterations=2)
    steps = [
        np.abs(np.diff(v.data.astype(float), axis=0))[inside[1:]] for v in (made.image, result)
    ]
    assert np.percentile(steps[1], 99) < 0.1 * np.percentile(steps[0], 99)
    # The head is still there, as a shape.
    assert result.data[face.data].std() > 0


def test_ears_can_stay(known):
    made = known(scan(0))
    result, _, _ = done(made.image, made.brain, ears=False)
    shares = faces.removed(made.image, result, made.pose.matrix)
    assert shares["face"] > 0.98
    assert shares["ears"] < 0.05


def test_a_wider_margin_removes_less(known):
    made = known(scan(0))
    volumes = [done(made.image, made.brain, margin=m)[1].data.sum() for m in (2.0, 5.0, 15.0)]
    assert volumes[0] > volumes[1] > volumes[2] > 0


def test_nan_and_negative_voxels(known):
    made = known(scan(0))
    data = made.image.floats() - 500
    data[made.brain.data & (np.arange(data.shape[0]) % 7 == 0)[:, None, None]] = np.nan
    image = made.image.replace(data)
    result, face, _ = done(image, made.brain)
    np.testing.assert_array_equal(result.data[~face.data], data[~face.data])
    # Black is the darkest there is, not the 0 that would stand out.
    assert (result.data[face.data] == np.nanmin(data)).all()


@functools.cache
def detector():
    skimage = pytest.importorskip("skimage")
    from skimage.feature import Cascade

    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())


def detected(picture):
    """How many faces a cascade of local binary patterns finds (Ahonen 2006, as OpenCV trained it)."""
    colours = np.repeat(np.pad(picture, 40)[..., None], 3, axis=2)
    sizes = {"min_size": (60, 60), "max_size": (220, 220)}
    return len(detector().detect_multi_scale(colours, scale_factor=1.1, step_ratio=1, **sizes))


@pytest.mark.parametrize("contrast", ["T1w", "FLAIR"])
def test_a_detector_finds_the_face_before_and_none_after(known, contrast):
    made = known(head(contrast, spacing=2.0, noise=0.02, labels=False))
    before = faces.upright(made.image, made.pose.matrix)
    threshold = faces.level(before.floats())
    assert detected(faces.render(before, threshold)) >= 1
    for method in ("blank", "shear"):
        result, _, _ = done(made.image, made.brain, method=method)
        after = faces.upright(result, made.pose.matrix)
        assert detected(faces.render(after, threshold)) == 0


def test_a_stripped_scan_is_given_back():
    made = scan(0)
    brain = made.image.replace(np.where(made.brain.data, made.image.data, 0).astype(np.int16))
    with keeping() as kept, pytest.warns(MriprepWarning, match="no face to remove"):
        result = mp.deface(brain, made.brain)
    np.testing.assert_array_equal(result.data, brain.data)
    assert not kept["face"].data.any()
    assert "without skull" in kept["defaced"]["face_was"]


@pytest.mark.parametrize("method", ["blank", "shear"])
def test_a_face_that_is_gone_is_said_to_be(known, method):
    made = known(scan(0))
    once, face, _ = done(made.image, made.brain, method=method)
    with keeping() as kept, pytest.warns(MriprepWarning, match="no face in this scan"):
        twice = mp.deface(once, made.brain, method=method)
    assert kept["defaced"]["face_was"] == "none"
    np.testing.assert_array_equal(twice.data, once.data)
    np.testing.assert_array_equal(kept["face"].data, face.data)


def test_a_face_outside_of_the_field_of_view(known):
    made = known(scan(0))
    order, _ = made.grid.axes_to("RAS")
    world = made.grid.to_world(np.argwhere(made.brain.data))
    floor = world[:, 2].mean()
    axis = order[2]
    keep_ = int(np.round(made.grid.to_index((0, 0, floor))[axis]))
    window = [slice(None)] * 3
    window[axis] = slice(keep_, None)
    start = [0, 0, 0]
    start[axis] = keep_
    cut = made.image.data[tuple(window)]
    grid = made.grid.window(start, cut.shape)
    mask = Volume(made.brain.data[tuple(window)], grid, "mask")
    with pytest.warns(MriprepWarning, match="outside of the field of view"):
        mp.deface(Volume(cut, grid), mask)


def test_no_brain_is_an_error(monkeypatch):
    def none(*_given, **_how):
        raise EngineError("no brain was found in this image", hint="is it a head?")

    monkeypatch.setattr("mriprep.steps.skullstrip.skullstrip", none)
    with pytest.raises(EngineError, match="no brain was found"):
        mp.deface(scan(0).image)


def test_labels_and_masks_are_refused_and_what_to_do_is_said():
    made = scan(0)
    labels = made.brain.data.astype(np.int16) * 3
    labels[: labels.shape[0] // 2] *= 2
    with pytest.raises(InputError, match="looks like labels") as told:
        mp.deface(made.image.replace(labels))
    assert "set them to 0" in told.value.hint
    for role in ("mask", "labels"):
        with pytest.raises(InputError, match="must hold intensities"):
            mp.deface(made.brain.replace(role=role))


def test_a_registration_that_is_not_trusted_is_a_doubt(known):
    made = known(scan(0), score=0.2)
    with pytest.warns(DoubtWarning, match="score of 0.20"):
        mp.deface(made.image, made.brain)


def test_a_mask_that_is_no_brains_is_a_doubt(known):
    made = known(scan(0))
    small = ndimage.binary_erosion(made.brain.data, iterations=12)
    with pytest.warns(DoubtWarning, match="holds"):
        mp.deface(made.image, made.brain.replace(small))


def test_a_face_mask_is_taken_as_it_is(known):
    made = known(scan(0))
    result, face, _ = done(made.image, made.brain)
    again, same, facts = done(made.image, None, face)
    np.testing.assert_array_equal(again.data, result.data)
    np.testing.assert_array_equal(same.data, face.data)
    assert facts["face_was"] == "given"
    # Even so, none of a brain that is given.
    everything = face.replace(np.ones(face.shape, bool))
    spared, gone, _ = done(made.image, made.brain, everything)
    assert not (gone.data & made.brain.data).any()
    np.testing.assert_array_equal(spared.data[made.brain.data], made.image.data[made.brain.data])


def test_a_plane_is_not_found_by_a_face_mask(known):
    made = known(scan(0))
    with pytest.raises(InputError, match="plane of 'shear'"):
        mp.deface(made.image, None, made.brain, method="shear")


def test_a_wrong_face_mask_is_refused():
    made = scan(0)
    elsewhere = scan(2).brain
    with pytest.raises(GeometryError, match="face mask .* not on the image's grid"):
        mp.deface(made.image, face=elsewhere)
    with pytest.raises(InputError, match="face mask is empty"):
        mp.deface(made.image, face=made.brain.replace(np.zeros(made.image.shape, bool)))
    with pytest.raises(InputError, match="face must be a mask"):
        mp.deface(made.image, face=made.image)


def test_the_region_leaves_the_template_brain_alone():
    from mriprep import templates
    from mriprep.io.images import read_image

    image = read_image(templates.find("mni152").image)
    gone = _face_region.region(image.grid, np.eye(4), 5.0, ears=True)
    away = ndimage.distance_transform_edt(np.asarray(image.data) == 0, image.spacing)
    assert gone.any()
    assert away[gone].min() > 3.5  # 5 mm, on the region's own lattice of 2 mm


def test_where_eyes_nose_and_ears_are():
    from mriprep.phantom import landmarks

    points = landmarks()
    for name in ("left lens", "right lens", "nose tip", "left eye", "right eye"):
        affine = np.eye(4)
        affine[:3, 3] = points[name]
        assert _face_region.region(Grid((1, 1, 1), affine), np.eye(4), 5.0, ears=False).all(), name
