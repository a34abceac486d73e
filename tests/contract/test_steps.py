"""What holds of every step on every grid, by its declaration alone: a new step is covered by existing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from contract_calls import (
    ON_IMAGES,
    QUICK,
    STEPS,
    frozen,
    function,
    made,
    planned_by_recipe,
    same,
    threads,
    volumes_of,
    wheres,
)
from contract_scene import ORIENTATIONS, SPACINGS, dice, moved_from, scene

import mriprep as mp
from mriprep import declare
from mriprep.core import Case, Grid, Role, Transform, Volume
from mriprep.core.slices import Slices, restack

CASES = [(n, o, s) for n in STEPS for o in ORIENTATIONS for s in SPACINGS]
CASES = [c for c in CASES if any(w[:2] == c[1:] for w in wheres(c[0]))]
FIRST = {n: wheres(n)[0] for n in STEPS}
MADE = {
    "image": Volume,
    "mask": Volume,
    "tissues": Volume,
    "transform": Transform,
    "slices": Slices,
}


def calls(name, orientation, spacing):
    """Every type of voxel; with and without what is optional."""
    for where in wheres(name):
        if where[:2] == (orientation, spacing):
            yield made(name, where)
            if name in QUICK:
                yield made(name, where, full=False)


# -- inputs, plans, results -------------------------------------------------------------------


@pytest.mark.parametrize(("name", "orientation", "spacing"), CASES)
def test_inputs_are_untouched(name, orientation, spacing):
    for call, _ in calls(name, orientation, spacing):
        assert not call.changed, where_of(call)


@pytest.mark.parametrize(("name", "orientation", "spacing"), CASES)
def test_the_plan_knows_the_result(name, orientation, spacing):
    for call, result in calls(name, orientation, spacing):
        if isinstance(result, Case):
            continue  # reading is planned from the headers of files
        planned = call.planned()
        if isinstance(result, Transform):
            assert isinstance(planned, Transform)
            assert planned.reference.matches(result.reference)
            assert planned.moving.matches(result.moving)
        elif isinstance(result, Volume):
            # None says that only voxels will tell.
            assert planned is None or planned.matches(result.grid), where_of(call)
            if declare.get(name).plan is None:
                assert result.grid == call.scene.image.grid


@pytest.mark.parametrize(("name", "orientation", "spacing"), CASES)
def test_the_result_is_what_was_declared(name, orientation, spacing):
    for call, result in calls(name, orientation, spacing):
        if name == "convert":
            assert isinstance(result, Case)
        else:
            assert isinstance(result, MADE[call.step.makes])
        if isinstance(result, Volume):
            assert call.step.slot(result) == call.step.makes
            if call.step.makes in tuple(Role):
                assert result.role.value == call.step.makes
            if call.step.makes == "tissues":
                assert result.role is Role.LABELS
        for volume in volumes_of(result):
            assert volume.data.dtype.kind in ("b" if volume.role is Role.MASK else "iuf")
            assert np.isfinite(volume.data).all(), where_of(call)
            assert volume.data.flags["WRITEABLE"] is False
        if isinstance(result, Slices):
            assert np.isfinite(result.stack).all()


@pytest.mark.parametrize(("name", "orientation", "spacing"), CASES)
def test_nothing_moves_in_the_world(name, orientation, spacing):
    for call, result in calls(name, orientation, spacing):
        truth = call.scene
        if isinstance(result, Transform):
            inside = truth.mask.grid.to_world(np.argwhere(truth.mask.data)[::29])
            points = truth.pose.inverse()(inside)
            assert result.distance(truth.pose, points) < 1.0
            continue
        if isinstance(result, Slices):
            result = restack(result, fill=float(np.mean(result.stack)))
        for volume in volumes_of(result):
            if volume.role is Role.MASK:
                on_it = mp.resample(volume, truth.mask.grid)
                assert dice(on_it.data, truth.mask.data) > 0.9, where_of(call)
            else:
                likeness, shift = moved_from(truth, volume)
                assert shift == (0, 0, 0), where_of(call)
                assert likeness > 0.8, where_of(call)


def where_of(call):
    image = call.scene.image
    return f"{call.step.name} on {image.grid}, {image.data.dtype}, given {sorted(call.inputs)}"


# -- what goes where the image goes -----------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in STEPS if declare.get(n).each])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_companions_of_all_roles_go_with_the_image(name, orientation, spacing):
    where = (orientation, spacing, "float32")
    call, image = made(name, where)
    truth = scene(*where)
    rng = np.random.default_rng(0)
    probability = truth.image.replace(rng.random(truth.image.shape, np.float32), role="probability")
    for companion in (truth.mask, truth.labels, probability):
        result = call.on(companion)()
        assert result.role is companion.role
        assert result.grid.matches(image.grid) or call.planned() is None
        assert result.data.dtype == companion.data.dtype
        if companion.role is Role.LABELS:
            assert set(np.unique(result.data)) <= set(np.unique(companion.data))
            for label in (1, 2, 3):
                centres = [center(v, label) for v in (companion, result)]
                assert np.linalg.norm(np.subtract(*centres)) < max(companion.spacing) / 2


def center(labels: Volume, label: int):
    return labels.grid.to_world(np.argwhere(labels.data == label).mean(axis=0))


# -- always the same --------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEPS)
def test_the_same_again_and_on_one_thread(name):
    call, result = made(name, FIRST[name])
    with threads(2):
        two = call()
    with threads(1):
        one = call()
    assert same(two, one)
    assert same(two, result)


@pytest.mark.parametrize("name", ON_IMAGES)
def test_a_recipe_of_it_alone_does_the_same(name):
    call, result = made(name, FIRST[name])
    before = frozen(call.inputs)
    companions = {
        i.slot: call.inputs[i.name]
        for i in call.step.inputs[1:]
        if i.slot in ("mask", "labels") and i.name in call.inputs
    }
    run = mp.recipe(call.recipe())(call.scene.image, **companions)
    assert frozen(call.inputs) == before
    assert same(run.outcome.state[call.step.slot(result)], result)
    told = run.record
    (record,) = told["steps"]
    assert record["step"] == name
    assert json.loads(json.dumps(told)) == told
    assert "{" not in told["methods"]
    (planned,) = planned_by_recipe(call).steps
    assert planned.makes == call.step.makes
    if isinstance(result, Volume) and planned.makes == "image" and planned.after is not None:
        assert planned.after.matches(run.image.grid)


# -- every choice -----------------------------------------------------------------------------

CHOICES = [
    (n, p.name, c)
    for n in STEPS
    for p in declare.get(n).parameters.values()
    for c in p.choices
    if p.name not in ("engine", "device") and c != p.default
]


@pytest.mark.parametrize(("name", "parameter", "choice"), CHOICES)
def test_every_choice_works(name, parameter, choice):
    call, _ = made(name, FIRST[name])
    result = call(**{parameter: choice})
    for volume in volumes_of(result):
        assert np.isfinite(volume.data).all()
        if volume.role is Role.IMAGE:
            likeness, shift = moved_from(call.scene, volume)
            assert shift == (0, 0, 0)
            assert likeness > 0.8
    if isinstance(result, Transform):
        points = call.scene.pose.inverse()(call.scene.image.grid.corners)
        assert result.distance(call.scene.pose, points) < 3.0


@pytest.mark.parametrize(
    ("name", "word"),
    [(n, (i.name, w)) for n in STEPS for i in declare.get(n).inputs for w in i.words],
)
def test_every_word_in_place_of_an_input_works(name, word):
    call, _ = made(name, FIRST[name])
    call.inputs.pop(word[0], None)
    result = function(name)(**call.inputs, **call.parameters, **{word[0]: word[1]})
    assert np.isfinite(result.data).all()
    assert moved_from(call.scene, result)[1] == (0, 0, 0)


def test_grids_are_what_they_are_called():
    for orientation in ORIENTATIONS:
        grid: Grid = scene(orientation, "anisotropic").image.grid
        assert grid.orientation == (orientation if orientation != "oblique" else "RAS")
        assert (grid.obliquity > 15) == (orientation == "oblique")
        assert sorted(grid.spacing) == pytest.approx([0.9, 0.9, 5.5])
