"""Fitted states in use: the one that a step was given, checked, and kept for the record."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from mriprep.core import InputError, MriprepWarning, Volume
from mriprep.declare import keep

from ._states import State, StateFile, read_state

T = TypeVar("T")
Region = Volume | Literal["foreground", "whole"] | None

#: Kinds of regions, in words.
REGIONS = {
    "mask": "within masks",
    "foreground": "on what Otsu's threshold keeps",
    "whole": "on whole images",
}


def kind_of(within: Region) -> str:
    """What kind of region a step was given."""
    return "mask" if isinstance(within, Volume) else within or "foreground"


def opened(
    state: StateFile, kind: str, check: Callable[[State], T], contrast: str | None = None
) -> tuple[State, T]:
    """The state that a step was given, and its values, checked to be one of its own.

    Parameters
    ----------
    state : str or State
        In a path, ``{contrast}`` stands for the image's contrast.
    kind : str
        The step.
    check : callable
        Reads the state's values, and raises where they are not right.
    contrast : str, optional
        The image's.

    Raises
    ------
    InputError
        If it cannot be read, is of another kind, or of another contrast than the image.
    """
    if isinstance(state, str):
        if "{contrast}" in state and not contrast:
            raise InputError(
                f"{kind}: which state is meant by '{state}' depends on the image's contrast,"
                " which is not known",
                hint="name the file by its contrast (..._T1w.nii.gz), or name the state in full",
            )
        found = read_state(state.replace("{contrast}", contrast or ""))
    else:
        found = state
    if found.kind != kind:
        raise InputError(
            f"{kind}: this state is one of '{found.kind}'",
            hint=f"apply it by the step {found.kind}, or fit one: mriprep fit {kind} ...",
        )
    if contrast and found.contrast and contrast != found.contrast:
        raise InputError(
            f"{kind}: the state was fitted on {found.contrast} images, this one is {contrast}",
            hint="fit a state for each contrast; `state: name_{contrast}.json` takes each its own",
        )
    return found, check(found)


def in_use(
    state: StateFile, kind: str, check: Callable[[State], T], image: Volume, within: Region
) -> tuple[State, T]:
    """As :func:`opened`, for an image; what was used is kept for the record.

    A region of another kind than the fit's, a head's where that was brains',
    is told: the numbers would be measured on something else.
    """
    found, values = opened(state, kind, check, contrast_of(image) or None)
    fitted, here = found.parameters.get("within"), kind_of(within)
    if fitted in REGIONS and fitted != here:
        warnings.warn(
            f"{kind}: the state was fitted {REGIONS[fitted]}, and here it is used {REGIONS[here]}:"
            " they measure different things",
            MriprepWarning,
            stacklevel=4,
        )
    keep(fitted=found)
    return found, values


def contrast_of(image: Volume) -> str:
    """The image's contrast, as far as it is known."""
    found = str(image.meta.get("contrast") or "")
    return "" if found == "image" else found


def planner(
    kind: str, check: Callable[[State], Any]
) -> Callable[[Mapping[str, Any], Mapping[str, Any]], Any]:
    """What a plan does with a step that has a state: find out now whether it can be used."""

    def plan(inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
        state = parameters.get("state")
        if state and not (isinstance(state, str) and "{contrast}" in state):
            opened(state, kind, check)
        return inputs["image"]

    return plan
