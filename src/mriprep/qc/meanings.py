"""What the measures of an image mean: their titles, units and which way is better."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any, Protocol


class Meaning(Protocol):
    """What a page says of a measure; :class:`mriprep.qc.metrics.Metric` is one."""

    @property
    def name(self) -> str:
        """As in files."""

    @property
    def title(self) -> str:
        """As on pages."""

    @property
    def meaning(self) -> str:
        """In one sentence."""

    @property
    def better(self) -> str:
        """``higher``, ``lower``, ``middle`` or ``none``."""

    @property
    def unit(self) -> str:
        """Empty where it has none."""

    @property
    def group(self) -> str:
        """``mriqc`` or ``mriprep``."""


Meanings = Mapping[str, Meaning]

#: How a direction is said.
BETTER = {"higher": "higher is better", "lower": "lower is better", "middle": "the usual is best"}


def meanings() -> Meanings:
    """What mriprep knows of measures, by name, in the order of tables."""
    try:
        module: Any = importlib.import_module("mriprep.qc.metrics")
        known: Meanings = module.METRICS
    except ModuleNotFoundError as missing:
        if missing.name != "mriprep.qc.metrics":
            raise
        return {}
    return known


def title_of(name: str, known: Meanings) -> str:
    """A measure's title, or its name where it has none."""
    return known[name].title if name in known else name


def number(value: Any) -> float | None:
    """A finite number, or None for anything else (text, NaN, a truth value)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def ordered(names: Mapping[str, Any] | list[str], known: Meanings) -> list[str]:
    """Names of measures: those that are known first, in their order, then the others."""
    there = list(dict.fromkeys(names))
    return [*(n for n in known if n in there), *(n for n in there if n not in known)]
