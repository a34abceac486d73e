"""What the measures of an image mean: their titles, units and which way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .metrics import Metric

#: What metrics mean, by name.
Meanings = Mapping[str, "Metric"]

#: How a direction is said.
BETTER = {"higher": "higher is better", "lower": "lower is better", "middle": "the usual is best"}


def meanings() -> Meanings:
    """What mriprep knows of measures, by name, in the order of tables."""
    from .metrics import METRICS  # slow to load, and for pages alone

    return METRICS


def described(metric: Metric) -> str:
    """What a metric means, and which way is better."""
    better = BETTER.get(metric.better)
    return f"{metric.meaning}{f' ({better})' if better else ''}"


def title_of(name: str, known: Meanings) -> str:
    """A measure's title, or its name where it has none."""
    return known[name].title if name in known else name


def number(value: Any) -> float | None:
    """A finite number, or None for anything else (text, NaN, a truth value)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def ordered(names: Mapping[str, Any] | list[str], known: Meanings) -> list[str]:
    """Names of measures: those that are known first, in their order, then the others."""
    there = list(dict.fromkeys(names))
    return [*(n for n in known if n in there), *(n for n in there if n not in known)]
