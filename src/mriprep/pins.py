"""What a frozen recipe is bound to: templates and weights by their hash; others are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import engines, templates, weights
from .core import InputError, MriprepError
from .entries import Entry
from .io.hashes import checked


def check(
    entries: Iterable[Entry], pinned: Mapping[str, Mapping[str, Any]], *, early: bool = False
) -> None:
    """Refuse templates and weights that are not those that a recipe was frozen with.

    Parameters
    ----------
    entries : iterable of Entry
        The recipe's, informed of the case, so that they say which template is meant.
    pinned : mapping
        SHA-256 of ``templates`` by file, and of ``weights`` by name and file.
    early : bool
        Before there is a case: what is not on this machine, or depends on the
        case, is left for later.

    Raises
    ------
    InputError
        If a file has another hash; says which.
    """
    if not pinned:
        return
    for entry in entries:
        if entry.step.name == "register":
            _template(entry.parameters, pinned.get("templates", {}), early)
    for name, files in pinned.get("weights", {}).items():
        for path in _weights(name):
            if path.name in files and checked(path) != files[path.name]:
                raise _another(f"the weights {name}, {path.name}", files[path.name], path)


def _template(parameters: Mapping[str, Any], pins: Mapping[str, Any], early: bool) -> None:
    spec = parameters["template"]
    try:
        found = templates.find(
            spec, age=parameters["age"], contrast=parameters["contrast"], offline=early
        )
    except MriprepError:
        if early:
            return
        raise
    for path in (found.image, found.mask):
        if path is not None and path.name in pins and checked(path) != pins[path.name]:
            raise _another(f"the template {path.name}", pins[path.name], path)


def _weights(name: str) -> Iterator[Path]:
    """The files of a network's weights that are on this machine."""
    if name in weights.names():
        if weights.is_here(name):
            place, wanted = weights.find(name), weights.describe(name).wanted
            yield from [place] if place.is_file() else [place / f for f in wanted]
        return
    try:
        module = engines.load("brain", name)
        yield from module.weight_files()
    except (MriprepError, AttributeError):  # the step that wants them says what is missing
        return


def _another(what: str, wanted: str, path: Path) -> InputError:
    return InputError(
        f"{what} is not what the recipe was frozen with: its SHA-256 should be {wanted}"
        f" and is {checked(path)}",
        hint="put the same file there; or freeze the recipe anew, from a run with this one",
    )
