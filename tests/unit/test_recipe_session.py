"""What a recipe says of sessions: its parts, their settings, and what is refused."""

from __future__ import annotations

import pytest

from mriprep.core import RecipeError
from mriprep.entries import checked_entry
from mriprep.recipe import load


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("all", "'session' must be a mapping"),
        ({"references": 1}, "a session has no 'references'"),
        ({"shape": [1, 2]}, "three whole numbers"),
        ({"estimate_on": ["crop"]}, "steps that change intensities, and 'crop'"),
        ({"estimate_on": ["skullstrip"]}, "'skullstrip' does not"),
        ({"estimate_on": []}, "must be a list of steps"),
        ({"register": {"modell": "rigid"}}, "no parameter 'modell'"),
    ],
)
def test_a_wrong_session_part_is_refused(part, message):
    with pytest.raises(RecipeError, match=message):
        load({"session": part, "steps": ["zscore"]})


def test_settings_reach_the_sessions_steps():
    recipe = load("brats").with_settings({"n4.shrink": 4, "register.engine": "elastix"})
    assert recipe.session.estimate_on[0].parameters["shrink"] == 4
    assert recipe.session.register.parameters["engine"] == "elastix"
    assert recipe.entries[0].parameters["engine"] == "elastix"
    assert checked_entry(recipe.session.register.step, {}, "").parameters["engine"] == "native"
    with pytest.raises(RecipeError, match="no step 'zscore'"):
        recipe.with_settings({"zscore.within": "whole"})
