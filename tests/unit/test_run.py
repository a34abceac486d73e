"""Runs: what is recorded, companions that stay in register, failures as values."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from mriprep import declare
from mriprep.core import (
    Case,
    EngineError,
    Grid,
    InputError,
    MriprepWarning,
    RecipeError,
    Transform,
    Volume,
)
from mriprep.io.images import read_image, write_image
from mriprep.recipe import load
from mriprep.record import voxel_hash
from mriprep.run import execute
from mriprep.steps.resample import resample

#: Oblique, anisotropic, of an unusual orientation.
AFFINE = Transform.rigid((8, -5, 12), (10, -20, 30)).matrix @ np.array(
    [[0, 0, -2.0, 0], [-1.2, 0, 0, 0], [0, 1.5, 0, 0], [0, 0, 0, 1]]
)
GRID = Grid((24, 20, 16), AFFINE)


def head(seed=0, dtype=np.float32):
    """A bright box in noise."""
    data = np.random.default_rng(seed).normal(20, 3, GRID.shape)
    data[6:18, 5:15, 4:12] += 200
    return Volume(np.maximum(data, 0).astype(dtype), GRID, meta={"contrast": "T1w"})


def box(role="mask", low=(6, 5, 4), high=(18, 15, 12), value=1, grid=GRID):
    data = np.zeros(grid.shape, np.uint8)
    data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return Volume(data, grid, role)


def run(*steps, image=None, **given):
    case = Case("sub-01", {"T1w": head() if image is None else image})
    return execute(load({"name": "mine", "steps": list(steps)}), case, **given)


def center(volume):
    """Where the middle of what is not 0 lies in the world, mm."""
    return volume.grid.to_world(np.argwhere(np.asarray(volume.data) > 0).mean(0))


def replace_function(monkeypatch, name, function):
    """Let a step of the registry do something else."""
    original = declare.get
    monkeypatch.setattr(
        declare,
        "get",
        lambda n: dataclasses.replace(original(n), function=function) if n == name else original(n),
    )


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
    affine = np.eye(4)
    affine[:3, 3] = GRID.center - 17
    data = np.random.default_rng(5).normal(20, 3, (34, 36, 38)).astype(np.float32)
    data[8:26, 8:26, 8:26] += 200
    path = tmp_path / "tpl-Test_T1w.nii.gz"
    write_image(Volume(data, affine), path)
    return path


# -- what is recorded -----------------------------------------------------------------------------


def test_records_say_what_was_done():
    outcome = run("denoise", {"reorient": {"to": "LPS"}}, {"bins": {"count": 16}})
    assert outcome.failure is None
    assert outcome.error is None
    assert outcome.contrast == "T1w"
    assert [s.name for s in outcome.steps] == ["denoise", "reorient", "bins"]
    first, second, third = outcome.steps
    assert first.title == declare.get("denoise").title
    assert first.parameters == {"method": "median", "size": 3, "noise": None, "strength": 1.0}
    assert first.methods.endswith("a median filter of 3 x 3 x 3 voxels.")
    assert [c.doi for c in first.citations] == ["10.1109/TASSP.1979.1163188"]  # the median's alone
    assert (first.before, first.after) == (GRID, GRID)
    assert second.before == GRID
    assert second.after == GRID.reoriented("LPS") == third.before == outcome.image.grid
    assert all(s.seconds > 0 for s in outcome.steps)
    assert all(s.makes == "image" for s in outcome.steps)
    assert all(set(s.snapshots) == {"before", "after"} for s in outcome.steps)
    assert outcome.image.data.max() == 16
    assert second.to_dict()["grid_after"]["orientation"] == "LPS"


def test_steps_do_what_they_do_alone():
    import mriprep as mp

    image = head()
    expected = mp.zscore(mp.resample(mp.denoise(image), spacing=2.0), within="whole")
    outcome = run("denoise", {"resample": {"spacing": 2.0}}, {"zscore": {"within": "whole"}})
    assert np.array_equal(outcome.image.data, expected.data)
    assert outcome.image.grid == expected.grid


def test_a_mask_serves_the_steps_after_it():
    outcome = run("zscore", mask=box())
    inside = outcome.image.data[box().data]
    assert inside.mean() == pytest.approx(0, abs=1e-4)
    assert inside.std() == pytest.approx(1, abs=1e-4)
    # ... unless the recipe says otherwise.
    assert abs(run({"zscore": {"within": "whole"}}, mask=box()).image.data.mean()) < 1e-4


def test_the_case_is_not_touched():
    image = head(dtype=np.int16)
    before = image.data.copy()
    case = Case("sub-01", {"T1w": image})
    recipe = load(
        {
            "steps": [
                {"background": {"output": "mask"}},
                "denoise",
                "resample",
                "zscore",
                "apply_mask",
                "crop",
            ]
        }
    )
    outcome = execute(recipe, case)
    assert outcome.failure is None
    assert outcome.case is case
    assert case["T1w"] is image
    assert np.array_equal(image.data, before)
    assert dict(image.meta) == {"contrast": "T1w"}


def test_the_same_twice():
    steps = [
        {"background": {"output": "mask"}},
        {"resample": {"spacing": 1.7}},
        "denoise",
        "zscore",
        "crop",
        "slices",
    ]
    first, second = run(*steps), run(*steps)
    assert voxel_hash(first.image) == voxel_hash(second.image)
    assert voxel_hash(first.state["mask"]) == voxel_hash(second.state["mask"])
    assert np.array_equal(first.state["slices"].stack, second.state["slices"].stack)
    other = run(*steps, image=head(seed=1))
    assert voxel_hash(first.image) != voxel_hash(other.image)


def test_warnings_are_recorded_and_go_no_further():
    data = head().floats()
    data[0, 0, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", MriprepWarning)
        outcome = run("denoise", {"pad": {"shape": 12}}, image=head().replace(data))
    assert outcome.failure is None
    assert outcome.steps[0].warnings == (
        "denoise: 1 voxels of 7680 are NaN or infinite; taken as 0",
    )
    assert "larger than the shape" in outcome.steps[1].warnings[0]
    assert outcome.all_warnings == [w for s in outcome.steps for w in s.warnings]


def test_warnings_of_others_go_their_usual_way(monkeypatch):
    def noisy(image, **_):
        warnings.warn("not ours", RuntimeWarning, stacklevel=1)
        return image

    replace_function(monkeypatch, "denoise", noisy)
    with pytest.warns(RuntimeWarning, match="not ours"):
        outcome = run("denoise")
    assert outcome.all_warnings == []


def test_progress_is_told():
    told = []
    run("denoise", "zscore", progress=lambda *a: told.append(a))
    assert [t[:2] for t in told] == [("denoise", 0), ("zscore", 1), ("", 2)]
    assert told[0][2] > 0


def test_another_contrast():
    case = Case("sub-01", {"T1w": head(), "T2w": head(seed=3)})
    outcome = execute(load({"steps": ["denoise"]}), case, contrast="T2w")
    assert outcome.contrast == "T2w"
    assert not np.array_equal(outcome.image.data, run("denoise").image.data)
    with pytest.raises(InputError, match="has no FLAIR"):
        execute(load({"steps": ["denoise"]}), case, contrast="FLAIR")


def test_slices_leave_the_image_and_come_with_the_labels():
    labels = box("labels", value=3)
    outcome = run({"reorient": {"to": "RAS"}}, "slices", labels=labels)
    cut = outcome.state["slices"]
    assert outcome.steps[1].makes == "slices"
    assert outcome.image.grid == GRID.reoriented("RAS")
    assert cut.labels.max() == 3
    assert cut.labels.sum() == labels.data.sum()


# -- companions -----------------------------------------------------------------------------------

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


# -- failures -------------------------------------------------------------------------------------


def test_a_failure_is_a_value(monkeypatch):
    def fail(image, **_):
        raise EngineError("no brain was found", hint="is it a head?")

    replace_function(monkeypatch, "zscore", fail)
    told = []
    outcome = run("denoise", "zscore", "bins", progress=lambda *a: told.append(a[0]))
    assert [s.name for s in outcome.steps] == ["denoise"]
    failure = outcome.failure
    assert (failure.step, failure.code, failure.exit_code) == ("zscore", "engine", 1)
    assert (failure.message, failure.hint) == ("no brain was found", "is it a head?")
    assert isinstance(outcome.error, EngineError)
    assert told == ["denoise", "zscore", ""]
    assert np.array_equal(outcome.image.data, run("denoise").image.data)


def test_a_fault_is_a_value_too(monkeypatch):
    def fail(image, **_):
        raise ZeroDivisionError("division by zero")

    replace_function(monkeypatch, "denoise", fail)
    outcome = run("denoise")
    assert outcome.failure.code == "unexpected"
    assert outcome.failure.message == "ZeroDivisionError: division by zero"
    assert "--debug" in outcome.failure.hint
    assert outcome.error.__notes__ == ["in step 'denoise' of recipe 'mine'"]


def test_an_interrupt_is_no_failure(monkeypatch):
    def stop(image, **_):
        raise KeyboardInterrupt

    replace_function(monkeypatch, "denoise", stop)
    with pytest.raises(KeyboardInterrupt):
        run("denoise")


def test_an_empty_image_fails_at_its_step():
    outcome = run("denoise", "zscore", image=head().replace(np.zeros(GRID.shape, np.float32)))
    assert outcome.failure.step == "zscore"
    assert outcome.failure.code == "input"
    assert outcome.failure.exit_code == 2


def test_what_the_plan_refuses_is_never_begun():
    told = []
    with pytest.raises(RecipeError, match="needs a mask"):
        run("denoise", "apply_mask", progress=lambda *a: told.append(a))
    assert told == []


def test_doubts_are_told_apart_from_other_warnings():
    """What was flagged is on record, and in the words that the page begins with."""
    import warnings

    from mriprep.core import Doubt, DoubtWarning
    from mriprep.core.errors import MriprepWarning
    from mriprep.run import listening

    with listening() as said:
        warnings.warn("odd", MriprepWarning, stacklevel=1)
        warnings.warn("look at this", DoubtWarning, stacklevel=1)
    assert said == ["odd", "look at this"]
    assert [isinstance(w, Doubt) for w in said] == [False, True]
