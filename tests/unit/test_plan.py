"""Plans: made from headers alone, and refusing what cannot work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mriprep import engines, plan
from mriprep.core import (
    Case,
    EngineMissing,
    GeometryError,
    Grid,
    InputError,
    RecipeError,
    Volume,
)
from mriprep.io.images import write_image
from mriprep.recipe import load
from mriprep.run import execute

GRID = Grid((24, 20, 16), np.diag([-1.0, -1.5, 2, 1]))


def recipe(*steps):
    return load({"steps": list(steps)})


def make(*steps, **grids):
    return plan.make(recipe(*steps), {"image": GRID, **grids})


@pytest.fixture
def template(tmp_path):
    data = np.zeros((10, 11, 12), np.float32)
    data[3:7, 3:8, 3:9] = 100
    path = tmp_path / "tpl-Test_T1w.nii.gz"
    write_image(Volume(data, np.diag([2.0, 2, 2, 1])), path)
    return path


@pytest.fixture
def no_voxels(monkeypatch):
    """Reading voxels is an error."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("a plan read voxels")

    monkeypatch.setattr("mriprep.io.images.read_voxels", refuse)
    monkeypatch.setattr("mriprep.io.blocks.read_voxels", refuse)
    monkeypatch.setattr("mriprep.io.images.read_image", refuse)
    monkeypatch.setattr("mriprep.intake.read", refuse)


# -- what it says ---------------------------------------------------------------------------------


def test_nothing_is_read(template, no_voxels):
    planned = make("skullstrip", {"n4": {"shrink": 2}}, {"register": {"template": str(template)}},
                   {"resample": {"spacing": 1.0}}, "zscore", "apply_mask", "slices")  # fmt: skip
    assert [s.name for s in planned.steps][-1] == "slices"
    assert planned.steps[3].after.shape == (20, 22, 24)


def test_grids_are_those_that_come_out(template):
    data = np.random.default_rng(0).random(GRID.shape, np.float32)
    data[6:18, 5:15, 4:12] += 10
    steps = ["denoise", {"reorient": {"to": "PIR"}}, {"resample": {"spacing": [3, 2, 1]}},
             {"pad": {"shape": [30, 31, 32]}}, "zscore"]  # fmt: skip
    planned = make(*steps)
    outcome = execute(recipe(*steps), Case("sub-01", {"T1w": Volume(data, GRID)}))
    assert outcome.failure is None
    for expected, done in zip(planned.steps, outcome.steps, strict=True):
        assert expected.before == done.before
        assert expected.after == done.after
        assert expected.makes == done.makes == "image"
    assert planned.steps[2].after == GRID.reoriented("PIR").with_spacing((3, 2, 1))


def test_a_transform_tells_the_grid(template):
    planned = make({"register": {"template": str(template)}}, "resample")
    assert planned.steps[0].makes == "transform"
    assert planned.steps[0].after == GRID
    assert planned.steps[1].after == Grid((10, 11, 12), np.diag([2.0, 2, 2, 1]))


def test_what_depends_on_voxels_is_not_known_until_a_transform_tells(template):
    planned = make("crop", "zscore", {"register": {"template": str(template)}}, "resample")
    assert [s.after is None for s in planned.steps] == [True, True, True, False]
    assert planned.steps[3].after.shape == (10, 11, 12)
    assert planned.steps[3].before is None
    unknown = make(
        "crop", {"register": {"template": str(template)}}, {"resample": {"to": "native"}}
    )
    assert unknown.steps[2].after is None
    assert unknown.memory_mb > 0


def test_memory_and_seconds_are_positive_and_grow_with_the_scan():
    large = Grid((240, 240, 160), np.eye(4))
    for name in ("body", "guide", "adult-t1"):
        entries = [e for e in load(name).entries if e.step.name != "register"]
        chosen = [{e.step.name: dict(e.parameters)} for e in entries]
        small, big = make(*chosen), plan.make(recipe(*chosen), {"image": large})
        for planned in (small, big):
            assert all(s.memory_mb > 0 and s.seconds > 0 for s in planned.steps)
            assert planned.memory_mb == max(s.memory_mb for s in planned.steps)
            assert planned.seconds == pytest.approx(sum(s.seconds for s in planned.steps))
        assert big.memory_mb > small.memory_mb
        assert big.seconds > small.seconds


def test_as_plain_data(template):
    planned = make("crop", {"register": {"template": str(template)}}, "resample")
    content = json.loads(json.dumps(planned.to_dict()))
    assert content["steps"][1]["engine"] == "native"
    assert content["steps"][1]["engine_version"]
    assert content["steps"][0]["grid_after"] is None
    assert Grid.from_dict(content["steps"][2]["grid_after"]) == planned.steps[2].after


def test_reading_dicom_is_no_step_of_a_plan():
    assert [s.name for s in make("convert", "zscore").steps] == ["zscore"]


# -- what it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [(), ("crop",)])
def test_a_missing_template(before, no_voxels):
    with pytest.raises(InputError, match=r"nowhere/t\.nii\.gz' does not exist"):
        make(*before, {"register": {"template": "/nowhere/t.nii.gz"}})


def test_a_template_of_templateflow_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("MRIPREP_OFFLINE", "1")
    with pytest.raises(InputError, match="not on this machine") as error:
        make({"register": {"template": "MNI152NLin2009cAsym"}})
    assert str(tmp_path) in error.value.hint


def test_a_missing_engine(monkeypatch):
    monkeypatch.setattr(engines, "installed_version", lambda name: None)
    with pytest.raises(
        EngineMissing, match="'skullstrip' needs the brain engine 'deepbet'"
    ) as error:
        make({"skullstrip": {"engine": "deepbet"}})
    assert "pip install deepbet" in error.value.hint
    assert make("skullstrip").steps[0].engine == "template"  # what auto begins with needs nothing


def test_two_interpolations():
    with pytest.raises(RecipeError, match="interpolated twice") as error:
        make("resample", "zscore", "resample")
    assert "put register before it" in error.value.hint


def test_registering_after_resampling(template):
    with pytest.raises(RecipeError, match="'register' stands after 'resample'") as error:
        make("resample", {"register": {"template": str(template)}})
    assert "before resample" in error.value.hint


def test_a_mask_that_nobody_makes():
    with pytest.raises(RecipeError, match="'apply_mask' needs a mask") as error:
        make("zscore", "apply_mask")
    assert "skullstrip" in error.value.hint
    assert "--mask" in error.value.hint


@pytest.mark.parametrize(
    "steps",
    [
        ("skullstrip", "apply_mask"),
        ({"skullstrip": {"output": "image"}}, "apply_mask"),  # hands on the mask as well
        ({"background": {"output": "mask"}}, "apply_mask"),
    ],
)
def test_masks_that_a_step_makes(steps):
    assert len(make(*steps).steps) == 2


def test_background_as_an_image_makes_no_mask():
    with pytest.raises(RecipeError, match="'apply_mask' needs a mask"):
        make("background", "apply_mask")


def test_a_mask_that_is_given():
    assert len(make("apply_mask", mask=GRID).steps) == 1


def test_errors_name_the_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("steps:\n- reorient:\n    to: RAX\n- apply_mask\n")
    with pytest.raises(GeometryError, match=r"mine\.yaml, line 2: 'RAX' is not an orientation"):
        plan.make(load(path), {"image": GRID})
    path.write_text("steps:\n- reorient\n- apply_mask\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml, line 3: 'apply_mask' needs a mask"):
        plan.make(load(path), {"image": GRID})
