"""Runs: what is recorded, companions that stay in register, failures as values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from mriprep import declare
from mriprep.core import (
    Case,
    EngineError,
    InputError,
    MriprepWarning,
    RecipeError,
)
from mriprep.recipe import load
from mriprep.record import voxel_hash
from mriprep.run import execute
from run_scene import GRID, box, box_template, head, replace_function, run


@pytest.fixture
def template(tmp_path):
    return box_template(tmp_path)


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
