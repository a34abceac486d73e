"""Data sets for training frameworks: what is exported, how, and reading it again.

``mriprep.export(out, to="nnunet", output="nnUNet_raw")`` does it: the package
is called like a function, and holds the formats' own modules beside it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .collect import Collected, Item, LeftOut, collect, gather
from .exporting import FORMATS, Done, export
from .splits import Splits

__all__ = [
    "FORMATS",
    "Collected",
    "Done",
    "Item",
    "LeftOut",
    "Splits",
    "collect",
    "export",
    "gather",
]


class _Callable(ModuleType):
    """A package that is a function too: ``mriprep.export(...)`` and ``mriprep.export.torchio``."""

    def __call__(self, *arguments: Any, **options: Any) -> Done:
        return export(*arguments, **options)


_Callable.__call__.__doc__ = export.__doc__
_Callable.__call__.__wrapped__ = export  # type: ignore[attr-defined]
sys.modules[__name__].__class__ = _Callable
