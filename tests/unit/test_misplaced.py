"""Inputs of another kind than a command takes are told for what they are."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from mriprep.cli.look import inspect
from mriprep.cli.pipeline import plan, recipe_of, run
from mriprep.cli.scan import scan
from mriprep.core import InputError, RecipeError
from mriprep.core.age import parse_age


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flat").mkdir()
    for s in ("1", "2"):
        image = nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4))
        nib.save(image, tmp_path / f"flat/sub-{s}_T1w.nii.gz")
    (tmp_path / "t.csv").write_text("subject,path\n1,flat/sub-1_T1w.nii.gz\n")
    return tmp_path


def refused(command, *arguments) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert caught.value.exit_code == 2
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize("recipe", ["adult-t1", "multimodal"])
@pytest.mark.parametrize(
    ("source", "count"), [("flat", "holds 2 cases"), ("t.csv", "holds 1 case ")]
)
def test_a_plan_is_of_one(place, source, count, recipe):
    message, hint = refused(plan, source, "-r", recipe)
    assert count in message
    assert "mriprep plan flat/sub-1_T1w.nii.gz" in hint
    assert f"mriprep run {source} OUT" in hint


@pytest.mark.parametrize("command", [inspect, scan])
def test_what_is_no_dicom_is_told(place, command):
    message, hint = refused(command, "flat")
    assert "holds no DICOM, but 2 images (sub-1_T1w.nii.gz, ...)" in message
    assert "mriprep inspect flat/sub-1_T1w.nii.gz" in hint
    message, hint = refused(command, "t.csv")
    assert "is a table" in message
    assert "mriprep run t.csv OUT" in hint
    (place / "empty").mkdir()
    assert "there is no file in it" in refused(command, "empty")[0]


@pytest.mark.parametrize(
    ("skip", "gone"),
    [(("slices,register",), {"slices", "register"}), (("slices, n4", "register"), {"slices", "n4", "register"})],
)  # fmt: skip
def test_steps_are_left_out_with_commas_or_again(skip, gone):
    given = {"settings": (), "template": None, "recipe_name": "adult-t1", "skip": ()}
    every = {e.step.name for e in recipe_of(given).entries}
    left = {e.step.name for e in recipe_of({**given, "skip": skip}).entries}
    assert every - left == gone
    with pytest.raises(RecipeError, match="no step 'slcies'"):
        recipe_of({**given, "skip": ("n4,slcies",)})


def test_decimal_commas_are_told(place):
    (place / "t.csv").write_text("subject,path,age\n1,flat/sub-1_T1w.nii.gz,7,5\n")
    assert "decimals take a point" in refused(run, "t.csv", "out")[1]
    (place / "t.csv").write_text("subject;path;age\n1;flat/sub-1_T1w.nii.gz;7,5\n")
    assert "decimals take a point: '7.5'" in refused(run, "t.csv", "out")[1]
    with pytest.raises(InputError) as caught:
        parse_age("old")
    assert "point" not in caught.value.hint
