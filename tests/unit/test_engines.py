"""Engines: declarations that need no library, and what is said when one is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mriprep import declare, engines
from mriprep.core import EngineMissing, RecipeError
from mriprep.engines import Engine

ALL = [(kind, name) for kind in engines.KINDS for name in engines.names(kind)]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_engine_says_what_it_is(kind, name):
    engine = engines.describe(kind, name)
    assert engine.title
    assert engine.licence
    assert engine.memory_mb >= 0
    assert engine.seconds_per_megavoxel > 0
    if not engine.missing:
        package, _, number = (engine.version or "").partition(" ")
        assert package == (engine.packages[0] if engine.packages else "mriprep")
        assert number[0].isdigit()


def test_describing_them_imports_no_library():
    code = (
        "import sys\n"
        "from mriprep import engines\n"
        "found = [engines.describe(k, n).version for k in engines.KINDS for n in engines.names(k)]\n"
        "heavy = {'torch', 'itk', 'SimpleITK', 'numba', 'scipy', 'deepbet', 'pydicom', 'nibabel'}\n"
        "print(len(found), sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{len(ALL)} []"


@pytest.mark.parametrize("kind", engines.KINDS)
def test_steps_offer_the_engines_that_there_are(kind):
    steps = [s for s in map(declare.get, declare.names()) if s.kind == kind]
    # `auto` is no engine: the step chooses one.
    choices = [c for s in steps for c in s.parameters["engine"].choices if c != "auto"]
    assert set(choices) <= set(engines.names(kind))
    assert set(choices) == set(engines.names(kind)), "an engine that no step offers"


def test_an_unknown_engine_names_the_nearest():
    with pytest.raises(RecipeError, match="'elastics' is not a registration engine") as error:
        engines.describe("registration", "elastics")
    assert "did you mean 'elastix'" in error.value.hint
    with pytest.raises(RecipeError):
        engines.load("registration", "elastics")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(engines, "installed_version", lambda name: None)
    engine = engines.describe("registration", "elastix")
    assert engine.missing == engine.packages
    assert engine.version is None
    with pytest.raises(EngineMissing, match="needs itk-elastix, which is not installed") as error:
        engines.load("registration", "elastix")
    assert error.value.hint == "pip install itk-elastix"
    assert error.value.exit_code == 2


def test_versions_of_what_is_installed():
    assert engines.installed_version("numpy")
    assert engines.installed_version("no-such-distribution-anywhere") is None
    ours = Engine("ours", (), "Apache-2.0")
    assert ours.missing == ()
    assert ours.version is not None
    assert ours.version.startswith("mriprep ")


def test_a_hyphen_in_a_name_is_an_underscore_in_its_module(monkeypatch):
    assert engines.describe("bias", "lapgm-reference").packages[0] == "lapgm"
    monkeypatch.setattr(engines, "installed_version", lambda name: None)
    with pytest.raises(EngineMissing, match="'lapgm-reference' needs lapgm"):
        engines.load("bias", "lapgm-reference")
