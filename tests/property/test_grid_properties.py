"""Grids of any orientation against nibabel, and what must hold for each of them."""

from __future__ import annotations

import json
import pickle

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriprep.core import Grid

ORIENTATIONS = [a + b + c for a in "RL" for b in "AP" for c in "SI"]


def random_affines(count: int, seed: int, shear: float = 0.0) -> list[np.ndarray]:
    """Rotations of any kind, half of them mirrored, with anisotropic spacing; perhaps sheared."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    spacing = rng.uniform(0.2, 6, (count, 1, 3))
    linear = (q + shear * rng.normal(size=q.shape)) * spacing
    affines = np.tile(np.eye(4), (count, 1, 1))
    affines[:, :3, :3] = linear
    affines[:, :3, 3] = rng.uniform(-200, 200, (count, 3))
    return list(affines)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """A grid of 1 to 12 voxels a side, any rotation or mirror, 0.2 to 6 mm."""
    shape = tuple(draw(st.integers(1, 12)) for _ in range(3))
    seed = draw(st.integers(0, 2**32 - 1))
    return Grid(shape, random_affines(1, seed)[0])


def test_orientation_is_nibabels() -> None:
    for affine in random_affines(4000, seed=1):
        assert Grid((3, 4, 5), affine).orientation == "".join(nibabel.aff2axcodes(affine)), affine


def test_orientation_is_nibabels_for_sheared_grids_too() -> None:
    # A gantry tilt shears the axes; nibabel goes by the nearest rotation, we by the axes
    # themselves: they may differ only where an axis is about as near to one as to another.
    for affine in random_affines(1000, seed=2, shear=0.03):
        grid = Grid((3, 4, 5), affine)
        if grid.obliquity < 40:
            assert grid.orientation == "".join(nibabel.aff2axcodes(affine)), affine


def test_reoriented_is_nibabels_closest_canonical() -> None:
    for affine in random_affines(300, seed=3):
        image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), affine)
        canonical = nibabel.as_closest_canonical(image)
        ours = Grid((3, 4, 5), affine).reoriented("RAS")
        assert ours.shape == canonical.shape
        assert np.allclose(ours.affine, canonical.affine, atol=1e-9)


@given(grids(), st.sampled_from(ORIENTATIONS), st.permutations(range(3)))
def test_reoriented_keeps_every_voxel_in_its_place(grid, code, order) -> None:
    wanted = "".join(code[i] for i in order)
    result = grid.reoriented(wanted)
    assert result.orientation == wanted
    axes, flip = grid.axes_to(wanted)
    old = np.stack(np.indices(grid.shape), axis=-1)  # (X, Y, Z, 3): each voxel's own index
    moved = np.flip(old.transpose(*axes, 3), [a for a in range(3) if flip[a]])
    new = np.stack(np.indices(result.shape), axis=-1)
    assert np.allclose(result.to_world(new), grid.to_world(moved), atol=1e-6)
    assert result.reoriented(grid.orientation).matches(grid, 1e-6)


@given(grids(), st.floats(0.3, 7), st.booleans())
def test_with_spacing_keeps_centre_and_covers_the_field_of_view(grid, size, isotropic) -> None:
    wanted = (size,) * 3 if isotropic else (size, 1.3 * size, 0.7 * size)
    result = grid.with_spacing(size if isotropic else wanted)
    assert np.allclose(result.spacing, wanted)
    assert np.allclose(result.center, grid.center, atol=1e-6)
    assert np.allclose(result.direction, grid.direction)
    old = np.array(grid.shape) * grid.spacing
    new = np.array(result.shape) * wanted
    # Covered, but for the thousandth of a voxel that rounding may take; less than a voxel wider.
    assert (new >= old - 1.1e-3 * np.array(wanted)).all()
    assert (new < old + np.array(wanted) + 1e-9).all() or min(result.shape) == 1


def test_with_spacing_of_whole_millimetres_is_exact() -> None:
    grid = Grid((240, 240, 176), np.diag([1.0000000004, 0.9999999, 1, 1]))
    assert grid.with_spacing(1.0).shape == (240, 240, 176)
    assert grid.with_spacing(2.0).shape == (120, 120, 88)
    assert Grid((3, 3, 3), np.eye(4)).with_spacing(100).shape == (1, 1, 1)


@given(grids(), st.tuples(*[st.integers(-5, 5)] * 3), st.tuples(*[st.integers(1, 9)] * 3))
def test_window_keeps_world_positions(grid, start, shape) -> None:
    part = grid.window(start, shape)
    assert part.shape == shape
    assert np.allclose(part.to_world((0, 0, 0)), grid.to_world(start))
    assert np.allclose(part.to_world((2, -1, 3)), grid.to_world(np.add(start, (2, -1, 3))))
    assert part.window([-s for s in start], grid.shape).matches(grid, 1e-6)


@given(grids())
@settings(max_examples=50)
def test_index_and_world_undo_each_other(grid) -> None:
    index = np.random.default_rng(0).uniform(-20, 20, (5, 7, 3))
    assert np.allclose(grid.to_index(grid.to_world(index)), index, atol=1e-8)
    one = np.append(index[0, 0], 1)
    assert np.allclose(grid.to_world(index[0, 0]), (grid.affine @ one)[:3])


@given(grids())
@settings(max_examples=50)
def test_plain_data_and_pickles_give_the_grid_back(grid) -> None:
    assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid
    back = pickle.loads(pickle.dumps(grid))
    assert back == grid
    assert hash(back) == hash(grid)
    with pytest.raises(ValueError, match="read-only"):
        back.affine[0, 0] = 3
