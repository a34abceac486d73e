"""The hot loops, compiled by numba and cached on disk. They see arrays and matrices, never files."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any


def compiled() -> bool:
    """Whether kernels were compiled on this machine before; the first run does it, for seconds."""
    here = Path(__file__).parent
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folders = (
        [Path(chosen)]
        if chosen
        else [here / "__pycache__", Path(os.path.expanduser("~/.cache/numba"))]
    )
    return any(next(f.rglob("*.nbi"), None) is not None for f in folders if f.is_dir())


def twin(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function under another name, to be compiled with other options.

    numba's files are told apart by name and line, not by options: of one function
    compiled both with and without threads, only the one compiled first would ever run.
    """
    copy = types.FunctionType(
        function.__code__, function.__globals__, f"{function.__name__}_twin", function.__defaults__
    )
    copy.__module__, copy.__qualname__ = function.__module__, f"{function.__qualname__}_twin"
    return copy
