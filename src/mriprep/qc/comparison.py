"""Pictures and histograms of before and after, side by side or one upon the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mriprep.record import StepRecord
from mriprep.snapshot import Histogram, Snapshot

from . import figures
from .figures import Picture, Window

#: Width and height of a histogram, in units of its SVG.
PLOT = (320, 84)


@dataclass(frozen=True)
class Plot:
    """A histogram: paths in a box of :data:`PLOT`, and what its ends mean."""

    after: str
    before: str
    low: str
    high: str
    title: str


@dataclass(frozen=True)
class Comparison:
    """Pictures of one step and what can be switched on them."""

    ident: str
    what: str
    after: tuple[Picture, ...]
    before: tuple[Picture, ...] = ()
    field: tuple[Picture, ...] = ()
    field_ends: tuple[str, str] = ("", "")
    windows: str = ""
    plots: tuple[Plot, ...] = ()
    mask_shown: bool = True
    edges_of: str = "template"
    names: tuple[str, str] = ("Before", "After")
    same_place: bool = True

    @property
    def slides(self) -> bool:
        """Whether before and after show the same place, so that one can be drawn over the other."""
        shapes = [[(p.width, p.height) for p in shown] for shown in (self.before, self.after)]
        return self.same_place and shapes[0] == shapes[1]

    @property
    def has_mask(self) -> bool:
        """Whether any of its pictures has a mask's outline."""
        return any(p.mask for p in (*self.before, *self.after))

    @property
    def has_edges(self) -> bool:
        """Whether its pictures have a template's edges."""
        return any(p.edges for p in self.after)


def compare(record: StepRecord, ident: str, moves: bool) -> Comparison | None:
    """Pictures of a step; `ident` names its switches, `moves` says that it changes the grid alone."""
    before, after = record.snapshots.get("before"), record.snapshots.get("after")
    if before is None or after is None:
        return None
    field: tuple[Picture, ...] = ()
    factors = ("", "")
    if record.makes == "tissues":
        shown = figures.pictures(after, after.window, edges=True, levels=figures.TISSUES)
        return Comparison(ident, record.name, shown, mask_shown=False, edges_of="tissues")
    if after.overlay is not None and not moves:
        field, limit = figures.field_pictures(after)
        factors = (f"÷ {limit:.2f}", f"× {limit:.2f}")
    if _alike(before, after):
        shown = figures.pictures(after, after.window)
        return Comparison(ident, record.name, shown, field=field, field_ends=factors)
    same = moves or _same_scale(before, after)
    if same:
        window = _both(before.window, after.window)
        windows = (window, window)
        said = "both from {} (black) to {} (white)".format(*ends(window))
    else:
        windows = (before.window, after.window)
        said = " · ".join(
            "{} from {} (black) to {} (white)".format(when, *ends(w))
            for when, w in zip(("before", "after"), windows, strict=True)
        )
    edges = after.overlay is not None and moves
    return Comparison(
        ident,
        record.name,
        after=figures.pictures(after, windows[1], edges=edges),
        before=figures.pictures(before, windows[0]),
        field=field,
        field_ends=factors,
        windows=said,
        plots=_plots(before, after, same),
        mask_shown=not edges,
        same_place=record.pulled is None
        and record.before.reoriented("RAS").matches(record.after.reoriented("RAS")),
    )


def _alike(before: Snapshot, after: Snapshot) -> bool:
    """Whether the two look the same."""
    return all(
        np.array_equal(p, after.image.planes[name]) for name, p in before.image.planes.items()
    )


def _same_scale(before: Snapshot, after: Snapshot) -> bool:
    """Whether intensities mean the same before and after, so that one window serves both."""
    low, high = before.window
    span = high - low
    if max(abs(low - after.window[0]), abs(high - after.window[1])) > span / 2:
        return False
    near, total = 0, 0
    for name, plane in before.image.planes.items():
        other = after.image.planes[name]
        if plane.shape != other.shape:
            return False
        bright = plane > low + span / 10
        near += int((np.abs(plane - other)[bright] < span / 10).sum())
        total += int(bright.sum())
    return near > 0.3 * total


def _both(a: Window, b: Window) -> Window:
    return min(a[0], b[0]), max(a[1], b[1])


def _plots(before: Snapshot, after: Snapshot, same: bool) -> tuple[Plot, ...]:
    """One histogram with both where they share a scale, one for each otherwise."""
    histograms = before.histogram, after.histogram
    ranges = [(float(h.edges[0]), float(h.edges[-1])) for h in histograms]
    tops = [_top(h) for h in histograms]
    if same:
        window, top = _both(*ranges), max(tops)
        first, second = (figures.bars(h, window, top, PLOT) for h in histograms)
        return (Plot(second, first, *ends(window), "Histogram before and after"),)
    shown = [figures.bars(h, r, t, PLOT) for h, r, t in zip(histograms, ranges, tops, strict=True)]
    return (
        Plot("", shown[0], *ends(ranges[0]), "Histogram before"),
        Plot(shown[1], "", *ends(ranges[1]), "Histogram after"),
    )


def _top(histogram: Histogram) -> float:
    """The height of a plot: a lone spike (the background, a fill value) may leave it."""
    density = figures.density(histogram)
    return float(min(density.max(), 3 * np.percentile(density, 90))) or 1.0


def ends(window: Window) -> tuple[str, str]:
    """The two ends of a range of intensities, no finer than the range needs."""
    low, high = window
    digits = max(0, 2 - int(np.floor(np.log10(high - low))))
    first, second = (f"{v:.{digits}f}".replace("-", "−") for v in window)
    return first if float(f"{low:.{digits}f}") else "0", second
