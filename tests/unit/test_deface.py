"""Faces are removed, brains are not: on the digital head, whose pose and brain are known."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from scipy import ndimage

import mriprep as mp
from mriprep.core import (
    Case,
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
from mriprep.steps import _face, _face_region, _face_shear

#: Every contrast, orientation, spacing and type of voxel at least once.
SCANS = (
    ("T1w", {"spacing": 3.0, "orientation": "LAS", "rotation": (6, -5, 9), "dtype": "int16"}),
    ("T2w", {"spacing": (2.0, 2.0, 6.0), "orientation": "PSR", "dtype": "uint8"}),
    ("FLAIR", {"spacing": 4.0, "orientation": "LPS", "age": 6.0, "dtype": "uint16"}),
    ("PDw", {"spacing": (5.0, 2.5, 2.5), "orientation": "RAS", "rotation": (-9, 0, 4)}),
    ("T1w", {"grid": "oblique", "rotation": (4, -3, 6), "dtype": "float64"}),
)


def oblique():
    from mriprep.core import Transform

    affine = Transform.rigid((15, -15, 0)).matrix @ np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = np.array([3, -12, -8]) - affine[:3, :3] @ ((np.array([66, 86, 80]) - 1) / 2)
    return Grid((66, 86, 80), affine)


@functools.cache
def scan(number=0):
    contrast, how = SCANS[number]
    how = {**how, "grid": oblique()} if "grid" in how else how
    return head(contrast, labels=False, seed=number, **how)


@pytest.fixture
def known(monkeypatch):
    """In the place of a registration: the head's true pose."""

    def use(made, score=1.0):
        def placed(image, brain, facts):
            return _face.Place(brain, np.asarray(made.pose.matrix), score, facts)

        monkeypatch.setattr("mriprep.steps.deface.place", placed)
        return made

    return use


def done(image, *given, **how):
    with keeping() as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        result = mp.deface(image, *given, **how)
    return result, kept["face"], kept["defaced"]


# -- what is removed, and what is not -----------------------------------------------------------


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


# -- a detector of faces from outside -----------------------------------------------------------


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


# -- what has no face ----------------------------------------------------------------------------


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


# -- doubts ----------------------------------------------------------------------------------------


def test_a_registration_that_is_not_trusted_is_a_doubt(known):
    made = known(scan(0), score=0.2)
    with pytest.warns(DoubtWarning, match="score of 0.20"):
        mp.deface(made.image, made.brain)


def test_a_mask_that_is_no_brains_is_a_doubt(known):
    made = known(scan(0))
    small = ndimage.binary_erosion(made.brain.data, iterations=12)
    with pytest.warns(DoubtWarning, match="holds"):
        mp.deface(made.image, made.brain.replace(small))


# -- the mask of an earlier call ---------------------------------------------------------------------


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


# -- the region itself -------------------------------------------------------------------------------


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


# -- sessions ------------------------------------------------------------------------------------------


def test_one_face_for_all_contrasts_of_a_session(monkeypatch):
    import dataclasses

    from mriprep import derivatives, session_checks
    from mriprep.core import Transform
    from mriprep.recipe import load
    from mriprep.session import execute_session

    poses = {"FLAIR": {"rotation": (2, -3, 6), "spacing": (3, 3, 5), "orientation": "PSR"},
             "T1w": {"rotation": (5, 0, 8), "translation": (3, -2, 4), "spacing": 4}}  # fmt: skip
    made = {c: head(c, labels=False, **how) for c, how in poses.items()}
    asked = []

    def laid(image, mask=None, to=None, **_):
        mine, its = made[image.meta["contrast"]].pose, made[to.meta["contrast"]].pose
        return Transform((mine @ its.inverse()).matrix, to.grid, image.grid)

    def found(image, mask, contrast=None, values=None):
        asked.append(contrast)
        its = made[image.meta["contrast"]]
        return False, _face.Place(its.brain, np.asarray(its.pose.matrix), 1.0)

    monkeypatch.setattr(session_checks, "same_head", lambda *_: (0.01, None))
    monkeypatch.setattr("mriprep.steps.deface.find", found)
    recipe = load("deface")
    part = recipe.session.register
    step = dataclasses.replace(part.step, function=laid)
    part = dataclasses.replace(recipe.session, register=dataclasses.replace(part, step=step))
    case = Case("sub-01", {c: m.image for c, m in made.items()})
    outcome = execute_session(dataclasses.replace(recipe, session=part), case, reference="FLAIR")
    assert outcome.failure is None, outcome.error
    assert asked == ["T1w"]
    for contrast, its in made.items():
        done_ = outcome.outcomes[contrast]
        face = done_.state["face"]
        assert face.grid == its.grid
        assert not (face.data & its.brain.data).any()
        assert not done_.image.data[face.data].any()
        assert faces.removed(its.image, done_.image, its.pose.matrix)["face"] > 0.98
        record = done_.steps[-1]
        assert record.facts["face_from"] == "T1w"
        # Each contrast's own mask is written.
        name = "face" if contrast == "FLAIR" else f"face{contrast}"
        written = dict(derivatives.volumes(done_))
        assert written[f"sub-01_desc-{name}_mask.nii.gz"].grid == its.grid
        # What was removed is in no picture of the step.
        assert record.snapshots["before"] is record.snapshots["after"]


def test_no_picture_of_a_run_shows_the_face(known):
    from mriprep.qc.comparison import compare
    from mriprep.qc.views import Look, result
    from mriprep.recipe import load
    from mriprep.run import execute

    made = known(scan(0))
    case = Case("sub-01", {"T1w": made.image.replace(contrast="T1w")})
    recipe = load({"steps": ["denoise", "deface", {"resample": {"spacing": 4.0}}]})
    outcome = execute(recipe, case, contrast="T1w", mask=made.brain)
    assert outcome.failure is None, outcome.error
    first, second, _ = outcome.steps
    assert compare(first, "a", False) is None  # a picture before the face was gone
    assert second.snapshots["before"] is second.snapshots["after"]
    shown = Look(outcome).native
    bare = faces.removed(made.image, shown, made.pose.matrix)["face"]
    assert bare > 0.98
    assert result(Look(outcome)).before
    # One that stopped before shows nothing at all.
    empty = made.brain.replace(np.zeros(made.brain.shape, bool))
    stopped = execute(recipe, case, contrast="T1w", mask=empty)
    assert stopped.failure is not None
    assert not Look(stopped).native.data.any()
    result(Look(stopped))


# -- pictures -----------------------------------------------------------------------------------------


def test_a_picture_of_a_head(tmp_path, known):
    from PIL import Image

    made = known(scan(0))
    result, _, _ = done(made.image, made.brain)
    path = faces.picture(made.image, result, tmp_path / "head.png", made.pose.matrix)
    shown = np.asarray(Image.open(path))
    before, after = np.split(shown, 2)
    assert shown.dtype == np.uint8
    assert 0.2 < (before > 0).mean() < 0.9
    # The patient's left ear, and the nose, stand out of what is left of the head.
    third = before.shape[1] // 3
    assert (before[:, 2 * third :] > 0).sum() > (after[:, 2 * third :] > 0).sum()
    assert list(tmp_path.iterdir()) == [path]
