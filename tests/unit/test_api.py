"""The Python interface: reading, names of cases, pipelines and their results."""

from __future__ import annotations

import json
import os
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

import mriprep as mp
from mriprep.core import (
    Case,
    Grid,
    InputError,
    MriprepWarning,
    OutputError,
    RecipeError,
    Transform,
    Volume,
)
from mriprep.intake import case_name, is_image
from mriprep.io.atomic import writable_folder

AFFINE = Transform.rigid((4, -3, 5), (5, -7, 11)).matrix @ np.diag([-1, 1.5, 2, 1])
GRID = Grid((12, 10, 8), AFFINE)


def image(seed=0):
    data = np.random.default_rng(seed).integers(0, 50, GRID.shape).astype(np.int16)
    data[3:9, 2:8, 2:6] += 200
    return Volume(data, GRID)


def put(folder, *names, **sidecar):
    for seed, name in enumerate(names):
        path = mp.write(image(seed), folder / name)
        if sidecar:
            path.with_name(name.split(".")[0] + ".json").write_text(json.dumps(sidecar))
    return folder / names[0]


@pytest.fixture
def dicom(tmp_path):
    from mriprep.phantom.dicom import write_dicom

    scan = types.SimpleNamespace(
        image=image(), grid=GRID, facts={"contrast": "T1w", "age_years": 7.5, "seed": 1}
    )
    return write_dicom(scan, tmp_path / "exam 5")


# -- read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.nii", "sub-01_T1w.nii.gz", "a.nrrd", "a.mha"])
def test_read_gives_what_write_wrote(name, tmp_path):
    path = put(tmp_path, name)
    back = mp.read(path)
    assert isinstance(back, Volume)
    assert np.array_equal(back.data, image().data)
    assert back.grid.matches(GRID, 1e-3)
    assert back.meta["file"] == name
    assert mp.read(str(path)).shape == GRID.shape


def test_read_with_a_role(tmp_path):
    mask = mp.write(Volume(image().data > 100, GRID, "mask"), tmp_path / "mask.nii.gz")
    assert mp.read(mask, role="mask").data.dtype == bool
    with pytest.raises(InputError, match="'msk' is not a role") as error:
        mp.read(mask, role="msk")
    assert "did you mean 'mask'" in error.value.hint


def test_read_one_volume_of_a_series(tmp_path):
    import nibabel

    data = np.random.default_rng(0).integers(0, 9, (*GRID.shape, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(data, GRID.affine), tmp_path / "bold.nii")
    with pytest.raises(InputError, match="4D|volumes"):
        mp.read(tmp_path / "bold.nii")
    assert np.array_equal(mp.read(tmp_path / "bold.nii", volume=2).data, data[..., 2])


@pytest.mark.parametrize("packed", [False, True])
def test_read_dicom(dicom, packed, tmp_path):
    source = dicom
    if packed:
        source = tmp_path / "exam.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in dicom.iterdir():
                archive.write(file, f"exam/{file.name}")
    case = mp.read(source)
    assert isinstance(case, Case)
    assert case.reference == "T1w"
    assert np.array_equal(np.sort(case["T1w"].data.ravel()), np.sort(image().data.ravel()))
    center = case["T1w"].grid.center
    assert np.allclose(center, GRID.center, atol=1e-2)
    assert mp.read_case(source).name == ("sub-exam" if packed else "sub-exam5")


@pytest.mark.parametrize("name", ["nothing.nii.gz", "nothing", "nothing.zip"])
def test_read_what_is_not_there(name, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        mp.read(tmp_path / name)


def test_read_what_is_no_image(tmp_path):
    (tmp_path / "a.nii.gz").write_text("hello")
    (tmp_path / "b.txt").write_text("hello")
    for name in ("a.nii.gz", "b.txt"):
        with pytest.raises(InputError):
            mp.read(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no DICOM"):
        mp.read(tmp_path / "empty")


# -- folders of NIfTI -----------------------------------------------------------------------------


def test_a_folder_of_contrasts(tmp_path):
    put(tmp_path / "s", "sub-3_T1w.nii.gz", "sub-3_flair.nii.gz", "sub-3_ce-gd_T1w.nii.gz",
        "sub-3_desc-brain_T1w.nii.gz", "sub-3_mask.nii.gz", "._sub-3_T1w.nii.gz", EchoTime=0.003)  # fmt: skip
    case = mp.read(tmp_path / "s")
    assert set(case) == {"T1w", "FLAIR", "T1c"}
    assert case.name == "sub-3"
    assert case.facts == {"EchoTime": 0.003}
    assert np.array_equal(case["FLAIR"].data, image(1).data)
    assert case["FLAIR"].meta["contrast"] == "FLAIR"


@pytest.mark.parametrize(
    ("inside", "name"),
    [("anat", "sub-3"), ("ses-2/anat", "sub-3_ses-2"), (".", "sub-3")],
)
def test_a_bids_subject(inside, name, tmp_path):
    session = "_ses-2" if "ses" in inside else ""
    put(tmp_path / "sub-3" / inside, f"sub-3{session}_T1w.nii.gz")
    case = mp.read_case(tmp_path / "sub-3")
    assert list(case) == ["T1w"]
    assert case.name == name


def test_two_of_one_contrast_are_ambiguous(tmp_path):
    put(tmp_path / "s", "run-1_T1w.nii.gz", "run-2_T1w.nii.gz")
    with pytest.raises(InputError, match=r"2 files .* are T1w: run-1_T1w\.nii\.gz, run-2_T1w"):
        mp.read(tmp_path / "s")


def test_images_that_do_not_say_their_contrast(tmp_path):
    put(tmp_path / "s", "scan.nii.gz", "other.nii.gz")
    with pytest.raises(
        InputError, match=r"do not say their contrast: other\.nii\.gz, scan"
    ) as error:
        mp.read(tmp_path / "s")
    assert "sub-01_T1w.nii.gz" in error.value.hint


# -- names of cases -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/d/sub-01_T1w.nii.gz", "sub-01"),
        ("/d/sub-01_ses-2_acq-x_T1w.nii.gz", "sub-01_ses-2"),
        ("/d/study_sub-01_T1w.nii.gz", "sub-01"),
        ("/d/sub-01/ses-2/anat/scan.nii.gz", "sub-01_ses-2"),
        ("/d/sub-01/anat/T1w.nii.gz", "sub-01"),
        ("/d/sub-01/ses-2", "sub-01_ses-2"),
        ("/d/sub-01", "sub-01"),
        ("/d/chris_t1.nii.gz", "sub-christ1"),
        ("/d/Chris/T1w.nii.gz", "sub-Chris"),
        ("/d/chris_T1w.nii.gz", "sub-chris"),
        ("/d/kopf \u00df_T1w.nii.gz", "sub-kopf"),
        ("/d/J\u00f6rg_FLAIR.nii", "sub-Jorg"),
        ("/d/dicom-5.zip", "sub-dicom5"),
        ("/d/my sub-folder/a.nii.gz", "sub-a"),
        ("/d/sub-01-left.nii.gz", "sub-01left"),
        ("/d/--.nii.gz", "sub-x"),
        ("/d/scan.mgz", "sub-scan"),
    ],
)
def test_the_name_of_a_case(path, name):
    assert case_name(Path(path), "x") == name


def test_letters_that_are_left_out_are_said(tmp_path):
    scan = mp.write(mp.Volume(np.ones((4, 4, 4), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    odd = scan.rename(tmp_path / "kopf \u00df_T1w.nii.gz")
    with pytest.warns(MriprepWarning, match="called 'sub-kopf': letters .* were left out"):
        assert mp.read_case(odd).name == "sub-kopf"


def test_links_are_named_by_themselves(tmp_path):
    target = put(tmp_path / "annex", "MD5E-s123.nii.gz")
    os.symlink(target, tmp_path / "sub-09_T1w.nii.gz")
    case = mp.read_case(tmp_path / "sub-09_T1w.nii.gz")
    assert case.name == "sub-09"
    assert list(case) == ["T1w"]


def test_a_name_that_is_given(tmp_path):
    path = put(tmp_path, "a.nii.gz")
    assert mp.read_case(path).name == "sub-a"
    assert list(mp.read_case(path)) == ["image"]
    assert mp.read_case(path, name="07").name == "sub-07"
    assert mp.read_case(path, name="sub-07_ses-1").name == "sub-07_ses-1"
    for bad in ("../x", "a b", "Jane.Roe", "sub-1_run-2", ""):
        with pytest.raises(InputError, match="cannot be a case's name"):
            mp.read_case(path, name=bad)


def test_facts_of_a_sidecar(tmp_path):
    path = put(tmp_path, "a_T1w.nii.gz", RepetitionTime=2.3, EchoTime=float("nan"), PatientName="X",
               AcquisitionDateTime="2020", Modality="MR")  # fmt: skip
    assert mp.read_case(path).facts == {"Modality": "MR", "RepetitionTime": 2.3}
    for broken in ("{", "[1]", "\xff"):
        path.with_name("a_T1w.json").write_text(broken, "latin-1")
        assert mp.read_case(path).facts == {}


def test_what_is_an_image(tmp_path):
    assert is_image("a.NII.GZ")
    assert is_image("a.mgz")
    assert not is_image("a.dcm")
    assert not is_image("a.zip")
    (tmp_path / "b.nii").mkdir()
    assert not is_image(tmp_path / "b.nii")


# -- transforms and what cannot be written --------------------------------------------------------


@pytest.mark.parametrize("ending", [".tfm", ".txt", ".mat"])
def test_transforms(ending, tmp_path):
    transform = Transform.rigid((5, 6, 7), (1, 2, 3), (10, 0, 0))
    path = mp.write(transform, tmp_path / f"pose{ending}")
    back = mp.read_transform(path)
    assert np.allclose(back.matrix, transform.matrix, atol=1e-6)
    assert back.reference is None
    with pytest.raises(InputError, match="does not know the grid") as error:
        mp.resample(image(), back)
    assert "`on`" in error.value.hint
    for reference in (image(), GRID):
        known = mp.read_transform(path, reference=reference)
        assert known.reference == GRID
        assert mp.resample(image(), known).grid == GRID


def test_only_volumes_and_transforms_are_written(tmp_path):
    with pytest.raises(InputError, match="got Case"):
        mp.write(Case("sub-1", {"T1w": image()}), tmp_path / "a.nii.gz")
    with pytest.raises(OutputError, match=r"\.foo"):
        mp.write(image(), tmp_path / "a.foo")
    assert not list(tmp_path.iterdir())


def test_output_folders(tmp_path):
    assert writable_folder(tmp_path / "a" / "b").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="it is a file"):
        writable_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="Not a directory"):
        writable_folder(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "x"


# -- pipelines ------------------------------------------------------------------------------------


def pipeline():
    return mp.recipe(
        {"name": "mine", "steps": ["denoise", {"resample": {"spacing": 2.0}}, "zscore"]}
    )


def test_a_pipeline_takes_cases_volumes_and_paths(tmp_path):
    path = put(tmp_path, "sub-01_T1w.nii.gz")
    volume = mp.read(path)
    runs = [pipeline()(x) for x in (Case("sub-01", {"T1w": volume}), volume, path, str(path))]
    assert all(np.array_equal(r.image.data, runs[0].image.data) for r in runs)
    assert [r.outcome.case.name for r in runs] == ["sub-01"] * 4
    assert [r.outcome.contrast for r in runs] == ["T1w"] * 4
    assert pipeline()(image()).outcome.case.name == "sub-case"


def test_set_makes_another_pipeline():
    first = pipeline()
    second = first.set(resample__spacing=3.0, denoise__size=5)
    assert first(image()).image.spacing == pytest.approx((2, 2, 2))
    assert second(image()).image.spacing == pytest.approx((3, 3, 3))
    with pytest.raises(RecipeError, match="no parameter 'spcing'"):
        first.set(resample__spcing=1)
    with pytest.raises(RecipeError, match="is not a setting"):
        first.set(spacing=1)


def test_a_plan_says_what_comes_out():
    planned = pipeline().plan(image())
    assert planned.steps[-1].after == pipeline()(image()).image.grid


def test_what_a_run_holds():
    labels = Volume((image().data > 200).astype(np.uint8) * 4, GRID, "labels")
    mask = Volume(image().data > 100, GRID, "mask")
    run = pipeline()(image(), mask=mask, labels=labels)
    assert run.image.grid == run.mask.grid == run.labels.grid
    assert run.labels.data.max() == 4
    assert run.transform is None
    assert run.slices is None
    assert run.record["recipe"]["name"] == "mine"
    assert run.record["steps"][2]["step"] == "zscore"
    json.dumps(run.record, allow_nan=False)


def test_a_run_writes_itself(tmp_path):
    run = pipeline()(image())
    files = run.write(tmp_path / "out")
    assert [f.name for f in files] == [
        "sub-case_res-2mm_desc-preproc_image.nii.gz",
        "sub-case_image_quality.json",
    ]
    assert run.write(tmp_path / "out", quality=False) == files[:1]
    assert np.array_equal(mp.read(files[0]).data, run.image.data)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="it is a file"):
        run.write(tmp_path / "file")


def test_a_run_writes_its_report(tmp_path):
    page = pipeline()(image()).report(tmp_path / "qc.html")
    text = page.read_text("utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "zscore" in text
    assert "</html>" in text


def test_a_failing_step_raises_its_error():
    empty = image().replace(np.zeros(GRID.shape, np.int16))
    with pytest.raises(InputError, match="zscore: the image is constant"):
        pipeline()(empty)


def test_the_package_names_its_steps():
    assert set(mp.__all__) <= set(dir(mp))
    assert "zscore" in dir(mp)
    assert mp.zscore.step.name == "zscore"
    with pytest.raises(AttributeError, match="no attribute 'zscor'"):
        mp.zscor  # noqa: B018
    assert repr(pipeline()) == "<Recipe mine: denoise, resample, zscore>"
