"""Slices in space: grids, gaps, tilts, and putting slices where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriprep.core import EngineError, Grid, Transform, Volume
from mriprep.io.dicom_geometry import LPS_TO_RAS, along, place, stack

ROWS, COLUMNS, SLICES = 16, 12, 24
SPACING = (0.9, 1.1)  # between rows, between columns
GAP = 1.5


def slices(angles=(10.0, -20.0, 30.0), gap=GAP, count=SLICES, shear=(0.0, 0.0)):
    """Positions and orientations (LPS) of a turned stack, and the grid (RAS) that they form."""
    turn = Transform.rigid(angles).matrix[:3, :3]
    row, column, normal = turn.T
    step = gap * normal + shear[0] * row + shear[1] * column
    positions = np.array([-80.0, -90.0, 30.0]) + np.arange(count)[:, None] * step
    orientations = np.tile([*row, *column], (count, 1))
    lps = np.eye(4)
    lps[:3, :3] = np.stack([row * SPACING[1], column * SPACING[0], step], axis=1)
    lps[:3, 3] = positions[0]
    return positions, orientations, Grid((COLUMNS, ROWS, count), LPS_TO_RAS @ lps)


def measure(positions, orientations):
    return stack(positions, orientations, matrix=(ROWS, COLUMNS), pixel_spacing=SPACING)


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.permutations(range(SLICES)))
def test_a_turned_and_shuffled_stack_gives_its_grid(angles, order):
    positions, orientations, grid = slices(angles)
    found = measure(positions[list(order)], orientations)
    assert found.grid is not None
    assert found.grid.distance(grid) < 1e-6
    assert found.problems == ()
    assert found.even
    assert [order[i] for i in found.order] == list(range(SLICES))


@pytest.mark.parametrize("gone", [[1], [11], [11, 12], [3, 20]])
def test_missing_slices_are_found_and_placed_in_the_world(gone):
    positions, orientations, grid = slices()
    found = measure(np.delete(positions, gone, 0), np.delete(orientations, gone, 0))
    assert found.missing == tuple(gone)
    assert found.grid is not None
    assert found.grid.distance(grid) < 1e-6
    assert found.even
    [text] = found.problems
    assert f"{len(gone)} of {SLICES} slices missing: number {gone[0] + 1}" in text
    x, y, z = grid.to_world([(COLUMNS - 1) / 2, (ROWS - 1) / 2, gone[0]])
    assert f"({x:.1f}, {y:.1f}, {z:.1f}) mm" in text
    assert "1.5 mm apart" in text


def test_rounded_positions_are_not_irregular():
    positions, orientations, grid = slices()
    found = measure(positions.round(2), orientations.round(6))
    assert found.problems == ()
    assert found.grid is not None
    assert found.grid.distance(grid) < 0.02


def test_uneven_slices_have_no_grid():
    positions, orientations, _ = slices(angles=(0, 0, 0))
    positions[10:, 2] += 0.4 * GAP
    found = measure(positions, orientations)
    assert found.grid is None
    assert not found.even
    assert "irregular: the slices are 1.5 to 2.1 mm apart" in found.problems


def test_a_slice_out_of_line_is_irregular():
    positions, orientations, _ = slices(angles=(0, 0, 0))
    positions[10, 0] += 5
    assert any("irregular" in p for p in measure(positions, orientations).problems)


def test_gantry_tilt_is_said_in_degrees():
    positions, orientations, grid = slices(shear=(0.0, GAP * np.tan(np.radians(12))))
    found = measure(positions, orientations)
    assert found.problems == ("gantry tilt: 12.0°",)
    assert not found.even
    assert found.grid is not None
    assert found.grid.distance(grid) < 1e-6


def test_mixed_orientation_repeats_and_too_few():
    positions, orientations, _ = slices()
    turned = orientations.copy()
    turned[3:, :3], turned[3:, 3:] = orientations[3:, 3:], -orientations[3:, :3]
    assert "mixed orientation" in measure(positions, turned).problems[0]
    twice = measure(np.tile(positions, (2, 1)), np.tile(orientations, (2, 1)))
    assert (twice.slices, twice.volumes) == (SLICES, 2)
    assert "2 volumes" in twice.problems[0]
    uneven = measure(np.vstack([positions, positions[:2]]), orientations[[0] * (SLICES + 2)])
    assert "incomplete volumes" in uneven.problems[0]
    same = measure(np.tile(positions[:1], (5, 1)), orientations[:5])
    assert same.problems == ("not a volume: all 5 images lie at one position",)
    assert same.grid is None
    assert measure(positions[:3], orientations[:3]).problems == ("too few slices: 3",)


def test_nonsense_directions_have_no_grid():
    positions, orientations, _ = slices()
    orientations[:, 3:] = orientations[:, :3]
    assert "right angles" in measure(positions, orientations).problems[0]


ORDERS = [
    ((0, 1, 2), (False,) * 3),
    ((2, 0, 1), (True, False, True)),
    ((1, 2, 0), (False, True, True)),
]


@pytest.mark.parametrize(("order", "flips"), ORDERS)
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_place_keeps_measured_voxels_and_fills_linearly(order, flips, kind):
    """Whatever the axes of the converted slices, a ramp along the slices comes back whole."""
    _, _, grid = slices()
    truth = np.arange(COLUMNS * ROWS)[:, None] + 10 * np.arange(SLICES)
    truth = truth.reshape(grid.shape).astype(kind)
    gone = (5, 14, 15)
    kept = np.delete(truth, gone, 2)
    # A converter that knows nothing of the gaps: first slice in place, the rest stacked.
    naive = grid.window((0, 0, 0), kept.shape)
    flipped = kept.transpose(order)
    axes = [a for a, f in enumerate(flips) if f]
    stacked = Volume(np.flip(flipped, axes), _turned(naive, order, flips))
    whole = place(stacked, grid, gone)
    expected = np.flip(truth.transpose(order), axes)
    assert whole.data.dtype == kind
    np.testing.assert_array_equal(whole.data, expected)
    assert whole.grid.distance(_turned(grid, order, flips)) < 1e-9
    axis = order.index(2)
    lost = {SLICES - 1 - g if flips[axis] else g for g in gone}
    assert set(whole.meta["interpolated_slices"]) == lost
    assert whole.meta["slice_axis"] == axis


def _turned(grid: Grid, order, flips) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = grid.affine[:3, list(order)] * np.where(flips, -1, 1)
    start = np.zeros(3)
    for new, old in enumerate(order):
        start[old] = grid.shape[old] - 1 if flips[new] else 0
    affine[:3, 3] = grid.to_world(start)
    a, b, c = (grid.shape[i] for i in order)
    return Grid((a, b, c), affine)


def test_place_refuses_what_does_not_fit():
    _, _, grid = slices()
    with pytest.raises(EngineError, match="headers say"):
        place(Volume(np.zeros(grid.shape), grid), grid, (4,))
    turned = Grid(grid.shape, Transform.rigid((30, 0, 0)).matrix @ grid.affine)
    with pytest.raises(EngineError, match="directions"):
        place(Volume(np.zeros(grid.shape), turned), grid, ())


def test_along_is_stable_at_45_degrees():
    grid = Grid((4, 5, 6), Transform.rigid((45, 0, 0)).matrix)
    shaken = Grid((4, 5, 6), Transform.rigid((45 - 1e-5, 0, 0)).matrix)
    assert along(grid, shaken)[0].distance(shaken) < 1e-3
