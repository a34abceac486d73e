"""Ages: read from words and headers, compared, and kept with where they came from."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import InputError, MriprepWarning

#: What stands for an adult whose age nobody knows.
ADULT = "adult"
#: From this age on somebody is an adult here, years: where the last pediatric template ends.
ADULT_FROM = 18.5
#: Older is a slip of the pen.
OLDEST = 120.0

_DAYS = 365.25
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": _DAYS / 7, "d": _DAYS}
_WRITTEN = re.compile(
    r"(\d+(?:\.\d*)?|\.\d+)\s*(\+?)\s*"
    r"(y|yr|yrs|years?|m|mo|mos|months?|w|wk|wks|weeks?|d|days?)?",
    re.IGNORECASE,
)
_HOW = "for instance 7.5 (years), 30mo, 6w, 14d, 010Y (as in DICOM), or 'adult'"


@dataclass(frozen=True)
class Age:
    """How old somebody was at the scan.

    Parameters
    ----------
    years : float or None
        Years since birth; None for an adult whose age is not known.
    source : str
        Where it comes from: ``--age``, ``participants.tsv``, ...
    """

    years: float | None
    source: str = ""

    @property
    def adult(self) -> bool:
        """Whether it is an adult's."""
        return self.years is None or self.years >= ADULT_FROM

    def __str__(self) -> str:
        if self.years is None:
            return ADULT
        if self.years < 3:
            return f"{self.years * 12:.3g} months"
        return f"{self.years:.3g} years"


def parse_age(written: str | float, source: str = "") -> Age:
    """Read an age.

    Parameters
    ----------
    written : str or float
        Years (``7.5``), or a number with its unit: ``30mo``, ``6w``, ``14d``,
        ``7y``, ``010Y`` as in DICOM, ``89+`` as in BIDS; or ``adult``.
    source : str
        Where it comes from.

    Raises
    ------
    InputError
        If it is not an age, or none that anybody reaches.

    Examples
    --------
    >>> parse_age("30mo").years
    2.5
    """
    text = str(written).strip()
    if text.lower() == ADULT:
        return Age(None, source)
    if isinstance(written, int | float) and not isinstance(written, bool) and written >= 0:
        age = float(written)
    elif match := _WRITTEN.fullmatch(text):
        age = float(match[1]) / _PER_YEAR[(match[3] or "y")[0].lower()]
    else:
        comma = re.search(r"\d,\d", text)
        point = f"decimals take a point: '{text.replace(',', '.')}'; " if comma else ""
        raise InputError(f"'{text}' is not an age", hint=point + _HOW)
    if not age <= OLDEST:
        raise InputError(f"an age of {age:g} years is not plausible", hint=f"months: 30mo; {_HOW}")
    return Age(age, source)


def age_between(birth: str | None, scan: str | None, source: str = "") -> Age | None:
    """Age on one day from the day of birth, each ``YYYYMMDD`` or ``YYYY-MM-DD``; None if unknown.

    What follows a day (a time) is left alone. None also for what must be a
    filler: a scan on the day of birth, or before, or 110 years after.
    """
    first, last = _day(birth), _day(scan)
    if first is None or last is None:
        return None
    return plausible(Age(float((last - first) / np.timedelta64(1, "D")) / _DAYS, source))


def plausible(age: Age) -> Age | None:
    """An age that a header may tell, rounded; None for a filler (0, or over 110 years).

    Rounded to 0.01 years, from which no day of birth follows; below two
    years, where days count, to 0.001.
    """
    if age.years is None:
        return age
    if not 0 < age.years <= 110:
        return None
    return replace(age, years=round(age.years, 2 if age.years >= 2 else 3))


def agree(a: Age, b: Age) -> bool:
    """Whether two ages may be the same one, told with different care.

    Headers tell years and participants.tsv often does: below two years two
    months may lie between them, above it a year.
    """
    if a.years is None or b.years is None:
        return a.adult and b.adult
    return abs(a.years - b.years) <= (1.0 if min(a.years, b.years) >= 2 else 2 / 12)


def settle(ages: Iterable[Age | None]) -> Age | None:
    """The first known age; warns of those after it that disagree with it.

    Warns
    -----
    MriprepWarning
        For each age that cannot be the same one.
    """
    known = [a for a in ages if a is not None]
    if not known:
        return None
    taken = known[0]
    for other in known[1:]:
        if not agree(taken, other):
            warnings.warn(
                f"ages disagree: {taken} by {taken.source}, {other} by {other.source}; took"
                f" {taken}",
                MriprepWarning,
                stacklevel=3,
            )
        elif taken.years is None:
            taken = other  # an adult, and here is how old
    return taken


def age_of(facts: Mapping[str, Any]) -> Age | None:
    """The age among a case's facts, if it is known."""
    source = str(facts.get("age_from") or "the case's facts")
    years = facts.get("age")
    if isinstance(years, int | float) and math.isfinite(years):
        return Age(float(years), source)
    return Age(None, source) if facts.get("age_group") == ADULT else None


def with_age(facts: Mapping[str, Any], age: Age | None) -> dict[str, Any]:
    """Facts with this age instead of any other: ``age`` (years) or ``age_group``, ``age_from``."""
    others = {k: v for k, v in facts.items() if k not in ("age", "age_group", "age_from")}
    if age is None:
        return others
    told = {"age": age.years} if age.years is not None else {"age_group": ADULT}
    return {**others, **told, **({"age_from": age.source} if age.source else {})}


def _day(text: str | None) -> np.datetime64 | None:
    match = re.match(r"(\d{4})([.-]?)(\d{2})\2(\d{2})(?!\d)", str(text or "").strip())
    if not match:
        return None
    try:
        return np.datetime64(f"{match[1]}-{match[3]}-{match[4]}", "D")
    except ValueError:
        return None
