"""Grouping headers into series and choosing one, without files."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mriprep.core import InputError, MriprepWarning
from mriprep.io.dicom import choose
from mriprep.io.dicom_facts import age_years, private_words, without
from mriprep.io.dicom_headers import Header
from mriprep.io.dicom_series import gather


def headers(number=5, count=40, gap=1.0, **changes):
    """Headers of an axial series."""
    turned = changes.pop("turned", False)
    row, column = ([0, 1, 0], [0, 0, -1]) if turned else ([1, 0, 0], [0, 1, 0])
    normal = np.cross(row, column)
    kind = {"Modality": "MR", "MRAcquisitionType": changes.pop("acquisition", "3D")}
    common = {
        "series_uid": f"1.2.{number}",
        "number": number,
        "image_type": ("ORIGINAL", "PRIMARY", "M"),
        "rows": 16,
        "columns": 12,
        "samples": 1,
        "frames": 1,
        "mosaic": False,
        "spacing": (1.0, 1.0),
        "thickness": gap,
        "echo": 3.0,
        "echo_number": 1,
        "description": "t1_mprage",
        "contrast": "T1w",
        "facts": kind,
    } | changes
    return [
        Header(
            path=Path(f"{number}-{i}"),
            uid=f"1.2.{common['series_uid']}.{common['echo']}.{i}",
            instance=i + 1,
            positions=np.array([i * gap * normal]),
            orientations=np.array([[*row, *column]], dtype=float),
            **common,
        )
        for i in range(count)
    ]


LOCALIZER = headers(1, 3, 10.0, description="localizer", contrast="localizer")
T1 = headers(5)
T2_3D = headers(7, description="t2_space", contrast="T2w")
T2_2D = headers(8, 24, 5.0, description="t2_tse", contrast="T2w", acquisition="2D")
MPR = headers(9, description="t1 MPR", image_type=("DERIVED", "SECONDARY", "MPR"))
BOLD = headers(10, 40, description="bold", contrast="bold")


def taken(*groups, wanted=None):
    series = gather([h for g in groups for h in g])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        return choose(series, wanted)


def test_the_one_3d_anatomical_series_is_taken_and_said():
    series = gather([*LOCALIZER, *T1, *T2_2D, *MPR, *BOLD])
    with pytest.warns(
        MriprepWarning, match=r"took series 5 \(t1_mprage\); left series 1 .*series 10"
    ):
        assert choose(series).number == 5


def test_a_reformat_or_a_2d_stack_is_taken_when_there_is_nothing_better():
    assert taken(LOCALIZER, MPR, T2_2D).number == 9
    assert taken(LOCALIZER, T2_2D, BOLD).number == 8


def test_a_single_series_is_taken_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose(gather(T1)).is_3d_anatomical


def test_two_candidates_are_an_error_that_lists_all():
    with pytest.raises(InputError) as caught:
        taken(LOCALIZER, T1, T2_3D)
    text = str(caught.value)
    for expected in ("t1_mprage", "t2_space", "localizer", "16", "1x1x1", "--series 5"):
        assert expected in text


def test_nothing_usable_is_an_error():
    with pytest.raises(InputError, match="too few slices: 3"):
        taken(LOCALIZER)


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("7", 7), ("T2_SPACE", 7), ("space", 7), ("bold", 10), ("t1_", 5), ("t1 mpr", 9)],
)
def test_a_series_is_named_by_number_description_part_or_contrast(wanted, number):
    assert taken(T1, T2_3D, T2_2D, MPR, BOLD, wanted=wanted).number == number


@pytest.mark.parametrize("wanted", ["T2w", "t2", "99", "", "nothing"])
def test_an_unclear_or_unknown_name_is_an_error(wanted):
    with pytest.raises(InputError, match="--series"):
        taken(T1, T2_3D, T2_2D, wanted=wanted)


def test_echoes_are_split_and_have_keys():
    first, second = headers(6, echo=2.0), headers(6, echo=5.0, echo_number=2)
    series = gather([*second, *first])
    assert [s.key for s in series] == ["6-1", "6-2"]
    assert [len(s.files) for s in series] == [40, 40]
    assert taken(first, second, wanted="6-2").files[0] == Path("6-0")
    with pytest.raises(InputError, match="fits 2 series"):
        taken(first, second, wanted="6")


def test_orientations_are_split_and_said():
    series = gather([*headers(6, 10), *headers(6, 10, turned=True)])
    assert len(series) == 2
    assert all("mixed orientation: one of 2" in s.problems[0] for s in series)


def test_a_time_series_a_colour_picture_and_a_report_are_not_usable():
    again = [Header(**{**vars(h), "uid": h.uid + ".9", "instance": h.instance + 40}) for h in T1]
    [twice] = gather([*T1, *again])
    assert (twice.slices, twice.volumes, twice.usable) == (40, 2, False)
    [colour] = gather(headers(samples=3))
    assert not colour.usable
    assert colour.problems == ("colour: 3 values a pixel",)
    [report] = gather(headers(count=1, rows=0, columns=0))
    assert report.problems[0] == "not an image"
    assert report.grid is None


def test_the_order_of_files_does_not_matter():
    [a] = gather(T1)
    [b] = gather(T1[::-1])
    assert a.files == b.files
    assert a.grid == b.grid
    assert a.grid is not None
    assert a.grid.orientation == "LPS"


@pytest.mark.parametrize(
    ("about", "age"),
    [
        ({"PatientAge": "010Y"}, 10),
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": "014D"}, 0.04),
        ({"PatientAge": "003W"}, 0.06),
        ({"PatientAge": "42"}, 42),
        ({"PatientBirthDate": "20100301", "StudyDate": "20170831"}, 7.5),
        ({"PatientAge": "000Y", "PatientBirthDate": "20170301", "StudyDate": "20170831"}, 0.5),
        ({"PatientAge": "000Y"}, None),
        ({"PatientBirthDate": "20100301", "StudyDate": "20100301"}, None),
        ({"PatientBirthDate": "18500101", "StudyDate": "20170831"}, None),
        ({"PatientBirthDate": "2010ab01", "StudyDate": "20171399"}, None),
        ({"PatientAge": "ten"}, None),
        ({}, None),
    ],
)
def test_age(about, age):
    found = age_years(SimpleNamespace(get=about.get))
    assert found == (None if age is None else pytest.approx(age, abs=0.005))


def test_the_patients_name_is_cut_out_of_descriptions():
    about = {"PatientName": "Meier^Anna Lena", "PatientID": "PX-778"}
    words = private_words(SimpleNamespace(get=about.get))
    assert without("T1 meier_anna px-778 sag", words) == "T1 [removed]_[removed] [removed] sag"
    assert without("T1 Meierhof", words) == "T1 Meierhof"
