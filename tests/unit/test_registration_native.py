"""The native registration: its parameters, its parts, and known poses of the digital head."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from mriprep.core import EngineError, Grid, Transform, Volume
from mriprep.engines.registration import _pose, native
from mriprep.engines.registration._descent import minimize
from mriprep.engines.registration._pyramid import Pyramid, spread
from mriprep.kernels.shrink import block_means
from mriprep.phantom import head, template, template_brain


@functools.cache
def fixed():
    return template(spacing=3)


@functools.cache
def points():
    mask = template_brain(3)
    return mask.grid.to_world(np.argwhere(mask.data)[::97])


@functools.cache
def scan(**options):
    options = {"spacing": 3, "rotation": (8, -10, -20), "translation": (-10, 5, 20), **options}
    return head(labels=False, seed=4, **options)


# -- parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", list(_pose.FREEDOM))
def test_derivatives_of_a_map(model):
    rng = np.random.default_rng(1)
    start = _pose.nearest_rotation(rng.normal(size=(3, 3)))
    for parameters in (np.zeros(_pose.FREEDOM[model]), rng.normal(0, 9, _pose.FREEDOM[model])):
        _, (found,) = _pose.linear(parameters[None], start[None])
        for n, step in enumerate(np.eye(len(parameters)) * 1e-4):
            moved = np.array([parameters + step, parameters - step])
            there, here = _pose.linear(moved, np.array([start, start]))[0]
            np.testing.assert_allclose(found[n], (there - here) / 2e-4, atol=1e-7)


@pytest.mark.parametrize("model", list(_pose.FREEDOM))
def test_a_map_is_split_and_put_together_again(model):
    rng = np.random.default_rng(2)
    start = _pose.nearest_rotation(rng.normal(size=(3, 3)))
    matrix = _pose.linear(rng.normal(0, 6, (1, _pose.FREEDOM[model])), start[None])[0][0]
    rotation, parameters = _pose.initial(matrix, model)
    again = _pose.linear(parameters[None], rotation[None])[0][0]
    np.testing.assert_allclose(again, matrix, atol=1e-9)


def test_rotations_are_rotations_and_spread():
    found = _pose.rotations(200)
    np.testing.assert_allclose(
        found @ found.transpose(0, 2, 1), np.eye(3)[None].repeat(200, 0), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(found), 1)
    traces = np.einsum("aij,bij->ab", found, found) - 4 * np.eye(200)
    nearest = np.degrees(np.arccos(np.clip((traces.max(axis=1) - 1) / 2, -1, 1)))
    assert nearest.min() > 15


def test_the_minimiser_finds_a_minimum():
    scales = np.array([1.0, 30.0, 0.2])
    target = np.array([[3.0, 3, 3], [-5, 0, 40], [0, 0, 0], [1e-3, 2, -7]])
    asked = []

    def cost(x, who):
        asked.append(len(who))
        return (scales * (x - target[who]) ** 2).sum(axis=1), 2 * scales * (x - target[who])

    found, values = minimize(cost, np.zeros((4, 3)), tolerance=1e-8)
    np.testing.assert_allclose(found, target, atol=1e-4)
    assert values == pytest.approx(0, abs=1e-6)
    assert asked[0] == 4  # all at once,
    assert asked[1] == 3  # and what has arrived is not asked for again
    alone = minimize(lambda x, _: cost(x, np.array([1])), np.zeros((1, 3)), tolerance=1e-8)
    np.testing.assert_allclose(found[1], alone[0][0], atol=1e-12)


def test_the_minimiser_leaves_a_plateau_and_what_is_not_smooth():
    def cost(x, _):  # a kink: no step brings what the slope promises forever
        return np.abs(x).sum(axis=1), np.sign(x)

    found, values = minimize(cost, np.array([[0.3, -7.0], [0.0, 0.0]]), iterations=60)
    assert (values <= [7.3, 0]).all()
    assert values[0] < 0.5
    np.testing.assert_array_equal(found[1], 0)


def test_block_means():
    values = np.random.default_rng(0).random((7, 8, 5)).astype(np.float32)
    expected = values[:6, :8, :4].reshape(3, 2, 2, 4, 2, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(block_means(values, (2, 4, 2)), expected, rtol=1e-5)


def test_samples_lie_in_the_region_and_are_the_same_always():
    region = np.zeros((20, 22, 24), bool)
    region[5:12, 3:18, 10:20] = True
    affine = Transform.rigid((20, 10, 5), (3, 4, 5)).matrix @ np.diag([2.0, 3.0, 4.0, 1])
    found = spread(region, affine, 500)
    assert found.shape == (500, 3)
    index = np.rint((found - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T).astype(int)
    assert region[tuple(index.T)].all()
    np.testing.assert_array_equal(found, spread(region, affine, 500))


def test_coarser_copies_keep_their_place():
    pyramid = Pyramid(fixed())
    fine, coarse = pyramid.level(1.0), pyramid.level(8.0)

    def middle(level):
        index = np.argwhere(level.data > 8).mean(axis=0)
        return level.affine[:3, :3] @ index + level.affine[:3, 3]

    np.testing.assert_allclose(middle(coarse), middle(fine), atol=2)


# -- known poses ------------------------------------------------------------------------------

THICK = np.array([[-0.9, 0, 0, 110], [0, 0.9, 0, -120], [0, 0, 5.5, -110], [0, 0, 0, 1.0]])
OBLIQUE = Transform.rigid((15, -25, 10)).matrix @ np.array(
    [[3, 0, 0, -115], [0, 3, 0, -120], [0, 0, 3, -110], [0, 0, 0, 1.0]]
)


@pytest.mark.parametrize(
    "options",
    [
        {"orientation": "RAS"},
        {"orientation": "LAS"},
        {"orientation": "LPS"},
        {"grid": Grid((78, 82, 74), OBLIQUE)},
        {"grid": Grid((244, 266, 41), THICK)},
        {"dtype": "uint8"},
        {"contrast": "T2w"},
        {"rotation": (0, 170, 30)},
    ],
    ids=["RAS", "LAS", "LPS", "oblique", "thick", "uint8", "T2w", "upside-down"],
)
def test_a_known_pose_is_found(options):
    truth = scan(**options)
    found = native.estimate(fixed(), truth.image)
    assert found.distance(truth.pose, points()) < 0.5
    assert found.is_rigid
    assert (found.reference, found.moving) == (fixed().grid, truth.grid)


def test_a_childs_head():
    truth = scan(age=6.0)
    for model in ("similarity", "scaled", "affine"):
        found = native.estimate(fixed(), truth.image, model=model)
        assert found.scales == pytest.approx(truth.pose.scales, rel=0.01)
        assert found.distance(truth.pose, points()) < 0.7


@pytest.mark.parametrize("side", ["fixed_mask", "moving_mask"])
def test_masks(side):
    truth = scan()
    mask = template_brain(3) if side == "fixed_mask" else truth.brain
    found = native.estimate(fixed(), truth.image, **{side: mask})
    # A third of a voxel: a tight mask leaves out the strongest edges, those of the brain itself.
    assert found.distance(truth.pose, points()) < 1.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_a_head(axis):
    truth = scan()
    lower, upper = [0, 0, 0], list(truth.grid.shape)
    lower[axis] = truth.grid.shape[axis] // 2
    part = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
    half_shape = truth.image.data[part].shape
    half = Volume(truth.image.data[part], truth.grid.window(lower, half_shape))
    assert native.estimate(fixed(), half).distance(truth.pose, points()) < 1.0


def test_a_start_is_where_it_begins():
    truth = scan()
    near = Transform.rigid((5, 5, -5), (4, 4, 4)) @ truth.pose
    assert native.estimate(fixed(), truth.image, start=near).distance(truth.pose, points()) < 0.5


def test_nothing_in_common_is_an_error():
    flat = Volume(np.zeros((20, 20, 20), np.float32), np.diag([8, 8, 8, 1.0]))
    with pytest.raises(EngineError, match="do not overlap") as told:
        native.estimate(flat, fixed())
    assert told.value.hint
