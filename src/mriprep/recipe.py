"""What to do: steps with their parameters, from a preset or a YAML file, checked before anything runs."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import declare, frozen, pins
from .core import RecipeError
from .core.errors import nearest
from .entries import (
    EXAMPLE,
    Entry,
    SessionPart,
    checked_entry,
    listed,
    refused,
    session_part,
    set_in_session,
)

#: What a parameter says that leaves the answer to the case.
_OPEN = (None, "", "auto")


@dataclass(frozen=True)
class Recipe:
    """Steps in order.

    Parameters
    ----------
    name, title, description : str
        For listings and records.
    entries : tuple of Entry
        The steps.
    session : SessionPart or None
        For recipes that take all contrasts of a session.
    pins : mapping
        Of a frozen recipe: SHA-256 of the templates and weights that it was
        frozen with, which others may not take the place of, and the contrasts
        of its images (:mod:`.pins`).
    """

    name: str
    entries: tuple[Entry, ...]
    title: str = ""
    description: str = ""
    session: SessionPart | None = None
    pins: Mapping[str, Any] = field(default_factory=dict)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """A copy with some parameters set, by ``"step.parameter"``.

        Raises
        ------
        RecipeError
            If the recipe has no such step, or the step no such parameter.
        """
        entries = list(self.entries)
        part = self.session
        for key, value in settings.items():
            step_name, _, parameter = key.partition(".")
            here = [i for i, e in enumerate(entries) if e.step.name == step_name]
            if not parameter:
                raise RecipeError(f"'{key}' is not a setting", hint="write step.parameter=value")
            there = set_in_session(part, step_name, parameter, value)
            changed, part = there != part, there
            if not here and changed:
                continue
            if not here:
                used = [e.step.name for e in entries]
                raise RecipeError(
                    f"the recipe '{self.name}' has no step '{step_name}'",
                    hint=nearest(step_name, used),
                )
            for i in here:
                entries[i] = checked_entry(
                    entries[i].step, {**entries[i].given, parameter: value}, f"setting {key}"
                )
        return replace(self, entries=tuple(entries), session=part)

    def informed(self, facts: Mapping[str, Any], contrast: str | None) -> Recipe:
        """A copy in which steps know what they left open and the case tells.

        Age, contrast, sex and site, where the template, the engine or the
        intensities depend on them and the recipe does not say them: so that a
        plan finds it, and the record tells by what it was chosen.
        """
        from . import templates
        from .core.age import ADULT, age_of

        entries = list(self.entries)
        for i, entry in enumerate(entries):
            if entry.step.name == "register":
                wanted = templates.asks(entry.parameters["template"])
            elif entry.step.kind == "brain":
                wanted = frozenset(("age", "contrast"))
            elif entry.step.name == "combat":
                wanted = frozenset(("age", "sex", "site"))
            elif entry.parameters.get("contrast") == "auto":
                wanted = frozenset(("contrast",))
            else:
                continue
            age = age_of(facts)
            case = {
                "age": None if age is None else ADULT if age.years is None else age.years,
                "contrast": None if contrast == "image" else contrast,
                "sex": facts.get("sex"),
                "site": facts.get("site"),
            }
            told = {
                k: v
                for k, v in case.items()
                if k in wanted
                and v is not None
                and entry.parameters[k] in _OPEN
                and not refused(entry.step, k, v)
            }
            entries[i] = replace(entry, parameters={**entry.parameters, **told})
        return replace(self, entries=tuple(entries))

    def left_open(self) -> dict[str, Any]:
        """What the recipe left to the case, which :meth:`informed` told: ``"0.age"`` to what it said."""
        told = {}
        for i, entry in enumerate(self.entries):
            asked = entry.step.validate(entry.given)
            for k in ("age", "contrast", "sex", "site"):
                if k in asked and asked[k] in _OPEN and asked[k] != entry.parameters[k]:
                    told[f"{i}.{k}"] = asked[k]
        return told

    def without(self, names: Sequence[str]) -> Recipe:
        """A copy that leaves out the steps of these names."""
        used = [e.step.name for e in self.entries]
        for name in names:
            if name not in used:
                raise RecipeError(
                    f"the recipe '{self.name}' has no step '{name}'", hint=nearest(name, used)
                )
        left = tuple(e for e in self.entries if e.step.name not in names)
        if not left:
            raise RecipeError(f"nothing of the recipe '{self.name}' would be left to do")
        return replace(self, entries=left)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain data, every parameter resolved: what a record holds."""
        return {
            "name": self.name,
            "title": self.title,
            "steps": [{e.step.name: dict(e.parameters)} for e in self.entries],
            **({"session": self.session.to_dict()} if self.session else {}),
        }


def presets() -> list[str]:
    """Names of the recipes that come with mriprep."""
    folder = importlib.resources.files("mriprep") / "recipes"
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def preset_text(name: str) -> str:
    """The YAML of a preset."""
    if name not in presets():
        raise RecipeError(
            f"there is no recipe '{name}'",
            hint=f"{nearest(name, presets())}; or give the path of a YAML file",
        )
    folder = importlib.resources.files("mriprep") / "recipes"
    return (folder / f"{name}.yaml").read_text("utf-8")


def load(spec: str | Path | Mapping[str, Any]) -> Recipe:
    """Read a recipe: a preset's name, a YAML file, a frozen one, or the same as a mapping.

    Raises
    ------
    RecipeError
        For anything in it that is not right, with the line where it stands.
    """
    if isinstance(spec, Mapping):
        return _build(dict(spec), {}, "recipe")
    from .io.given import leads_to, read_text
    from .io.strict_yaml import LONGEST

    path = Path(spec)
    there = leads_to(path) == "file"
    if path.suffix == ".recipe" or (there and frozen.is_frozen(path)):
        return load_frozen(path)
    if path.suffix in (".yaml", ".yml") or there:
        try:
            text = read_text(path, LONGEST)
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(
                f"the recipe '{path}' cannot be read: {error}",
                hint=f"give a YAML file, or one of: {', '.join(presets())}",
            ) from None
        return parse(text, path.stem, str(path))
    return parse(preset_text(str(spec)), str(spec), str(spec))


def load_frozen(path: Path, *, strict: bool = False) -> Recipe:
    """Read a frozen recipe; refused where templates or weights here are others.

    Raises
    ------
    InputError
        If the file is not as it was written, a template or weights have
        another hash, or, if `strict`, other versions are installed.
    RecipeError
        If its recipe is not one of this mriprep.
    """
    from .io.given import expanded

    found = _build(frozen.thawed(expanded(path), strict=strict), {}, path.name)
    pins.check(found.entries, found.pins, early=True)
    return found


def parse(text: str, name: str = "recipe", where: str = "recipe") -> Recipe:
    """Read a recipe from YAML text; `where` names it in errors."""
    import yaml

    from .io.strict_yaml import strict_yaml

    try:
        node, content = strict_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise RecipeError(f"{where}{line}: {problem}") from None
    except ValueError as error:  # an impossible date, brackets without end, a billion aliases
        raise RecipeError(f"{where}: not YAML: {error}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{where}: a recipe is a mapping with 'steps'", hint=EXAMPLE)
    lines, twice = _lines(node)
    if twice:
        key, number = twice[0]
        raise RecipeError(
            f"{where}, line {number}: '{key.rpartition('.')[2]}' stands here a second time",
            hint="to do a step twice, list it twice",
        )
    if content.get("name") is None:
        content["name"] = name
    return _build(content, lines, where)


def schema() -> dict[str, Any]:
    """JSON Schema of recipes, for editors: made from the declarations of the steps."""
    steps = {name: declare.get(name).schema() for name in declare.names()}
    a_list = {
        "type": "array",
        "minItems": 1,
        "items": {
            "oneOf": [
                {"enum": [name for name, s in steps.items() if not s["required"]]},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                    "properties": steps,
                },
            ]
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mriprep recipe",
        "type": "object",
        "additionalProperties": False,
        "required": ["steps"],
        "properties": {
            "name": {"type": "string"},
            "title": {"type": "string"},
            "description": {"type": "string"},
            "steps": a_list,
            "session": {
                "description": "Takes all contrasts of a session; the others follow the reference.",
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {
                    "register": {
                        **steps["register"],
                        "description": "How the others are laid upon the reference.",
                    },
                    "estimate_on": {
                        **a_list,
                        "description": "Steps for the copies that registrations are estimated on.",
                    },
                    "shape": {
                        "description": "Voxels that the template's grid is expected to have.",
                        "type": "array",
                        "items": {"type": "integer", "minimum": 1},
                        "minItems": 3,
                        "maxItems": 3,
                    },
                },
            },
        },
    }


# -- building ---------------------------------------------------------------------------------

_KEYS = ("name", "title", "description", "session", "steps")
#: What only a frozen recipe has, and mappings made of it.
_PINS = "pins"


def _build(content: dict[str, Any], lines: dict[str, int], where: str) -> Recipe:
    def at(path: str) -> str:
        return f"{where}, line {lines[path]}" if path in lines else where

    for key in content:
        if key not in (*_KEYS, _PINS):
            raise RecipeError(
                f"{at(str(key))}: a recipe has no '{key}'", hint=nearest(str(key), _KEYS)
            )
    return Recipe(
        str(content.get("name") or "recipe"),
        listed(content.get("steps"), "steps", at),
        str(content.get("title") or ""),
        str(content.get("description") or "").strip(),
        session_part(content["session"], at) if "session" in content else None,
        _pins(content.get(_PINS, {}), where),
    )


def _pins(given: Any, where: str) -> dict[str, Any]:
    """What a recipe was frozen with."""
    if given:
        frozen.check_pins(given, lambda why: RecipeError(f"{where}: {why}"))
    return dict(given)


#: ``session``, ``estimate_on``, its item, the step's name, the parameter: no recipe goes deeper.
_DEPTH = 5


def _lines(node: Any) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """Line (from 1) of every key and item of a YAML tree, by dotted path; and of keys given twice."""
    import yaml

    found: dict[str, int] = {}
    twice: list[tuple[str, int]] = []

    def visit(node: Any, path: str, depth: int) -> None:
        if depth == _DEPTH:  # aliases can make a tree endless
            return
        mapping = isinstance(node, yaml.MappingNode)
        if not mapping and not isinstance(node, yaml.SequenceNode):
            return
        here: set[str] = set()
        for i, child in enumerate(node.value):
            key, value = child if mapping else (child, child)
            inner = f"{path}.{key.value if mapping else i}".strip(".")
            if inner in here:
                twice.append((inner, key.start_mark.line + 1))
            here.add(inner)
            found[inner] = key.start_mark.line + 1
            visit(value, inner, depth + 1)

    visit(node, "", 0)
    return found, twice


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read ``step.parameter=value`` texts; values are YAML (numbers, words, lists)."""
    import yaml

    from .io.strict_yaml import strict_yaml

    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"\w+\.\w+", key.strip()):
            raise RecipeError(f"'{text}' is not a setting", hint="for instance --set n4.shrink=2")
        try:
            _, parsed = strict_yaml(value)
        except (yaml.YAMLError, ValueError):
            parsed = value
        settings[key.strip()] = tuple(parsed) if isinstance(parsed, list) else parsed
    return settings
