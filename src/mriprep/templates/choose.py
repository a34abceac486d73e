"""Age and contrast to a template; a pure function.

The rule, in this order:

1. A user's own templates come before what ships, wherever one of them holds
   the age.
2. A template is taken for the ages that the catalogue gives it; a cohort
   holds the ages from its first to just before its last. Under 4.5 years these
   are the infant cohorts, then the pediatric ones, from 18.5 years on the
   adult template. There is no gap.
3. Of those, the ones that have the scan's contrast; where none has, the
   nearest contrast that one has (``alike`` in the catalogue), T1w last of all.
4. Of several cohorts that hold the age, the narrowest: it says most about a
   child of that age. Of equally narrow ones, the one whose centre is nearest;
   of equally near ones, the one that stands first in the catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mriprep.core import InputError
from mriprep.core.age import Age, parse_age
from mriprep.core.errors import nearest

from .catalogue import Catalogue, Cohort, Entry

#: The age at which an adult of unknown age is looked up among templates, years.
SOME_ADULT = 30.0

#: How an age can be given, for errors.
WAYS = (
    "give it with --age 7.5 (or 30mo, or adult), in participants.tsv (column 'age', years), in the"
    " scan's JSON sidecar (PatientAge), or in register's parameter 'age'; or name a template"
)


@dataclass(frozen=True)
class Choice:
    """A template that was chosen, and why.

    Parameters
    ----------
    entry : Entry
        The template.
    cohort : Cohort
        Which of its averages.
    contrast : str
        Which of its images.
    why : str
        In words.
    """

    entry: Entry
    cohort: Cohort
    contrast: str
    why: str = ""

    @property
    def name(self) -> str:
        """The space's label in file names: ``MNIPediatricAsym+3``."""
        return self.entry.name + (f"+{self.cohort.name}" if self.cohort.name else "")

    @property
    def spec(self) -> str:
        """The name by which it can be asked for: ``MNIPediatricAsym:cohort-3``."""
        return self.entry.name + (f":cohort-{self.cohort.name}" if self.cohort.name else "")


def choose(age: Age | float | str, contrast: str | None, among: Catalogue) -> Choice:
    """The template for an age and a contrast, by the rule at the head of this module.

    Parameters
    ----------
    age : Age, float (years) or str
        From 0 to 120 years, or ``adult``.
    contrast : str or None
        The scan's (``T1w``, ``T2w``, ``FLAIR``, ...); None if it is not known.
    among : Catalogue
        Where to look.

    Raises
    ------
    InputError
        If no template is for that age, which cannot be with those that ship.
    """
    known = age if isinstance(age, Age) else parse_age(age)
    years = SOME_ADULT if known.years is None else known.years
    for entries in (among.own, among.shipped):
        holding = [
            (e, c)
            for e in entries
            if e.first <= years < e.last
            for c in e.cohorts
            if c.first <= years < c.last
        ]
        if holding:
            return _best(holding, years, known, among.preference(contrast))
    spans = [f"{e.name} ({e.span(c)})" for e in among for c in e.cohorts]
    raise InputError(
        f"none of the templates is for {known}: {', '.join(spans)}",
        hint="--template auto chooses among all that are known; `mriprep templates list` shows them",
    )


def within(
    entries: Sequence[Entry], age: Age | None, contrast: str | None, among: Catalogue
) -> Choice:
    """The cohort of some entries; the age is needed where they have several.

    Raises
    ------
    InputError
        If the age is not known and there are several cohorts, or none is for it.
    """
    if len(entries) == 1 and len(entries[0].cohorts) == 1:
        return taken(entries[0], entries[0].cohorts[0], contrast, among)
    if age is None:
        names = [f"{e.name}:cohort-{c.name}" for e in entries for c in e.cohorts if c.name]
        raise InputError(
            "the template goes by age, and the age is not known",
            hint=f"{WAYS}, such as {names[-1] if names else entries[0].name}"
            " (`mriprep templates list`)",
        )
    if len(entries) == 1:  # asked for by name: all of its cohorts count
        (entry,) = entries
        ends = min(c.first for c in entry.cohorts), max(c.last for c in entry.cohorts)
        entries = [replace(entry, first=ends[0], last=ends[1])]
    return choose(age, contrast, Catalogue(own=tuple(entries), alike=among.alike))


def taken(entry: Entry, cohort: Cohort, contrast: str | None, among: Catalogue) -> Choice:
    """A cohort that was asked for by name, in the contrast nearest to the scan's."""
    wanted = among.preference(contrast)
    has = _first(wanted, [(entry, cohort)])
    return Choice(entry, cohort, has, _instead(wanted[0], has) or "asked for by name")


def cohort_named(entry: Entry, name: str) -> Cohort:
    """A cohort by its name.

    Raises
    ------
    InputError
        If there is none of that name; lists those there are.
    """
    for cohort in entry.cohorts:
        if cohort.name and cohort.name in (name, name.lstrip("0")):
            return cohort
    known = [c.name for c in entry.cohorts if c.name]
    raise InputError(
        f"{entry.name} has no cohort '{name}'",
        hint=nearest(name, known) if known else "it has no cohorts",
    )


def _best(
    holding: list[tuple[Entry, Cohort]], years: float, age: Age, wanted: tuple[str, ...]
) -> Choice:
    contrast = _first(wanted, holding)
    able = [(e, c) for e, c in holding if e.has(c, contrast)]
    entry, cohort = min(able, key=lambda x: (x[1].width, abs(x[1].centre - years)))
    others = [c.name for e, c in able if e is entry and c is not cohort]
    why = f"{age}{f' ({age.source})' if age.source else ''}"
    if age.years is None:
        why += f", looked up as {SOME_ADULT:g} years"
    if others and not math.isinf(cohort.width):
        alike = [c for e, c in able if c.width == cohort.width]
        rule = "the narrowest" + (" with the nearest centre" if len(alike) > 1 else "")
        why += f": cohort {cohort.name} ({entry.span(cohort)}), {rule} of the cohorts that hold it"
        why += f" ({', '.join(sorted([cohort.name, *others], key=_number))})"
    else:
        why += f": {entry.name}{f' cohort {cohort.name}' if cohort.name else ''} ({entry.span(cohort)})"
    return Choice(
        entry, cohort, contrast, "; ".join(filter(None, (why, _instead(wanted[0], contrast))))
    )


def _first(wanted: tuple[str, ...], holding: Iterable[tuple[Entry, Cohort]]) -> str:
    pairs = list(holding)
    anything = [c for e, k in pairs for c in e.contrasts if e.has(k, c)]
    return next(c for c in (*wanted, *anything) if any(e.has(k, c) for e, k in pairs))


def _instead(wanted: str, has: str) -> str:
    return "" if has == wanted else f"its {has} image, since it has no {wanted}"


def _number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdigit() else 0, name)
