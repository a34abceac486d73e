"""Registration: known poses of the digital head are found, and what cannot be right is told."""

from __future__ import annotations

import functools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from mriprep.core import (
    DoubtWarning,
    EngineError,
    Grid,
    InputError,
    MriprepWarning,
    Transform,
    Volume,
)
from mriprep.declare import keeping
from mriprep.io.images import write_image
from mriprep.phantom import head, template, template_brain
from mriprep.steps import _align
from mriprep.steps._trust import trust
from mriprep.steps.apply_mask import apply_mask
from mriprep.steps.register import register
from mriprep.steps.reorient import reorient

POSES = [
    ((0, 0, 0), (6, -4, 8)),
    ((20, 0, 0), (0, 12, -5)),
    ((0, -15, 5), (15, 0, -10)),
    ((8, -10, -20), (-10, 5, 20)),
]


@functools.cache
def reference():
    return template(spacing=3)


@functools.cache
def scan(rotation=(8, -10, -20), translation=(-10, 5, 20), **options):
    """A head whose pose, template mm to scan mm, is known."""
    options = {"spacing": 3, "labels": False, "seed": 4, **options}
    return head(rotation=rotation, translation=translation, **options)


@functools.cache
def brain_points():
    mask = template_brain(3)
    return mask.grid.to_world(np.argwhere(mask.data)[::97])


def off(found, pose):
    """Mean distance to the truth over the brain, mm."""
    return found.distance(pose, brain_points())


def stripped(image, mask):
    return apply_mask(image, mask)


def quietly(*args, **options):
    """Any doubt of the registration's is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", MriprepWarning)
        return register(*args, **options)


# -- known poses ------------------------------------------------------------------------------


@pytest.mark.parametrize(("rotation", "translation"), POSES)
def test_a_known_pose_is_found(rotation, translation):
    """Reference mm to moving mm: the truth itself, not its inverse."""
    truth = scan(rotation, translation)
    found = quietly(truth.image, to=reference())
    assert off(found, truth.pose) < 0.5
    assert off(found, truth.pose.inverse()) > 5
    assert found.is_rigid
    assert found.reference == reference().grid
    assert found.moving == truth.image.grid
    assert found.moving_name == "T1w"
    assert found.meta["score"] > 0.9


def test_forth_and_back():
    truth = scan()
    forth = quietly(truth.image, to=reference())
    back = quietly(reference(), to=truth.image)
    assert (back @ forth).distance(Transform.identity(), brain_points()) < 0.5


@pytest.mark.parametrize("orientation", ["LPS", "PSR"])
def test_storage_does_not_matter(orientation):
    truth = scan()
    fixed, moving = reorient(reference(), to="SLA"), reorient(truth.image, to=orientation)
    found = quietly(moving, to=fixed)
    assert off(found, truth.pose) < 0.5
    assert found.moving == moving.grid
    assert found.reference == fixed.grid


def test_oblique_and_anisotropic_storage():
    affine = Transform.rigid((15, -15, 0)).matrix @ np.diag([-1.5, 1.5, 5.5, 1.0])
    grid = Grid((130, 170, 44), affine)
    affine[:3, 3] = -grid.center + (-10, 0, 10)
    truth = scan(spacing=1, grid=Grid(grid.shape, affine))
    assert off(quietly(truth.image, to=reference()), truth.pose) < 0.5


@pytest.mark.parametrize("contrast", ["T2w", "FLAIR"])
def test_another_contrast(contrast):
    truth = scan(contrast=contrast)
    assert off(quietly(truth.image, to=reference()), truth.pose) < 0.7


def test_origins_far_apart():
    truth = scan()
    affine = truth.grid.affine.copy()
    affine[:3, 3] += (3000, -4000, 5000)
    away = truth.image.replace(grid=Grid(truth.grid.shape, affine))
    shift = Transform.rigid(translation=(3000, -4000, 5000))
    assert off(quietly(away, to=reference()), shift @ truth.pose) < 0.5


def test_twelve_degrees_of_freedom():
    truth = scan((5, 4, -8), (3, 3, 3), age=6.0)
    found = quietly(truth.image, to=reference(), model="affine")
    assert found.scales == pytest.approx(truth.pose.scales, rel=0.02)
    assert off(found, truth.pose) < 1.0
    assert not found.is_rigid


# -- heads and brains -------------------------------------------------------------------------


def test_a_brain_template_needs_a_mask_of_a_head():
    truth = scan()
    brain = stripped(reference(), template_brain(3))
    with pytest.raises(InputError, match="template is a brain without skull") as told:
        register(truth.image, to=brain)
    assert "skullstrip" in told.value.hint
    assert off(quietly(truth.image, truth.brain, brain), truth.pose) < 0.5
    assert off(quietly(stripped(truth.image, truth.brain), to=brain), truth.pose) < 0.5


def test_a_brain_is_not_registered_to_a_head(tmp_path):
    truth = scan()
    bare = stripped(truth.image, truth.brain)
    with pytest.raises(InputError, match="scan is a brain without skull") as told:
        register(bare, to=reference())
    assert "mni152" in told.value.hint
    # Where the template comes with its mask, its brain is taken.
    write_image(reference(), tmp_path / "tpl-ours_T1w.nii.gz")
    write_image(template_brain(3), tmp_path / "tpl-ours_desc-brain_mask.nii.gz")
    found = quietly(bare, template=str(tmp_path / "tpl-ours_T1w.nii.gz"))
    assert off(found, truth.pose) < 0.5
    assert found.reference_name == "ours"


def test_heads_with_masks(tmp_path):
    truth = scan()
    write_image(reference(), tmp_path / "tpl-ours_T1w.nii.gz")
    write_image(template_brain(3), tmp_path / "tpl-ours_desc-brain_mask.nii.gz")
    with keeping() as kept:
        found = quietly(truth.image, truth.brain, template=str(tmp_path / "tpl-ours_T1w.nii.gz"))
    assert off(found, truth.pose) < 0.5
    assert kept["template"].grid == reference().grid
    assert kept["registration"]["score"] > 0.9
    assert kept["registration"]["tried"] == ["native"]


def test_an_infants_head_on_a_blank_background_is_a_head():
    """It fills less than an adult's brain: only its mask tells."""
    truth = scan((4, -5, 6), (2, 3, 4), age=0.4, noise=0.0)
    brain = stripped(reference(), template_brain(3))
    found = register(truth.image, truth.brain, brain, model="affine")
    assert off(found, truth.pose) < 1.5


# -- what cannot be right ---------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 12, np.nan])
def test_empty_images_are_refused(value):
    empty = Volume(np.full((20, 20, 20), value, np.float32), np.diag([8, 8, 8, 1.0]))
    for pair in ((empty, reference()), (reference(), empty)):
        with pytest.raises(InputError, match="constant"):
            register(pair[0], to=pair[1])


def test_an_empty_mask_is_refused():
    truth = scan()
    with pytest.raises(InputError, match="register: the mask is empty"):
        register(truth.image, truth.brain.replace(truth.brain.data & False), reference())


@pytest.mark.parametrize("rotation", [(180, 0, 0), (0, 0, 180), (-90, 0, 0), (0, 0, 90)])
def test_a_header_that_is_wrong_by_a_quarter_or_half_turn(rotation):
    truth = scan(rotation, (5, -5, 5))
    assert off(quietly(truth.image, to=reference()), truth.pose) < 1.0


def noise():
    rng = np.random.default_rng(0)
    return Volume(rng.normal(100, 10, (60, 70, 60)).astype(np.float32), np.diag([3, 3, 3, 1.0]))


def limb():
    """A cylinder of muscle with a bone in it."""
    i, j, _ = np.indices((60, 70, 60))
    data = np.abs(np.random.default_rng(0).normal(0, 8, i.shape))
    data = data + 200.0 * (((i - 30) / 25) ** 2 + ((j - 35) / 18) ** 2 < 1)
    data = data - 150.0 * (((i - 34) / 7) ** 2 + ((j - 37) / 7) ** 2 < 1)
    return Volume(data.astype(np.float32), np.diag([5, 5, 3, 1.0]))


@pytest.mark.parametrize("unrelated", [noise, limb])
def test_what_is_no_head_is_told(unrelated):
    with pytest.warns(DoubtWarning, match="doubtful") as seen:
        register(unrelated(), to=reference())
    assert any(w.filename == __file__ for w in seen)


def test_what_the_engine_refuses_is_an_error_of_ours():
    crumb = Volume(np.random.default_rng(0).random((4, 4, 4)).astype(np.float32), np.eye(4))
    with pytest.raises(EngineError, match="elastix could not register") as told:
        register(crumb, to=reference(), engine="elastix")
    assert told.value.hint


def test_a_head_that_is_hardly_seen_is_told_or_found():
    slab = scan((3, 2, 4), (2, 2, 2), spacing=(3, 3, 60))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", MriprepWarning)
        found = register(slab.image, to=reference())
    doubts = [w for w in seen if issubclass(w.category, MriprepWarning)]
    assert doubts or off(found, slab.pose) < 3


# -- trying again -----------------------------------------------------------------------------


def engines_that_find(monkeypatch, **poses):
    """Stand-ins for engines: each finds one pose, or fails. What was asked of them, in order."""
    asked = []

    def engine(name):
        def estimate(fixed, moving, *, thorough=False, **_options):
            asked.append(name + (" longer" if thorough else ""))
            pose = poses.get(asked[-1].replace(" ", "_"))
            if pose is None:
                raise EngineError(f"{name} found nothing")
            return pose

        return SimpleNamespace(estimate=estimate)

    monkeypatch.setattr(_align.engines, "load", lambda _kind, name: engine(name))
    return asked


def align(truth, **options):
    options = {"engine": "native", "model": "rigid", "same_anatomy": True, **options}
    return _align.align(reference(), truth.image, **options)


def test_a_right_result_is_not_tried_again(monkeypatch):
    truth = scan()
    asked = engines_that_find(monkeypatch, native=truth.pose)
    found, trust, tried = align(truth)
    assert found is truth.pose
    assert trust.trusted
    assert asked == tried == ["native"]


def test_a_wrong_result_is_tried_again_with_a_longer_search_then_another_engine(monkeypatch):
    truth = scan()
    wrong = truth.pose @ Transform.rigid((0, 25, 0))
    asked = engines_that_find(monkeypatch, native=wrong, native_longer=wrong, elastix=truth.pose)
    found, trust, tried = align(truth)
    assert asked == ["native", "native longer", "elastix"]
    assert tried == ["native", "native, longer", "elastix"]
    assert found is truth.pose
    assert trust.trusted


def test_the_best_of_wrong_results_is_kept(monkeypatch):
    truth = scan()
    near = truth.pose @ Transform.rigid((0, 12, 0))
    far = truth.pose @ Transform.rigid((0, 0, 180))
    engines_that_find(monkeypatch, native=far, native_longer=near)
    found, trust, tried = align(truth)
    assert found is near
    assert not trust.trusted
    assert trust.weakest
    assert tried == ["native", "native, longer", "elastix"]


def test_engines_that_all_give_up_are_an_error(monkeypatch):
    engines_that_find(monkeypatch)
    with pytest.raises(EngineError, match="elastix found nothing"):
        align(scan(), engine="elastix")


def test_between_people_a_rigid_transform_is_the_rigid_part_of_an_affine_one(tmp_path):
    truth = scan((5, 4, -8), (3, 3, 3), age=6.0)
    write_image(reference(), tmp_path / "head.nii.gz")
    found = quietly(truth.image, template=str(tmp_path / "head.nii.gz"))
    assert found.is_rigid
    assert found.distance(truth.pose.rigid_part(brain_points()), brain_points()) < 1.5


@pytest.mark.parametrize("size", [6, 12, 30])
def test_the_score_falls_with_the_error(size):
    truth = scan()
    points = brain_points()
    right = trust(reference(), truth.image, truth.pose, points)
    off_by = truth.pose @ Transform.rigid(translation=(0, 0.8 * size, 0.6 * size))
    wrong = trust(reference(), truth.image, off_by, points)
    assert right.score > 0.9
    assert wrong.score < 0.5
    assert wrong.drift > right.drift
    assert wrong.near < right.near


@pytest.mark.parametrize("model", ["similarity", "scaled"])
def test_models_that_an_engine_does_not_know_are_refused(model):
    with pytest.raises(InputError, match=f"elastix knows .* not {model}"):
        register(scan().image, to=reference(), engine="elastix", model=model)
