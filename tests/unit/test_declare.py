"""Declarations: what is read off a step's signature and docstring, and what calls check."""

from __future__ import annotations

import inspect
import json
import typing
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Le

from mriprep import declare
from mriprep.core import InputError, RecipeError, Transform, Volume
from mriprep.declare import Image, Labels, Mask, Unit, Within, keep, keeping, step

STEPS = [declare.get(name) for name in declare.names()]
PARAMETERS = [(s, p) for s in STEPS for p in s.parameters.values()]
EYE = np.eye(4)
IMAGE = Volume(np.arange(27.0).reshape(3, 3, 3), EYE)
MASK = IMAGE.replace(IMAGE.data > 3, role="mask")


@step(methods="Scaled by {factor:g} {how}.")
def scale(
    image: Image,
    mask: Mask | None = None,
    labels: Labels | None = None,
    within: Within = None,
    *,
    factor: Annotated[float, Ge(0), Le(10), Unit("mm")] = 1.0,
    times: Annotated[int, Ge(1)],
    how: Literal["fast", "well"] = "fast",
    loud: bool = False,
    sizes: Annotated[int, Ge(1)] | tuple[int, int] | None = None,
) -> Image:
    """Multiply the intensities.

    More about it.

    Parameters
    ----------
    image : Volume
        The image.
    mask, labels : Volume, optional
        What comes along.
    within : Volume or {"foreground", "whole"}, optional
        Where.
    factor : float
        What to multiply by,
        on two lines.
    times : int
        How often.
    how : {"fast", "well"}
        In which way.
    loud : bool
        Whether to say so.
    sizes : int or two ints, optional
        How large.

    Returns
    -------
    Volume
        It.
    """
    keep(factor=factor)
    return image.replace(image.data * factor**times)


DECLARED = scale.step


# -- reading a signature ------------------------------------------------------------------------


def test_a_signature_is_the_declaration():
    assert DECLARED.name == "scale"
    assert DECLARED.title == "Multiply the intensities."
    assert DECLARED.description == "More about it."
    assert DECLARED.makes == "image"
    assert [(i.name, i.slot, i.optional) for i in DECLARED.inputs] == [
        ("image", "image", False),
        ("mask", "mask", True),
        ("labels", "labels", True),
        ("within", "mask", True),
    ]
    assert DECLARED.inputs[3].words == ("foreground", "whole")
    assert DECLARED.inputs[2].doc == "What comes along."
    parameters = DECLARED.parameters
    assert list(parameters) == ["factor", "times", "how", "loud", "sizes"]
    assert parameters["factor"].doc == "What to multiply by, on two lines."
    assert parameters["factor"].unit == "mm"
    assert parameters["times"].required
    assert not parameters["factor"].required
    assert parameters["how"].choices == ("fast", "well")
    assert parameters["sizes"].choices == ()


@pytest.mark.parametrize(("declared", "parameter"), PARAMETERS, ids=lambda x: x.name)
def test_every_parameter_of_every_step_is_documented(declared, parameter):
    assert parameter.doc, f"{declared.name}.{parameter.name} has no documentation"
    assert not parameter.doc.endswith(("-", ",")), "cut off in the middle"
    schema = parameter.schema()
    json.dumps(schema)
    assert schema["description"].startswith(parameter.doc)
    if parameter.unit:
        assert parameter.unit in schema["description"]


@pytest.mark.parametrize(("declared", "parameter"), PARAMETERS, ids=lambda x: x.name)
def test_every_default_is_accepted(declared, parameter):
    if not parameter.required:
        assert parameter.validate(parameter.default, declared.name) == parameter.default


@pytest.mark.parametrize("declared", STEPS, ids=lambda s: s.name)
def test_every_step_says_what_it_consumes_and_makes(declared):
    assert declared.title.endswith(".")
    assert declared.makes in declare.SLOTS
    assert all(i.doc for i in declared.inputs)
    assert declared.methods
    signature = inspect.signature(declared.function)
    assert set(signature.parameters) == {i.name for i in declared.inputs} | set(declared.parameters)
    assert typing.get_type_hints(declared.function)["return"] is not None


@pytest.mark.parametrize("declared", STEPS, ids=lambda s: s.name)
def test_every_methods_sentence_can_be_filled_in(declared):
    parameters = {p.name: p.default if not p.required else 64 for p in declared.parameters.values()}
    words = {
        k: " to ".join(map(str, v)) if isinstance(v, tuple) else v for k, v in parameters.items()
    }
    assert "{" not in declared.sentence(words)


def test_an_unknown_step_names_the_nearest():
    with pytest.raises(RecipeError, match="no step 'zscor'") as error:
        declare.get("zscor")
    assert "did you mean 'zscore'" in error.value.hint


def test_helpers_are_no_steps():
    assert not [n for n in declare.names() if n.startswith("_")]


# -- validating ---------------------------------------------------------------------------------


def validate(**given):
    return DECLARED.validate({"times": 1, **given})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"factor": 2}, 2.0),
        ({"factor": "2.5"}, 2.5),
        ({"factor": "1e-3"}, 1e-3),
        ({"factor": np.float32(2)}, 2.0),
        ({"times": "3"}, 3),
        ({"times": np.int64(3)}, 3),
        ({"times": 3.0}, 3),
        ({"how": "well"}, "well"),
        ({"loud": True}, True),
        ({"sizes": 3}, 3),
        ({"sizes": (3, 4)}, (3, 4)),
        ({"sizes": [3, 4]}, (3, 4)),
        ({"sizes": None}, None),
        ({"within": "whole"}, "whole"),
    ],
)
def test_accepted(given, expected):
    ((name, _),) = given.items()
    value = validate(**given)[name]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"factor": 11}, "scale.factor = 11 .*less than or equal to 10", "multiply by"),
        ({"factor": -1}, "greater than or equal to 0", "multiply by"),
        ({"factor": float("nan")}, "finite", "multiply by"),
        ({"factor": "much"}, "valid number", "multiply by"),
        ({"factor": None}, "valid number", "multiply by"),
        ({"factor": True}, "no yes-or-no", "multiply by"),
        ({"times": 1.5}, "fractional part", "How often"),
        ({"times": 0}, "greater than or equal to 1", "How often"),
        ({"times": True}, "no yes-or-no", "How often"),
        ({"how": "wel"}, "'fast' or 'well'", "did you mean 'well'"),
        ({"how": True}, "no yes-or-no", "accepted: fast, well"),
        ({"sizes": (1, 2, 3)}, "not accepted", "How large"),
        ({"within": "hole"}, "within = 'hole'", "did you mean 'whole'"),
        ({"fctor": 1}, "no parameter 'fctor'", "did you mean 'factor'"),
    ],
)
def test_refused(given, message, hint):
    with pytest.raises(RecipeError, match=message) as error:
        validate(**given)
    assert hint in error.value.hint


def test_what_is_needed():
    with pytest.raises(RecipeError, match="scale needs 'times'"):
        DECLARED.validate({})


def test_defaults_are_filled_in():
    assert validate() == {"factor": 1.0, "times": 1, "how": "fast", "loud": False, "sizes": None}


def test_choices_among_numbers():
    size = declare.get("denoise").parameters["size"]
    assert size.choices == (3, 5, 7)
    assert size.validate("5", "denoise") == 5
    with pytest.raises(RecipeError, match="denoise.size = 4") as error:
        size.validate(4, "denoise")
    assert error.value.hint == "accepted: 3, 5, 7"


def test_schema_says_ranges_choices_and_defaults():
    schema = DECLARED.schema()
    assert schema["required"] == ["times"]
    assert schema["type"] == "object"  # it cannot be left without parameters
    assert schema["additionalProperties"] is False
    factor = schema["properties"]["factor"]
    assert (factor["minimum"], factor["maximum"], factor["default"]) == (0, 10, 1.0)
    assert factor["description"].endswith("Unit: mm.")
    assert schema["properties"]["how"]["enum"] == ["fast", "well"]
    assert schema["properties"]["within"]["enum"] == ["foreground", "whole"]


# -- calling ------------------------------------------------------------------------------------


def test_a_step_is_still_a_function():
    result = scale(IMAGE, times=2, factor=3)
    assert np.array_equal(result.data, IMAGE.data * 9)
    assert scale.__name__ == "scale"
    assert "Multiply" in scale.__doc__


@pytest.mark.parametrize(
    ("call", "kind", "message", "hint"),
    [
        (lambda: scale(np.zeros((2, 2, 2)), times=1), InputError, "must be a Volume, got ndarray", "Volume(array, affine)"),
        (lambda: scale("scan.nii", times=1), InputError, "must be a Volume, got str", "mriprep.read"),
        (lambda: scale(None, times=1), InputError, "scale needs image", "The image."),
        (lambda: scale(IMAGE, IMAGE, times=1), InputError, "must be a mask, got a volume of role 'image'", 'role="mask"'),
        (lambda: scale(IMAGE, within=IMAGE, times=1), InputError, "within must be a mask", 'role="mask"'),
        (lambda: scale(IMAGE, within="hole", times=1), RecipeError, "'hole' is not accepted", "whole"),
        (lambda: scale(IMAGE, tims=1), RecipeError, "no parameter 'tims'", "did you mean 'times'"),
        (lambda: scale(IMAGE), RecipeError, "times", "scale("),
        (lambda: scale(times=1), RecipeError, "missing a required argument: 'image'", "scale("),
        (lambda: scale(IMAGE, None, None, None, 2.0, times=1), RecipeError, "too many positional", "scale("),
        (lambda: scale(IMAGE, times=0), RecipeError, "greater than", "How often"),
    ],
)  # fmt: skip
def test_wrong_calls(call, kind, message, hint):
    with pytest.raises(kind, match=message) as error:
        call()
    assert hint in error.value.hint


def test_words_and_masks_are_right_inputs():
    scale(IMAGE, MASK, within="whole", times=1)
    scale(IMAGE, mask=MASK, within=MASK, times=1)


def test_targets_are_transforms_volumes_or_grids():
    import mriprep

    for to in (Transform.identity(IMAGE.grid), IMAGE, IMAGE.grid, "native", None):
        assert mriprep.resample(IMAGE, to).shape == (3, 3, 3)
    with pytest.raises(InputError, match="to must be a Transform or Volume or Grid, got int"):
        mriprep.resample(IMAGE, 3)


# -- by-products --------------------------------------------------------------------------------


def test_by_products_nest_and_are_silent_outside():
    keep(lost=1)
    with keeping() as outer:
        keep(a=1)
        with keeping() as inner:
            scale(IMAGE, times=1, factor=5)
        keep(b=2)
        keep(a=3)
    keep(lost=2)
    assert outer == {"a": 3, "b": 2}
    assert inner == {"factor": 5.0}


def test_by_products_end_with_an_error():
    with keeping() as outer:
        with pytest.raises(RuntimeError), keeping():
            raise RuntimeError
        keep(after=1)
    assert outer == {"after": 1}
