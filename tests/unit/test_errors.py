"""Errors: what they say, their codes and exit codes."""

from __future__ import annotations

import pytest

from mriprep import core
from mriprep.core import MriprepError
from mriprep.core.errors import nearest


def test_an_error_says_its_hint():
    error = core.InputError("the file is empty", hint="fetch it again")
    assert str(error) == "the file is empty\n  hint: fetch it again"
    assert (error.message, error.hint) == ("the file is empty", "fetch it again")
    assert str(MriprepError("so")) == "so"


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        ("InputError", 2),
        ("GeometryError", 2),
        ("RecipeError", 2),
        ("EngineMissing", 2),
        ("EngineError", 1),
        ("OutputError", 1),
        ("OutputRefused", 2),
    ],
)
def test_exit_codes(kind, exit_code):
    cls = getattr(core, kind)
    assert cls.exit_code == exit_code
    assert issubclass(cls, MriprepError)


def test_every_kind_has_a_code_of_its_own():
    kinds = [k for k in vars(core).values() if isinstance(k, type) and issubclass(k, MriprepError)]
    assert len({k.code for k in kinds}) == len(kinds)


def test_nearest_names_one_and_all():
    assert nearest("zscor", ["n4", "zscore"]) == "did you mean 'zscore'? accepted: n4, zscore"
    assert nearest("qqqq", ["n4", "zscore"]) == "accepted: n4, zscore"
    assert nearest("4", (3, 5, 7)) == "accepted: 3, 5, 7"
