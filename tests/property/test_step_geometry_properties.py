"""Geometry steps on any grid: no voxel moves, nothing is lost, everything can be undone."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mriprep.core import Grid, Volume
from mriprep.core.slices import PLANES, restack
from mriprep.steps.crop import crop
from mriprep.steps.pad import pad
from mriprep.steps.reorient import reorient
from mriprep.steps.slices import slices

sides = st.integers(1, 7)
shapes = st.tuples(sides, sides, sides)
codes = st.permutations(["LR", "PA", "IS"]).flatmap(
    lambda pairs: st.tuples(*map(st.sampled_from, pairs)).map("".join)
)


@st.composite
def volumes(draw):
    """Every voxel has its own value, so that it can be found again; any orientation and obliquity."""
    shape = draw(shapes)
    angle = draw(st.tuples(*[st.floats(-0.7, 0.7)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 6)] * 3))
    turn = np.eye(3)
    for axis, a in enumerate(angle):
        one = np.eye(3)
        i, j = (n for n in range(3) if n != axis)
        one[[i, i, j, j], [i, j, i, j]] = np.cos(a), -np.sin(a), np.sin(a), np.cos(a)
        turn = turn @ one
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    grid = Grid(shape, affine).reoriented(draw(codes))
    data = 1 + np.arange(np.prod(grid.shape), dtype=np.int32).reshape(grid.shape)
    return Volume(data, grid)


def assert_nothing_moved(before, after):
    """Every voxel of `after` that is in `before` lies where it lay."""
    there = np.argwhere(after.data > 0)
    here = np.column_stack(np.unravel_index(after.data[after.data > 0] - 1, before.shape))
    assert np.allclose(after.grid.to_world(there), before.grid.to_world(here), atol=1e-6)


@settings(max_examples=80, deadline=None)
@given(volumes(), codes)
def test_reorient(volume, code):
    result = reorient(volume, to=code)
    assert_nothing_moved(volume, result)
    assert result.data.size == volume.data.size
    back = reorient(result, to=volume.grid.orientation)
    if result.grid.orientation == code:  # at 45 degrees two names are equally right
        assert np.array_equal(back.data, volume.data)


@settings(max_examples=80, deadline=None)
@given(volumes(), shapes)
def test_pad(volume, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = pad(volume, shape=shape)
        again = pad(result, shape=volume.shape)
    assert result.shape == shape
    assert_nothing_moved(volume, result)
    # The middle is kept, so that growing and shrinking undo each other.
    assert again.grid.matches(volume.grid)
    kept = again.data > 0
    assert kept.sum() == np.prod(np.minimum(shape, volume.shape))
    assert np.array_equal(again.data[kept], volume.data[kept])


@settings(max_examples=80, deadline=None)
@given(volumes(), st.floats(0, 10), st.randoms(use_true_random=False))
def test_crop(volume, margin, random):
    inside = np.zeros(volume.shape, bool)
    corners = [[random.randrange(n) for n in volume.shape] for _ in range(2)]
    for corner in corners:
        inside[tuple(corner)] = True
    result = crop(volume, volume.replace(inside, role="mask"), margin=margin)
    assert_nothing_moved(volume, result)
    assert set(volume.data[inside]) <= set(result.data.ravel())
    for axis in range(3):
        first = np.unravel_index(result.data.flat[0] - 1, volume.shape)[axis]
        least = min(c[axis] for c in corners)
        reach = (least - first) * volume.spacing[axis]
        assert first == 0 or margin - 1e-2 * volume.spacing[axis] <= reach
        assert reach < margin + volume.spacing[axis]


@settings(max_examples=80, deadline=None)
@given(volumes(), st.sampled_from(sorted(PLANES)))
def test_slices(volume, plane):
    if volume.data.size == 1:
        return
    mask = volume.replace(np.ones(volume.shape, bool), role="mask")
    cut = slices(volume, mask, plane=plane, window=(0, 100))
    assert np.array_equal(restack(cut, cut.stack.astype(np.int32)).data, volume.data)
