"""Splits: nobody on both sides, alike folds, the same whatever the order of files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import mriprep as mp
from exported import edit, make, record
from mriprep.core import InputError, OutputError
from mriprep.export import splits as reading
from mriprep.export.collect import Item
from mriprep.export.persons import persons, read_key
from mriprep.export.splitting import cases_hash
from mriprep.export.strata import Person, deal, strata

FACTORS = ("age", "sex", "site")


def cohort(n=120):
    """People whose age goes with the site, some without a sex, some with three sessions."""
    people = []
    for i in range(n):
        site = "ABC"[i % 3]
        sex = None if i % 17 == 0 else "FM"[(i // 3) % 2]
        cases = [f"sub-{i:03d}_ses-{s}" for s in range(3 if i % 5 == 0 else 1)]
        people.append(Person(f"{i:03d}", tuple(cases), (20 + i * 7 % 50 + 10 * (i % 3), sex, site)))
    return people


def dealt(people, folds=5, test=0.1, seed=1):
    return deal(people, strata(people, FACTORS, folds), folds=folds, test=test, seed=seed)


def test_everybody_is_dealt_once_in_equal_parts():
    people = cohort()
    found = dealt(people)
    assert set(found) == {p.name for p in people}
    sizes = [sum(v == k for v in found.values()) for k in (None, 0, 1, 2, 3, 4)]
    assert sizes[0] == 12
    assert max(sizes[1:]) - min(sizes[1:]) <= 4
    cases = [sum(len(p.cases) for p in people if found[p.name] == k) for k in range(5)]
    assert max(cases) - min(cases) <= 8


def test_folds_are_more_alike_than_chance():
    people = cohort()

    def apart(found):
        worst = 0.0
        for k in range(5):
            inside = [p for p in people if found[p.name] == k]
            for site in "ABC":
                share = sum(p.values[2] == site for p in inside) / len(inside)
                worst = max(worst, abs(share - 1 / 3))
            for sex in "FM":
                share = sum(p.values[1] == sex for p in inside) / len(inside)
                worst = max(worst, abs(share - sum(p.values[1] == sex for p in people) / 120))
        return worst

    blind = [replace(p, values=()) for p in people]
    by_chance = [
        apart(deal(blind, strata(blind, (), 5), folds=5, test=0.1, seed=s)) for s in range(8)
    ]
    stratified = [apart(dealt(people, seed=s)) for s in range(8)]
    assert max(stratified) < min(by_chance)


def test_seed_and_order():
    people = cohort()
    assert dealt(people) == dealt(people[::-1])
    assert dealt(people) != dealt(people, seed=2)


def test_small_strata_are_merged_and_it_is_said():
    values = [("F", "A")] * 10 + [("M", "A")] * 8 + [("M", "B")] * 2 + [("F", "C")]
    people = [Person(f"{i:02d}", (f"sub-{i:02d}",), v) for i, v in enumerate(values)]
    found = strata(people, ("sex", "site"), 5)
    assert min(found.members.values()) >= 5
    assert sum(found.members.values()) == 21
    # The one woman of C is nearest to the women of A, the men of B to the men of A.
    assert found.of["20"] == found.of["00"]
    assert found.of["18"] == found.of["10"] != found.of["00"]
    assert len(found.merged) == 2
    assert any("(1 person) joined 'sex F, site A' (10 persons)" in m for m in found.merged)


def item(case, scan, subject=None):
    return Item(
        case, subject or case.partition("_")[0].removeprefix("sub-"), None, {},
        records={"T1w": {"input": {"voxels_sha256": scan}}},
    )  # fmt: skip


def test_copies_make_chains_of_one_person(tmp_path):
    items = [item("sub-3", "b"), item("sub-1", "a"), item("sub-2_ses-1", "a"),
             item("sub-2_ses-2", "b"), item("sub-4", "d"), item("sub-5", "e")]  # fmt: skip
    person, same = persons(items)
    assert person == {"1": "1", "2": "1", "3": "1", "4": "4", "5": "5"}
    assert [s.subjects for s in same] == [("1", "2", "3")]
    key = tmp_path / "key.tsv"
    key.write_text(
        "subject\tpatient_id\tbirth_date\nsub-4\tDoe\t1970\n5\tdoe\t1970\n1\tDoe\t1971\n"
    )
    person, same = persons(items, read_key(key))
    assert person["5"] == person["4"] != person["1"]
    assert "doe" not in repr(same).lower()
    key.write_text("subject\tcolour\n1\tred\n")
    with pytest.raises(InputError, match="whose code is whose"):
        read_key(key)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Nine subjects, one with two sessions; the scan of sub-09 is a copy of that of sub-02."""
    names = [f"sub-{n:02d}" for n in range(2, 10)]
    out = make(
        tmp_path_factory.mktemp("split") / "out",
        ["sub-01_ses-1", "sub-01_ses-2", *names],
        contrasts=("T1w",),
        labels=False,
    )
    given = json.loads(record(out, "sub-02").read_text())["input"]
    edit(record(out, "sub-09"), input=given)
    return out


def test_what_is_written_is_read(out):
    done = mp.split(out, folds=3, test=0.1, seed=3)
    found = reading.read(out)
    assert found == done.splits
    assert found.folds == 3
    assert len(found.cases) == 10
    assert found.fold["sub-01_ses-1"] == found.fold["sub-01_ses-2"]
    assert found.fold["sub-02"] == found.fold["sub-09"]
    assert ("sub-02" in found.test) == ("sub-09" in found.test)
    about = json.loads((out / "splits.json").read_text())
    assert about["same_person"] == [{"subjects": ["02", "09"], "why": ["same image"]}]
    assert about["persons"] == 8
    assert about["cases_sha256"] == cases_hash(found.cases)
    whole, *parts = about["balance"]
    assert whole["persons"] == 8 == sum(p["persons"] for p in parts)
    assert whole["cases"] == 10 == sum(p["cases"] for p in parts)
    assert whole["factors"]["sex"]["counts"] == {"F": 5, "M": 3}
    assert parts[0]["factors"]["age"]["apart"] >= 0
    assert any("02, 09 are one person" in n for n in done.notes)


def test_another_split_is_not_lost(out):
    mp.split(out, folds=3, seed=3, force=True)
    before = (out / "splits.tsv").read_bytes()
    assert not mp.split(out, folds=3, seed=3).changed
    with pytest.raises(OutputError, match="another split"):
        mp.split(out, folds=3, seed=4)
    assert (out / "splits.tsv").read_bytes() == before
    assert mp.split(out, folds=3, seed=4, force=True).changed


def test_what_cannot_be_split(out):
    with pytest.raises(InputError, match="cannot make 9 folds"):
        mp.split(out, folds=9)
    with pytest.raises(InputError, match="no case has a fact 'sexx'"):
        mp.split(out, stratify=["sexx"])
    with pytest.raises(InputError, match="nothing to split by"):
        mp.split(out, by="slice")
    with pytest.raises(InputError, match="2 or more"):
        mp.split(out, folds=1)
    done = mp.split(out, folds=2, stratify=["Manufacturer"], force=True)
    assert "no case tells its Manufacturer: not stratified by it" in done.notes
