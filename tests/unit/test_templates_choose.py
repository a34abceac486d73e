"""Age to template: the table, the rule, no gaps; against the ages of TemplateFlow's own client."""

from __future__ import annotations

import importlib.resources
import io
import itertools
import json
import math
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriprep.core import InputError
from mriprep.core.age import Age
from mriprep.templates import pick
from mriprep.templates.catalogue import load
from mriprep.templates.choose import choose

CONTRASTS = ("T1w", "T1c", "T2w", "FLAIR", "PDw", "T2starw", "bold", "image", None)
ALL = load([])

ages = st.one_of(
    st.floats(0, 120),
    st.integers(0, 240).map(lambda months: months / 12),
    st.sampled_from([e for entry in ALL for c in entry.cohorts for e in (c.first, c.last)]).filter(
        lambda a: a <= 120
    ),
)


@pytest.mark.parametrize(
    ("age", "spec"),
    [
        # infants, by TemplateFlow's months
        ("0d", "MNIInfant:cohort-1"), ("14d", "MNIInfant:cohort-1"), ("6w", "MNIInfant:cohort-1"),
        ("2mo", "MNIInfant:cohort-2"), ("4.9mo", "MNIInfant:cohort-2"),
        ("5mo", "MNIInfant:cohort-3"), ("8mo", "MNIInfant:cohort-4"),
        ("11mo", "MNIInfant:cohort-5"), (1, "MNIInfant:cohort-5"),
        ("14mo", "MNIInfant:cohort-6"), ("17mo", "MNIInfant:cohort-7"),
        ("21mo", "MNIInfant:cohort-8"), (2, "MNIInfant:cohort-8"),
        ("27mo", "MNIInfant:cohort-9"), ("33mo", "MNIInfant:cohort-10"),
        (3, "MNIInfant:cohort-10"), ("44mo", "MNIInfant:cohort-11"), (4.49, "MNIInfant:cohort-11"),
        # children: never the whole range, nor the wide cohort 4
        (4.5, "MNIPediatricAsym:cohort-2"), (5, "MNIPediatricAsym:cohort-2"),
        (7, "MNIPediatricAsym:cohort-2"), (7.74, "MNIPediatricAsym:cohort-2"),
        (7.76, "MNIPediatricAsym:cohort-3"), (8.5, "MNIPediatricAsym:cohort-3"),
        (10, "MNIPediatricAsym:cohort-3"), (10.49, "MNIPediatricAsym:cohort-3"),
        (10.51, "MNIPediatricAsym:cohort-5"), (11.5, "MNIPediatricAsym:cohort-5"),
        (13.5, "MNIPediatricAsym:cohort-5"), (14, "MNIPediatricAsym:cohort-6"),
        (18.49, "MNIPediatricAsym:cohort-6"),
        # adults
        (18.5, "mni152"), (45, "mni152"), (120, "mni152"), ("adult", "mni152"),
    ],
)  # fmt: skip
def test_the_table(age, spec) -> None:
    assert choose(age, "T1w", ALL).spec == spec


@given(ages, st.sampled_from(CONTRASTS))
def test_every_age_has_a_template(age, contrast) -> None:
    chosen = choose(Age(age), contrast, ALL)
    entry, cohort = chosen.entry, chosen.cohort
    assert cohort.first <= age < cohort.last
    assert entry.has(cohort, chosen.contrast)
    family = "MNIInfant" if age < 4.5 else "MNIPediatricAsym" if age < 18.5 else "MNI152"
    assert entry.name.upper().startswith(family.upper())
    if contrast in ("T1w", "T2w", "PDw"):
        assert chosen.contrast == contrast
    assert chosen.why


@given(ages, st.sampled_from(("T1w", "T2w")))
def test_the_rule(age, contrast) -> None:
    """No other cohort that holds the age is narrower, or as narrow and nearer: done by hand."""
    chosen = choose(age, contrast, ALL)
    for cohort in chosen.entry.cohorts:
        if cohort.first <= age < cohort.last:
            width, mine = cohort.last - cohort.first, chosen.cohort.last - chosen.cohort.first
            assert mine <= width + 1e-9 or math.isinf(width)
            if abs(width - mine) < 1e-9:
                middle = (chosen.cohort.first + chosen.cohort.last) / 2
                other = (cohort.first + cohort.last) / 2
                assert abs(age - middle) <= abs(age - other) + 1e-12


@given(st.lists(st.floats(0, 120), min_size=2, max_size=8))
def test_older_children_never_get_the_template_of_younger_ones(some) -> None:
    """The chosen cohorts' centres go up with age."""
    centres = [choose(a, "T1w", ALL).cohort.centre for a in sorted(some)]
    assert all(a <= b for a, b in itertools.pairwise(centres))


def test_the_ages_are_templateflows_own() -> None:
    """Against the descriptions inside the installed client."""
    try:
        packed = (
            importlib.resources.files("templateflow.conf") / "templateflow-skel.zip"
        ).read_bytes()
    except (ImportError, OSError):
        pytest.skip("TemplateFlow's client is not installed, or has no skeleton")
    archive = zipfile.ZipFile(io.BytesIO(packed))
    for name, unit, per_year in (("MNIInfant", "months", 12), ("MNIPediatricAsym", "yr", 1)):
        about = json.loads(archive.read(f"tpl-{name}/template_description.json"))
        (entry,) = ALL.named(name)
        assert {c.name for c in entry.cohorts} == set(about["cohort"])
        for cohort in entry.cohorts:
            told = about["cohort"][cohort.name]
            assert told["units"] == unit
            assert [cohort.first * per_year, cohort.last * per_year] == pytest.approx(told["age"])
    files = set(archive.namelist())
    for entry in ALL:
        for cohort, suffix in itertools.product(entry.cohorts, entry.contrasts.values()):
            if entry.source == "templateflow":
                part = f"_cohort-{cohort.name}_res-1" if cohort.name else "_res-01"
                folder = f"tpl-{entry.name}/" + (f"cohort-{cohort.name}/" if cohort.name else "")
                assert f"{folder}tpl-{entry.name}{part}_{suffix}.nii.gz" in files


def test_the_docs_have_the_same_table() -> None:
    docs = Path(__file__).parents[2] / "docs" / "templates.md"
    if not docs.is_file():
        pytest.skip("the docs are not beside the tests")
    text = docs.read_text("utf-8")
    for entry in ALL:
        for cohort in entry.cohorts:
            spec = entry.name + (f":cohort-{cohort.name}" if cohort.name else "")
            row = f"| `{spec}` | {entry.span(cohort)} | {', '.join(entry.contrasts)} |"
            assert row in text


def test_contrasts() -> None:
    assert choose(40, "T2w", ALL).spec == "MNI152NLin2009cAsym"
    assert choose(40, "PDw", ALL).contrast == "PDw"
    assert choose(40, "T1c", ALL).spec == "mni152"
    flair = choose(7, "FLAIR", ALL)
    assert (flair.spec, flair.contrast) == ("MNIPediatricAsym:cohort-2", "T2w")
    assert "since it has no FLAIR" in flair.why


def test_nihpd_is_infants_and_children_and_no_adults() -> None:
    assert pick("NIHPD", age="30mo").spec == "MNIInfant:cohort-9"
    assert pick("NIHPD", age=7).spec == "MNIPediatricAsym:cohort-2"
    with pytest.raises(InputError, match="none of the templates is for 30 years") as error:
        pick("NIHPD", age=30)
    assert "auto" in error.value.hint
    with pytest.raises(InputError, match="none of the templates is for adult"):
        pick("NIHPD", age="adult")


def test_a_template_by_name_has_all_its_cohorts() -> None:
    """TemplateFlow's last infants are five years old: by name they can be had until then."""
    assert pick("MNIInfant", age=4.9).spec == "MNIInfant:cohort-11"
    assert pick("MNIPediatricAsym", age=10).spec == "MNIPediatricAsym:cohort-3"
    assert pick("MNIPediatricAsym:cohort-4", age=5).spec == "MNIPediatricAsym:cohort-4"
    assert pick("MNIPediatricAsym:cohort-04").spec == "MNIPediatricAsym:cohort-4"
    with pytest.raises(InputError, match="no cohort '7'") as error:
        pick("MNIPediatricAsym:cohort-7")
    assert "accepted: 1, 2, 3, 4, 5, 6" in error.value.hint
    with pytest.raises(InputError, match="no cohort '0'") as error:
        pick("MNI152NLin2009cAsym:cohort-0")
    assert "has no cohorts" in error.value.hint
    with pytest.raises(InputError, match="is several templates") as error:
        pick("NIHPD:cohort-3")
    assert "MNIPediatricAsym:cohort-3" in error.value.hint
    assert pick("Unlisted") is None
    assert pick("mni152", age=5).spec == "mni152"  # asked for by name: no age is refused


def test_why_says_age_source_and_rule() -> None:
    why = choose(Age(10.0, "participants.tsv"), "T1w", ALL).why
    for words in ("10 years", "participants.tsv", "cohort 3", "7 to 11", "narrowest", "1, 3, 4, 5"):
        assert words in why
    assert "looked up as 30 years" in choose("adult", "T1w", ALL).why


@pytest.mark.parametrize("age", [-1, 121, math.nan, "old", True])
def test_what_is_no_age(age) -> None:
    with pytest.raises(InputError):
        choose(age, "T1w", ALL)
