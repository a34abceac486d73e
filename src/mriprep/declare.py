"""What a step is: one function whose signature and docstring say everything once.

The command line, the recipe schema, the record, the docs and the contract
tests of a step are all made from its declaration here.

>>> from typing import Annotated
>>> from annotated_types import Ge, Le
>>> @step(methods="Intensities were scaled by {factor:g}.")
... def scale(image: Image, *, factor: Annotated[float, Ge(0), Le(10)] = 1.0) -> Image:
...     '''Multiply the intensities.
...
...     Parameters
...     ----------
...     image : Volume
...         The image.
...     factor : float
...         What to multiply by.
...     '''
...     return image.replace(image.data * factor)
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from .byproducts import keep, keeping
from .consumed import check_input
from .core import RecipeError, Role, Volume
from .core.errors import nearest
from .signature import (
    SLOTS,
    Citation,
    Docs,
    Face,
    Image,
    Input,
    Labels,
    Mask,
    Only,
    Parameter,
    Probability,
    Reference,
    Tissues,
    Unit,
    Within,
    members_of,
    slot_of,
    words_of,
)

__all__ = [
    "NO_ENGINE",
    "SLOTS",
    "Citation",
    "Face",
    "Image",
    "Input",
    "Labels",
    "Mask",
    "Only",
    "Parameter",
    "Planner",
    "Probability",
    "Reference",
    "Step",
    "Tissues",
    "Unit",
    "Within",
    "get",
    "keep",
    "keeping",
    "names",
    "step",
]

P = ParamSpec("P")
R = TypeVar("R")

#: What a step says of its engine where none was needed.
NO_ENGINE = "none"

#: A sentence of the methods section, or what makes it of the parameters.
Sentence = str | Callable[[Mapping[str, Any]], str]
#: Says what a step will make of grids and transforms, before there are voxels.
Planner = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Step:
    """The declaration of a step, read off its function."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Input, ...]
    parameters: Mapping[str, Parameter]
    makes: str
    title: str
    description: str
    methods: Sentence = ""
    citations: tuple[Citation, ...] = ()
    each: bool = False
    kind: str | None = None
    plan: Planner | None = None
    begins: Callable[[Mapping[str, Any]], str] | None = None
    bytes_per_voxel: float = 12.0
    seconds_per_megavoxel: float = 0.1

    def sentence(self, words: Mapping[str, Any]) -> str:
        """What the methods section says of it, with these words for its parameters."""
        sentence = self.methods if isinstance(self.methods, str) else self.methods(words)
        return sentence.format_map(words)

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, defaults filled in, each checked.

        Raises
        ------
        RecipeError
            For an unknown name, a wrong type, a value out of range, a
            required parameter that is not given, or one that has no effect
            with the method that is chosen.
        """
        checked = {name: self.validated(name, value) for name, value in given.items()}
        resolved = {name: value for name, value in checked.items() if name not in self.parameters}
        for name, parameter in self.parameters.items():
            if name in checked:
                resolved[name] = checked[name]
            elif parameter.required:
                raise RecipeError(f"{self.name} needs '{name}'", hint=parameter.doc or None)
            else:
                resolved[name] = parameter.default
        self._check_effects(resolved)
        return resolved

    def _check_effects(self, values: Mapping[str, Any]) -> None:
        """Refuse a parameter that was set and is not looked at."""
        for name, parameter in self.parameters.items():
            only = parameter.only
            if only is None or values[name] == parameter.default or only.counts(values):
                continue
            chosen = values[only.parameter]
            takes = [
                n
                for n, p in self.parameters.items()
                if p.only is not None and p.only.counts(values)
            ]
            raise RecipeError(
                f"{self.name}.{name} = {values[name]!r} has no effect with"
                f" {only.parameter} '{chosen}'",
                hint=f"{name} is for {only.parameter} {' or '.join(only.values)}; '{chosen}' takes"
                f" {' and '.join(takes) or 'none of its kind'}",
            )

    def validated(self, name: str, value: Any) -> Any:
        """One parameter (or a word in an input's place) in its declared type.

        Raises
        ------
        RecipeError
            As :meth:`validate`.
        """
        if name in self.parameters:
            return self.parameters[name].validate(value, self.name)
        words = {i.name: i.words for i in self.inputs if i.words}
        if name not in words:
            accepted = [*self.parameters, *words]
            raise RecipeError(
                f"{self.name} has no parameter '{name}'",
                hint=nearest(name, accepted) if accepted else "it takes no parameters",
            )
        if value not in words[name]:
            raise RecipeError(
                f"{self.name}.{name} = {value!r} is not accepted",
                hint=nearest(str(value), words[name]),
            )
        return value

    def engine(self, parameters: Mapping[str, Any]) -> str | None:
        """The engine that these parameters choose, or begin with, where the step has engines."""
        if not self.kind:
            return None
        return self.begins(parameters) if self.begins else parameters.get("engine")

    def slot(self, result: Any) -> str:
        """The slot of a recipe that a result belongs to."""
        by_role = isinstance(result, Volume) and self.makes in tuple(Role)
        return result.role.value if by_role else self.makes

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the step's entry in a recipe."""
        properties = {p.name: p.schema() for p in self.parameters.values()}
        for i in self.inputs:
            if i.words:
                properties[i.name] = {"enum": list(i.words), "description": i.doc}
        required = [p.name for p in self.parameters.values() if p.required]
        return {
            "type": "object" if required else ["object", "null"],
            "description": self.title,
            "additionalProperties": False,
            "properties": properties,
            "required": required,
        }


# -- declaring --------------------------------------------------------------------------------


def step(
    *,
    methods: Sentence = "",
    citations: tuple[Citation, ...] = (),
    each: bool = False,
    kind: str | None = None,
    plan: Planner | None = None,
    begins: Callable[[Mapping[str, Any]], str] | None = None,
    bytes_per_voxel: float = 12.0,
    seconds_per_megavoxel: float = 0.1,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a function to be a step of pipelines.

    Positional parameters are what it consumes; keyword-only ones are its
    parameters; the return annotation is what it makes. Calls are checked:
    volumes by type, parameters by their annotations.

    Parameters
    ----------
    methods : str or callable
        A sentence for the methods section; ``{name}`` is filled with parameters. A callable
        maps parameters to that sentence.
    citations : tuple of Citation
        The papers behind it.
    each : bool
        Whether a recipe applies it to every volume there is (geometry), not
        to the image alone (intensities).
    kind : str, optional
        The kind of engine that its ``engine`` parameter names.
    plan : callable, optional
        Maps (inputs as grids and transforms, parameters) to the grid or
        transform that it will make; without it, the grid of the image. None
        as a result means that it depends on the voxels.
    begins : callable, optional
        Maps parameters to the engine that it begins with, where ``engine``
        may be a word that stands for several (``auto``).
    bytes_per_voxel, seconds_per_megavoxel : float
        What it needs beyond its input, roughly, for plans and progress.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        declared = _read(
            function,
            methods=methods,
            citations=citations,
            each=each,
            kind=kind,
            plan=plan,
            begins=begins,
            bytes_per_voxel=bytes_per_voxel,
            seconds_per_megavoxel=seconds_per_megavoxel,
        )
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name not in signature.parameters:
                    raise RecipeError(
                        f"{declared.name} has no parameter '{name}'",
                        hint=nearest(name, signature.parameters),
                    )
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise RecipeError(
                    f"{declared.name}: {error}", hint=f"{declared.name}{signature}"
                ) from None
            consumed = [(i, bound.arguments.get(i.name)) for i in declared.inputs]
            for i, value in consumed:
                check_input(declared.name, i, value)
            names = {i.name for i, _ in consumed}
            given = {k: v for k, v in bound.arguments.items() if k not in names}
            bound.arguments.update(declared.validate(given))
            return function(*bound.args, **bound.kwargs)

        call.step = declared  # type: ignore[attr-defined]
        return call

    return decorate


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all steps."""
    package = importlib.import_module("mriprep.steps")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_"))


def get(name: str) -> Step:
    """The declaration of a step.

    Raises
    ------
    RecipeError
        If there is no step of that name; names the nearest one.
    """
    if name not in names():
        raise RecipeError(f"there is no step '{name}'", hint=nearest(name, names()))
    function = getattr(importlib.import_module(f"mriprep.steps.{name}"), name)
    declared: Step = function.step
    return declared


# -- reading a signature ----------------------------------------------------------------------


def _read(function: Callable[..., Any], **about: Any) -> Step:
    hints = typing.get_type_hints(function, include_extras=True)
    docs = Docs(function)
    inputs: list[Input] = []
    parameters: dict[str, Parameter] = {}
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.KEYWORD_ONLY:
            parameters[p.name] = Parameter(p.name, hints[p.name], p.default, docs.of(p.name))
        else:
            inputs.append(
                Input(
                    p.name,
                    slot_of(hints[p.name]),
                    p.default is not p.empty,
                    words_of(hints[p.name]),
                    docs.of(p.name),
                    next((m for m in members_of(hints[p.name]) if isinstance(m, Role)), None),
                )
            )
    return Step(
        name=function.__name__,
        function=function,
        inputs=tuple(inputs),
        parameters=types.MappingProxyType(parameters),
        makes=slot_of(hints["return"]),
        title=docs.title,
        description=docs.description,
        **about,
    )
