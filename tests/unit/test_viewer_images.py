"""What the viewer finds in a folder of outputs."""

from __future__ import annotations

import json

import pytest

from mriprep.viewer.images import detail, find, summary
from viewer_scene import outputs, quality


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return outputs(tmp_path_factory.mktemp("cohort"))


def test_the_worst_come_first(cohort):
    found = [(i.ident, i.verdict, i.image is not None) for i in find(cohort)]
    assert found == [
        ("sub-02_T1w", "fail", True),
        ("sub-03_T1w", "fail", False),
        ("sub-01_FLAIR", None, True),
        ("sub-01_T1w", None, True),
    ]


def test_what_there_is_of_an_image(cohort):
    image = next(i for i in find(cohort) if i.ident == "sub-01_T1w")
    layers = [(x.kind, x.title, x.space) for x in image.layers]
    assert image.image.path == (
        "sub-01/anat/sub-01_space-MNI152NLin2009aSym_res-4mm_desc-preproc_T1w.nii.gz"
    )
    assert layers == [
        ("image", "FLAIR", "MNI152NLin2009aSym"),
        ("mask", "brain mask", "MNI152NLin2009aSym"),
        ("probability", "CSF probability", "MNI152NLin2009aSym"),
        ("probability", "GM probability", "MNI152NLin2009aSym"),
        ("probability", "WM probability", "MNI152NLin2009aSym"),
        ("field", "bias field", "scan"),
    ]
    assert image.report == "sub-01_T1w.html"
    assert image.template == "MNI152NLin2009aSym"


def test_quality_is_shown_and_names_are_not(cohort):
    image = find(cohort)[0]
    assert summary(image)["reasons"] == ["snr-low"]
    assert summary(image)["site"] == "A"
    told = detail(cohort, image)
    assert told["metrics"] == {"snr_total": 2.1, "cjv": None}
    assert told["facts"] == [("site", "A"), ("age", "10 years")]
    assert "X^Y" not in json.dumps(told)


def test_numbers_that_are_none(tmp_path):
    path = quality("sub-01", "T1w", tmp_path, verdict="look", site="A", value=float("nan"))
    path.write_text(
        path.read_text().replace('"cjv": null', f'"cjv": Infinity, "x": "1", "y": {10**400}')
    )
    (image,) = find(tmp_path)
    json.dumps(detail(tmp_path, image), allow_nan=False)
    assert image.quality.metrics["cjv"] is None
    assert image.quality.metrics["y"] is None


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"case": 1}', "\x00", "[" * 5000])
def test_a_file_of_a_quality_that_is_broken(tmp_path, content):
    quality("sub-01", "T1w", tmp_path, verdict="look", site="A").write_text(content)
    (image,) = find(tmp_path)
    assert image.verdict is None
    assert "cannot be read" in detail(tmp_path, image)["problem"]


def test_the_cohort_adds_reasons(tmp_path):
    quality("sub-01", "T1w", tmp_path, verdict="pass", site="A", code="x", level="look")
    odd = {"code": "cohort-outlier", "level": "look", "says": "Far from the others."}
    known = {"code": "other", "level": "fail", "says": "Not of the cohort."}
    image = {"case": "sub-01", "contrast": "T1w", "verdict": "look", "reasons": [odd, known]}
    (tmp_path / "qc.json").write_text(json.dumps({"schema": 1, "images": [image]}))
    (found,) = find(tmp_path)
    assert found.verdict == "look"
    assert [r.code for r in found.quality.reasons] == ["x", "cohort-outlier"]
    # That of a large cohort is larger than any quality file.
    many = [image, *(dict(image, case=f"sub-{n}", facts={"x": "y" * 4500}) for n in range(1000))]
    (tmp_path / "qc.json").write_text(json.dumps({"schema": 1, "images": many}))
    assert [r.code for r in find(tmp_path)[0].quality.reasons] == ["x", "cohort-outlier"]


def test_a_run_that_stopped_is_there_by_its_record(tmp_path):
    folder = tmp_path / "sub-07" / "ses-2"
    folder.mkdir(parents=True)
    failure = {"step": "n4", "message": "no signal", "hint": "look at the scan"}
    record = {
        "case": "sub-07_ses-2",
        "contrast": "T2w",
        "recipe": {"name": "x"},
        "failure": failure,
    }
    (folder / "sub-07_ses-2_T2w_desc-failed_record.json").write_text(json.dumps(record))
    (image,) = find(tmp_path)
    assert (image.ident, image.verdict, image.image) == ("sub-07_ses-2_T2w", "fail", None)
    assert image.quality.reasons[0].says == "stopped at n4: no signal"


def test_names_in_order_of_their_numbers(tmp_path):
    for case in ("sub-10", "sub-9", "sub-2b", "sub-A1"):
        quality(case, "T1w", tmp_path, verdict="pass", site="A")
    assert [i.case for i in find(tmp_path)] == ["sub-2b", "sub-9", "sub-10", "sub-A1"]


def test_what_was_written_by_a_run(tmp_path):
    """A recipe's own outputs, with the doubts and facts of their record."""
    import mriprep as mp

    (tmp_path / "in").mkdir()
    scan = tmp_path / "in" / "sub-05_T1w.nii.gz"
    outputs(tmp_path / "made")
    next((tmp_path / "made").rglob("sub-02*preproc_T1w.nii.gz")).rename(scan)
    recipe = {"steps": ["denoise", {"resample": {"spacing": 8.0}}, "zscore"]}
    mp.recipe(recipe)(scan).write(tmp_path / "out", quality=False)
    (image,) = find(tmp_path / "out")
    assert image.ident == "sub-05_T1w"
    assert image.image.path.endswith("_desc-preproc_T1w.nii.gz")
    told = detail(tmp_path / "out", image)
    assert told["verdict"] is None
    assert told["image"]["space"] == "scan"
    assert told["template"] is None
