"""How a metric is declared: once, beside the function that measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from .scene import Scene

P = ParamSpec("P")
T = TypeVar("T")

Better = Literal["higher", "lower", "middle", "none"]
Group = Literal["mriqc", "mriprep"]
#: What a function that measures returns: a number, or in words why there is none.
Found = Mapping[str, "float | str"]


@dataclass(frozen=True)
class Metric:
    """What a number about an image means.

    Parameters
    ----------
    name : str
        As in files; MRIQC's where it is MRIQC's.
    title : str
        A few words, for tables.
    meaning : str
        One or two sentences for somebody who does not know it.
    better : {"higher", "lower", "middle", "none"}
        Which way quality lies; "none" where it has none by itself.
    unit : str
        Empty for a plain number.
    source : str
        Paper (DOI) or software.
    group : {"mriqc", "mriprep"}
        Whose definition it is.
    """

    name: str
    title: str
    meaning: str
    better: Better
    unit: str = ""
    source: str = ""
    group: Group = "mriprep"


class Unmeasured(Exception):
    """Something cannot be measured of this image; the message says why."""


def told(measure: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | str:
    """What a function measures, or in words why it cannot: of several metrics, each has its reason."""
    try:
        return measure(*args, **kwargs)
    except Unmeasured as reason:
        return str(reason)


Measure = Callable[["Scene"], Found]

_metrics: dict[str, Metric] = {}
_measures: list[tuple[tuple[str, ...], Measure]] = []


def measures(*metrics: Metric) -> Callable[[Measure], Measure]:
    """Declare the metrics that a function measures.

    It takes a scene and returns a number for each of their names, or a
    sentence that says why there is none; :class:`Unmeasured` says so of all.
    """

    def declare(function: Measure) -> Measure:
        for metric in metrics:
            assert metric.name not in _metrics, f"{metric.name} is declared twice"
            _metrics[metric.name] = metric
        _measures.append((tuple(m.name for m in metrics), function))
        return function

    return declare


def every_metric() -> Mapping[str, Metric]:
    """All that were declared, MRIQC's first, else as their modules were imported."""
    ordered = sorted(_metrics.values(), key=lambda m: m.group == "mriprep")
    return MappingProxyType({m.name: m for m in ordered})


def every_measure() -> list[tuple[tuple[str, ...], Measure]]:
    """The functions that measure, with the names of what they measure."""
    return list(_measures)
