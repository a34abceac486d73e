"""JSON files that hold an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.io.strict_json import load_json


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    InputError
        If it cannot be read, or is something else.
    """
    try:
        content = load_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"'{file}' cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"'{file}' holds no JSON object")
    return content
