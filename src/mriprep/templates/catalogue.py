"""The catalogue: which templates there are, for which ages and contrasts, and under which terms.

What ships is data (``catalogue.yaml`` beside this file). A user's own
templates join it by a small YAML beside their files.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mriprep.core import InputError
from mriprep.core.errors import nearest
from mriprep.io.given import expanded, read_text

#: The YAML that makes a folder of templates a catalogue.
OWN_FILE = "templates.yaml"
#: Folders (or YAML files) with templates of one's own, separated as in PATH.
VARIABLE = "MRIPREP_TEMPLATES"
#: Contrasts that a template's images may have.
CONTRASTS = ("T1w", "T1c", "T2w", "FLAIR", "PDw", "T2starw")

_UNITS = {"years": 1.0, "months": 12.0}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_ABOUT = ("title", "licence", "citation", "unit")
_HINT = (
    "templates: {OurKids: {licence: CC-BY-4.0, ages: [4, 9], T1w: kids_T1w.nii.gz,"
    " mask: kids_mask.nii.gz}}; docs/templates.md has more"
)


@dataclass(frozen=True)
class Cohort:
    """One average: of whom, and its files where they are the user's own.

    Parameters
    ----------
    name : str
        As in ``cohort-3``; empty where a template has but one.
    first, last : float
        Ages in years; `last` itself is not included, and may be infinite.
    files : mapping of str to Path
        Image by contrast.
    mask : Path or None
        Brain mask.
    """

    name: str
    first: float
    last: float
    files: Mapping[str, Path] = field(default_factory=dict)
    mask: Path | None = None

    @property
    def width(self) -> float:
        """Span of its ages, years; rounded, since months are no binary fractions of a year."""
        return round(self.last - self.first, 6)

    @property
    def centre(self) -> float:
        """Middle of its ages, years."""
        return (self.first + self.last) / 2


@dataclass(frozen=True)
class Entry:
    """A template of the catalogue.

    Parameters
    ----------
    name : str
        TemplateFlow's, or the user's.
    cohorts : tuple of Cohort
        At least one.
    contrasts : mapping of str to str
        Contrasts of scans, and what TemplateFlow's files for them end on.
    first, last : float
        Ages in years for which it is taken by age alone.
    source : {"templateflow", "nilearn", "files"}
        Where its images come from.
    title, licence, citation : str
        For listings and records.
    part_of : str
        A name for several templates together.
    unit : {"years", "months"}
        How its ages are written.
    where : Path or None
        The YAML, of the user's own.
    """

    name: str
    cohorts: tuple[Cohort, ...]
    contrasts: Mapping[str, str]
    first: float
    last: float
    source: str = "files"
    title: str = ""
    licence: str = "not stated"
    citation: str = ""
    part_of: str = ""
    unit: str = "years"
    where: Path | None = None

    def has(self, cohort: Cohort, contrast: str) -> bool:
        """Whether there is an image of a contrast."""
        return contrast in (cohort.files if self.source == "files" else self.contrasts)

    def span(self, cohort: Cohort) -> str:
        """A cohort's ages in words: ``7 to 11 years``, ``from 18.5 years``."""
        per_year = _UNITS[self.unit]
        first, last = (f"{round(a * per_year, 3):g}" for a in (cohort.first, cohort.last))
        if math.isinf(cohort.last):
            return f"from {first} {self.unit}"
        return f"{first} to {last} {self.unit}"


@dataclass(frozen=True)
class Catalogue:
    """Templates in order of preference, where nothing else decides.

    Parameters
    ----------
    own, shipped : tuple of Entry
        The user's, which come first, and what ships.
    alike : mapping
        For contrasts that few templates have: what to take instead, in order.
    """

    own: tuple[Entry, ...] = ()
    shipped: tuple[Entry, ...] = ()
    alike: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Entry]:
        return iter((*self.own, *self.shipped))

    def named(self, name: str) -> tuple[Entry, ...]:
        """The entries of a name, or of a name for several together; the user's alone if any."""
        low = name.casefold()
        for entries in (self.own, self.shipped):
            found = tuple(e for e in entries if low in (e.name.casefold(), e.part_of.casefold()))
            if found:
                return found
        return ()

    def preference(self, contrast: str | None) -> tuple[str, ...]:
        """The contrasts that a scan's template may have, best first."""
        wanted = {"PD": "PDw", "image": "T1w"}.get(contrast or "T1w", contrast or "T1w")
        return tuple(dict.fromkeys((*self.alike.get(wanted, (wanted,)), "T1w")))


def load(folders: Sequence[str | Path] | None = None) -> Catalogue:
    """All templates that are known by name.

    Parameters
    ----------
    folders : sequence of path, optional
        Folders of the user's own (or their YAML files); by default those in
        the environment variable ``MRIPREP_TEMPLATES``.

    Raises
    ------
    InputError
        If a folder has no ``templates.yaml``, or it is not right.
    """
    given = folders
    if given is None:
        given = [f for f in os.environ.get(VARIABLE, "").split(os.pathsep) if f]
    own: list[Entry] = []
    for folder in given:
        try:
            entries = read_own(folder)
        except InputError as error:
            if folders is None:
                error.message = f"{VARIABLE}: {error.message}"
            raise
        for entry in entries:
            if entry.name in [e.name for e in own]:
                raise InputError(
                    f"two templates of your own are called '{entry.name}'", hint="rename one"
                )
            own.append(entry)
    return Catalogue(tuple(own), *_shipped())


@functools.cache
def _shipped() -> tuple[tuple[Entry, ...], Mapping[str, tuple[str, ...]]]:
    import yaml

    text = Path(__file__).with_name("catalogue.yaml").read_text("utf-8")
    content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    entries = []
    for name, about in content["templates"].items():
        per_year = _UNITS[about["unit"]]
        first, last = _years(about["ages"], per_year)
        cohorts = tuple(
            Cohort(str(label), *_years(ages, per_year))
            for label, ages in about.get("cohorts", {}).items()
        )
        given = {k: about.get(k, "") for k in (*_ABOUT, "source", "part_of")}
        contrasts = MappingProxyType(about["contrasts"])
        cohorts = cohorts or (Cohort("", first, last),)
        entries.append(Entry(name, cohorts, contrasts, first, last, **given))
    return tuple(entries), {k: tuple(v) for k, v in content["alike"].items()}


def own_file(path: str | Path) -> Path | None:
    """The YAML of a folder of templates, or the path itself if it is such a YAML; else None."""
    path = expanded(path)
    if path.is_dir():
        path = path / OWN_FILE
    elif path.suffix not in (".yaml", ".yml"):
        return None
    return path if path.is_file() else None


def read_own(path: str | Path) -> tuple[Entry, ...]:
    """Read the templates of a user's folder.

    Parameters
    ----------
    path : path
        A folder with ``templates.yaml``, or such a YAML. Files in it are
        given relative to it.

    Raises
    ------
    InputError
        For anything in it that is not right.
    """
    import yaml

    from mriprep.io.strict_yaml import LONGEST, strict_yaml

    file = own_file(path)
    if file is None:
        raise InputError(
            f"'{path}' is no folder of templates: there is no {OWN_FILE} in it", hint=_HINT
        )
    try:
        _, content = strict_yaml(read_text(file, LONGEST))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"'{file}' cannot be read: {error}", hint=_HINT) from None
    entries = content.get("templates") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not entries or set(content) != {"templates"}:
        raise InputError(f"'{file}' must hold 'templates' and their names", hint=_HINT)
    return tuple(_own(str(name), about, file) for name, about in entries.items())


def _own(name: str, about: Any, file: Path) -> Entry:
    where = f"{file.name}, {name}"
    if not _NAME.fullmatch(name) or name.casefold() == "auto":
        raise InputError(
            f"{where}: this cannot be a template's name", hint="letters and digits: it names files"
        )
    given = _mapping(about, where, (*_ABOUT, "cohorts", "ages", "mask", *CONTRASTS))
    unit = str(given.get("unit", "years"))
    if unit not in _UNITS:
        raise InputError(f"{where}: unit '{unit}'", hint=nearest(unit, _UNITS))
    if "cohorts" in given:
        if any(k in given for k in ("ages", "mask", *CONTRASTS)):
            raise InputError(
                f"{where}: with 'cohorts', ages and files belong to each of them", hint=_HINT
            )
        listed = _mapping(given["cohorts"], f"{where}, cohorts", None)
    else:
        listed = {"": {k: v for k, v in given.items() if k in ("ages", "mask", *CONTRASTS)}}
    cohorts = tuple(_own_cohort(str(k), v, where, file, unit) for k, v in listed.items())
    return Entry(
        name,
        cohorts,
        MappingProxyType({c: c for c in CONTRASTS if any(c in k.files for k in cohorts)}),
        min(c.first for c in cohorts),
        max(c.last for c in cohorts),
        where=file,
        unit=unit,
        **{k: str(given[k]) for k in ("title", "licence", "citation") if given.get(k)},
    )


def _own_cohort(label: str, about: Any, where: str, file: Path, unit: str) -> Cohort:
    if label:
        where = f"{where}, cohort {label}"
        if not label.isalnum() or not label.isascii():
            raise InputError(f"{where}: a cohort's name is made of letters and digits")
    given = _mapping(about, where, ("ages", "mask", *CONTRASTS))
    ages = given.get("ages", [0, None])
    numbers = [a for a in ages if a is not None] if isinstance(ages, list) else []
    good = len(numbers) > 0 and len(ages) == 2 and ages[0] is not None
    good = good and all(isinstance(a, int | float) and a >= 0 for a in numbers)
    if not good or list(numbers) != sorted(set(numbers)):
        raise InputError(
            f"{where}: ages {ages!r}", hint="the first and the last, as in [4, 9] or [18, null]"
        )
    paths = {c: _file(given[c], where, file) for c in (*CONTRASTS, "mask") if c in given}
    mask = paths.pop("mask", None)
    if not paths:
        raise InputError(f"{where}: no image", hint=f"give one of {', '.join(CONTRASTS)}")
    return Cohort(label, *_years(ages, _UNITS[unit]), MappingProxyType(paths), mask)


def _file(value: Any, where: str, file: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: {value!r} is not a file's name", hint=_HINT)
    return file.resolve().parent / expanded(value)


def _mapping(value: Any, where: str, accepted: Sequence[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise InputError(f"{where}: names with values are wanted, got {value!r}", hint=_HINT)
    for key in value:
        if accepted is not None and key not in accepted:
            raise InputError(
                f"{where}: '{key}' is not known here", hint=nearest(str(key), accepted)
            )
    return {str(k): v for k, v in value.items()}


def _years(ages: Sequence[float | None], per_year: float) -> tuple[float, float]:
    first, last = ages
    return (first or 0.0) / per_year, math.inf if last is None else last / per_year
