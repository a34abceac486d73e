"""The nouns: grids, volumes, transforms, cases and errors. Needs numpy alone."""

from .case import Case
from .errors import (
    Doubt,
    DoubtWarning,
    EngineError,
    EngineMissing,
    GeometryError,
    InputError,
    MriprepError,
    MriprepWarning,
    OutputError,
    OutputRefused,
    RecipeError,
)
from .grid import Grid
from .slices import Slices, restack
from .transform import Transform
from .volume import Role, Volume

__all__ = [
    "Case",
    "Doubt",
    "DoubtWarning",
    "EngineError",
    "EngineMissing",
    "GeometryError",
    "Grid",
    "InputError",
    "MriprepError",
    "MriprepWarning",
    "OutputError",
    "OutputRefused",
    "RecipeError",
    "Role",
    "Slices",
    "Transform",
    "Volume",
    "restack",
]
