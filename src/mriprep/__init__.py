"""mriprep: from a scanner's DICOM files to arrays that a network can be trained on.

>>> import mriprep as mp
>>> case = mp.read("dicom/")                     # doctest: +SKIP
>>> brain = mp.skullstrip(case["T1w"])           # doctest: +SKIP
>>> run = mp.recipe("adult-t1")(case)            # doctest: +SKIP

Every step is a function of the same name (``mp.n4``, ``mp.zscore``, ...);
``mriprep steps`` lists them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from .api import Pipeline, Run, SessionRun, bias_field, read_transform, recipe, write
from .api_cohort import cohort, report
from .api_frozen import FrozenPipeline, load
from .back import apply, restore
from .core import (
    Case,
    DoubtWarning,
    EngineError,
    EngineMissing,
    GeometryError,
    Grid,
    InputError,
    MriprepError,
    MriprepWarning,
    OutputError,
    RecipeError,
    Role,
    Slices,
    Transform,
    Volume,
    restack,
)
from .declare import names as _step_names
from .intake import read, read_case

#: Loaded when they are first asked for.
_LATER = {
    **dict.fromkeys(("State", "fit", "read_state"), "mriprep.fitting"),
    "check_leaks": "mriprep.export.leaks",
    "deidentify": "mriprep.deid.folder",
    "freeze": "mriprep.freezing",
    "split": "mriprep.export.splitting",
    "verify": "mriprep.verifying",
}
if TYPE_CHECKING:
    from .export.exporting import export
    from .export.leaks import check_leaks
    from .export.splitting import split
else:
    from . import export  # a package that is called like the function

__version__ = importlib.metadata.version("mriprep")

__all__ = [
    "Case",
    "DoubtWarning",
    "EngineError",
    "EngineMissing",
    "FrozenPipeline",
    "GeometryError",
    "Grid",
    "InputError",
    "MriprepError",
    "MriprepWarning",
    "OutputError",
    "Pipeline",
    "RecipeError",
    "Role",
    "Run",
    "SessionRun",
    "Slices",
    "Transform",
    "Volume",
    "apply",
    "bias_field",
    "check_leaks",
    "cohort",
    "export",
    "load",
    "read",
    "read_case",
    "read_transform",
    "recipe",
    "report",
    "restack",
    "restore",
    "split",
    "write",
]


def __getattr__(name: str) -> Any:
    """Load a step when it is first asked for."""
    if name in _step_names():
        return getattr(importlib.import_module(f"mriprep.steps.{name}"), name)
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name == "lapgm_joint":  # of several images: no step of a recipe
        return getattr(importlib.import_module("mriprep.steps.lapgm"), name)
    raise AttributeError(f"module 'mriprep' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *_step_names(), *_LATER, "lapgm_joint", "__version__"])
