"""The command line: help, mistakes, steps, and ways to look."""

from __future__ import annotations

import json
import re

import jsonschema
import numpy as np
import pytest
import yaml
from command_line import GRID, box, names

import mriprep as mp
from mriprep import declare
from mriprep.core import Transform, Volume
from mriprep.record import voxel_hash

STEPS = [declare.get(n) for n in declare.names()]

# -- help and version -----------------------------------------------------------------------------


def test_version(cli):
    said = cli("--version")
    assert (said.code, said.out, said.err) == (0, f"mriprep {mp.__version__}\n", "")


def test_help_lists_every_command(cli):
    said = cli("--help")
    assert said.code == 0
    for name in ("run", "plan", "recipes", "demo", "inspect", "steps", "doctor", *declare.names()):
        assert re.search(rf"^  {name} ", said.out, re.MULTILINE), name
    assert "\\b" not in said.out
    assert "\n    mriprep run scan.nii.gz out/ " in said.out


@pytest.mark.parametrize(
    "command", ["run", "plan", "recipes", "demo", "inspect", "steps", "doctor"]
)
def test_help_of_commands(cli, command):
    said = cli(command, "-h")
    assert said.code == 0
    assert said.out.startswith(f"Usage: mriprep {command}")
    assert "\\b" not in said.out


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.name)
def test_help_of_steps_shows_every_parameter(cli, step):
    said = cli(step.name, "--help")
    assert said.code == 0
    text = " ".join(said.out.split())
    assert step.title in text
    options = re.split(r"(?<!/)(?= --[a-z])", text.partition("Options:")[2])
    for parameter in step.parameters.values():
        flag = "--" + parameter.name.replace("_", "-")
        shown = [o for o in options if re.match(rf" {flag}\b(?!-)", o)]
        assert shown, f"{flag} is not shown"
        told = "".join(shown)
        assert parameter.doc.split(",")[0].split(" and")[0][:30] in told
        default = parameter.default
        if parameter.required:
            assert "[required]" in told
        elif isinstance(default, bool):
            assert f"[default: {'yes' if default else 'no'}]" in told
        elif default not in (None, ""):  # no text is no default
            words = " ".join(f"{v:g}" for v in default) if isinstance(default, tuple) else default
            assert f"[default: {words}]" in told
        for choice in parameter.choices:
            assert str(choice) in told
    for wanted in step.inputs[1:]:
        assert f" --{wanted.name} ".replace("_", "-") in text


# -- mistakes -------------------------------------------------------------------------------------


def test_an_unknown_command_names_the_nearest(cli):
    cli("zscor", "a", "b").refused("no command 'zscor'; did you mean 'zscore'")


def test_an_unknown_option_names_the_nearest(cli):
    cli("denoise", "a", "b", "--siz", "3").refused("No such option.*--siz", "--size")
    cli("run", "a", "b", "--recipie", "x").refused("No such option.*--recipie", "--recipe")


def test_arguments_that_are_missing(cli):
    cli("denoise", "a.nii.gz").refused("Missing argument 'OUT'")
    cli("run").refused("Missing argument 'OUT'")
    cli("run", "a.nii.gz").refused("OUT is missing; did you mean: mriprep run a.nii.gz out/")


@pytest.mark.parametrize("command", ["denoise", "zscore", "run"])
def test_input_that_is_missing(cli, command, tmp_path, recipe):
    options = ("--recipe", recipe) if command == "run" else ()
    said = cli(command, tmp_path / "none.nii.gz", tmp_path / "out.nii.gz", *options)
    said.refused(r"^error: \S*none\.nii\.gz does not exist", "hint: ")
    assert not (tmp_path / "out.nii.gz").is_file()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("denoise", "--size", "4"), "size", "3"),
        (
            ("resample", "--spacing", "0"),
            "--spacing '0' is not accepted.*greater than 0",
            "Voxel size",
        ),
        (("resample", "--spacing", "1 2"), r"--spacing \(1, 2\)", "Voxel size"),
        (("resample", "--spacing", "wide"), "--spacing 'wide'", "Voxel size"),
        (("resample", "--interpolation", "cubical"), "interpolation", "cubic"),
        (("reorient", "--to", "RAX"), "'RAX' is not an orientation", "RAS or LPS"),
        (("zscore", "--within", "foregrund"), "--within", "did you mean 'foreground'"),
        (("pad",), "Missing option '--shape'", ""),
    ],
)
def test_bad_values_of_steps(cli, scan, tmp_path, arguments, message, hint):
    command, *options = arguments
    said = cli(command, scan, tmp_path / "out.nii.gz", *options)
    said.refused(message, hint)
    assert names(tmp_path) == [scan.name]


def test_outputs_that_cannot_be_written_are_refused_before_the_work(
    cli, scan, tmp_path, monkeypatch
):
    monkeypatch.setattr("mriprep.intake.read", lambda *_, **__: pytest.fail("it was read"))
    cli("denoise", scan, tmp_path / "out.png").refused(
        r"cannot be written as 'out\.png'", ".nii.gz"
    )
    cli("register", scan, tmp_path / "out.nii.gz").refused("a transform cannot be written", ".tfm")


def test_debug_shows_where_an_error_came_from(cli, tmp_path):
    plain = cli("denoise", tmp_path / "none.nii.gz", tmp_path / "out.nii.gz")
    plain.refused("does not exist")
    debug = cli("denoise", "--debug", tmp_path / "none.nii.gz", tmp_path / "out.nii.gz")
    assert debug.code == 2
    assert "Traceback" in debug.err
    assert debug.err.endswith(plain.err)


def test_a_fault_is_told_in_words(cli, scan, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("mriprep.intake.read", fail)
    said = cli("denoise", scan, tmp_path / "out.nii.gz")
    said.refused("^error: ZeroDivisionError: division by zero", "--debug", code=1)
    assert "Traceback" in cli("denoise", scan, tmp_path / "out.nii.gz", "--debug").err


def test_an_interrupt_has_its_own_exit_code(cli, scan, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mriprep.intake.read", stop)
    assert cli("denoise", scan, tmp_path / "out.nii.gz").code == 130


def test_the_process_is_left_as_it_was(cli):
    import warnings

    before = (list(warnings.filters), warnings.showwarning)
    cli("--version")
    assert (list(warnings.filters), warnings.showwarning) == before


# -- steps ----------------------------------------------------------------------------------------


def test_a_step_with_a_mask(cli, scan, mask, tmp_path):
    out = tmp_path / "deep" / "z.nii.gz"
    said = cli("zscore", scan, out, "--within", mask)
    assert (said.code, said.out) == (0, "")
    assert f"wrote {out}, {out.with_name('z.json')}" in said.err
    result = mp.read(out)
    inside = result.data[box().data]
    assert inside.mean() == pytest.approx(0, abs=1e-5)
    assert inside.std() == pytest.approx(1, abs=1e-5)
    record = json.loads(out.with_name("z.json").read_text())
    assert record["step"] == "zscore"
    assert record["inputs"]["image"]["file"] == scan.name
    assert record["inputs"]["within"]["file"] == mask.name
    assert record["output"]["voxels_sha256"] == voxel_hash(result)
    assert str(tmp_path) not in out.with_name("z.json").read_text()


def test_a_step_with_a_word(cli, scan, tmp_path):
    assert cli("zscore", scan, tmp_path / "z.nii.gz", "--within", "whole").code == 0
    assert mp.read(tmp_path / "z.nii.gz").data.std() == pytest.approx(1, abs=1e-5)
    assert json.loads((tmp_path / "z.json").read_text())["inputs"]["within"] == "whole"


def test_a_mask_on_another_grid(cli, scan, tmp_path):
    other = mp.write(mp.resample(box(), spacing=3.0), tmp_path / "other.nii.gz")
    said = cli("zscore", scan, tmp_path / "z.nii.gz", "--within", other)
    said.refused("is not on the image's grid", "resample")


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        ("denoise", ["--size", "5"], lambda v: mp.denoise(v, size=5)),
        ("resample", ["--spacing", "2"], lambda v: mp.resample(v, spacing=2.0)),
        ("resample", ["--spacing", "1,2,3", "--interpolation", "cubic"],
         lambda v: mp.resample(v, spacing=(1, 2, 3), interpolation="cubic")),
        ("resample", ["--spacing", "3", "--no-antialias"],
         lambda v: mp.resample(v, spacing=3.0, antialias=False)),
        ("pad", ["--shape", "24 25 26", "--fill", "-1"],
         lambda v: mp.pad(v, shape=(24, 25, 26), fill=-1)),
        ("reorient", ["--to", "pir"], lambda v: mp.reorient(v, to="pir")),
        ("rescale", ["--percentiles", "1 99", "--to", "-1 1"],
         lambda v: mp.rescale(v, percentiles=(1, 99), to=(-1, 1))),
    ],
)  # fmt: skip
def test_options_are_the_functions_parameters(cli, scan, tmp_path, command, options, expected):
    out = tmp_path / "out.nii.gz"
    assert cli(command, scan, out, *options).code == 0
    result = expected(mp.read(scan))
    assert np.array_equal(mp.read(out).data, result.data)
    assert mp.read(out).grid.matches(result.grid, 1e-3)


def test_the_role_decides_the_interpolation(cli, tmp_path):
    labels = mp.write(box("labels", 7), tmp_path / "labels.nii.gz")
    cli("resample", labels, tmp_path / "out.nii.gz", "--spacing", "0.8", "--role", "labels")
    assert set(np.unique(mp.read(tmp_path / "out.nii.gz").data)) == {0, 7}


def test_resampling_through_a_transform_file(cli, scan, tmp_path):
    pose = Transform.rigid((5, -6, 7), (2, 3, -4), tuple(GRID.center))
    xfm = mp.write(pose, tmp_path / "pose.tfm")
    affine = np.eye(4)
    affine[:3, 3] = GRID.center - 12
    head = mp.write(Volume(np.zeros((25, 26, 27), np.int16), affine), tmp_path / "head.nii.gz")
    cli("resample", scan, tmp_path / "a.nii.gz", "--to", xfm).refused("does not know the grid")
    said = cli("resample", scan, tmp_path / "a.nii.gz", "--to", xfm, "--on", head)
    assert said.code == 0
    expected = mp.resample(mp.read(scan), pose, mp.read(head))
    back = mp.read(tmp_path / "a.nii.gz")
    assert np.allclose(back.data, expected.data, atol=0.1)  # the file's matrix is decimal
    assert back.grid.matches(expected.grid)
    # An image in the place of the transform: its grid is meant.
    assert cli("resample", scan, tmp_path / "b.nii.gz", "--to", head).code == 0
    assert mp.read(tmp_path / "b.nii.gz").grid.matches(expected.grid)


def test_slices_go_into_a_folder(cli, scan, tmp_path):
    said = cli("slices", scan, tmp_path / "cut", "--plane", "sagittal", "--every", "4")
    assert said.code == 0
    assert "more" in said.err
    written = names(tmp_path / "cut")
    assert [n for n in written if n.endswith(".png")]
    assert "cut_plane-sagittal_slices.json" in written


def test_a_step_reads_dicom(cli, dicom, tmp_path):
    assert cli("denoise", dicom, tmp_path / "a.nii.gz").code == 0
    assert mp.read(tmp_path / "a.nii.gz").grid.spacing == pytest.approx((1, 1.5, 2), abs=1e-3)
    said = cli("convert", dicom, tmp_path / "b.nii.gz")
    assert said.code == 0
    facts = json.loads((tmp_path / "b.json").read_text())
    assert facts["contrast"] == "T1w"
    assert "PatientName" not in facts


# -- plan, recipes, inspect, steps, doctor --------------------------------------------------------


def test_plan(cli, scan, recipe, monkeypatch):
    monkeypatch.setattr("mriprep.io.images.read_voxels", lambda *_: pytest.fail("voxels were read"))
    said = cli("plan", scan, "-r", recipe, "--json")
    assert said.code == 0
    content = json.loads(said.out)
    assert [s["step"] for s in content["steps"]] == ["denoise", "resample", "zscore", "slices"]
    assert content["steps"][1]["grid_after"]["spacing_mm"] == [2, 2, 2]
    assert content["memory_mb"] > 0
    table = cli("plan", scan, "-r", recipe, "--skip", "slices")
    assert table.code == 0
    assert "resample" in table.out
    assert "slices" not in table.out
    assert "device: cpu; about" in table.out


def test_plan_refuses_what_run_would(cli, scan, recipe, tmp_path):
    cli("plan", scan, "-r", recipe, "--set", "denoise.size=4").refused("denoise.size = 4")
    cli("plan", tmp_path / "none.nii.gz", "-r", recipe).refused("does not exist")
    cli("plan", scan, "--recipe", "guide", "--template", tmp_path / "none.nii.gz").refused(
        "does not exist",
    )


def test_plan_of_dicom(cli, dicom, recipe):
    said = cli("plan", dicom, "-r", recipe, "--json")
    assert said.code == 0
    shape = json.loads(said.out)["steps"][0]["grid_before"]["shape"]
    assert sorted(shape) == sorted(GRID.shape)


def test_recipes(cli):
    said = cli("recipes")
    assert said.code == 0
    for name in ("adult-t1", "pediatric-t1", "body", "guide"):
        assert name in said.out
    text = cli("recipes", "body").out
    assert yaml.safe_load(text)["name"] == "body"
    schema = json.loads(cli("recipes", "--schema").out)
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))
    cli("recipes", "bodi").refused("no recipe 'bodi'", "did you mean 'body'")


def test_inspect_an_image(cli, scan):
    said = cli("inspect", scan)
    assert said.code == 0
    assert scan.name in said.out
    assert "20" in said.out
    assert json.loads(cli("inspect", scan, "--json").out)
    cli("inspect", scan.with_name("none.nii.gz")).refused("does not exist")


def test_inspect_a_folder_of_dicom(cli, dicom):
    said = cli("inspect", dicom)
    assert said.code == 0
    assert "exam: 1 series" in said.out
    assert "T1w" in said.out
    (series,) = json.loads(cli("inspect", dicom, "--json").out)
    assert series["contrast"] == "T1w"
    assert series["slices"] == 12
    assert series["usable"] is True


def test_steps(cli):
    said = cli("steps")
    assert said.code == 0
    for step in STEPS:
        assert step.title in said.out
    content = json.loads(cli("steps", "--json").out)
    assert set(content) == set(declare.names())


def test_doctor(cli):
    from mriprep import engines

    said = cli("doctor")
    needed = (("brain", "deepbet"), ("dicom", "dcm2niix"), ("bias", "lapgm"), ("bias", "native"))
    complete = not [n for k, n in needed if engines.describe(k, n).missing]
    assert said.code == (0 if complete else 1)
    assert f"mriprep {mp.__version__}" in said.out
    for kind in engines.KINDS:
        for name in engines.names(kind):
            assert name in said.out


def test_doctor_says_how_to_get_what_is_missing(cli, monkeypatch):
    from mriprep import engines

    real = engines.installed_version
    monkeypatch.setattr(
        engines, "installed_version", lambda n: None if n in ("deepbet", "torch") else real(n)
    )
    said = cli("doctor")
    assert said.code == 1
    assert "pip install deepbet" in said.out
    assert "pip install torch" in said.out
