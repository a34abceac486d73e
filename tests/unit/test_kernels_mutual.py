"""Mutual information: a plain histogram's value, the gradient against differences, torch, threads."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import ndimage

from mriprep.kernels.mutual import BINS, Samples


def material(seed=0, count=12000):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(24, 22, 20)), 2)
    moving = np.float32((noise - noise.min()) / np.ptp(noise) * (BINS - 1))
    points = rng.uniform(0, 1, (count, 3)) * (26, 24, 22) - 2
    values = ndimage.map_coordinates(moving, points.T, order=1, mode="nearest")
    bins = (BINS - 1 - values + 0.5).astype(np.uint8)
    return points, bins, moving


MATRIX = np.array([[1.0, 0.03, -0.02, 0.4], [-0.04, 0.98, 0.01, 0.3], [0.02, 0, 1.03, -0.6]])


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("count", [3000, 26000])
def test_the_gradient_is_that_of_the_value(overlap, count):
    samples = Samples(*material(count=count))
    (value,), (found,) = samples.gradients([MATRIX], overlap)
    assert value == pytest.approx(samples.values([MATRIX], overlap)[0], rel=1e-6)
    step = 3e-4
    for row in range(3):
        for column in range(4):
            there, here = MATRIX.copy(), MATRIX.copy()
            there[row, column] += step
            here[row, column] -= step
            more, less = samples.values([there, here], overlap)
            slope = (more - less) / (2 * step)
            assert found[row, column] == pytest.approx(slope, rel=0.05, abs=0.01 * abs(found).max())


def test_what_does_not_overlap_tells_nothing():
    away = MATRIX.copy()
    away[:, 3] += 1000
    samples = Samples(*material())
    values, slopes = samples.gradients([away])
    assert values == samples.look([away]) == 0
    assert not slopes.any()


def test_a_look_is_plain_mutual_information():
    points, bins, moving = material(count=3000)
    index = points @ MATRIX[:, :3].T + MATRIX[:, 3]
    inside = ((index > -0.5) & (index < np.array(moving.shape) - 0.5)).all(axis=1)
    half = np.clip(np.rint(2 * index[inside]) / 2, 0, np.array(moving.shape) - 1)
    seen = ndimage.map_coordinates(moving, half.T, order=1, mode="nearest")
    joint, _, _ = np.histogram2d(
        bins[inside] // 2, (seen / 2).astype(int).clip(0, 15), bins=16, range=((0, 16), (0, 16))
    )
    joint /= joint.sum()
    apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    filled = joint > 0
    expected = (joint[filled] * np.log(joint[filled] / apart[filled])).sum() * inside.mean()
    (found,) = Samples(points, bins, moving).look([MATRIX])
    assert found == pytest.approx(expected, rel=0.02)


def test_many_maps_at_once_are_each_as_if_alone():
    samples = Samples(*material(count=3000))
    maps = np.array([MATRIX + 0.01 * n for n in range(5)])
    values, slopes = samples.gradients(maps)
    for n, one in enumerate(maps):
        (value,), (slope,) = samples.gradients([one])
        assert value == values[n]
        np.testing.assert_array_equal(slope, slopes[n])


def test_alike_is_more_than_unlike():
    points, bins, moving = material()
    samples = Samples(points, bins, moving)
    shifted = np.eye(4)[:3]
    shifted[:, 3] = 3
    for measure in (samples.values, samples.look):
        right, wrong = measure([np.eye(4)[:3], shifted])
        assert right > 2 * wrong


def test_a_mask_leaves_samples_out():
    points, bins, moving = material()
    mask = np.zeros(moving.shape, np.uint8)
    masked, free = Samples(points, bins, moving, mask), Samples(points, bins, moving)
    assert masked.values([MATRIX])[0] == masked.look([MATRIX])[0] == 0
    mask[:] = 1
    masked = Samples(points, bins, moving, mask)
    assert masked.values([MATRIX]) == pytest.approx(free.values([MATRIX]))
    assert masked.look([MATRIX]) == free.look([MATRIX])


@pytest.mark.parametrize("masked", [False, True])
def test_torch_gives_the_same(masked):
    pytest.importorskip("torch", reason="torch is not installed")
    from mriprep.kernels.mutual_torch import Samples as TorchSamples

    points, bins, moving = material()
    mask = np.uint8(moving > 10) if masked else None
    ours, theirs = (
        Samples(points, bins, moving, mask),
        TorchSamples(points, bins, moving, mask, "cpu"),
    )
    np.testing.assert_allclose(theirs.values([MATRIX]), ours.values([MATRIX]), rtol=1e-3)
    for overlap in (True, False):
        maps = [MATRIX, MATRIX + 0.02]
        (a, da), (b, db) = ours.gradients(maps, overlap), theirs.gradients(maps, overlap)
        assert b == pytest.approx(a, rel=1e-3)
        np.testing.assert_allclose(db, da, atol=0.01 * np.abs(da).max())


@pytest.mark.parametrize("count", [3000, 26000])
def test_threads_change_nothing(count):
    samples = Samples(*material(count=count))
    before = numba.get_num_threads()
    found = []
    for number in {1, before}:
        numba.set_num_threads(number)
        found.append(samples.gradients([MATRIX, MATRIX + 0.01]))
    numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0][0], found[-1][0])
    np.testing.assert_array_equal(found[0][1], found[-1][1])


def test_on_a_gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU on this machine")
    from mriprep.engines.registration import native
    from mriprep.phantom import head, template

    fixed, moving = template(spacing=3), head("T2w", spacing=3, labels=False, seed=4).image
    on_cpu = native.estimate(fixed, moving)
    on_gpu = native.estimate(fixed, moving, device="cuda")
    assert on_gpu.distance(on_cpu, fixed.grid.corners) < 0.05
