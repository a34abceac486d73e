"""Fitting a normaliser, in Python and on the command line: from images, tables and outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from normaliser_samples import COHORT, IMAGES, MASKS, applied, fitted, labels

import mriprep as mp
from mriprep.cli import cli, main
from mriprep.core import InputError, MriprepWarning, RecipeError, Volume


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(RecipeError, match=r"no normaliser 'nyull'(.|\n)*did you mean 'nyul'"):
        mp.fit("nyull", IMAGES)
    with pytest.raises(RecipeError, match=r"fit nyul has no parameter 'too'(.|\n)*'to'"):
        mp.fit("nyul", IMAGES, too=1)
    with pytest.raises(RecipeError, match=r"fit nyul\.to = "):
        mp.fit("nyul", IMAGES, to=(5, 1))
    with pytest.raises(InputError, match="fewer masks than images"):
        mp.fit("nyul", IMAGES, MASKS[:2])
    with pytest.raises(InputError, match="more masks than images"):
        mp.fit("nyul", IMAGES[:2], MASKS)
    with pytest.raises(InputError, match="images must be several, got one"):
        mp.fit("nyul", IMAGES[0])
    with pytest.raises(InputError, match="0 images of a cohort"):
        mp.fit("nyul", [])
    with pytest.raises(InputError, match="two images are called 'a'"):
        mp.fit("nyul", IMAGES[:2], cases=["a", "a"])
    with pytest.raises(InputError, match="several contrasts: FLAIR, T1w"):
        mp.fit("nyul", [IMAGES[0], IMAGES[1].replace(contrast="FLAIR")])
    with pytest.raises(InputError, match="must be a Volume or a path, got ndarray"):
        mp.fit("nyul", [COHORT[0]])
    with pytest.raises(InputError, match="masks = 'brain' is not accepted"):
        mp.fit("nyul", IMAGES, "brain")


def test_images_are_read_one_by_one(tmp_path):
    paths = []
    for n, image in enumerate(IMAGES, 1):
        paths.append(mp.write(image, tmp_path / f"sub-0{n}_T1w.nii.gz"))
    masks = [mp.write(m, tmp_path / f"mask{n}.nii.gz") for n, m in enumerate(MASKS)]
    state = mp.fit("nyul", iter(paths), iter(masks))
    assert [name for name, _ in state.cases] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    direct = fitted("nyul")
    np.testing.assert_allclose(state.values["standard"], direct.values["standard"], rtol=1e-5)


# -- the command line -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    lines = ["subject\tpath\tmask\tcontrast\tsite\tsplit"]
    for n, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True), 1):
        mp.write(image, folder / f"sub-0{n}_T1w.nii.gz")
        mp.write(mask, folder / f"sub-0{n}_desc-brain_mask.nii.gz")
        lines.append(
            f"0{n}\tsub-0{n}_T1w.nii.gz\t\tT1w\t{'AB'[n % 2]}\t{'train' if n < 4 else 'test'}"
        )
    (folder / "cohort.tsv").write_text("\n".join(lines) + "\n")
    return folder


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)


def test_images_on_the_command_line(files, tmp_path):
    scans = sorted(files.glob("*_T1w.nii.gz"))
    masks = [x for m in sorted(files.glob("*_mask.nii.gz")) for x in ("--mask", m)]
    state, out = tmp_path / "nyul.json", tmp_path / "out_T1w.nii.gz"
    assert run("fit", "nyul", *scans, *masks, "--state", state, "--to", "0 1").exception is None
    found = mp.read_state(state)
    assert [name for name, _ in found.cases] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert found.values["standard"][-1] == 1
    done = run("nyul", scans[0], out, "--state", state, "--within", masks[1])
    assert done.exception is None
    assert "fitted: on 4 images (sha256" in done.output
    record = json.loads((tmp_path / "out_T1w.json").read_text())
    assert record["states"][0]["fitted_on"]["n"] == 4
    assert np.allclose(mp.read(out).data, applied("nyul", found), atol=1e-5)


def test_a_table_on_the_command_line(files, tmp_path):
    state = tmp_path / "s.json"
    done = run(
        "fit", "combat", files / "cohort.tsv", "--within", "whole", "--covariates", "none",
        "--state", state,
    )  # fmt: skip
    assert done.exception is None, done.exception
    assert set(mp.read_state(state).values["sites"]) == {"A", "B"}
    assert (
        run("fit", "nyul", files / "cohort.tsv", "--split", "train", "--state", state).exception
        is None
    )
    found = mp.read_state(state)
    assert found.split == "train"
    assert len(found.cases) == 3
    wrong = run("fit", "nyul", files / "cohort.tsv", "--split", "val", "--state", state)
    assert "no case of 'cohort.tsv' is of the part 'val'" in str(wrong.exception)


def test_tissues_and_references_on_the_command_line(files, tmp_path):
    scan, other = files / "sub-01_T1w.nii.gz", files / "sub-02_T1w.nii.gz"
    mask = files / "sub-01_desc-brain_mask.nii.gz"
    known = Volume(labels(), MASKS[0].grid, "labels")
    tissue_file = mp.write(known, tmp_path / "tissues.nii.gz")
    out = tmp_path / "out_T1w.nii.gz"
    done = run("fcm", scan, out, "--within", mask, "--tissues", tissue_file, "--tissue", "gm")
    assert done.exception is None, done.exception
    expected = mp.fcm(IMAGES[0], MASKS[0], known, tissue="gm").data
    np.testing.assert_allclose(mp.read(out).data, expected, rtol=1e-5)
    done = run(
        "match_histogram", scan, out, "--within", mask, "--reference", other,
        "--reference-within", files / "sub-02_desc-brain_mask.nii.gz",
    )  # fmt: skip
    assert done.exception is None, done.exception
    expected = mp.match_histogram(IMAGES[0], MASKS[0], IMAGES[1], MASKS[1]).data
    np.testing.assert_allclose(mp.read(out).data, expected, rtol=1e-5, atol=1e-3)
    done = run("least_squares", scan, out, "--within", mask, "--means", "1 2 3")
    assert done.exception is None, done.exception
    expected = mp.least_squares(IMAGES[0], MASKS[0], means=(1, 2, 3)).data
    np.testing.assert_allclose(mp.read(out).data, expected, rtol=1e-5)
    state = tmp_path / "s.json"
    scans = sorted(files.glob("*_T1w.nii.gz"))
    given = [x for _ in scans for x in ("--tissues", tissue_file)]
    dry = run("fit", "least_squares", *scans, *given, "--state", state)
    assert str(dry.exception).startswith("sub-01: fit least_squares: no voxel of the region")
    given += ["--within", "whole"]
    assert run("fit", "least_squares", *scans, *given, "--state", state).exception is None
    direct = mp.fit("least_squares", IMAGES, "whole", tissues=[known] * 4)
    np.testing.assert_allclose(
        mp.read_state(state).values["standard"], direct.values["standard"], rtol=1e-5
    )


@pytest.fixture
def outputs(tmp_path):
    """What a run of the cohort leaves, and a split of it: fold 1 validates sub-01, sub-04 is kept."""
    out = tmp_path / "out"
    for n, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True), 1):
        case = f"sub-0{n}"
        anat = out / case / "anat"
        for contrast in ("T1w", "FLAIR"):
            mp.write(image, anat / f"{case}_desc-preproc_{contrast}.nii.gz")
            record = {"case": case, "contrast": contrast, "output": {}, "facts": {"site": "A"}}
            (anat / f"{case}_desc-preproc_{contrast}.json").write_text(json.dumps(record))
        mp.write(mask, anat / f"{case}_desc-brain_mask.nii.gz")
        mp.write(Volume(labels(), mask.grid, "labels"), anat / f"{case}_desc-tissues_dseg.nii.gz")
    rows = ("sub-01\t1\ttrain", "sub-02\t0\tval", "sub-03\tn/a\ttrain", "sub-04\tn/a\ttest")
    lines = ["case\tsubject\tfold\tsplit", *(f"{r[:6]}\t{r}" for r in rows)]
    (out / "splits.tsv").write_text("\n".join(lines) + "\n")
    return out


def test_a_folder_of_outputs_on_the_command_line(outputs, tmp_path):
    out, known = outputs, Volume(labels(), MASKS[0].grid, "labels")
    state = tmp_path / "s.json"
    done = run(
        "fit", "nyul", out, "--contrast", "T1w", "--split", "train", "--fold", 1, "--state", state
    )
    assert done.exception is None, done.exception
    found = mp.read_state(state)
    assert found.split == "train fold 1"
    assert found.contrast == "T1w"
    expected = mp.fit("nyul", IMAGES[1:3], MASKS[1:3])
    np.testing.assert_allclose(found.values["standard"], expected.values["standard"], rtol=1e-5)
    run("fit", "nyul", out, "--contrast", "T1w", "--split", "test", "--state", state)
    assert mp.read_state(state).split == "test"
    run("fit", "least_squares", out, "--contrast", "T1w", "--use-tissues", "--state", state)
    direct = mp.fit("least_squares", IMAGES, MASKS, tissues=[known] * 4)
    found = mp.read_state(state)
    assert found.parameters == {"contrast": "T1w", "within": "mask", "tissues": True}
    np.testing.assert_allclose(found.values["standard"], direct.values["standard"], rtol=1e-5)
    with pytest.warns(MriprepWarning, match=r"by labels in the fit, and by fuzzy c-means here"):
        mp.least_squares(IMAGES[0], MASKS[0], state=found)
    wrong = run("fit", "nyul", out, "--contrast", "T1w", "--split", "all", "--state", state)
    assert "'all' is not a part of a split" in str(wrong.exception)


def test_outputs_whose_quality_failed_are_left_out(outputs, tmp_path):
    verdict = {"schema": 1, "case": "sub-01", "verdict": "fail", "reasons": []}
    beside = outputs / "sub-01" / "anat" / "sub-01_T1w_quality.json"
    beside.write_text(json.dumps(verdict))
    state = tmp_path / "s.json"
    for more, number in (([], 3), (["--all"], 4)):
        done = run("fit", "nyul", outputs, "--contrast", "T1w", *more, "--state", state)
        assert done.exception is None, done.exception
        assert len(mp.read_state(state).cases) == number


def test_a_word_for_the_region_goes_before_the_masks_of_outputs(outputs, tmp_path):
    state = tmp_path / "s.json"
    for more, kind in (([], "mask"), (["--within", "whole"], "whole")):
        done = run("fit", "nyul", outputs, "--contrast", "T1w", *more, "--state", state)
        assert done.exception is None, done.exception
        assert mp.read_state(state).parameters["within"] == kind


def test_mistakes_on_the_command_line(files, tmp_path, capsys):
    scans = sorted(files.glob("*_T1w.nii.gz"))
    for arguments, told in (
        (["fit", "nyull", *scans, "--state", tmp_path / "s.json"], "did you mean 'nyul'"),
        (["fit", "nyul", *scans, "--state", tmp_path / "s.pkl"], "its name ends on .json"),
        (["fit", "nyul", *scans, "--split", "train", "--state", tmp_path / "s.json"], "no split"),
        (["nyul", scans[0], tmp_path / "o.nii.gz"], "--state"),
        (["nyul", scans[0], tmp_path / "o.nii.gz", "--state", files / "cohort.tsv"], "not JSON"),
    ):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert end.value.code == 2
        assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
