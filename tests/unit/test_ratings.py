"""Ratings: one table that several people add to at once."""

from __future__ import annotations

import multiprocessing

import pytest

from mriprep import ratings
from mriprep.core import InputError, MriprepWarning, OutputError
from mriprep.ratings import Consensus, Rating


def test_the_last_of_a_rater_counts(tmp_path):
    given = [
        Rating("sub-01", "T1w", "fail", "dark", "ann"),
        Rating("sub-01", "T1w", "pass", rater="ben"),
        Rating("sub-01", "FLAIR", "unsure", rater="ann"),
        Rating("sub-01", "T1w", "pass", "on second thoughts", "ann"),
    ]
    for r in given:
        assert ratings.append(tmp_path, r) is r
    assert ratings.read(tmp_path) == given[1:]
    lines = (tmp_path / "ratings.tsv").read_text().splitlines()
    assert lines[0] == "case\tcontrast\trating\tnote\trater\ttime"
    assert len(lines) == 5  # nothing is ever taken away
    assert lines[2].split("\t")[:5] == ["sub-01", "T1w", "pass", "n/a", "ben"]
    assert given[0].time.endswith("+00:00")


@pytest.mark.parametrize(
    "note",
    [
        "a\tb",
        "two\nlines",
        "\\n as two characters",
        "\r\n",
        "\\",
        "ü 脳 🧠",
        "n/a?",
        ' "q" ',
        "a\\\tb",
    ],
)
def test_notes_come_back_as_they_were(tmp_path, note):
    ratings.append(tmp_path, Rating("sub-01", "T1w", "pass", note))
    ratings.append(tmp_path, Rating("sub-02", "T1w", "pass"))
    assert [r.note for r in ratings.read(tmp_path)] == [note, ""]
    assert len((tmp_path / "ratings.tsv").read_bytes().split(b"\n")) == 4


@pytest.mark.parametrize("steering", ["\x00", "\x1b", "\x85", "\u2028", "\u2029", "\x0b"])
def test_characters_that_steer_become_spaces(tmp_path, steering):
    ratings.append(tmp_path, Rating("sub-01", "T1w", "pass", f"a{steering}b"))
    assert ratings.read(tmp_path)[0].note == "a b"


def test_nothing_was_rated(tmp_path):
    assert ratings.read(tmp_path) == []
    (tmp_path / "ratings.tsv").touch()
    assert ratings.read(tmp_path) == []
    ratings.append(tmp_path, Rating("sub-01", "T1w", "pass"))
    assert len(ratings.read(tmp_path)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"rating": "good"},
        {"rater": ""},
        {"rater": "a\tb"},
        {"rater": "x" * 41},
        {"note": "x" * 2001},
    ],
)
def test_what_is_no_rating(wrong):
    with pytest.raises(InputError):
        Rating(**{"case": "sub-01", "contrast": "T1w", "rating": "pass", **wrong})


def test_a_table_that_was_edited(tmp_path):
    """Other order of columns, one more, lines of Windows, and rows that are none."""
    (tmp_path / "ratings.tsv").write_bytes(
        b"\xef\xbb\xbfrater\tcase\tcontrast\trating\tnote\ttime\tmood\r\n"
        b"ann\tsub-01\tT1w\tpass\tn/a\t2026-01-01T00:00:00+00:00\tgood\r\n"
        b"ann\tsub-02\tT1w\tsplendid\tn/a\t2026\tgood\r\n"
        b"cut off"
    )
    ratings.append(tmp_path, Rating("sub-03", "T1w", "fail", rater="ben"))
    with pytest.warns(MriprepWarning, match=r"2 of its rows .* \(line 3, 4\)"):
        said = ratings.read(tmp_path)
    assert [(r.case, r.rating, r.rater) for r in said] == [
        ("sub-01", "pass", "ann"),
        ("sub-03", "fail", "ben"),
    ]
    assert said[0].time == "2026-01-01T00:00:00+00:00"


def test_another_table_is_left_alone(tmp_path):
    path = tmp_path / "ratings.tsv"
    path.write_text("subject\tscore\n1\t2\n")
    with pytest.raises(InputError, match="no column case, contrast"):
        ratings.append(tmp_path, Rating("sub-01", "T1w", "pass"))
    with pytest.raises(InputError, match="no table of ratings"):
        ratings.read(tmp_path)
    assert path.read_text() == "subject\tscore\n1\t2\n"


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "ratings.tsv").mkdir()
    with pytest.raises(OutputError, match="could not be written"):
        ratings.append(tmp_path, Rating("sub-01", "T1w", "pass"))


def _rate_many(folder, rater, start):
    start.wait()
    for n in range(60):
        ratings.append(folder, Rating(f"sub-{n:02d}", "T1w", "pass", "x" * 30 * n, rater))


@pytest.mark.filterwarnings("error::mriprep.core.MriprepWarning")
def test_processes_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    raters = [f"rater-{n}" for n in range(4)]
    children = [context.Process(target=_rate_many, args=(tmp_path, r, start)) for r in raters]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    said = ratings.read(tmp_path)
    assert len(said) == 240  # read() warns of broken rows, and warnings are errors to this test
    assert {r.rater for r in said} == set(raters)
    text = (tmp_path / "ratings.tsv").read_text()
    assert text.count("case\tcontrast") == 1
    for r in said:
        assert len(r.note) == 30 * int(r.case[4:])


def test_consensus():
    def said(*by):
        return [Rating("sub-01", "T1w", r, rater=f"rater-{n}") for n, r in enumerate(by)]

    def of(*by):
        return ratings.consensus(said(*by))["sub-01", "T1w"]

    assert of("pass", "pass") == Consensus("pass", 2, True)
    assert of("pass", "fail", "fail") == Consensus("fail", 3, False)
    assert of("pass", "fail") == Consensus("unsure", 2, False)
    assert of("pass", "unsure") == Consensus("pass", 2, False)
    assert of("unsure") == Consensus("unsure", 1, True)
    assert ratings.consensus([]) == {}
