"""JSON from people one does not know."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from .given import LONGEST_TEXT, read_text


def load_json(path: str | os.PathLike[str], most: int = LONGEST_TEXT) -> Any:
    """Read a JSON file of UTF-8, whatever stands in it.

    Parameters
    ----------
    path : path
        An ordinary file.
    most : int
        Bytes that it may have.

    Raises
    ------
    OSError
        If it cannot be read, is no ordinary file, or is longer.
    ValueError
        If it is no UTF-8 or no JSON, or is nested too deeply.
    """
    try:
        return json.loads(read_text(path, most))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def strict_json(text: str | bytes, refuse: Callable[[str], Exception], what: str = "it") -> Any:
    """Read JSON in which nothing is said twice and every number is one.

    Parameters
    ----------
    text : str or bytes
        The JSON, in UTF-8; `what` it is, in the error's words.
    refuse : callable
        Makes the error that is raised from the reason.
    """

    def constant(name: str) -> None:
        raise refuse(f"it holds {name}")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise refuse("it says the same thing twice")
        return dict(pairs)

    try:
        text = text.decode() if isinstance(text, bytes) else text
        return json.loads(text, parse_constant=constant, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise refuse(f"{what} is not JSON") from None
