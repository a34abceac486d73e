"""What a cohort's normaliser was fitted to: a small file of numbers, read strictly."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError, Volume
from mriprep.io.given import expanded, read_text
from mriprep.io.strict_json import strict_json

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

Doubles = npt.NDArray[np.float64]

#: Of the files' layout.
SCHEMA = 1
#: A state is small; what is larger than this is something else.
_MOST_BYTES = 512 * 2**20

_KEYS = {"schema", "kind", "mriprep", "contrast", "fitted_on", "parameters", "values"}
_FITTED_ON = {"n", "split", "cases"}
_HOW = "make one: mriprep fit KIND IMAGES... --state FILE.json"


@dataclass(frozen=True, eq=False)
class State:
    """A normaliser that was fitted on a cohort, frozen.

    Parameters
    ----------
    kind : str
        The step that it belongs to.
    values : mapping
        The numbers that were found: plain data.
    cases : tuple of (str, str)
        Name, and SHA-256 of the voxels, of every image that it was fitted on.
    split : str
        Which part of a split these were, in words; empty where none was said.
    contrast : str
        The images' contrast; empty where it was not known.
    parameters : mapping
        How it was fitted.
    mriprep : str
        The version that fitted it.
    """

    kind: str
    values: Mapping[str, Any]
    cases: tuple[tuple[str, str], ...] = ()
    split: str = ""
    contrast: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mriprep: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def apply(self, image: Volume, within: Any = None, **parameters: Any) -> Volume:
        """The image, normalised by the step that this state belongs to."""
        module = importlib.import_module(f"mriprep.steps.{self.kind}")
        result: Volume = getattr(module, self.kind)(image, within, state=self, **parameters)
        return result

    def to_dict(self) -> dict[str, Any]:
        """As plain data: what the file holds."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "mriprep": self.mriprep,
            "contrast": self.contrast,
            "fitted_on": {
                "n": len(self.cases),
                "split": self.split,
                "cases": [{"case": name, "sha256": digest} for name, digest in self.cases],
            },
            "parameters": dict(self.parameters),
            "values": dict(self.values),
        }

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def told(self) -> dict[str, Any]:
        """What a record says of it: kind, hash, and what it was fitted on."""
        return {
            "kind": self.kind,
            "sha256": self.sha256,
            "fitted_on": self.to_dict()["fitted_on"],
        }

    def write(self, path: str | Path) -> Path:
        """Write it as JSON, whole or not at all."""
        from mriprep.io.atomic import write_json

        return write_json(self.to_dict(), path)

    def __repr__(self) -> str:
        return f"<State {self.kind}, fitted on {len(self.cases)} images>"

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _: Any, __: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string"}  # a recipe holds the path of its file


#: The file of a state, or the state itself (in Python alone).
StateFile = str | State


# -- reading ----------------------------------------------------------------------------------


def read_state(path: str | Path) -> State:
    """Read a state from its file.

    Raises
    ------
    InputError
        If it is not there, or is not what :meth:`State.write` writes.
    """
    path = expanded(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _unusable(path.name, "it is too large")
        text = read_text(path, _MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(
            f"the state '{path}' cannot be read: {reason}",
            hint=_HOW,
        ) from None

    content = strict_json(text, lambda why: _unusable(path.name, why))
    return state_of(content, path.name)


def state_of(content: Any, where: str = "state") -> State:
    """The state that plain data describe; `where` names them in errors.

    Raises
    ------
    InputError
        If anything is missing, unknown or of another type.
    """
    if not isinstance(content, dict) or "schema" not in content or "kind" not in content:
        raise _unusable(where, "it is something else")
    if content["schema"] != SCHEMA or isinstance(content["schema"], bool):
        raise InputError(
            f"{where}: the state has layout {content['schema']!r}, and this mriprep reads {SCHEMA}",
            hint="it comes from another version of mriprep: install that one, or fit it again",
        )
    _keys(where, content, _KEYS)
    on = content["fitted_on"]
    if not isinstance(on, dict):
        raise _unusable(where, "'fitted_on' is no mapping")
    _keys(where, on, _FITTED_ON)
    for key, value, kind in (
        *((k, content[k], str) for k in ("kind", "mriprep", "contrast")),
        *((k, content[k], dict) for k in ("parameters", "values")),
        ("split", on["split"], str),
        ("cases", on["cases"], list),
    ):
        if not isinstance(value, kind):
            raise _unusable(where, f"'{key}' is of another type")
    cases = []
    for case in on["cases"]:
        if not isinstance(case, dict) or set(case) != {"case", "sha256"}:
            raise _unusable(where, "a case has a name and a sha256, and nothing else")
        if not all(isinstance(v, str) for v in case.values()):
            raise _unusable(where, "a case's name and sha256 are texts")
        cases.append((case["case"], case["sha256"]))
    if on["n"] != len(cases):
        raise _unusable(where, f"it tells of {len(cases)} cases, and says {on['n']}")
    return State(
        content["kind"],
        content["values"],
        tuple(cases),
        on["split"],
        content["contrast"],
        content["parameters"],
        content["mriprep"],
    )


def _keys(where: str, given: Mapping[str, Any], wanted: Iterable[str]) -> None:
    if odd := sorted(set(given) ^ set(wanted)):
        raise _unusable(where, f"'{odd[0]}' is {'unknown' if odd[0] in given else 'missing'}")


def _unusable(where: str, why: str) -> InputError:
    return InputError(
        f"{where} is no state of a normaliser: {why}",
        hint=_HOW,
    )


# -- values -----------------------------------------------------------------------------------


class Values:
    """The values of a state, each read in its type.

    Raises
    ------
    InputError
        Where one is missing, unknown, of another type or shape, or not finite.
    """

    def __init__(self, state: State, names: Iterable[str]) -> None:
        self.where = f"the state of {state.kind}"
        self.values = state.values
        _keys(self.where, self.values, names)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def refuse(self, why: str) -> InputError:
        """The error that says why they cannot be used."""
        return _unusable(self.where, why)

    def numbers(self, name: str, shape: tuple[int, ...] = (-1,), *, rising: str = "") -> Doubles:
        """An array; -1 stands for any length, `rising` is "", "always" or "never falling"."""
        return self.array(name, self.values[name], shape, rising)

    def array(self, name: str, value: Any, shape: tuple[int, ...], rising: str = "") -> Doubles:
        """As :meth:`numbers`, of a value that lies deeper."""
        try:
            found = np.asarray(value)
        except ValueError:  # rows of unequal length
            raise self.refuse(f"'{name}' is no array") from None
        if found.dtype.kind not in "iuf" or found.ndim != len(shape) or not found.size:
            raise self.refuse(f"'{name}' is no array of numbers with {len(shape)} axes")
        for have, want in zip(found.shape, shape, strict=True):
            if want not in (-1, have):
                raise self.refuse(f"'{name}' has {have} numbers where {want} belong")
        if not np.isfinite(found).all():
            raise self.refuse(f"'{name}' holds numbers beyond all bounds")
        steps = np.diff(found)
        if (rising == "always" and (steps <= 0).any()) or (rising and (steps < 0).any()):
            raise self.refuse(f"'{name}' does not rise")
        return found.astype(np.float64)
