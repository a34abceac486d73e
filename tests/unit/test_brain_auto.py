"""Which engines `auto` asks, when it asks another, and what it makes of several answers."""

from __future__ import annotations

import functools
import types
import warnings
from dataclasses import replace

import numpy as np
import pytest

from mriprep import engines
from mriprep.core import DoubtWarning, EngineError, EngineMissing, InputError, MriprepWarning
from mriprep.declare import get, keeping
from mriprep.phantom import head
from mriprep.steps import _brain
from mriprep.steps._brain_mask import moved, overlap
from mriprep.steps.skullstrip import skullstrip


@functools.cache
def scan(contrast="T1w"):
    return head(contrast, spacing=3.0, rotation=(5, -4, 8), labels=False)


def eroded():
    return moved(scan().brain.data, scan().grid, -9)


def half():
    mask = np.array(scan().brain.data)
    mask[: mask.shape[0] // 2] = False
    return mask


@pytest.fixture
def answers(monkeypatch):
    """Let engines answer with masks (None: they fail), and count how often each is asked."""

    asked = []

    def let(**masks):
        def load(kind, name):
            def probability(image, *, device):
                asked.append(name)
                mask = masks[name]
                if mask is None:
                    raise EngineError("it gives up")
                return image.replace(mask.astype(np.float32), role="probability")

            return types.SimpleNamespace(probability=probability)

        described = engines.Engine("stub", (), "MIT")
        monkeypatch.setattr(engines, "load", load)
        monkeypatch.setattr(engines, "names", lambda kind: sorted(masks))
        monkeypatch.setattr(engines, "describe", lambda kind, name: described)
        return asked

    return let


def quiet(*args, **how):
    with warnings.catch_warnings(), keeping() as kept:
        warnings.simplefilter("error", MriprepWarning)
        mask = skullstrip(*args, **how)
    return mask, kept["brain"]


def test_the_first_that_is_trusted_is_taken(answers):
    asked = answers(deepbet=scan().brain.data, mindgrab=eroded())
    mask, facts = quiet(scan().image)
    assert asked == ["deepbet"]
    assert facts["engine"] == "deepbet"
    assert facts["score"] > 0.5
    assert np.array_equal(mask.data, scan().brain.data)


def test_by_contrast(answers):
    """deepbet knows T1w; any other contrast goes to an engine that knows all."""
    brain = scan().brain.data
    asked = answers(deepbet=brain, mindgrab=brain, template=brain)
    t2w = scan("T2w").image
    for image, how, first in (
        (scan().image, {}, "deepbet"),
        (t2w, {"contrast": "T2w"}, "mindgrab"),
        (t2w.replace(contrast="T2w"), {}, "mindgrab"),
        (scan().image, {"contrast": "T1c"}, "deepbet"),
        (t2w, {}, "mindgrab"),  # nobody says what it is: it looks so
        (scan().image, {"engine": "deepbet"}, "deepbet"),
    ):
        asked.clear()
        quiet(image, **how)
        assert asked == [first]


def test_a_plan_begins_with_the_same_engine(answers):
    answers(deepbet=None, mindgrab=None)
    step = get("skullstrip")
    defaults = step.validate({})
    assert step.engine(defaults) == "deepbet"
    assert step.engine({**defaults, "contrast": "FLAIR"}) == "mindgrab"
    assert step.engine({**defaults, "engine": "template"}) == "template"


def test_an_implausible_mask_is_looked_for_again(answers):
    asked = answers(deepbet=half(), mindgrab=scan().brain.data)
    mask, facts = quiet(scan().image)
    assert asked == ["deepbet", "mindgrab"]
    assert facts["engine"] == "mindgrab"
    assert list(facts["tried"]) == asked
    assert facts["tried"]["deepbet"] < 0.5 < facts["tried"]["mindgrab"]
    assert np.array_equal(mask.data, scan().brain.data)


def test_an_engine_that_gives_up_is_passed_over(answers):
    answers(deepbet=None, mindgrab=scan().brain.data)
    _, facts = quiet(scan().image)
    assert facts["engine"] == "mindgrab"
    assert "gives up" in facts["tried"]["deepbet"]
    answers(deepbet=None, mindgrab=None)
    with pytest.raises(EngineError, match="gives up"):
        skullstrip(scan().image)


def test_two_that_disagree_make_a_consensus_that_is_flagged(answers):
    answers(deepbet=half(), mindgrab=half()[::-1])
    with pytest.warns(DoubtWarning, match="doubtful") as seen, keeping() as kept:
        skullstrip(scan().image)
    assert seen[-1].filename == __file__
    assert kept["brain"]["agreement"] < 0.9
    assert kept["brain"]["score"] < 0.5
    assert "deepbet, mindgrab" in str(seen[-1].message)


def test_a_consensus_is_better_than_its_parts():
    """Engines that each leak elsewhere agree on the brain."""
    brain = scan().brain.data
    grid = scan().grid
    coarse = _brain.Coarse.of(scan().image)
    made = []
    for axis, k in ((0, 5), (1, 5), (2, 5)):
        leaking = brain | np.roll(brain, k, axis)
        trust = replace(_brain.judge(coarse, leaking, grid), score=0.3)
        made.append(_brain.Answer("a", leaking, trust, leaking.astype(np.float32)))
    shared = _brain._consensus(made, coarse, grid, 0.5, None)
    assert shared is not None
    assert overlap(shared.mask, brain) > max(overlap(a.mask, brain) for a in made) + 0.02


def test_a_second_opinion(answers):
    brain = scan().brain.data
    asked = answers(deepbet=brain, mindgrab=brain)
    _, facts = quiet(scan().image, check=True)
    assert asked == ["deepbet", "mindgrab"]
    assert facts["agreement"] == 1
    answers(deepbet=brain, mindgrab=half())
    with pytest.warns(DoubtWarning, match="differ"), keeping() as kept:
        skullstrip(scan().image, engine="deepbet", check=True)
    assert kept["brain"]["engine"] == "deepbet"


def test_what_is_asked_for_by_name_is_not_replaced(answers):
    asked = answers(deepbet=half(), mindgrab=scan().brain.data)
    with pytest.warns(DoubtWarning, match=r"score is 0\.0"):
        mask = skullstrip(scan().image, engine="deepbet")
    assert asked == ["deepbet"]
    assert np.array_equal(mask.data, half())


def test_weights_need_their_engine():
    with pytest.raises(InputError, match="belong to one engine") as told:
        skullstrip(scan().image, weights="somewhere.pt")
    assert "engine=" in told.value.hint


def test_no_engine_at_all_is_told(monkeypatch):
    monkeypatch.setattr(_brain, "ready", lambda name: False)
    with pytest.raises(EngineMissing, match="no engine") as told:
        skullstrip(scan().image)
    assert told.value.hint


def test_weights_belong_to_the_engine_that_is_named(monkeypatch):
    given = {}

    def load(kind, name):
        def probability(image, *, device, weights=None):
            given[name] = weights
            return image.replace(scan().brain.data.astype(np.float32), role="probability")

        return types.SimpleNamespace(probability=probability)

    described = engines.Engine("stub", (), "MIT")
    monkeypatch.setattr(engines, "load", load)
    monkeypatch.setattr(engines, "names", lambda kind: ["deepbet", "template"])
    monkeypatch.setattr(engines, "describe", lambda kind, name: described)
    quiet(scan().image, engine="template", weights="own", check=True)
    assert given == {"template": "own", "deepbet": None}


def test_a_newborn_is_no_adult(answers, monkeypatch):
    seen = []
    real = _brain.find
    monkeypatch.setattr(
        _brain, "find", lambda *a, age, **k: seen.append(age) or real(*a, age=age, **k)
    )
    answers(deepbet=scan().brain.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        for age in (0, "0d", "adult", None):
            skullstrip(scan().image, engine="deepbet", age=age)
    assert seen == [0.0, 0.0, 30.0, None]
