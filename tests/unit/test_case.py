"""Cases: volumes by contrast."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from mriprep.core import Case, InputError, Volume

VOLUME = Volume(np.zeros((2, 2, 2)), np.eye(4))


def case(*contrasts, name="sub-01"):
    return Case(name, dict.fromkeys(contrasts, VOLUME))


@pytest.mark.parametrize(
    ("contrasts", "reference"),
    [
        (("T2w", "T1w", "FLAIR"), "T1w"),
        (("FLAIR", "T2w"), "T2w"),
        (("T1c", "FLAIR"), "T1c"),
        (("image",), "image"),
        (("bold", "dwi"), "bold"),
    ],
)
def test_the_preferred_contrast_leads(contrasts, reference):
    assert case(*contrasts).reference == reference


def test_an_unknown_contrast_names_the_nearest():
    with pytest.raises(InputError, match="'sub-01' has no T1") as error:
        case("T1w", "FLAIR")["T1"]
    assert error.value.hint == "did you mean 'T1w'? accepted: FLAIR, T1w"


def test_it_is_a_mapping():
    c = case("T1w", "T2w")
    assert list(c) == ["T1w", "T2w"]
    assert len(c) == 2
    assert "T1w" in c
    assert "FLAIR" not in c
    assert c.get("FLAIR") is None
    assert c.get("T1w") is VOLUME
    assert dict(c)["T2w"] is VOLUME


def test_a_case_without_volumes_is_refused():
    with pytest.raises(InputError, match="holds no volume"):
        Case("sub-01", {})


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "a b", "a\\b", "a\nb"])
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(InputError, match="cannot be a case's name"):
        case("T1w", name=name)


def test_it_cannot_be_changed_from_outside():
    volumes, facts = {"T1w": VOLUME}, {"age": 7.0}
    c = Case("sub-01", volumes, facts)
    volumes["T2w"], facts["age"] = VOLUME, 8.0
    assert list(c) == ["T1w"]
    assert c.facts["age"] == 7.0
    with pytest.raises(TypeError):
        c.facts["age"] = 9.0


@pytest.mark.parametrize("through", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy])
def test_pickles(through):
    back = through(Case("sub-01", {"T1w": VOLUME}, {"age": 7.0}))
    assert back.name == "sub-01"
    assert back["T1w"].grid == VOLUME.grid
    assert back.facts == {"age": 7.0}


def test_says_what_it_holds():
    assert repr(case("T1w")) == "<Case sub-01: T1w 2x2x2 voxels of 1x1x1 mm, RAS>"
