"""The parts of a recipe: steps with their parameters, and how it takes a session; each checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import declare
from .core import RecipeError
from .core.errors import nearest
from .declare import Step

#: Says where something in a recipe stands, for errors: its dotted path to file and line.
Where = Callable[[str], str]

EXAMPLE = "for instance:  steps: [skullstrip, {n4: {shrink: 2}}, zscore]"
_SESSION_KEYS = ("register", "estimate_on", "shape")


@dataclass(frozen=True)
class Entry:
    """A step of a recipe, its parameters resolved."""

    step: Step
    parameters: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True)
class SessionPart:
    """How a recipe takes several contrasts of one session.

    Parameters
    ----------
    register : Entry
        How the other contrasts are laid upon the reference.
    estimate_on : tuple of Entry
        Steps for the copies that registrations are estimated on; empty where
        they are estimated on the images as they are.
    shape : tuple of int or None
        Voxels that the template's grid is expected to have.
    """

    register: Entry
    estimate_on: tuple[Entry, ...] = ()
    shape: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "register": dict(self.register.given),
            "estimate_on": [{e.step.name: dict(e.parameters)} for e in self.estimate_on],
            **({"shape": list(self.shape)} if self.shape else {}),
        }


def listed(steps: Any, path: str, at: Where) -> tuple[Entry, ...]:
    """The steps of a list; `path` says where it stands in the recipe."""
    if not isinstance(steps, list) or not steps:
        name = path.rpartition(".")[2]
        raise RecipeError(f"{at(path)}: '{name}' must be a list of steps", hint=EXAMPLE)
    found = []
    for i, item in enumerate(steps):
        here = f"{path}.{i}"
        if isinstance(item, str):
            item = {item: None}
        if not isinstance(item, dict) or len(item) != 1:
            raise RecipeError(f"{at(here)}: a step is a name, or a name with parameters: {item!r}")
        name, given = next(iter(item.items()))
        try:
            step = declare.get(str(name))
        except RecipeError as error:
            raise RecipeError(f"{at(here)}: {error.message}", hint=error.hint) from None
        found.append(_given(step, given, here, f"{here}.{name}", at))
    return tuple(found)


def _given(step: Step, given: Any, here: str, inner: str, at: Where) -> Entry:
    """A step with the parameters that a recipe gives it."""
    if given is not None and not isinstance(given, dict):
        raise RecipeError(
            f"{at(here)}: the parameters of '{step.name}' must be a mapping, got {given!r}"
        )
    given = {str(k): tuple(v) if isinstance(v, list) else v for k, v in (given or {}).items()}
    bad = next((k for k, value in given.items() if refused(step, k, value)), None)
    return checked_entry(step, given, at(here if bad is None else f"{inner}.{bad}"))


def session_part(content: Any, at: Where) -> SessionPart:
    """What stands under ``session`` in a recipe."""
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise RecipeError(
            f"{at('session')}: 'session' must be a mapping, got {content!r}",
            hint=f"it may hold {', '.join(_SESSION_KEYS)}, or nothing:  session: {{}}",
        )
    for key in content:
        if key not in _SESSION_KEYS:
            raise RecipeError(
                f"{at(f'session.{key}')}: a session has no '{key}'",
                hint=nearest(str(key), _SESSION_KEYS),
            )
    shape = content.get("shape")
    if shape is not None and not (
        isinstance(shape, list)
        and len(shape) == 3
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    ):
        raise RecipeError(
            f"{at('session.shape')}: 'shape' must be three whole numbers, got {shape!r}",
            hint="for instance  shape: [240, 240, 155]",
        )
    path = "session.register"
    copies = content.get("estimate_on")
    register = _given(declare.get("register"), content.get("register"), path, path, at)
    of_copies = listed(copies, "session.estimate_on", at) if copies is not None else ()
    for e in of_copies:
        if e.step.each or e.step.makes != "image" or e.parameters.get("output") == "mask":
            raise RecipeError(
                f"{e.where}: 'estimate_on' takes steps that change intensities, and"
                f" '{e.step.name}' does not",
                hint="for instance  estimate_on: [{n4: {shrink: 2}}]",
            )
    return SessionPart(
        register,
        of_copies,
        tuple(shape) if shape else None,
    )


#: What of `register` is as true of registering to the reference as to a template.
_OF_ENGINE = ("engine", "device")


def set_in_session(
    part: SessionPart | None, step: str, parameter: str, value: Any
) -> SessionPart | None:
    """The session's part with a parameter set in those of its steps that have it."""
    if part is None:
        return None

    def changed(entry: Entry) -> Entry:
        where = f"setting {step}.{parameter}"
        return checked_entry(entry.step, {**entry.given, parameter: value}, where)

    if step == "register" and parameter in _OF_ENGINE:
        part = replace(part, register=changed(part.register))
    copies = tuple(changed(e) if e.step.name == step else e for e in part.estimate_on)
    return replace(part, estimate_on=copies)


def refused(step: Step, name: str, value: Any) -> bool:
    """Whether this one parameter is what validation will stumble over, to name its line."""
    try:
        step.validated(name, value)
    except RecipeError:
        return True
    return False


def checked_entry(step: Step, given: Mapping[str, Any], where: str) -> Entry:
    """A step with its parameters, checked; `where` names it in errors."""
    if "state" in step.parameters and not isinstance(given.get("state", ""), str):
        raise RecipeError(
            f"{where}: a recipe holds the path of a fitted state, not the state itself",
            hint="write it first: state.write('state.json')",
        )
    try:
        return Entry(step, step.validate(given), dict(given), where)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error.message}", hint=error.hint) from None
