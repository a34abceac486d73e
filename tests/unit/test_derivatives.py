"""What a run writes: names, records, hashes that match what is read back, and nothing else."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from mriprep import derivatives
from mriprep.core import Case, Grid, OutputError, Transform, Volume
from mriprep.declare import keep
from mriprep.intake import read_case
from mriprep.io.hashes import file_hash
from mriprep.io.images import read_image, write_image
from mriprep.io.transforms import read_transform
from mriprep.recipe import load
from mriprep.record import voxel_hash
from mriprep.run import Outcome, execute

AFFINE = Transform.rigid((4, 5, -6), (-11.123456, 22.2, 3.3)).matrix @ np.diag([-1.0, 1.3, 1.6, 1])
GRID = Grid((26, 22, 18), AFFINE)

BIDS = re.compile(
    r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?"
    r"(_from-[A-Za-z0-9]+_to-[A-Za-z0-9+]+_mode-image_xfm\.tfm"
    r"|(_space-[A-Za-z0-9+]+)?(_res-[A-Za-z0-9]+)?(_desc-[a-z]+)?_(T1w|mask|dseg)\.nii\.gz)"
)


def head():
    data = np.random.default_rng(0).normal(20, 3, GRID.shape)
    data[6:20, 5:16, 4:14] += 200
    return np.maximum(data, 0).astype(np.int16)


def labels():
    data = np.zeros(GRID.shape, np.int32)
    data[8:14, 7:12, 6:10] = 3
    return Volume(data, GRID, "labels")


STEPS = [
    {"background": {"output": "mask"}},
    {"n4": {"shrink": 1}},
    {"register": {}},
    {"resample": {"spacing": 1.5}},
    "zscore",
    "apply_mask",
    {"slices": {"plane": "coronal", "every": 3}},
]


def found(image, *, template, **_):
    """In the place of `register`: nothing here asks how well it is done."""
    fixed = read_image(template)
    keep(template=fixed, registration={"nmi_before": 1.1, "nmi_after": float("nan")})
    pose = Transform.rigid((4, -3, 5), (1, 2, -3), GRID.center)
    return Transform(pose.matrix, fixed.grid, image.grid, "Test", "T1w")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder named after somebody."""
    return tmp_path_factory.mktemp("Jane Roe")


@pytest.fixture(scope="module")
def scan(home):
    path = home / "in put" / "sub-07_ses-1_T1w.nii.gz"
    write_image(Volume(head(), GRID), path)
    path.with_name("sub-07_ses-1_T1w.json").write_text(
        json.dumps({"RepetitionTime": 2.3, "EchoTime": float("nan"), "PatientName": "Roe^Jane",
                    "PatientID": "4711", "InstitutionName": "St Jane's"})
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def template(home):
    affine = np.eye(4)
    affine[:3, 3] = GRID.center - 18
    data = np.random.default_rng(5).normal(20, 3, (36, 36, 36)).astype(np.float32)
    data[9:27, 9:27, 9:27] += 200
    data[0, 0, 0] = np.nan  # reading it warns, and names the file
    path = home / "my templates" / "tpl-Test+2_T1w.nii.gz"
    write_image(Volume(data, affine), path)
    return path


@pytest.fixture(scope="module")
def outcome(scan, template) -> Outcome:
    steps = [dict(s) if isinstance(s, dict) else s for s in STEPS]
    steps[2] = {"register": {"template": str(template)}}
    recipe = load({"name": "mine", "title": "My own", "steps": steps})
    entries = [
        dataclasses.replace(e, step=dataclasses.replace(e.step, function=found))
        if e.step.name == "register"
        else e
        for e in recipe.entries
    ]
    recipe = dataclasses.replace(recipe, entries=tuple(entries))
    done = execute(recipe, read_case(scan), labels=labels())
    assert done.failure is None, done.error
    return done


@pytest.fixture(scope="module")
def written(outcome, home) -> tuple[Path, list[Path]]:
    folder = home / "out put"
    return folder, derivatives.write(outcome, folder)


def everything(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def sidecar(path: Path) -> dict:
    return json.loads(path.with_name(path.name.split(".")[0] + ".json").read_text("utf-8"))


# -- files and names ------------------------------------------------------------------------------


def test_names_are_as_in_bids(written):
    folder, files = written
    space = "sub-07_ses-1_space-Test_res-1p5mm"
    names = {p.relative_to(folder).as_posix() for p in files if p.parent.name == "anat"}
    assert names == {
        f"sub-07/ses-1/anat/{space}_desc-preproc_T1w.nii.gz",
        f"sub-07/ses-1/anat/{space}_desc-foreground_mask.nii.gz",
        f"sub-07/ses-1/anat/{space}_dseg.nii.gz",
        "sub-07/ses-1/anat/sub-07_ses-1_desc-biasfield_T1w.nii.gz",
        "sub-07/ses-1/anat/sub-07_ses-1_desc-biaslattice_T1w.nii.gz",
        "sub-07/ses-1/anat/sub-07_ses-1_from-T1w_to-Test_mode-image_xfm.tfm",
    }
    assert all(BIDS.fullmatch(Path(n).name) for n in names)
    assert {p.parent.relative_to(folder).as_posix() for p in files} == {
        "sub-07/ses-1/anat",
        "sub-07/ses-1/slices",
    }


def test_every_file_that_was_written_is_told_and_has_its_record(written):
    folder, files = written
    for path in files:
        assert path.is_file()
        if path.parent.name == "anat":
            assert sidecar(path)
    told = {*files, *(p.with_name(p.name.split(".")[0] + ".json") for p in files)}
    left = {p.name for p in everything(folder)} - {p.name for p in told}
    assert left == {
        ".bidsignore",
        "dataset_description.json",
        "sub-07_ses-1_space-Test_res-1p5mm_T1w_plane-coronal_slices-record.json",
    }


def test_the_folder_is_a_bids_derivative(written):
    about = json.loads((written[0] / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"
    assert about["GeneratedBy"] == [{"Name": "mriprep", "Version": version("mriprep")}]
    assert about["BIDSVersion"]


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        (["denoise"], "sub-01_desc-preproc_T1w.nii.gz"),
        (["resample"], "sub-01_res-1mm_desc-preproc_T1w.nii.gz"),
        ([{"resample": {"spacing": 0.9}}], "sub-01_res-0p9mm_desc-preproc_T1w.nii.gz"),
        ([{"resample": {"spacing": [1, 1, 3]}}], "sub-01_res-anisotropic_desc-preproc_T1w.nii.gz"),
    ],
)
def test_names_without_a_template(steps, name, tmp_path):
    case = Case("sub-01", {"T1w": Volume(head(), GRID)})
    done = execute(load({"steps": steps}), case)
    assert [p.relative_to(tmp_path).as_posix() for p in derivatives.write(done, tmp_path)] == [
        f"sub-01/anat/{name}"
    ]
    assert sidecar(tmp_path / "sub-01" / "anat" / name)["SpatialReference"] == "orig"


@pytest.mark.parametrize(
    ("steps", "mask", "name"),
    [
        (["zscore"], True, "brain"),
        (["background", "zscore"], True, "brain"),
        ([{"background": {"output": "mask"}}], False, "foreground"),
    ],
)
def test_what_a_mask_is_called(steps, mask, name, tmp_path):
    given = Volume(head() > 100, GRID, "mask") if mask else None
    case = Case("sub-01", {"T1w": Volume(head(), GRID)})
    files = derivatives.write(execute(load({"steps": steps}), case, mask=given), tmp_path)
    assert files[1].name == f"sub-01_desc-{name}_mask.nii.gz"
    assert sidecar(files[1])["Type"] == {"brain": "Brain", "foreground": "ROI"}[name]


# -- records --------------------------------------------------------------------------------------


def test_records_hold_what_was_done(written, outcome, scan, template):
    record = sidecar(written[1][0])
    assert record["case"] == "sub-07_ses-1"
    assert record["contrast"] == "T1w"
    assert record["GeneratedBy"] == [{"Name": "mriprep", "Version": version("mriprep")}]
    assert record["Sources"] == [scan.name]
    assert record["SpatialReference"] == "Test"
    assert record["SkullStripped"] is True
    assert record["facts"] == {"RepetitionTime": 2.3}
    assert record["input"]["file"] == scan.name
    assert record["input"]["file_sha256"] == file_hash(scan)
    assert record["input"]["grid"]["shape"] == list(GRID.shape)
    recipe = record["recipe"]
    assert (recipe["name"], recipe["title"]) == ("mine", "My own")
    assert [next(iter(s)) for s in recipe["steps"]] == [s.name for s in outcome.steps]
    assert recipe["steps"][2]["register"]["template"] == template.name
    assert recipe["steps"][2]["register"]["model"] == "rigid"  # a default, resolved
    steps = record["steps"]
    assert len(steps) == len(STEPS)
    for step, done in zip(steps, outcome.steps, strict=True):
        assert step["step"] == done.name
        assert step["parameters"].keys() == done.parameters.keys()
        assert Grid.from_dict(step["grid_before"]) == done.before
        assert Grid.from_dict(step["grid_after"]) == done.after
        assert step["seconds"] >= 0
        assert isinstance(step["warnings"], list)
    assert steps[1]["engine"]
    assert re.fullmatch(r"\S+ \d[\w.+]*", steps[1]["engine_version"])
    assert steps[2]["engine"] == "native"
    assert re.fullmatch(r"mriprep \d[\w.]*", steps[2]["engine_version"])
    assert steps[2]["facts"] == {"registration": {"nmi_before": 1.1, "nmi_after": None}}
    assert record["warnings"] == [w for s in steps for w in s["warnings"]] != []
    assert record["failure"] is None
    assert record["seconds"] > 0
    assert record["methods"].startswith(
        f"Images were preprocessed with mriprep {version('mriprep')}."
    )
    assert "registered to Test" in record["methods"]
    dois = [r["doi"] for r in record["references"]]
    assert "10.1109/TMI.2009.2035616" in dois
    assert len(dois) == len(set(dois))


def test_hashes_match_what_is_read_back(written, outcome, scan):
    for path in written[1]:
        if not path.name.endswith(".nii.gz"):
            continue
        suffix = path.name.split(".")[0].rpartition("_")[2]
        role = {"mask": "mask", "dseg": "labels"}.get(suffix, "image")
        back, record = read_image(path, role=role), sidecar(path)
        assert voxel_hash(back) == record["output"]["voxels_sha256"], path.name
        assert Grid.from_dict(record["output"]["grid"]).matches(back.grid, 1e-4)
        assert record["input"]["voxels_sha256"] == voxel_hash(read_image(scan))
    assert voxel_hash(read_image(written[1][0])) == voxel_hash(outcome.image)


def test_the_transform_is_the_one_of_the_run(written, outcome):
    path = next(p for p in written[1] if p.suffix == ".tfm")
    assert np.allclose(read_transform(path).matrix, outcome.state["transform"].matrix, atol=1e-9)
    record = sidecar(path)
    assert np.allclose(record["output"]["matrix_ras"], outcome.state["transform"].matrix)
    assert Grid.from_dict(record["output"]["moving_grid"]).matches(GRID)


def test_nothing_tells_who_and_where(written, home):
    texts = [p.read_text("utf-8") for p in everything(written[0]) if p.suffix in (".json", ".csv")]
    assert texts
    forbidden = [str(home), home.parent.name, "Jane", "Roe", "4711", str(Path.home()) + "/",
                 os.sep + getpass.getuser() + os.sep]  # fmt: skip
    for text in texts:
        for word in forbidden:
            assert word not in text, word
    # The warning about the template is there, with the file's name alone.
    assert any("tpl-Test+2_T1w.nii.gz" in t and "NaN" in t for t in texts)


def test_records_are_json_without_nan(written):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    for path in everything(written[0]):
        if path.suffix == ".json":
            json.loads(path.read_text("utf-8"), parse_constant=refuse)


# -- writing twice, and writing that fails --------------------------------------------------------


def test_writing_twice_gives_the_same_bytes(outcome, written, tmp_path):
    again = derivatives.write(outcome, tmp_path)
    assert [p.name for p in again] == [p.name for p in written[1]]
    for a, b in zip(again, written[1], strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_a_failing_write_leaves_nothing_half_written(outcome, tmp_path, monkeypatch):
    from mriprep.io import images

    original = images.slabs
    calls = []

    def failing(data, stored):
        calls.append(1)
        for slab in original(data, stored):
            yield slab
            if len(calls) == 2:
                raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "slabs", failing)
    with pytest.raises(OutputError, match="No space left"):
        derivatives.write(outcome, tmp_path)
    left = [p.name for p in everything(tmp_path)]
    assert left == [
        ".bidsignore",
        "dataset_description.json",
        "sub-07_ses-1_space-Test_res-1p5mm_desc-preproc_T1w.json",
        "sub-07_ses-1_space-Test_res-1p5mm_desc-preproc_T1w.nii.gz",
    ]


def test_a_failing_write_leaves_what_was_there_before(outcome, tmp_path, monkeypatch):
    from mriprep.io import images

    files = derivatives.write(outcome, tmp_path)
    before = {p: p.read_bytes() for p in everything(tmp_path)}

    def failing(data, stored):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "slabs", failing)
    with pytest.raises(OutputError, match="No space left"):
        derivatives.write(outcome, tmp_path)
    assert {p: p.read_bytes() for p in everything(tmp_path)} == before
    assert len(files) > 5


# -- failures -------------------------------------------------------------------------------------


def test_the_record_of_a_failure(scan, tmp_path):
    case = read_case(scan)
    empty = Case(case.name, {"T1w": case["T1w"].replace(np.zeros(GRID.shape, np.int16))})
    done = execute(load({"name": "mine", "steps": ["denoise", "zscore", "bins"]}), empty)
    path = derivatives.write_failure(done, tmp_path)
    assert path.relative_to(tmp_path).as_posix() == (
        "sub-07/ses-1/sub-07_ses-1_T1w_desc-failed_record.json"
    )
    record = json.loads(path.read_text())
    assert record["failure"]["step"] == "zscore"
    assert record["failure"]["code"] == "input"
    assert "constant" in record["failure"]["message"]
    assert record["failure"]["hint"]
    assert [s["step"] for s in record["steps"]] == ["denoise"]
    assert {p.name for p in everything(tmp_path)} == {
        ".bidsignore", "dataset_description.json", path.name,
    }  # fmt: skip


def test_numbers_that_are_not_finite_do_not_stop_a_record(tmp_path):
    done = execute(
        load({"steps": ["denoise"]}),
        Case(
            "sub-01", {"T1w": Volume(head(), GRID)}, {"EchoTime": float("nan"), "x": np.float32(2)}
        ),
    )
    record = sidecar(derivatives.write(done, tmp_path)[0])
    assert record["facts"] == {"EchoTime": None, "x": 2.0}
