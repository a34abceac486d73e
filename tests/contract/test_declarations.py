"""What holds of every step's declaration: parameters are checked, and everything is documented."""

from __future__ import annotations

import typing

import pytest
from contract_calls import EXAMPLES, STEPS, function

from mriprep import declare
from mriprep.core import RecipeError

PARAMETERS = [(n, p) for n in STEPS for p in declare.get(n).parameters]


def needed(name):
    """What a step must be given besides the parameter that is looked at."""
    required = {p.name for p in declare.get(name).parameters.values() if p.required}
    return {k: v for k, v in EXAMPLES.get(name, {}).items() if k in required}


def beyond(schema, default):
    """Values just outside of what a schema allows, one place of a list at a time."""
    for choice in schema.get("anyOf", ()):
        yield from beyond(choice, default)
    step = 1 if schema.get("type") == "integer" else 1e-3
    for bound, by in (
        ("minimum", -step),
        ("exclusiveMinimum", 0),
        ("maximum", step),
        ("exclusiveMaximum", 0),
    ):
        if bound in schema:
            yield schema[bound] + by
    places = schema.get("prefixItems", ())
    usual = list(default) if isinstance(default, tuple) else [inner(p) for p in places]
    for i, place in enumerate(places):
        for bad in beyond(place, None):
            yield (*usual[:i], bad, *usual[i + 1 :])


def inner(schema):
    """A value that a number's schema allows."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 2))
    return (low + high) // 2 if schema["type"] == "integer" else (low + high) / 2


def kinds(schema):
    """Types that a schema names."""
    return {schema.get("type"), *(k for c in schema.get("anyOf", ()) for k in kinds(c))} - {None}


OUT_OF_RANGE = [
    (n, p, bad)
    for n, p in PARAMETERS
    for bad in beyond(declare.get(n).parameters[p].schema(), declare.get(n).parameters[p].default)
]


@pytest.mark.parametrize(("name", "parameter", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused(name, parameter, value):
    step = declare.get(name)
    with pytest.raises(RecipeError, match=rf"{name}\.{parameter} = ") as told:
        step.validate({**needed(name), parameter: value})
    assert told.value.hint


ONLY = [(n, p) for n, p in PARAMETERS if declare.get(n).parameters[p].only]


@pytest.mark.parametrize(("name", "parameter"), ONLY)
def test_what_has_no_effect_is_refused(name, parameter):
    """Set to something else than its default beside a method that does not look at it."""
    step = declare.get(name)
    only = step.parameters[parameter].only
    choices = step.parameters[only.parameter].choices
    assert set(only.values) < set(choices)
    default = step.parameters[parameter].default
    other = next(
        v for v in (5, 2, 30.0, (1.0, 90.0)) if v != default and accepts(step, parameter, v)
    )
    for method in choices:
        given = {**needed(name), only.parameter: method}
        step.validate({**given, parameter: default})  # as a record has it
        if method in only.values:
            assert step.validate({**given, parameter: other})[parameter] == other
            continue
        with pytest.raises(
            RecipeError, match=f"no effect with {only.parameter} '{method}'"
        ) as told:
            step.validate({**given, parameter: other})
        assert all(word in told.value.hint for word in only.values)


def accepts(step, parameter, value):
    try:
        step.validated(parameter, value)
    except RecipeError:
        return False
    return True


def test_ranges_are_found():
    assert {(n, p) for n, p, _ in OUT_OF_RANGE} >= {
        ("n4", "shrink"), ("n4", "fwhm"), ("pad", "shape"), ("resample", "spacing"),
        ("rescale", "percentiles"), ("skullstrip", "threshold"), ("slices", "every"),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_value_of_another_kind_is_refused(name, parameter):
    step = declare.get(name)
    schema = step.parameters[parameter].schema()
    bad = [{"a": 1}, object()]
    if "string" not in kinds(schema) or step.parameters[parameter].choices:
        bad.append("no such thing")
    if kinds(schema) & {"number", "integer"}:
        bad += [float("nan"), float("inf"), True]
    if "boolean" in kinds(schema):
        bad += [2, "perhaps"]
    for value in bad:
        with pytest.raises(RecipeError, match=rf"{name}\.{parameter} = "):
            step.validate({**needed(name), parameter: value})


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_defaults_are_what_they_should_be(name, parameter):
    step = declare.get(name)
    declared = step.parameters[parameter]
    if not declared.required:
        value = step.validate(needed(name))[parameter]
        assert value == declared.validate(declared.default, name) == declared.default
        assert type(value) is type(declared.default)


@pytest.mark.parametrize("name", STEPS)
def test_an_unknown_parameter_is_refused_with_the_nearest(name):
    step = declare.get(name)
    known = next(iter(step.parameters), None)
    wrong = f"{known[:-1]}_{known[-1]}" if known else "anything"
    for call in (lambda: step.validate({wrong: 1}), lambda: function(name)(**{wrong: 1})):
        with pytest.raises(RecipeError, match=f"{name} has no parameter '{wrong}'") as told:
            call()
        assert told.value.hint
        assert known is None or f"did you mean '{known}'" in told.value.hint


@pytest.mark.parametrize("name", STEPS)
def test_everything_is_documented(name):
    step = declare.get(name)
    assert step.title.endswith(".")
    assert len(step.title.split()) > 2
    text = step.function.__doc__
    for section in ("Parameters", "Returns"):
        assert f"\n    {section}\n    {'-' * len(section)}\n" in text
    for thing in (*step.inputs, *step.parameters.values()):
        assert thing.doc, f"{name}: {thing.name} is not in the Parameters section"
        assert thing.doc[0].isupper() or thing.doc[0] in "`0123456789"
        assert thing.doc.endswith("."), thing.doc
    documented = {
        word.strip()
        for line in text.split("Parameters\n", 1)[1].split("Returns\n", 1)[0].splitlines()
        if line[:4].isspace() and line[4:5].strip() and " : " in line
        for word in line.split(" : ")[0].split(",")
    }
    assert documented == {t.name for t in (*step.inputs, *step.parameters.values())}


@pytest.mark.parametrize("name", STEPS)
def test_the_methods_sentence_is_one(name):
    step = declare.get(name)
    values = {**step.validate(EXAMPLES.get(name, {})), "template": "MNI152NLin6Asym"}
    method = step.parameters.get("method")
    for value in typing.get_args(method.annotation) if method else ("",):
        sentence = step.sentence({**values, "method": value})
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "{" not in sentence
        assert "None" not in sentence


@pytest.mark.parametrize("name", STEPS)
def test_the_papers_can_be_found(name):
    for citation in declare.get(name).citations:
        assert citation.doi.startswith("10.")
        assert citation.key[-4:].isdigit()
        assert citation.key[-4:] in citation.text


@pytest.mark.parametrize("name", STEPS)
def test_a_schema_for_editors(name):
    schema = declare.get(name).schema()
    for about in schema["properties"].values():
        assert about["description"]
    assert schema["additionalProperties"] is False
