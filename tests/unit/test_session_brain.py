"""In which contrast of a session the brain is looked for, and how its mask comes to the reference."""

from __future__ import annotations

import numpy as np
import pytest
from test_session import SCANS, SETTINGS, known, with_function

import mriprep as mp
from mriprep import declare, session_checks
from mriprep.core import Case
from mriprep.entries import checked_entry
from mriprep.phantom import head, template
from mriprep.recipe import load
from mriprep.session import execute_session
from mriprep.session_brain import best


@pytest.fixture(scope="module")
def heads():
    return {c: head(c, **SETTINGS, **how, seed=i) for i, (c, how) in enumerate(SCANS.items())}


@pytest.fixture(scope="module")
def case(heads):
    return Case("sub-01", {c: h.image for c, h in heads.items()}, {"age": 40.0})


def entry(**parameters):
    return checked_entry(declare.get("skullstrip"), parameters, "step 1")


@pytest.mark.parametrize(
    ("reference", "contrasts", "engine", "where"),
    [
        ("T1c", ("T1c", "T1w", "FLAIR"), "auto", "T1c"),
        ("FLAIR", ("FLAIR", "T2w", "T1w"), "auto", "T1w"),
        ("FLAIR", ("FLAIR", "T2w", "T1c"), "auto", "T1c"),
        ("FLAIR", ("FLAIR", "T2w"), "auto", "FLAIR"),
        ("FLAIR", ("FLAIR", "T1w"), "deepbet", "T1w"),
        ("FLAIR", ("FLAIR", "T1w"), "synthstrip", "FLAIR"),
        ("FLAIR", ("FLAIR", "T1w"), "hd-bet", "FLAIR"),
        ("PDw", ("PDw", "T1w"), "hd-bet", "T1w"),
    ],
)
def test_where_the_brain_is_looked_for(reference, contrasts, engine, where):
    assert best(entry(engine=engine), reference, contrasts) == where


@pytest.mark.parametrize("output", ["mask", "image"])
def test_the_mask_of_another_contrast_is_turned_not_interpolated(
    case,
    heads,
    tmp_path,
    monkeypatch,
    output,
):
    monkeypatch.setattr(session_checks, "same_head", lambda *_: (0.01, None))
    path = mp.write(template(spacing=4.0), tmp_path / "tpl-Phantom_T2w.nii.gz")
    steps = [
        {"skullstrip": {"output": output}},
        {"register": {"template": str(path)}},
        "resample",
        "apply_mask",
    ]
    asked = []

    def found(image, *, output, contrast, **_):
        asked.append((image.meta["contrast"], output, contrast))
        return heads[image.meta["contrast"]].brain

    recipe = load({"name": "m", "session": {}, "steps": steps})
    recipe = with_function(recipe, "register", known(heads))
    recipe = with_function(recipe, "skullstrip", found)
    done = execute_session(recipe, case, reference="FLAIR")
    assert done.failure is None, done.error
    assert asked == [("T1w", "mask", "T1w")]
    record = done.main.steps[-4]
    assert record.name == "skullstrip"
    assert record.facts["brain_from"] == "T1w"
    # Once, from the T1w's own grid to the final one.
    expected = mp.resample(heads["T1w"].brain, heads["T1w"].pose, template(spacing=4.0).grid)
    for outcome in done.outcomes.values():
        assert np.array_equal(outcome.state["mask"].data, expected.data)
        assert not outcome.image.data[~expected.data].any()
