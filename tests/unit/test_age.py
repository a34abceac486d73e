"""Ages: how they are written, where they come from, and which one wins."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mriprep as mp
from mriprep.core import Case, InputError, MriprepWarning, Volume
from mriprep.core.age import Age, age_between, age_of, agree, parse_age, settle, with_age
from mriprep.intake import header, read_case, with_given_age
from mriprep.io.ages import from_sidecar, from_tables
from mriprep.io.dicom_facts import age_at_scan


@pytest.mark.parametrize(
    ("written", "years"),
    [
        ("7.5", 7.5), (7.5, 7.5), (7, 7), ("7", 7), (" 7.5 y ", 7.5), ("7yr", 7), ("7 years", 7),
        ("1 year", 1), (".5", 0.5), ("30mo", 2.5), ("30 months", 2.5), ("6m", 0.5),
        ("6w", 42 / 365.25), ("14d", 14 / 365.25), ("1 day", 1 / 365.25), ("010Y", 10),
        ("006M", 0.5), ("002W", 14 / 365.25), ("014D", 14 / 365.25), ("89+", 89), ("120", 120),
        ("0", 0), ("adult", None), ("Adult", None), (1e-7, 1e-7),
    ],
)  # fmt: skip
def test_written(written, years) -> None:
    age = parse_age(written, "somewhere")
    assert age.source == "somewhere"
    assert age.years == (years if years is None else pytest.approx(years, abs=1e-12))


@pytest.mark.parametrize(
    "written",
    ["", "old", "-1", -1, "7,5", "7.5 lightyears", "121", 1e9, "nan", math.nan, math.inf, "1e3",
     "200mo7", True, "1500mo", "7 8", "٣٠٠"],
)  # fmt: skip
def test_what_is_no_age_is_refused(written) -> None:
    with pytest.raises(InputError) as error:
        parse_age(written)
    assert "30mo" in error.value.hint


@given(st.floats(0, 120))
def test_numbers_are_years(years) -> None:
    assert parse_age(years).years == years
    assert parse_age(repr(round(years, 3))).years == round(years, 3)


@pytest.mark.parametrize(
    ("age", "words"),
    [(7.5, "7.5 years"), (0.5, "6 months"), (None, "adult"), (10, "10 years")],
)
def test_in_words(age, words) -> None:
    assert str(Age(age)) == words


@pytest.mark.parametrize(
    ("birth", "scan", "years"),
    [
        ("20100301", "20170831", 7.5),
        ("2010-03-01", "2017-08-31T10:22:01.5", 7.5),
        ("2010.03.01", "20170831", 7.5),
        ("20170301", "20170831", 0.501),
        ("20170301", "20170301", None),
        ("20170302", "20170301", None),
        ("19000101", "20170301", None),
        ("2017130", "20170301", None),
        ("20171301", "20180301", None),
        ("201703011", "20180301", None),
        (None, "20180301", None),
        ("", "", None),
    ],
)
def test_between_two_days(birth, scan, years) -> None:
    age = age_between(birth, scan, "dates")
    assert age == (None if years is None else Age(years, "dates"))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (10, 10.9, True), (10, 11.2, False), (0.5, 0.6, True), (0.5, 0.8, False), (1.9, 3, False),
        (None, 40, True), (None, 10, False), (None, None, True),
    ],
)  # fmt: skip
def test_what_may_be_the_same_age(a, b, same) -> None:
    assert agree(Age(a), Age(b)) is agree(Age(b), Age(a)) is same


def test_the_first_wins_and_disagreement_is_told(recwarn) -> None:
    assert settle([]) is settle([None]) is None
    assert settle([None, Age(7, "a"), Age(7.4, "b")]) == Age(7, "a")
    assert settle([Age(None, "--age"), Age(41, "header")]) == Age(41, "header")
    assert not recwarn.list
    with pytest.warns(MriprepWarning, match=r"7 years by a, 12 years by b; took 7 years"):
        assert settle([Age(7, "a"), Age(12, "b")]) == Age(7, "a")
    with pytest.warns(MriprepWarning, match="adult by --age, 10 years by b"):
        assert settle([Age(None, "--age"), Age(10, "b")]) == Age(None, "--age")


def test_as_facts_and_back() -> None:
    facts = with_age({"sex": "F", "age": 3, "age_from": "x"}, Age(7.5, "--age"))
    assert facts == {"sex": "F", "age": 7.5, "age_from": "--age"}
    assert age_of(facts) == Age(7.5, "--age")
    facts = with_age(facts, Age(None, "--age"))
    assert facts == {"sex": "F", "age_group": "adult", "age_from": "--age"}
    assert age_of(facts) == Age(None, "--age")
    assert with_age(facts, None) == {"sex": "F"}
    assert age_of({}) is age_of({"age": math.nan}) is age_of({"age": "n/a"}) is None


@pytest.mark.parametrize(
    ("tags", "age"),
    [
        ({"PatientAge": "010Y"}, Age(10, "DICOM PatientAge")),
        ({"PatientAge": "006M"}, Age(0.5, "DICOM PatientAge")),
        ({"PatientAge": "014D"}, Age(0.038, "DICOM PatientAge")),
        ({"PatientAge": "000Y", "PatientBirthDate": "20170301", "StudyDate": "20170831"},
         Age(0.501, "DICOM birth and study dates")),
        ({"PatientBirthDate": "20170301", "StudyDate": "", "SeriesDate": "20170831"},
         Age(0.501, "DICOM birth and study dates")),
        ({"PatientAge": "adult"}, None),
        ({"PatientAge": "999Y"}, None),
    ],
)  # fmt: skip
def test_dicom(tags, age) -> None:
    assert age_at_scan(SimpleNamespace(get=tags.get)) == age


@pytest.mark.parametrize(
    ("content", "age"),
    [
        ({"PatientAge": "007Y"}, Age(7, "the sidecar's PatientAge")),
        ({"PatientAge": 7}, Age(7, "the sidecar's PatientAge")),
        ({"PatientAge": "ten", "age": 10}, Age(10, "the sidecar's age")),
        ({"PatientBirthDate": "2010-03-01", "AcquisitionDateTime": "2017-08-31T09:00:00"},
         Age(7.5, "the sidecar's birth and scan dates")),
        ({"PatientAge": True}, None),
        ({"PatientAge": 0}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_sidecar(content, age) -> None:
    assert from_sidecar(content) == age


@pytest.fixture
def dataset(tmp_path):
    """A dataset of BIDS with one scan in a session."""
    image = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
    mp.write(image, tmp_path / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_T1w.nii.gz")
    return tmp_path


def scan_of(dataset):
    return dataset / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_T1w.nii.gz"


def table(path, *rows) -> None:
    path.write_text("\n".join("\t".join(r) for r in rows) + "\n", "utf-8-sig")


@pytest.mark.parametrize(
    ("header_row", "row", "years"),
    [
        (("participant_id", "age"), ("sub-01", "7.5"), 7.5),
        (("participant_id", "sex", "Age"), ("01", "F", " 30mo "), 2.5),
        (("participant_id", "age"), ("sub-01", "89+"), 89),
        (("participant_id", "age"), ("sub-01", "n/a"), None),
        (("participant_id", "age"), ("sub-02", "7"), None),
        (("participant_id", "sex"), ("sub-01", "F"), None),
        (("participant_id", "age"), ("sub-01",), None),
    ],
)
def test_participants(dataset, header_row, row, years) -> None:
    table(dataset / "participants.tsv", header_row, ("sub-00", "99"), row)
    expected = None if years is None else Age(years, "participants.tsv")
    assert from_tables(scan_of(dataset), "sub-01_ses-2") == expected


def test_what_is_no_age_in_a_table_is_told(dataset) -> None:
    table(dataset / "participants.tsv", ("participant_id", "age"), ("sub-01", "about 7"))
    with pytest.warns(MriprepWarning, match="'about 7' is not an age"):
        assert from_tables(scan_of(dataset), "sub-01") is None


def test_units_of_the_column(dataset) -> None:
    table(dataset / "participants.tsv", ("participant_id", "age"), ("sub-01", "30"))
    for unit, years in (("months", 2.5), ("years", 30), ("weeks", 0.575), ("?", 30)):
        (dataset / "participants.json").write_text(json.dumps({"age": {"Units": unit}}))
        assert from_tables(scan_of(dataset), "sub-01").years == pytest.approx(years, abs=1e-3)
    (dataset / "participants.json").write_text("[]")
    assert from_tables(scan_of(dataset), "sub-01").years == 30


def test_a_session_knows_better_than_the_table_of_participants(dataset) -> None:
    table(dataset / "participants.tsv", ("participant_id", "age"), ("sub-01", "7"))
    sessions = dataset / "sub-01" / "sub-01_sessions.tsv"
    table(sessions, ("session_id", "age"), ("ses-1", "7"), ("ses-2", "9.5"))
    assert from_tables(scan_of(dataset), "sub-01_ses-2") == Age(9.5, "sessions.tsv")
    assert from_tables(scan_of(dataset), "sub-01_ses-3") == Age(7, "participants.tsv")


def test_tables_that_are_none(dataset) -> None:
    for content in (b"", b"\xff\xfe\x00", b"participant_id\n", b"\0\0\0\0"):
        (dataset / "participants.tsv").write_bytes(content)
        assert from_tables(scan_of(dataset), "sub-01") is None


def test_facts_of_a_case(dataset) -> None:
    """--age, then the tables, then the sidecar; each disagreement is told."""
    path = scan_of(dataset)
    assert age_of(read_case(path).facts) is None
    path.with_name("sub-01_ses-2_T1w.json").write_text('{"PatientAge": "012Y"}')
    assert dict(read_case(path).facts) == {"age": 12, "age_from": "the sidecar's PatientAge"}
    table(dataset / "participants.tsv", ("participant_id", "age"), ("sub-01", "7.5"))
    with pytest.warns(MriprepWarning, match=r"7.5 years by participants.tsv, 12 years by the"):
        case = read_case(path)
    assert dict(case.facts) == {"age": 7.5, "age_from": "participants.tsv"}
    with pytest.warns(MriprepWarning, match="ages disagree"):
        grid, contrast, facts = header(path)
    assert (grid.shape, contrast, facts) == ((2, 2, 2), "T1w", dict(case.facts))
    given = with_given_age(case, "7y")
    assert dict(given.facts) == {"age": 7, "age_from": "--age"}
    with pytest.warns(MriprepWarning, match="adult by --age, 7.5 years by participants.tsv"):
        assert dict(with_given_age(case, "adult").facts) == {
            "age_group": "adult",
            "age_from": "--age",
        }
    assert with_given_age(case, None) is case
    grown = Case("sub-01", case.volumes, {"age": 41.0, "age_from": "participants.tsv"})
    assert with_given_age(grown, "adult").facts == grown.facts


def test_a_folder_of_dicom_in_a_dataset(tmp_path) -> None:
    from mriprep.phantom.dicom import write_dicom

    image = Volume(np.ones((8, 8, 8), np.int16), np.diag([2.0, 2, 2, 1]))
    about = {"contrast": "T1w", "age_years": 10, "seed": 1}
    folder = tmp_path / "sourcedata" / "sub-07"
    write_dicom(SimpleNamespace(image=image, grid=image.grid, facts=about), folder)
    _, contrast, facts = header(folder)
    assert (contrast, facts["age"], facts["age_from"]) == ("T1w", 10, "DICOM PatientAge")
    table(tmp_path / "participants.tsv", ("participant_id", "age"), ("sub-07", "10.6"))
    _, _, facts = header(folder)
    assert (facts["age"], facts["age_from"]) == (10.6, "participants.tsv")


def test_real_tables(data) -> None:
    folder = data / "nifti" / "older-adults" / "sub-01"
    assert from_tables(folder / "T1w.nii.gz", "sub-01") == Age(82.3, "participants.tsv")
