"""Pictures of how the images of a cohort are spread: one dot or one line an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .comparison import ends
from .meanings import Meanings, number, title_of
from .outliers import place_of
from .standing import histogram

#: Width of a chart and height of each of its rows, in units of its SVG.
WIDTH, ROW = 300, 34
#: Sites and scanners with a row of their own; what is left shares one.
MOST_ROWS = 10
#: Height of the histograms' chart.
TALL = 150


@dataclass(frozen=True)
class Dot:
    """One image in a chart."""

    image: int
    x: str
    y: str
    verdict: str


@dataclass(frozen=True)
class Group:
    """A row: its name, where it lies, its box (quartiles) and its dots."""

    name: str
    y: int
    box: tuple[str, str, str] | None
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Strip:
    """How one metric is spread, by site and scanner."""

    name: str
    title: str
    unit: str
    better: str
    low: str
    high: str
    height: int
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Lines:
    """Histograms of all images of a contrast, one over the other."""

    contrast: str
    low: str
    high: str
    paths: tuple[tuple[int, str, str], ...]


def strip(
    name: str, images: Sequence[tuple[int, Mapping[str, Any]]], known: Meanings
) -> Strip | None:
    """The chart of a metric, or None where fewer than two images have it.

    Parameters
    ----------
    name : str
        The metric.
    images : sequence of (int, mapping)
        Number in the table, and quality, of the images of one contrast.
    known : mapping
        What metrics mean.
    """
    values = [(i, q, v) for i, q in images if (v := number(q["metrics"].get(name))) is not None]
    if len(values) < 2:
        return None
    numbers = np.array([v for *_, v in values])
    low, high = float(numbers.min()), float(numbers.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rows = _rows([place_of(q) for _, q, _ in values])
    groups = []
    for number_of_row, (title, members) in enumerate(rows):
        y = ROW * number_of_row + ROW // 2

        def x(value: float) -> str:
            return f"{8 + (value - low) / (high - low) * (WIDTH - 16):.1f}"

        box = None
        if len(members) >= 5:
            first, middle, last = np.quantile(numbers[members], (0.25, 0.5, 0.75))
            box = x(first), x(middle), x(last)
        dots = tuple(
            Dot(values[m][0], x(values[m][2]), f"{y + _jitter(n):.1f}", values[m][1]["verdict"])
            for n, m in enumerate(members)
        )
        groups.append(Group(title, y, box, dots))
    said = known.get(name)
    return Strip(
        name,
        title_of(name, known),
        said.unit if said else "",
        said.better if said else "none",
        *ends((low, high)),
        ROW * len(groups),
        tuple(groups),
    )


def overlaid(
    contrast: str, images: Sequence[tuple[int, Mapping[str, Any]]], when: str = "after"
) -> Lines | None:
    """The histograms of all images of a contrast in one picture, or None where there is none."""
    shapes = [(i, q["verdict"], h) for i, q in images if (h := histogram(q, when)) is not None]
    if not shapes:
        return None
    # Of a scan with other units than the others, ends may lie far out: it may leave the picture.
    low = float(np.quantile([h[0][0] for *_, h in shapes], 0.05))
    high = float(np.quantile([h[0][-1] for *_, h in shapes], 0.95))
    if high <= low:
        return None
    top = float(np.quantile([np.quantile(h[1], 0.98) for *_, h in shapes], 0.9)) or 1.0
    paths = []
    for i, verdict, (edges, density) in shapes:
        at = (edges[1:] + edges[:-1]) / 2
        x = (at - low) / (high - low) * WIDTH
        y = TALL * (1 - 0.95 * np.minimum(density / top, 1.05))
        inside = (x >= -5) & (x <= WIDTH + 5)
        points = np.column_stack([x, y])[inside].round().astype(int)
        if len(points) < 2:
            continue
        moves = " ".join(f"{a} {b}" for a, b in np.diff(points, axis=0))
        paths.append((i, verdict, f"M{points[0, 0]} {points[0, 1]}l{moves}"))
    return Lines(contrast, *ends((low, high)), tuple(paths))


def _rows(places: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Rows of a chart, the largest first: a name, and which of the values."""
    by_place: dict[str, list[int]] = {}
    for n, place in enumerate(places):
        by_place.setdefault(place, []).append(n)
    rows = sorted(by_place.items(), key=lambda r: (-len(r[1]), r[0]))
    if len(rows) > MOST_ROWS:
        rest = [n for _, members in rows[MOST_ROWS - 1 :] for n in members]
        rows = [*rows[: MOST_ROWS - 1], (f"{len(rows) - MOST_ROWS + 1} others", rest)]
    named = len(rows) > 1 or bool(rows[0][0])
    return [(place or ("not known" if named else ""), members) for place, members in rows]


def _jitter(n: int) -> float:
    """How far above or below its row's middle the n-th dot lies: evenly, the same at each run."""
    return ((n * 0.618034) % 1 - 0.5) * (ROW - 14)
