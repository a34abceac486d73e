"""What a frozen recipe is bound to: templates and weights by their hash, contrasts by their name.

Other templates and weights are refused, other contrasts told.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import engines, templates, weights
from .core import InputError, MriprepError, MriprepWarning
from .entries import Entry
from .io.hashes import checked

#: The contrast of images of which none is known, see :class:`.Case`.
_UNKNOWN = "image"


def check(entries: Iterable[Entry], pinned: Mapping[str, Any], *, early: bool = False) -> None:
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


def tell_contrasts(contrasts: Iterable[str], pinned: Mapping[str, Any]) -> None:
    """Say which images are of another contrast than those that a recipe was frozen from.

    Nothing is said where the contrast was not known then.

    Parameters
    ----------
    contrasts : iterable of str
        Of the images that are to be done.
    pinned : mapping
        ``contrasts``, of the images that the recipe was frozen from.

    Warns
    -----
    MriprepWarning
        For each contrast that was not among them, or is not known.
    """
    seen = pinned.get("contrasts", [])
    known = [c for c in seen if c != _UNKNOWN]
    if not known:
        return
    for contrast in contrasts:
        if contrast not in seen:
            this = "of a contrast that is not known" if contrast == _UNKNOWN else contrast
            warnings.warn(
                f"the recipe was frozen from images of {', '.join(known)}, and this one is {this}",
                MriprepWarning,
                stacklevel=2,
            )


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
