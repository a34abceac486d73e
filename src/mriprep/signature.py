"""What is read off a step's function: what it consumes, its parameters, their ranges and words."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from .core import Case, Grid, RecipeError, Role, Transform, Volume
from .core.errors import nearest

#: What a step consumes and makes. The role names the slot of a recipe that it is taken from.
Image = Annotated[Volume, Role.IMAGE]
Mask = Annotated[Volume, Role.MASK]
Labels = Annotated[Volume, Role.LABELS]
Probability = Annotated[Volume, Role.PROBABILITY]

#: Labels that a step finds: a slot of their own, beside the labels that came with the scan.
Tissues = Annotated[Volume, "tissues"]

#: Of a head, what is no longer to be seen: a mask that `deface` hands on.
Face = Annotated[Volume, "face"]

#: An image to go by, which no recipe fills in.
Reference = Annotated[Volume, "reference"]

#: The region that statistics are taken from; a mask, or what to derive it from.
Within = Mask | Literal["foreground", "whole"] | None

#: Slots of a recipe: what is handed from step to step.
SLOTS = ("source", "image", "mask", "labels", "tissues", "transform", "slices")


@dataclass(frozen=True)
class Unit:
    """The unit of a parameter, as an annotation: ``Annotated[float, Unit("mm")]``."""

    symbol: str


@dataclass(frozen=True)
class Only:
    """That a parameter counts with some values of another alone, as an annotation.

    ``Annotated[float, Only("method", "blur")]`` has no effect with any other
    method, and is refused where it is set all the same.
    """

    parameter: str
    values: tuple[str, ...]

    def __init__(self, parameter: str, *values: str) -> None:
        object.__setattr__(self, "parameter", parameter)
        object.__setattr__(self, "values", values)

    def counts(self, parameters: Mapping[str, Any]) -> bool:
        """Whether it is looked at with these parameters."""
        return parameters[self.parameter] in self.values


@dataclass(frozen=True)
class Citation:
    """A paper behind a step; behind one of its engines or methods, where that is named."""

    key: str
    text: str
    doi: str
    engine: str = ""
    methods: tuple[str, ...] = ()

    def counts(self, engine: str | None, method: object) -> bool:
        """Whether it is behind what that engine and that method did."""
        return self.engine in (engine or "") and (not self.methods or method in self.methods)


@dataclass(frozen=True)
class Input:
    """Something that a step consumes: a slot of the recipe, or one of a few words in its place."""

    name: str
    slot: str
    optional: bool
    words: tuple[str, ...] = ()
    doc: str = ""
    role: Role | None = None


def _plainly(reason: str) -> str:
    """What the checker of types says, in our words."""
    return reason.replace("Input should be", "it should be")


@dataclass(frozen=True)
class Parameter:
    """A keyword-only parameter of a step."""

    name: str
    annotation: Any
    default: Any
    doc: str = ""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    @property
    def unit(self) -> str:
        """Its unit, or an empty string."""
        return next((m.symbol for m in metadata_of(self.annotation) if isinstance(m, Unit)), "")

    @property
    def only(self) -> Only | None:
        """With which values of another parameter it counts; None where it always does."""
        return next((m for m in metadata_of(self.annotation) if isinstance(m, Only)), None)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The words (or numbers) it accepts, where it is a choice among some."""
        return words_of(self.annotation)

    def validate(self, value: Any, step: str) -> Any:
        """The value in its declared type.

        Raises
        ------
        RecipeError
            If it is of another type or out of range; says what is accepted.
        """
        from pydantic import ValidationError

        if isinstance(value, bool) and bool not in members_of(self.annotation):
            # Python takes True for 1 and YAML takes `on` for True: neither is a number here.
            raise RecipeError(
                f"{step}.{self.name} = {value} is not accepted: it is no yes-or-no",
                hint=nearest(str(value), self.choices) if self.choices else self.doc or None,
            )
        if isinstance(value, str):  # a number in quotes is that number, here as elsewhere
            value = next((c for c in self.choices if str(c) == value), value)
        try:
            return adapter_of(self.annotation).validate_python(value)
        except ValidationError as error:
            reasons = "; ".join(dict.fromkeys(_plainly(e["msg"]) for e in error.errors()))
            hint = nearest(str(value), self.choices) if self.choices else self.doc
            raise RecipeError(
                f"{step}.{self.name} = {value!r} is not accepted: {reasons}", hint=hint or None
            ) from None

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the parameter, for editors and for the docs."""
        schema: dict[str, Any] = adapter_of(self.annotation).json_schema()
        if not self.required:
            schema["default"] = self.default
        schema["description"] = self.doc + (f" Unit: {self.unit}." if self.unit else "")
        return schema


@dataclass
class Docs:
    """The parts of a numpydoc docstring; parsed when asked, since listings need the title alone."""

    function: Callable[..., Any]
    _parsed: Any = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """The first line."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def description(self) -> str:
        """What stands between the first line and the parameters."""
        text = inspect.getdoc(self.function) or ""
        return text.split("\n", 1)[-1].split("\nParameters\n", 1)[0].strip()

    def of(self, name: str) -> str:
        """What is said of a parameter."""
        sections = (inspect.getdoc(self.function) or "").split("\nParameters\n", 1)
        if len(sections) < 2:
            return ""
        lines: list[str] = []
        found = False
        for line in sections[1].splitlines()[1:]:
            if line and not line[0].isspace():
                if found or set(line) == {"-"}:
                    break
                found = name in line.split(":")[0].replace(",", " ").split()
            elif found and line.strip():
                lines.append(line.strip())
            elif found and lines:
                break
        return " ".join(lines)


def members_of(annotation: Any) -> list[Any]:
    """The members of a union, each without its annotation's metadata; the metadata follow."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        base, *metadata = typing.get_args(annotation)
        return [*members_of(base), *metadata]
    if origin in (types.UnionType, typing.Union):
        return [m for a in typing.get_args(annotation) for m in members_of(a)]
    return [annotation]


def metadata_of(annotation: Any) -> list[Any]:
    """Ranges, units and roles of an annotation."""
    return [m for m in members_of(annotation) if not isinstance(m, type)]


def words_of(annotation: Any) -> tuple[str, ...]:
    """The words that an annotation accepts."""
    members = members_of(annotation)
    return tuple(w for m in members if typing.get_origin(m) is Literal for w in typing.get_args(m))


def slot_of(annotation: Any) -> str:
    """The slot of a recipe that an input is taken from, or a result goes to."""
    members = members_of(annotation)
    if Transform in members:
        return "transform"
    if Grid in members:
        return "grid"
    for m in members:
        if isinstance(m, Role):
            return m.value
        if isinstance(m, str):
            return m
    if Path in members:
        return "source"
    if Case in members or Volume in members:
        return "image"
    return "slices"


@functools.cache
def adapter_of(annotation: Any) -> Any:
    """What validates values of an annotation; made once."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
