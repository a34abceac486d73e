"""Recipes: presets, the schema, errors that name the line, settings."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from mriprep import declare
from mriprep.core import RecipeError
from mriprep.recipe import load, parse, parse_settings, preset_text, presets, schema

VALIDATOR = jsonschema.Draft202012Validator(schema())


# -- presets and the schema -----------------------------------------------------------------------


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.description
    assert recipe.entries
    VALIDATOR.validate(yaml.safe_load(preset_text(name)))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(schema())
    names = set(schema()["properties"]["steps"]["items"]["oneOf"][1]["properties"])
    assert names == set(declare.names())


@pytest.mark.parametrize(
    "steps",
    [
        "[]",
        "[zscor]",
        "[{zscore: {size: 3}}]",
        "[{denoise: {size: 4}}]",
        "[{n4: {shrink: -1}}]",
        "[{n4: {shrink: much}}]",
        "[pad]",
        "[{pad: null}]",
        "[{pad: {fill: 0}}]",
        "[{pad: {shape: [8, 8]}}]",
        "[{zscore: {within: hole}}]",
        "[{zscore: {}, n4: {}}]",
        "[{}]",
        "[3]",
        "zscore",
    ],
)
def test_the_schema_and_the_reader_refuse_alike(steps):
    text = f"steps: {steps}"
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))
    with pytest.raises(RecipeError):
        parse(text)


@pytest.mark.parametrize(
    "steps",
    [
        "[zscore]",
        "[{zscore: null}]",
        "[{zscore: {within: whole}}]",
        "[{pad: {shape: 8}}]",
        "[{pad: {shape: [8, 9, 10]}}]",
        "[{resample: {spacing: [1, 1, 2]}}]",
        "[{rescale: {to: [0, 1]}}]",
    ],
)
def test_the_schema_and_the_reader_accept_alike(steps):
    text = f"steps: {steps}"
    VALIDATOR.validate(yaml.safe_load(text))
    parse(text)


# -- errors ---------------------------------------------------------------------------------------

RECIPE = """\
# a comment
name: mine
title: My own

steps:
  - reorient
  - n4:
      shrink: 2
      engine: sitk
  - denoise: {size: 3}
  -
    zscore:
      within: foreground
"""


def test_what_the_example_means():
    recipe = parse(RECIPE, "file")
    assert (recipe.name, recipe.title) == ("mine", "My own")
    assert [e.step.name for e in recipe.entries] == ["reorient", "n4", "denoise", "zscore"]
    assert recipe.entries[1].parameters["shrink"] == 2
    assert recipe.entries[1].given == {"shrink": 2, "engine": "sitk"}
    assert recipe.entries[3].parameters["within"] == "foreground"


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"),
    [
        ("name: mine", "nam: mine", 2, "no 'nam'", "did you mean 'name'"),
        ("- reorient", "- reorent", 6, "no step 'reorent'", "did you mean 'reorient'"),
        ("- n4:", "- n5:", 7, "no step 'n5'", "did you mean 'n4'"),
        ("shrink: 2", "shrnk: 2", 8, "no parameter 'shrnk'", "did you mean 'shrink'"),
        ("shrink: 2", "shrink: 0", 8, "n4.shrink = 0", ""),
        ("shrink: 2", "shrink:\n        0", 8, "n4.shrink = 0", ""),
        ("shrink: 2", "shrink: two", 8, "n4.shrink = 'two'", ""),
        ("engine: sitk", "engine: stik", 9, "n4.engine = 'stik'", "did you mean 'sitk'"),
        ("size: 3", "size: 4", 10, "denoise.size = 4", "accepted: 3, 5, 7"),
        ("{size: 3}", "3", 10, "parameters of 'denoise' must be a mapping", ""),
        ("within: foreground", "within: foregrnd", 13, "within = 'foregrnd'", "'foreground'"),
        ("- reorient", "- [reorient]", 6, "a step is a name", ""),
        ("- reorient", "- pad", 6, "pad needs 'shape'", ""),
        ("engine: sitk", "shrink: 3", 9, "'shrink' stands here a second time", "twice"),
        ("title: My own", "name: other", 3, "'name' stands here a second time", ""),
        ("- reorient", "- {reorient: 1", 7, "expected", ""),
        ("  - n4:", "\t- n4:", 7, "token", ""),
    ],
)
def test_errors_name_the_line_and_what_was_meant(old, new, line, message, hint):
    assert RECIPE.count(old) == 1
    with pytest.raises(RecipeError, match=message) as error:
        parse(RECIPE.replace(old, new), "mine", "mine.yaml")
    assert error.value.message.startswith(f"mine.yaml, line {line}: ")
    assert hint in (error.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a mapping with 'steps'"),
        ("   \n# nothing\n", "a mapping with 'steps'"),
        ("- zscore", "a mapping with 'steps'"),
        ("zscore", "a mapping with 'steps'"),
        ("name: x", "'steps' must be a list"),
        ("steps:", "'steps' must be a list"),
        ("steps: {zscore: {}}", "'steps' must be a list"),
        ("steps: [null]", "a step is a name"),
        ("steps: &a [*a]", "a step is a name"),
        ("steps: [zscore]\n---\nsteps: [n4]", "another document"),
        ("steps: [zscore", "line 1"),
        ("steps: 2024-13-45", "not YAML"),
        ("steps: " + "[" * 3000, "not YAML|line 1"),
        ("steps: *nowhere", "line 1: found undefined alias"),
        ("? [a, b]\n: 1", "line 1: found unhashable key"),
        ("name: !!python/object/apply:os.system ['touch hacked']\nsteps: [zscore]", "line 1: could not determine a constructor"),
        ("steps: [!!python/name:os.system '']", "line 1: could not determine a constructor"),
    ],
)  # fmt: skip
def test_documents_that_are_no_recipes(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=message):
        parse(text)
    assert not list(tmp_path.iterdir())


def test_anchors_and_merge_keys_are_understood():
    recipe = parse(
        "steps:\n- n4: &mine {shrink: 2}\n- n4: {<<: *mine, engine: sitk}\n- n4: *mine\n"
    )
    assert [e.parameters["shrink"] for e in recipe.entries] == [2, 2, 2]


def test_numbers_in_quotes_are_numbers():
    recipe = parse(
        "steps: [{n4: {shrink: '2'}}, {denoise: {size: '5'}}, {resample: {spacing: 1e0}}]"
    )
    assert recipe.entries[0].parameters["shrink"] == 2
    assert recipe.entries[1].parameters["size"] == 5
    assert recipe.entries[2].parameters["spacing"] == 1.0


def test_yes_is_no_number():
    with pytest.raises(RecipeError, match="n4.shrink = True"):
        parse("steps: [{n4: {shrink: yes}}]")


def test_names_that_are_left_empty():
    recipe = parse("name:\ntitle:\ndescription:\nsteps: [zscore]", "mine")
    assert (recipe.name, recipe.title, recipe.description) == ("mine", "", "")


# -- where recipes come from ----------------------------------------------------------------------


def test_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("steps: [zscore]", "utf-8")
    assert load(path).name == "mine"
    assert load(str(path)).entries[0].step.name == "zscore"
    path.write_text("steps:\n - zscor", "utf-8")
    with pytest.raises(RecipeError, match=r"mine\.yaml, line 2: there is no step"):
        load(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_files_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match="cannot be read") as error:
        load(path)
    assert "adult-t1" in error.value.hint


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(RecipeError, match="no recipe 'adult-t2'") as error:
        load("adult-t2")
    assert "did you mean 'adult-t1'" in error.value.hint


def test_mappings():
    recipe = load({"steps": ["reorient", {"resample": {"spacing": [1, 2, 3]}}]})
    assert recipe.entries[1].parameters["spacing"] == (1, 2, 3)
    with pytest.raises(RecipeError, match="recipe: there is no step"):
        load({"steps": ["zscor"]})


def test_plain_data_gives_the_recipe_back():
    recipe = load("guide")
    again = load(recipe.to_dict())
    assert again.to_dict() == recipe.to_dict()


# -- settings -------------------------------------------------------------------------------------


def test_settings():
    assert parse_settings(
        ["n4.shrink=2", "a.b = x=y", "r.to=[0, 1]", "n.m=", "x.y=2024-13-45", "x.z=no [x"]
    ) == {
        "n4.shrink": 2,
        "a.b": "x=y",
        "r.to": (0, 1),
        "n.m": None,
        "x.y": "2024-13-45",
        "x.z": "no [x",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["n4.shrink", "shrink=2", "=2", ".=2", "n4.=2", "a.b.c=2", ""])
def test_texts_that_are_no_settings(text):
    with pytest.raises(RecipeError, match="is not a setting") as error:
        parse_settings([text])
    assert "--set n4.shrink=2" in error.value.hint


def test_a_setting_makes_a_copy():
    recipe = load("body")
    other = recipe.with_settings({"n4.shrink": 2, "resample.spacing": 2.0})
    found = {e.step.name: e.parameters for e in other.entries}
    assert found["n4"]["shrink"] == 2
    assert found["resample"]["spacing"] == 2.0
    assert found["zscore"] == {"within": "foreground"}
    assert {e.step.name: e.parameters for e in recipe.entries}["n4"]["shrink"] == 1


def test_settings_hold_one_after_the_other():
    recipe = load("body").with_settings({"n4.shrink": 2}).with_settings({"n4.engine": "sitk"})
    assert {e.step.name: e.parameters for e in recipe.entries}["n4"]["shrink"] == 2


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"n5.shrink": 2}, "no step 'n5'", "did you mean 'n4'"),
        ({"n4.shrnk": 2}, "no parameter 'shrnk'", "did you mean 'shrink'"),
        ({"n4.shrink": 0}, "setting n4.shrink: n4.shrink = 0", ""),
        ({"n4": 2}, "'n4' is not a setting", "step.parameter=value"),
    ],
)
def test_bad_settings(settings, message, hint):
    with pytest.raises(RecipeError, match=message) as error:
        load("body").with_settings(settings)
    assert hint in (error.value.hint or "")


def test_without():
    recipe = load("body")
    assert [e.step.name for e in recipe.without(["n4", "slices"]).entries] == [
        "reorient", "resample", "zscore",
    ]  # fmt: skip
    assert recipe.without([]) == recipe
    with pytest.raises(RecipeError, match="no step 'n5'") as error:
        recipe.without(["n5"])
    assert "did you mean 'n4'" in error.value.hint
    with pytest.raises(RecipeError, match="nothing of the recipe 'body' would be left"):
        recipe.without([e.step.name for e in recipe.entries])
