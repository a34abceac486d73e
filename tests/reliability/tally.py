"""How many cases were tried, and whether the long form was asked for."""

from __future__ import annotations

import os

#: MRIPREP_RELIABILITY=long: ten times as many files, 200 power cuts.
LONG = os.environ.get("MRIPREP_RELIABILITY") == "long"

_count = 0


def case(number: int = 1) -> None:
    """Note that so many cases were tried."""
    global _count
    _count += number


def count() -> int:
    """How many were, so far, in this process."""
    return _count


def examples(number: int) -> int:
    """How many files hypothesis makes."""
    return number * 10 if LONG else number
