"""Algorithms behind one interface each: our own and the field's well-known tools.

An engine is one module, imported when it is used. It declares ``ENGINE``, an
:class:`Engine`, and the function that its kind calls for (see the package of
the kind). Listing engines reads the declarations only: no third-party library
is imported for that.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
from dataclasses import dataclass
from types import ModuleType

from mriprep.core import EngineMissing, RecipeError
from mriprep.core.errors import nearest

KINDS = ("dicom", "registration", "brain", "bias")


@dataclass(frozen=True)
class Engine:
    """What an engine is and what it needs.

    Parameters
    ----------
    title : str
        One line for listings.
    packages : tuple of str
        Distributions on PyPI that it needs, the first one being the engine itself.
    licence : str
        Of the algorithm's code and weights.
    gpu : bool
        Whether it can use a GPU.
    memory_mb, seconds_per_megavoxel : float
        What it needs beyond its input, roughly, for plans and progress.
    least_seconds : float
        What it takes on a CPU however few voxels there are: networks bring every image to their
        own grid.
    weights : str or None
        Weights that have to be fetched first: their name in :mod:`mriprep.weights`.
    contrasts : tuple of str
        The contrasts that it was made for (``T1w``, ...); empty where any will do.
    """

    title: str
    packages: tuple[str, ...]
    licence: str
    gpu: bool = False
    memory_mb: float = 0
    seconds_per_megavoxel: float = 0.1
    least_seconds: float = 0.0
    weights: str | None = None
    contrasts: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages it needs that are not installed."""
        return tuple(p for p in self.packages if installed_version(p) is None)

    @property
    def version(self) -> str | None:
        """``"package version"`` of the engine, or None when it is not installed; ours has mriprep's."""
        name = self.packages[0] if self.packages else "mriprep"
        version = installed_version(name)
        return None if version is None else f"{name} {version}"


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def names(kind: str) -> list[str]:
    """The engines of a kind, installed or not; ``a-b`` is in the module ``a_b``."""
    package = importlib.import_module(f"{__name__}.{kind}")
    modules = (m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_")
    return sorted(m.replace("_", "-") for m in modules)


def describe(kind: str, name: str) -> Engine:
    """The declaration of an engine, without importing what it needs."""
    if name not in names(kind):
        raise RecipeError(f"'{name}' is not a {kind} engine", hint=nearest(name, names(kind)))
    engine: Engine = _module(kind, name).ENGINE
    return engine


def load(kind: str, name: str) -> ModuleType:
    """The module of an engine, ready to be called.

    Raises
    ------
    RecipeError
        If there is no engine of that name.
    EngineMissing
        If a package that it needs is not installed; the hint says which.
    """
    missing = describe(kind, name).missing
    if missing:
        raise EngineMissing(
            f"the {kind} engine '{name}' needs {', '.join(missing)}, which is not installed",
            hint=f"pip install {' '.join(missing)}",
        )
    return _module(kind, name)


def _module(kind: str, name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{kind}.{name.replace('-', '_')}")
