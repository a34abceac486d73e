"""``mriprep run``, end to end: files, words, exit codes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from command_line import GRID, box, image, names

import mriprep as mp


def test_run(cli, scan, recipe, tmp_path):
    out = tmp_path / "out"
    said = cli("run", scan, out, "--recipe", recipe)
    assert said.code == 0
    assert "sub-01: 4 steps in" in said.out
    assert f"report: {out / 'sub-01_T1w.html'}" in said.out
    assert "[4/4] slices" in said.err
    written = names(out)
    assert {"dataset_description.json", "sub-01_T1w.html",
            "sub-01/anat/sub-01_res-2mm_desc-preproc_T1w.json",
            "sub-01/anat/sub-01_res-2mm_desc-preproc_T1w.nii.gz"} <= set(written)  # fmt: skip
    assert [n for n in written if n.startswith("sub-01/slices/") and n.endswith(".npy")]
    assert len([n for n in written if n.endswith(".html")]) == 1
    result = mp.read(out / "sub-01/anat/sub-01_res-2mm_desc-preproc_T1w.nii.gz")
    assert np.array_equal(result.data, mp.recipe(recipe)(scan).image.data)


def test_run_with_all_that_can_be_given(cli, scan, mask, recipe, tmp_path):
    out = tmp_path / "out"
    labels = mp.write(box("labels", 3), tmp_path / "labels.nii.gz")
    said = cli("run", scan, out, "-r", recipe, "--mask", mask, "--labels", labels, "--name", "x7",
               "--age", "30mo", "--set", "resample.spacing=[2, 2, 3]", "--set", "denoise.size=5",
               "--skip", "slices", "--no-report")  # fmt: skip
    assert said.code == 0
    stem = "sub-x7/anat/sub-x7_res-anisotropic"
    images = [n for n in names(out) if n.endswith(".nii.gz")]
    assert images == [
        f"{stem}_desc-brain_mask.nii.gz",
        f"{stem}_desc-preproc_T1w.nii.gz",
        f"{stem}_dseg.nii.gz",
    ]
    assert not [n for n in names(out) if n.endswith(".html")]
    record = json.loads((out / f"{stem}_desc-preproc_T1w.json").read_text())
    assert record["facts"]["age"] == 2.5
    assert record["steps"][0]["parameters"]["size"] == 5
    assert [s["step"] for s in record["steps"]] == ["denoise", "resample", "zscore"]
    assert mp.read(out / images[2], role="labels").data.max() == 3


def test_run_on_dicom(cli, dicom, recipe, tmp_path):
    said = cli("run", dicom, tmp_path / "out", "-r", recipe, "--no-report")
    assert said.code == 0
    assert "sub-exam/anat/sub-exam_res-2mm_desc-preproc_T1w.nii.gz" in names(tmp_path / "out")


def test_run_on_a_folder_of_contrasts(cli, recipe, tmp_path):
    for seed, name in enumerate(("sub-4_T1w.nii.gz", "sub-4_T2w.nii.gz")):
        mp.write(image(seed), tmp_path / "in" / name)
    out = tmp_path / "out"
    assert (
        cli("run", tmp_path / "in", out, "-r", recipe, "--contrast", "T2w", "--no-report").code == 0
    )
    assert "sub-4/anat/sub-4_res-2mm_desc-preproc_T2w.nii.gz" in names(out)
    said = cli("run", tmp_path / "in", out, "-r", recipe, "--contrast", "T3w")
    said.refused("'sub-4' has no T3w", "accepted: T1w, T2w")
    assert cli("plan", tmp_path / "in", "-r", recipe, "--contrast", "T2w").code == 0
    cli("plan", tmp_path / "in", "-r", recipe, "--contrast", "T3w").refused(
        "has no T3w", "T1w, T2w"
    )


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (["--set", "denoise.size=4"], "setting denoise.size: denoise.size = 4", "3, 5, 7"),
        (["--set", "denoise.siz=3"], "no parameter 'siz'", "did you mean 'size'"),
        (["--set", "n4.shrink=3"], "no step 'n4'", "denoise"),
        (["--set", "denoise"], "'denoise' is not a setting", "--set n4.shrink=2"),
        (["--skip", "denois"], "no step 'denois'", "did you mean 'denoise'"),
        (["--template", "mni152"], "no step 'register'", ""),
        (["--age", "old"], "'old' is not an age", "30mo"),
        (["--age", "300"], "not plausible", "30mo"),
        (["--name", "Jane Roe"], "cannot be a case's name", "letters and digits"),
        (["--contrast", "T2w"], "has no T2w", "T1w"),
        (["--mask", "none.nii.gz"], "does not exist", ""),
        (["--recipe", "adult-t2"], "no recipe 'adult-t2'", "did you mean 'adult-t1'"),
        (["--recipe", "none.yaml"], r"'none\.yaml' cannot be read", "adult-t1"),
    ],
)
def test_run_refuses(cli, scan, recipe, tmp_path, options, message, hint):
    given = options if "--recipe" in options else ["--recipe", recipe, *options]
    cli("run", scan, tmp_path / "out", *given).refused(message, hint)
    assert not [n for n in names(tmp_path) if n.startswith("out/")]


def test_run_refuses_a_recipe_with_a_mistake_and_names_its_line(cli, scan, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("steps:\n- denoise\n- zscor\n")
    cli("run", scan, tmp_path / "out", "-r", path).refused(
        r"mine\.yaml, line 3: there is no step",
        "zscore",
    )


def test_run_refuses_an_output_that_is_a_file_before_the_work(
    cli, scan, recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr("mriprep.intake.read", lambda *_, **__: pytest.fail("it was read"))
    (tmp_path / "out").write_text("mine")
    cli("run", scan, tmp_path / "out", "-r", recipe).refused("it is a file", "may write to")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.fixture
def failing(scan, tmp_path):
    """A recipe that stops at its second step on an empty scan."""
    mp.write(image().replace(np.zeros(GRID.shape, np.int16)), scan)
    path = tmp_path / "failing.yaml"
    path.write_text("steps: [denoise, n4, bins]")
    return path


def test_a_failing_step(cli, scan, recipe, tmp_path, monkeypatch):
    from mriprep.core import EngineError
    from mriprep.kernels import median

    def fail(*_):
        raise EngineError("the filter gave up", hint="try another")

    monkeypatch.setattr(median, "median_3", fail)
    out = tmp_path / "out"
    said = cli("run", scan, out, "-r", recipe)
    assert said.code == 1
    assert "stopped at 'denoise': the filter gave up" in said.err
    assert "hint: try another" in said.err
    assert "Traceback" not in said.err
    assert names(out) == [".bidsignore", "dataset_description.json",
                          "sub-01/anat/sub-01_T1w_quality.json",
                          "sub-01/sub-01_T1w_desc-failed_record.json", "sub-01_T1w.html"]  # fmt: skip
    failure = json.loads((out / "sub-01/sub-01_T1w_desc-failed_record.json").read_text())["failure"]
    assert failure == {"step": "denoise", "code": "engine", "message": "the filter gave up",
                       "hint": "try another"}  # fmt: skip
    debug = cli("run", scan, out, "-r", recipe, "--debug")
    assert debug.code == 1
    assert "Traceback" in debug.err
    assert "stopped at 'denoise'" in debug.err


def test_an_input_that_a_step_cannot_use_is_an_input_error(cli, scan, failing, tmp_path):
    said = cli("run", scan, tmp_path / "out", "-r", failing, "--skip", "n4", "--no-report")
    assert said.code == 2
    assert "stopped at 'bins': bins: the image is constant" in said.err
    record = json.loads((tmp_path / "out/sub-01/sub-01_T1w_desc-failed_record.json").read_text())
    assert [s["step"] for s in record["steps"]] == ["denoise"]


def test_notes_are_said_once(cli, tmp_path, recipe):
    data = image().floats()
    data[0, 0, 0] = np.nan
    path = mp.write(image().replace(data), tmp_path / "sub-02_T1w.nii.gz")
    said = cli("run", path, tmp_path / "out", "-r", recipe, "--no-report")
    assert said.code == 0
    assert len(re.findall("note: denoise: 1 voxels", said.err)) == 1
    assert len(re.findall("note: .*1 NaN", said.err)) == 1


def test_what_was_odd_in_reading_is_on_record(cli, tmp_path, recipe):
    data = np.asarray(image().data, dtype=np.float32).copy()
    data[0, 0, 0] = np.nan
    path = mp.write(image().replace(data), tmp_path / "sub-02_T1w.nii.gz")
    said = cli("run", path, tmp_path / "out", "--recipe", recipe)
    assert said.code == 0
    assert "NaN" in said.err
    [record] = (tmp_path / "out").rglob("*desc-preproc_T1w.json")
    assert any("NaN" in w for w in json.loads(record.read_text())["warnings"])
    assert "NaN" in (tmp_path / "out" / "sub-02_T1w.html").read_text("utf-8")
