"""What is taken from an output folder, what is left out and why; splits; states that have seen too much."""

from __future__ import annotations

import json
import shutil

import pytest

import mriprep.export as exports
from exported import edit, make, record, split
from mriprep.core import GeometryError, InputError
from mriprep.export import leaks_of_states, selection, splits


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def out(made, tmp_path):
    return shutil.copytree(made, tmp_path / "out")


def rate(out, *rows):
    lines = ["case\tcontrast\trating\tnote\trater\ttime"]
    lines += [f"{c}\t{k}\t{r}\t\t{who}\t2026-01-01" for c, k, r, who in rows]
    (out / "ratings.tsv").write_text("\n".join(lines) + "\n")


def quality(out, case, verdict, contrast="T1w"):
    path = record(out, case).with_name(f"{case}_{contrast}_quality.json")
    reasons = [{"code": "snr-low", "level": verdict, "says": "."}]
    path.write_text(json.dumps({"schema": 1, "case": case, "verdict": verdict, "reasons": reasons}))


def why(out, **options):
    return {x.case: x.why for x in exports.gather(out, **options).left}


def test_everything_of_a_case(out):
    items = exports.collect(out)
    assert [i.case for i in items] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    first = items[0]
    assert (first.subject, first.session) == ("01", None)
    assert list(first.images) == ["T1w", "FLAIR"]
    assert first.images["T1w"].name == "sub-01_desc-preproc_T1w.nii.gz"
    assert first.mask.name == "sub-01_desc-foreground_mask.nii.gz"
    assert first.labels.name == "sub-01_dseg.nii.gz"
    assert first.facts["age"] == 20.0
    assert first.quality is None
    assert first.rating is None


def test_sessions_lie_in_folders_of_their_own(tmp_path):
    out = make(tmp_path, ["sub-01_ses-1", "sub-01_ses-2"], ["T1w"])
    assert [(i.case, i.subject, i.session) for i in exports.collect(out)] == [
        ("sub-01_ses-1", "01", "1"),
        ("sub-01_ses-2", "01", "2"),
    ]


def test_contrasts_are_chosen_and_who_lacks_one_is_left_out(out):
    record(out, "sub-02", "FLAIR").with_suffix("").with_suffix("").unlink(missing_ok=True)
    for path in record(out, "sub-02", "FLAIR").parent.glob("*_FLAIR.nii.gz"):
        path.unlink()
    assert why(out) == {"sub-02": "has no FLAIR"}
    found = exports.gather(out, contrasts=["flair", "T1w"])
    assert found.contrasts == ("FLAIR", "T1w")
    assert list(found.items[0].images) == ["FLAIR", "T1w"]
    assert why(out, contrasts=["T1w"]) == {}
    with pytest.raises(InputError, match="no case has a contrast 'T2w'"):
        exports.collect(out, contrasts=["T2w"])


def test_failures_are_left_out_unless_asked_for(out):
    quality(out, "sub-01", "fail")
    quality(out, "sub-02", "look")
    rate(out, ("sub-02", "T1w", "pass", "a"), ("sub-03", "T1w", "pass", "a"),
         ("sub-03", "FLAIR", "fail", "b"), ("sub-04", "T1w", "fail", "a"),
         ("sub-04", "T1w", "unsure", "a"))  # fmt: skip
    assert why(out) == {
        "sub-01": "quality of T1w is 'fail' (snr-low)",
        "sub-03": "was rated 'fail'",
    }
    every = {i.case: i for i in exports.collect(out, passed_only=False)}
    assert len(every) == 4
    assert [every[f"sub-0{n}"].rating for n in (1, 2, 3, 4)] == [None, "pass", "fail", "unsure"]
    assert every["sub-02"].quality["T1w"]["verdict"] == "look"
    # Only FLAIR was rated badly.
    assert why(out, contrasts=["T1w"]).keys() == {"sub-01"}


def test_bad_ratings_are_refused(out):
    rate(out, ("sub-01", "T1w", "great", "a"))
    with pytest.raises(InputError, match="line 2: the rating 'great' is not one of"):
        exports.collect(out)


def test_notes_that_begin_with_a_quotation_mark_hide_nobody(out):
    """The viewer writes notes as they are: the mark does not open a cell of several lines."""
    rate(out, ("sub-01", "T1w", "pass", "a"), ("sub-02", "T1w", "fail", "a"))
    table = out / "ratings.tsv"
    table.write_text(table.read_text().replace("pass\t\t", 'pass\t"fine\t'))
    assert why(out) == {"sub-02": "was rated 'fail'"}


def test_cases_that_failed_are_told(out):
    folder = out / "sub-09"
    folder.mkdir()
    (folder / "sub-09_T1w_desc-failed_record.json").write_text(
        json.dumps({"case": "sub-09", "failure": {"step": "register"}})
    )
    assert why(out) == {"sub-09": "was not done: stopped in register"}


def test_which_labels(out):
    assert exports.collect(out, labels="none")[0].labels is None
    assert exports.collect(out, labels="foreground")[0].labels.name.endswith(
        "foreground_mask.nii.gz"
    )
    assert exports.collect(out, labels="given")[0].labels_name == "given"
    # In a session they are named after their contrast; what a step made stands beside them.
    for path in list(out.glob("*/anat/*_dseg.*")):
        ends = "".join(path.suffixes)
        stem = path.name.removesuffix(ends).removesuffix("_dseg")
        shutil.copy(path, path.with_name(f"{stem}_desc-T1w_dseg{ends}"))
        path.rename(path.with_name(f"{stem}_desc-tissues_dseg{ends}"))
    for path in out.glob("*/anat/*tissues_dseg.json"):
        edit(path, Description="tissues")
    assert exports.collect(out)[0].labels_name == "T1w"
    assert exports.collect(out, labels="tissues")[0].labels_name == "tissues"
    with pytest.raises(InputError, match="no case has labels 'tisues'"):
        exports.collect(out, labels="tisues")


def test_two_recipes_in_one_folder_are_refused(out):
    path = record(out, "sub-01")
    for ending in (".json", ".nii.gz"):
        source = path.with_name(path.name.replace(".json", ending))
        shutil.copy(source, source.with_name(source.name.replace("_desc", "_res-2mm_desc")))
    with pytest.raises(InputError, match="two images of T1w"):
        exports.collect(out)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_damaged_records_are_refused(out, content):
    record(out, "sub-03").write_text(content)
    with pytest.raises(InputError, match="sub-03"):
        exports.collect(out)


@pytest.mark.parametrize(
    "change", [{"case": "../../sub-03"}, {"contrast": "a/b"}, {"output": None}]
)
def test_records_that_name_paths_are_refused(out, change):
    edit(record(out, "sub-03"), **change)
    with pytest.raises(InputError, match="not the record of an image"):
        exports.collect(out)


def test_a_case_that_is_no_subject_is_told(out):
    edit(record(out, "sub-03"), case="dicom")
    with pytest.raises(InputError, match="'dicom', which is no subject's label") as told:
        exports.collect(out)
    assert "sub-01" in (told.value.hint or "")


def test_folders_without_outputs_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no preprocessed image"):
        exports.collect(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        exports.collect(tmp_path / "x")


def test_grids_are_checked(out, tmp_path):
    other = make(tmp_path / "other", ["sub-01"], ["T1w"], shape=(20, 18, 14))
    shutil.copy(other / "sub-01/anat/sub-01_dseg.nii.gz", out / "sub-01/anat/sub-01_dseg.nii.gz")
    with pytest.raises(GeometryError, match=r"sub-01: sub-01_dseg.nii.gz .* is not on the grid"):
        selection.prepare(out)


# -- splits ------------------------------------------------------------------------------------


def test_splits_are_read(out):
    split(out, [("sub-01", 0), ("sub-02", 1), ("sub-03", 1), ("sub-04", None)])
    found = splits.read(out)
    assert found.cases == ("sub-01", "sub-02", "sub-03", "sub-04")
    assert found.folds == 2
    assert found.val() == ("sub-01",)
    assert found.train() == ("sub-02", "sub-03")
    assert found.train(1) == ("sub-01",)
    assert found.test == ("sub-04",)
    assert splits.Splits.from_dict(found.to_dict()) == found
    with pytest.raises(InputError, match="no fold 2"):
        found.val(2)


TABLE = "case\tsubject\tfold\tsplit\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case\tsubject\tfold\n", "no column split"),
        (TABLE, "holds no case"),
        (TABLE + "sub-01\t01\t0\tval\nsub-01\t01\t0\tval\n", "line 3: a case twice: sub-01"),
        (TABLE + "sub-01\t01\t0\ttraining\n", "'training' is not a part"),
        (TABLE + "sub-01\t01\t0\ttrain\n", "contradict"),
        (TABLE + "sub-01\t01\t1\tval\n", "contradict"),
        (TABLE + "sub-01\t01\t0\ttest\n", "contradict"),
        (TABLE + "sub-01\t01\tn/a\tval\n", "validates in no fold"),
        (TABLE + "sub-01\t01\t-1\ttrain\n", "'-1' is not a fold"),
        (TABLE + "sub-01\t01\t0\tval\nsub-02\t02\t2\ttrain\n", r"the folds are \[0, 2\]"),
        (TABLE + "sub-01_ses-1\t01\t0\tval\nsub-01_ses-2\t01\t1\ttrain\n", "01 is in fold 0 and in"),
        (TABLE + "sub-01_ses-1\t01\t0\tval\nsub-01_ses-2\t01\tn/a\ttest\n", "a leak"),
        (TABLE + "sub-01_ses-1\t01\tn/a\ttrain\nsub-01_ses-2\t01\tn/a\ttest\n", "a leak"),
    ],
)  # fmt: skip
def test_splits_that_contradict_themselves_are_refused(tmp_path, text, message):
    (tmp_path / "splits.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        splits.read(tmp_path)


def test_no_split_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="mriprep split OUT"):
        splits.read(tmp_path)


def test_cases_that_are_in_no_part_are_refused(out):
    split(out, [("sub-01", 0), ("sub-02", 1), ("sub-03", 1)])
    with pytest.raises(InputError, match="1 case is not in the split: sub-04"):
        selection.prepare(out)


def test_a_fold_in_which_nothing_is_left_is_refused(out):
    split(out, [("sub-01", 0), ("sub-02", 1), ("sub-03", 1), ("sub-04", 2)])
    quality(out, "sub-01", "fail")
    with pytest.raises(InputError, match="fold 0 has no case left to validate"):
        selection.prepare(out)


# -- fitted states -----------------------------------------------------------------------------


def fitted(out, cases, form="dict", split_name="train fold 0"):
    state = {"schema": 1, "kind": "nyul", "fitted_on": {"cases": cases, "split": split_name}}
    for path in out.glob("*/anat/*_desc-preproc_*.json"):
        edit(
            path,
            states={"nyul": state} if form == "dict" else [{"file": "n.json", "content": state}],
        )


def voxels(out, case):
    return json.loads(record(out, case).read_text())["input"]["voxels_sha256"]


FOLDS = [("sub-01", 0), ("sub-02", 1), ("sub-03", 1), ("sub-04", None)]


@pytest.mark.parametrize("form", ["dict", "list"])
def test_states_of_the_training_part_pass_for_their_fold(out, form):
    split(out, FOLDS)
    fitted(out, ["sub-02", voxels(out, "sub-03")], form)
    (state,) = selection.prepare(out, fold=0).states
    assert (state.kind, state.number, state.split) == ("nyul", 2, "train fold 0")
    with pytest.raises(InputError, match="validated in fold 1: sub-02, sub-03") as error:
        selection.prepare(out)
    assert "--fold N" in error.value.hint


@pytest.mark.parametrize(
    ("case", "message"),
    [("sub-01", "validated in fold 0: sub-01"), ("sub-04", "test part: sub-04")],
)
@pytest.mark.parametrize("by", ["name", "session", "voxels", "entry"])
def test_states_that_have_seen_too_much_are_refused(out, case, message, by):
    split(out, FOLDS)
    seen = voxels(out, case)
    seen = {
        "name": case,
        "session": f"{case}_ses-9",  # somebody's other session
        "voxels": seen,
        "entry": {"case": "image-1", "sha256": seen},
    }[by]
    fitted(out, ["sub-02", "sub-03", seen])
    with pytest.raises(InputError, match=f"state of nyul was fitted .* {message}"):
        selection.prepare(out, fold=0)


def test_the_hash_within_the_state_itself_is_no_sign(out):
    split(out, FOLDS)
    fitted(out, [{"case": "sub-02", "voxels_sha256": voxels(out, "sub-02")}])
    assert selection.prepare(out, fold=0).states


def test_states_that_do_not_say_are_refused(out):
    split(out, FOLDS)
    fitted(out, [])
    with pytest.raises(InputError, match="does not say on which cases"):
        selection.prepare(out, fold=0)


def test_without_a_split_states_are_told_and_pass(out):
    fitted(out, ["sub-01"])
    items = exports.collect(out)
    assert [s.kind for s in leaks_of_states.check(items, None, ())] == ["nyul"]
