"""The catalogue: which weights there are, where from, under which terms (``catalogue.yaml``)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mriprep.core import RecipeError
from mriprep.core.errors import nearest


@dataclass(frozen=True)
class File:
    """A file that is published.

    Parameters
    ----------
    name : str
        Its name on disk.
    url : str
        Where it is published.
    sha256 : str or None
        As published; None where no such checksum is known.
    size : int or None
        Bytes, where known.
    holds : tuple of str
        For an archive: the files in it that are wanted, relative.
    """

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    holds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """The weights of one network.

    Parameters
    ----------
    name : str
        In the catalogue.
    files : tuple of File
        What is published.
    title, use : str
        What they are, and what for.
    licence, citation : str
        Their terms of use, and the paper.
    page : str
        Where a person reads about them.
    """

    name: str
    files: tuple[File, ...]
    title: str = ""
    use: str = ""
    licence: str = ""
    citation: str = ""
    page: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The files that an engine reads, relative to their folder."""
        return tuple(name for f in self.files for name in (f.holds or (f.name,)))

    @property
    def published(self) -> Mapping[str, str]:
        """SHA-256 by file, where a published one is known."""
        return {f.name: f.sha256 for f in self.files if f.sha256 and not f.holds}

    @property
    def size(self) -> int | None:
        """Bytes to fetch, where known."""
        sizes = [f.size for f in self.files if f.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None


def names() -> list[str]:
    """The names of the catalogue."""
    return sorted(_catalogue())


def describe(name: str) -> Entry:
    """An entry of the catalogue.

    Raises
    ------
    RecipeError
        If there is none of that name.
    """
    if name not in _catalogue():
        raise RecipeError(f"there are no weights '{name}'", hint=nearest(name, names()))
    return _catalogue()[name]


@functools.cache
def _catalogue() -> dict[str, Entry]:
    import yaml

    text = (Path(__file__).parent / "catalogue.yaml").read_text(encoding="utf-8")
    return {name: _entry(name, told) for name, told in yaml.safe_load(text)["weights"].items()}


def _entry(name: str, told: Mapping[str, Any]) -> Entry:
    files = tuple(
        File(f["name"], f["url"], f["sha256"], f["bytes"], tuple(f.get("holds", ())))
        for f in told["files"]
    )
    about = {k: told[k] for k in ("title", "use", "licence", "citation", "page")}
    return Entry(name, files, **about)
