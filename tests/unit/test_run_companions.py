"""Masks and labels that come with a scan stay in register with it."""

from __future__ import annotations

import numpy as np
import pytest

from mriprep import declare
from mriprep.core import (
    Grid,
    InputError,
    Transform,
)
from mriprep.io.images import read_image
from mriprep.steps.resample import resample
from run_scene import AFFINE, GRID, box, box_template, center, head, replace_function, run


@pytest.fixture
def shifted(monkeypatch):
    """Let `register` find one known pose, so that runs with it are fast and exact."""
    pose = Transform.rigid((3, 4, -5), (7, -4, 5), tuple(GRID.center))

    def found(image, *, template, **_):
        fixed = read_image(template)
        declare.keep(template=fixed)
        return Transform(pose.matrix, fixed.grid, image.grid, reference_name="Test")

    replace_function(monkeypatch, "register", found)
    return pose


@pytest.fixture
def template(tmp_path):
    return box_template(tmp_path)


GEOMETRY = [
    [{"reorient": {"to": "SLA"}}],
    [{"pad": {"shape": [40, 41, 42]}}],
    [{"crop": {"margin": 3}}],
    [{"resample": {"spacing": 1.0}}],
    [{"crop": {"margin": 3}}, {"reorient": {"to": "RAS"}}, {"resample": {"spacing": 1.1}},
     {"pad": {"shape": 44}}],
]  # fmt: skip


@pytest.mark.parametrize("steps", GEOMETRY, ids=lambda s: "-".join(next(iter(x)) for x in s))
def test_companions_stay_in_register(steps):
    labels = box("labels", (7, 6, 5), (16, 14, 11), 7)
    image = head()
    image = image.replace(image.data + 300.0 * (labels.data == 7))  # the label is seen in the image
    outcome = run(*steps, image=image, mask=box(), labels=labels)
    assert outcome.failure is None
    mask, moved = outcome.state["mask"], outcome.state["labels"]
    for companion in (mask, moved):
        assert companion.grid == outcome.image.grid
    assert str(mask.role) == "mask"
    assert str(moved.role) == "labels"
    assert set(np.unique(moved.data)) == {0, 7}
    for companion, original in ((mask, box()), (moved, labels)):
        # Where the voxels that are there now were among the old ones: what lies half a voxel
        # within the box must be in it, what lies half a voxel beyond must not.
        ends = np.argwhere(original.data)
        low, high = ends.min(0), ends.max(0)
        now = companion.grid
        old = original.grid.to_index(now.to_world(np.stack(np.indices(now.shape), -1)))
        within = ((old >= low) & (old <= high)).all(-1)
        beyond = ((old <= low - 1) | (old >= high + 1)).any(-1)
        assert (companion.data[within] == original.data.max()).all()
        assert not companion.data[beyond].any()
        assert within.any()
    assert outcome.image.data[moved.data == 7].mean() > 450
    assert outcome.image.data[(moved.data == 0) & mask.data].mean() < 300


def test_companions_go_through_the_transform(shifted, template):
    labels = box("labels", value=2)
    outcome = run({"register": {"template": str(template)}}, "resample", mask=box(), labels=labels)
    assert outcome.failure is None
    expected = shifted.inverse()(center(labels))
    for slot in ("mask", "labels"):
        assert np.linalg.norm(center(outcome.state[slot]) - expected) < 0.15
    bright = outcome.image.replace(outcome.image.data > 120, role="mask")
    assert np.linalg.norm(center(bright) - expected) < 0.15
    assert outcome.state["transform"].reference_name == "Test"
    assert "registered to Test (rigid, native)" in outcome.steps[0].methods
    assert outcome.kept["template"].shape == (34, 36, 38)


FINE = Grid((48, 60, 40), Transform.rigid((0, 0, 9)).matrix @ np.diag([1.0, 1, 1, 1]))


_shift = FINE.affine.copy()


_shift[:3, 3] += GRID.center - FINE.center


FINE = Grid(FINE.shape, _shift)


def on_fine(role, value=1):
    return resample(box(role, value=value), None, FINE)


def test_a_mask_on_another_grid_is_brought_to_the_images():
    outcome = run("zscore", "apply_mask", mask=on_fine("mask"))
    assert outcome.failure is None
    mask = outcome.state["mask"]
    assert mask.grid == GRID
    inside = outcome.image.data[mask.data]
    assert inside.std() == pytest.approx(1, abs=1e-4)
    assert (outcome.image.data[~mask.data] == 0).all()
    agreed = (mask.data & box().data).sum() / (mask.data | box().data).sum()
    assert agreed > 0.9


@pytest.mark.parametrize("slot", ["mask", "labels"])
def test_companions_on_another_grid_are_interpolated_once(slot, shifted, template):
    companion = on_fine(slot, 5 if slot == "labels" else 1)
    outcome = run({"crop": {"margin": 5}}, {"register": {"template": str(template)}}, "resample",
                  {"reorient": {"to": "LPS"}}, **{slot: companion})  # fmt: skip
    assert outcome.failure is None
    once = resample(companion, outcome.state["transform"])
    assert np.array_equal(outcome.state[slot].data, once.data[::-1, ::-1])
    assert outcome.state[slot].grid == outcome.image.grid


def test_labels_on_another_grid_without_a_geometry_step():
    outcome = run("denoise", "slices", labels=on_fine("labels", 5))
    assert outcome.failure is None
    assert outcome.state["slices"].labels.max() == 5
    assert outcome.state["labels"].grid == GRID


def test_companions_on_the_same_lattice_are_copied_exactly():
    labels = box("labels", (6, 5, 4), (7, 6, 5), 9)  # one voxel: any interpolation would lose it
    outcome = run({"reorient": {"to": "RAS"}}, {"pad": {"shape": 40}}, labels=labels)
    assert (outcome.state["labels"].data == 9).sum() == 1
    assert np.allclose(center(outcome.state["labels"]), GRID.to_world((6, 5, 4)))


def test_a_companion_that_lies_elsewhere_is_refused():
    affine = AFFINE.copy()
    affine[:3, 3] += 500
    far = box(grid=Grid(GRID.shape, affine))
    with pytest.raises(InputError, match="mask and the image do not overlap") as error:
        run("zscore", mask=far)
    assert "is it the mask of this scan" in error.value.hint


def test_labels_with_fractions_are_refused():
    with pytest.raises(InputError, match="whole numbers"):
        run("denoise", labels=box("image").replace(np.full(GRID.shape, 0.5)))
