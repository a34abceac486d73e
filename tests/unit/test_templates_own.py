"""Folders of one's own: a small YAML beside the files."""

from __future__ import annotations

import os

import numpy as np
import pytest

import mriprep as mp
from mriprep import templates
from mriprep.templates.catalogue import load, read_own

GOOD = """
templates:
  OurKids:
    title: Children of our clinic
    licence: CC-BY-4.0
    citation: Doe 2024
    cohorts:
      young: {ages: [4, 9], T1w: young_T1w.nii.gz, T2w: young_T2w.nii.gz, mask: young_mask.nii.gz}
      old: {ages: [8, 16], T1w: old_T1w.nii.gz}
  OurBabies: {unit: months, ages: [0, 6], T2w: babies_T2w.nii.gz}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "templates.yaml").write_text(GOOD)
    small = mp.Volume(np.arange(8, dtype=np.float32).reshape(2, 2, 2), np.eye(4))
    for name in ("young_T1w", "young_T2w", "young_mask", "old_T1w", "babies_T2w"):
        mp.write(small, tmp_path / "ours" / f"{name}.nii.gz")
    return tmp_path / "ours"


def test_a_folder_by_path(folder) -> None:
    for spec in (folder, folder / "templates.yaml"):
        assert templates.find(spec, age=5).image == folder / "young_T1w.nii.gz"
        assert templates.asks(spec) == {"age", "contrast"}
    found = templates.find(folder, age=5, contrast="T2w")
    assert (found.name, found.contrast) == ("OurKids+young", "T2w")
    assert (found.image, found.mask) == (folder / "young_T2w.nii.gz", folder / "young_mask.nii.gz")
    assert (found.licence, found.citation) == ("CC-BY-4.0", "Doe 2024")
    # the overlap, 8 to 9: the narrower one
    assert templates.find(folder, age=8.5).name == "OurKids+young"
    assert templates.find(folder, age=9).name == "OurKids+old"
    old = templates.find(folder, age=12, contrast="T2w")
    assert old.contrast == "T1w"
    assert "no T2w" in old.why
    babies = templates.find(folder, age="3mo", contrast="T1w")
    assert (babies.contrast, babies.licence) == ("T2w", "not stated")
    with pytest.raises(mp.InputError, match="none of the templates is for 20 years"):
        templates.find(folder, age=20)
    with pytest.raises(mp.InputError, match="age is not known"):
        templates.find(folder)


def test_by_the_environment_they_come_first(folder, monkeypatch) -> None:
    monkeypatch.setenv("MRIPREP_TEMPLATES", f"{folder}{os.pathsep}")
    assert templates.find("auto", age=5).name == "OurKids+young"
    assert templates.find("auto", age=30).name == "MNI152NLin2009aSym"
    assert templates.pick("auto", age=17).spec == "MNIPediatricAsym:cohort-6"
    assert templates.find("ourkids:cohort-old").image == folder / "old_T1w.nii.gz"
    assert templates.find("OurBabies").name == "OurBabies"
    monkeypatch.setenv("MRIPREP_TEMPLATES", f"{folder}{os.pathsep}{folder}")
    with pytest.raises(mp.InputError, match="two templates of your own"):
        load()
    monkeypatch.setenv("MRIPREP_TEMPLATES", str(folder / "none"))
    with pytest.raises(mp.InputError, match="no folder of templates"):
        templates.find("auto", age=5)
    assert templates.find("mni152").name.startswith("MNI152")  # what does not ask is not disturbed


def test_a_file_that_is_not_there(folder) -> None:
    (folder / "young_mask.nii.gz").unlink()
    with pytest.raises(mp.InputError, match=r"has no file young_mask.nii.gz") as error:
        templates.find(folder, age=5)
    assert str(folder / "young_mask.nii.gz") in error.value.hint


def test_an_open_end(tmp_path) -> None:
    (tmp_path / "templates.yaml").write_text(
        "templates: {Old: {ages: [60, null], T1w: old.nii.gz}}"
    )
    (entry,) = read_own(tmp_path)
    assert entry.span(entry.cohorts[0]) == "from 60 years"
    assert templates.pick(tmp_path, age=99).spec == "Old"  # has but one: no age is asked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold 'templates'"),
        ("templates: []", "must hold 'templates'"),
        ("- a\n- b", "must hold 'templates'"),
        ("templates: {A: {T1w: x.nii}}\nmore: 1", "must hold 'templates'"),
        ("templates: {A: [", "cannot be read"),
        ("templates: {A: 3}", "A: names with values"),
        ("templates: {'our kids': {T1w: x.nii}}", "our kids: this cannot be a template's name"),
        ("templates: {auto: {T1w: x.nii}}", "cannot be a template's name"),
        ("templates: {A: {T1: x.nii}}", "'T1' is not known here"),
        ("templates: {A: {ages: [1, 2]}}", "no image"),
        ("templates: {A: {ages: [2, 1], T1w: x.nii}}", "ages"),
        ("templates: {A: {ages: 3, T1w: x.nii}}", "ages 3"),
        ("templates: {A: {ages: [null, 3], T1w: x.nii}}", "ages"),
        ("templates: {A: {ages: [-1, 3], T1w: x.nii}}", "ages"),
        ("templates: {A: {ages: [4, 4], T1w: x.nii}}", "ages"),
        ("templates: {A: {ages: [a, b], T1w: x.nii}}", "ages"),
        ("templates: {A: {unit: weeks, T1w: x.nii}}", "unit 'weeks'"),
        ("templates: {A: {T1w: 3}}", "3 is not a file's name"),
        ("templates: {A: {cohorts: {a b: {T1w: x.nii}}}}", "cohort's name"),
        ("templates: {A: {cohorts: {}}}", "names with values"),
        ("templates: {A: {ages: [1, 2], cohorts: {a: {T1w: x.nii}}}}", "belong to each"),
        ("templates: {A: {cohorts: {a: {T1w: x.nii, age: [1, 2]}}}}", "'age' is not known here"),
    ],
)
def test_mistakes_are_told(tmp_path, text, message) -> None:
    (tmp_path / "templates.yaml").write_text(text)
    with pytest.raises(mp.InputError, match=message) as error:
        templates.find(tmp_path, age=5)
    assert error.value.hint or len(error.value.message.split()) > 8


def test_a_folder_without_a_yaml(tmp_path) -> None:
    with pytest.raises(mp.InputError, match=r"there is no templates.yaml in it") as error:
        templates.find(tmp_path, age=5)
    assert "OurKids" in error.value.hint
