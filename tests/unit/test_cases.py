"""Cases listed from tables and folders of images, and opened."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from mriprep.cases import CaseSource, list_cases, open_case, open_session
from mriprep.core import EngineMissing, InputError, MriprepWarning, Volume
from mriprep.io.images import write_image


def image(path: Path, value: float = 1.0, *, shape=(5, 6, 7), role="image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.full(shape, value, dtype=np.uint8 if role != "image" else np.float32)
    write_image(Volume(data, np.diag([2.0, 2.0, 3.0, 1.0]), role=role), path)
    return path


def told(cases: list[CaseSource]) -> dict[str, tuple[str, ...]]:
    return {c.name: c.contrasts for c in cases}


# -- tables -----------------------------------------------------------------------------------


def test_a_table_with_a_row_an_image(tmp_path):
    image(tmp_path / "a" / "one.nii.gz", 1)
    image(tmp_path / "a" / "two.nii.gz", 2)
    image(tmp_path / "b.nii.gz", 3)
    image(tmp_path / "m.nii.gz", 1, role="mask")
    (tmp_path / "t.csv").write_text(
        "subject,session,contrast,path,role,age,sex,site,label,split\n"
        "sub-07,2,FLAIR,a/two.nii.gz,,7.5,f,Leipzig,patient,train\n"
        "07,2,t1,a/one.nii.gz,,7.5,F,Leipzig,patient,train\n"
        "07,2,,m.nii.gz,mask,,,,,\n"
        "08,,T1w,b.nii.gz,,30mo,n/a,,,test\n"
    )
    first, second = list_cases(tmp_path / "t.csv")
    assert (first.name, first.subject, first.session) == ("sub-07_ses-2", "07", "2")
    assert first.contrasts == ("T1w", "FLAIR")
    assert (first.age, first.sex, first.site, first.label, first.split) == (
        "7.5", "F", "Leipzig", "patient", "train")  # fmt: skip
    assert (second.name, second.age, second.sex, second.split) == ("sub-08", "30mo", None, "test")
    assert pickle.loads(pickle.dumps(first)) == first
    case, given = open_session(first)
    assert {c: float(v.data.mean()) for c, v in case.items()} == {"T1w": 1, "FLAIR": 2}
    assert case.name == "sub-07_ses-2"
    facts = dict(case.facts)
    assert (facts["age"], facts["sex"], facts["split"]) == (7.5, "F", "train")
    assert {c: list(v) for c, v in given.items()} == {"T1w": ["mask"]}  # all lie on one grid
    assert open_case(second).facts["age"] == 2.5


def test_a_table_with_a_column_a_contrast(tmp_path):
    for name in ("x1", "x2", "y1", "m"):
        image(tmp_path / f"{name}.nii.gz", role="mask" if name == "m" else "image")
    (tmp_path / "t.tsv").write_text(
        "participant_id\tT1w\tFLAIR\tT1w_mask\tage\nx\tx1.nii.gz\tx2.nii.gz\tm.nii.gz\t80\ny\ty1.nii.gz\tn/a\t\t\n"
    )
    cases = list_cases(tmp_path / "t.tsv")
    assert told(cases) == {"sub-x": ("T1w", "FLAIR"), "sub-y": ("T1w",)}
    assert [(i.role, i.contrast) for i in cases[0].images][-1] == ("mask", "T1w")


def test_semicolons_and_a_byte_order_mark_are_read(tmp_path):
    image(tmp_path / "x.nii.gz")
    (tmp_path / "t.csv").write_text("subject;contrast;path\nx;T1w;x.nii.gz\n", "utf-8-sig")
    assert told(list_cases(tmp_path / "t.csv")) == {"sub-x": ("T1w",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,file_of\nx,y\n", "no column of paths"),
        ("subject,path\n", "no rows"),
        ("subject,contrast,path\nx,T1w,x.nii.gz\nx,T1w,x.nii.gz\n", "line 3: sub-x has two T1w"),
        ("subject,path,age\nx,x_T1w.nii.gz,old\n", "line 2: 'old' is not an age"),
        ("subject,path,age\nx,x.nii.gz,5\nx,x_T2w.nii.gz,6\n", "of age '6' here and '5' before"),
        ("subject,path\na-b,x.nii.gz\nab,y.nii.gz\n", "would both be called sub-ab"),
        ("subject,path\nx,nowhere.nii.gz\n", "none of the 1 files"),
        ("subject,path,role\nx,x.nii.gz,brain\n", "no role 'brain'"),
        ("subject,path\nx,a,b\n", "more values than columns"),
        ("subject,path,volume\nx,x.nii.gz,first\n", "no number of a volume"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, text, message):
    image(tmp_path / "x.nii.gz")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        list_cases(tmp_path / "t.csv")


def test_one_missing_file_is_the_error_of_its_case_alone(tmp_path):
    image(tmp_path / "x.nii.gz")
    (tmp_path / "t.csv").write_text("subject,contrast,path\nx,T1w,x.nii.gz\ny,T1w,y.nii.gz\n")
    x, y = list_cases(tmp_path / "t.csv")
    assert open_case(x).reference == "T1w"
    with pytest.raises(InputError, match=r"y\.nii\.gz does not exist"):
        open_case(y)


def test_parquet_says_what_it_needs(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EngineMissing, match="pyarrow") as error:
        list_cases(tmp_path / "t.parquet")
    assert "pip install pyarrow" in error.value.hint


def test_parquet_is_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    image(tmp_path / "x.nii.gz")
    columns = {"subject": ["x"], "contrast": ["T1w"], "path": ["x.nii.gz"], "age": [7.5]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    [case] = list_cases(tmp_path / "t.parquet")
    assert (case.name, case.contrasts, case.age) == ("sub-x", ("T1w",), "7.5")


# -- folders of images ------------------------------------------------------------------------


def test_names_and_folders_tell_the_cases(tmp_path):
    for name in (
        "sub-01_ses-2_T1w.nii.gz", "sub-01_ses-2_ce-gad_T1w.nii.gz", "sub-02/ses-1/anat/FLAIR.nii",
        "patient7_t1.nii.gz", "patient7_t2f.nii.gz", "patient7_seg.nii.gz",
        "BraTS-1-t1c.nii.gz", "mia/T2w.nii.gz", "mia/T2w_brain-mask.nii.gz",
        "sub-01_ses-2_desc-preproc_T1w.nii.gz", ".hidden/sub-09_T1w.nii.gz",
    ):  # fmt: skip
        image(tmp_path / name)
    cases = list_cases(tmp_path)
    assert told(cases) == {
        "sub-01_ses-2": ("T1w", "T1c"),
        "sub-02_ses-1": ("FLAIR",),
        "sub-BraTS1": ("T1c",),
        "sub-mia": ("T2w",),
        "sub-patient7": ("T1w", "FLAIR"),
    }
    roles = {c.name: [(i.role, i.contrast) for i in c.images][-1] for c in cases}
    assert roles["sub-mia"] == ("mask", "T2w")
    assert roles["sub-patient7"] == ("labels", None)
    assert list_cases(tmp_path, wanted=["t2w"])[0].name == "sub-mia"
    assert told(list_cases(tmp_path, participants=["sub-02"])) == {"sub-02_ses-1": ("FLAIR",)}
    with pytest.raises(InputError, match="no participant 3"):
        list_cases(tmp_path, participants=["3"])
    with pytest.raises(InputError, match="has PDw"):
        list_cases(tmp_path, wanted=["PDw"])


def test_files_without_a_contrast_are_cases_of_their_own(tmp_path):
    image(tmp_path / "anna.nii.gz")
    image(tmp_path / "ben.nrrd")
    cases = list_cases(tmp_path)
    assert told(cases) == {"sub-anna": ("image",), "sub-ben": ("image",)}
    assert open_case(cases[1]).reference == "image"


def test_what_is_left_out_or_twice_is_said(tmp_path):
    image(tmp_path / "x" / "T1w.nii.gz")
    image(tmp_path / "x" / "something.nii.gz")
    with pytest.warns(MriprepWarning, match=r"left out 1 .*something"):
        list_cases(tmp_path)
    image(tmp_path / "x" / "T1w.nrrd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        with pytest.raises(InputError, match="2 images of sub-x are T1w"):
            list_cases(tmp_path)


def test_participants_tell_sex_and_group(tmp_path):
    image(tmp_path / "sub-01_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tsex\tgroup\nsub-01\t33\tmale\tcontrol\n"
    )
    [case] = list_cases(tmp_path)
    assert (case.sex, case.label) == ("M", "control")
    assert open_case(case).facts["age"] == 33


def test_one_image_is_one_case(tmp_path):
    [case] = list_cases(image(tmp_path / "sub-5_ses-a_T2w.nii.gz"))
    assert (case.name, case.contrasts) == ("sub-5_ses-a", ("T2w",))
    with pytest.raises(InputError, match="does not exist"):
        list_cases(tmp_path / "none")
