"""The parts of a case's page that change when its cohort is known: they are marked, and replaced."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from mriprep.core import InputError

from . import words
from .comparison import ends
from .meanings import BETTER, Meanings, meanings, number, ordered, title_of
from .page import environment
from .standing import Band, Standing, histogram

#: Width and height of a histogram, in units of its SVG.
PLOT = (420, 110)
#: The words for a verdict, and which is worse.
VERDICTS = ("pass", "look", "fail")
SAID = {
    "pass": "Pass: nothing stands out",
    "look": "Look before you use this",
    "fail": "Fail: not fit for use",
}


def worst(*verdicts: str) -> str:
    """The worst of some verdicts."""
    return max(verdicts, key=VERDICTS.index, default="pass")


@dataclass(frozen=True)
class Row:
    """One metric in the table of a page."""

    name: str
    title: str
    value: str
    unit: str
    better: str
    meaning: str
    rank: float | None
    standing: str
    flagged: str


@dataclass(frozen=True)
class Curve:
    """A histogram of the whole image: paths in a box of :data:`PLOT`."""

    title: str
    path: str
    band: str
    middle: str
    low: str
    high: str


def verdict(
    quality: Mapping[str, Any] | None,
    *,
    finished: str,
    state: str,
    hint: str | None,
    ids: Collection[str] = (),
    page: str = "",
    index: str | None = None,
) -> str:
    """The verdict and its reasons; without a quality, how the run ended.

    Parameters
    ----------
    quality : mapping or None
        Of the image.
    finished, state, hint : str
        What is said without it: a sentence, ``stopped``, ``warned`` or
        nothing, and what to do.
    ids : collection of str
        What reasons can link to.
    page : str
        The page that they link into, if it is another.
    index : str, optional
        The cohort's page.
    """
    reasons = []
    for reason in (quality or {}).get("reasons", ()):
        picture = str(reason.get("picture") or reason.get("step") or "")
        reasons.append(
            {
                "level": reason["level"] if reason["level"] in VERDICTS else "look",
                "says": reason["says"],
                "hint": reason.get("hint"),
                "link": f"{quote(page)}#{quote(picture)}" if picture in ids else "",
                "picture": picture,
            }
        )
    reasons.sort(key=lambda r: -VERDICTS.index(r["level"]))
    return _part(
        "verdict.html",
        quality=quality,
        said=SAID[quality["verdict"]] if quality else "",
        reasons=reasons,
        finished=finished,
        state=state,
        hint=hint,
        index=index,
    )


def metrics(
    quality: Mapping[str, Any] | None,
    standing: Standing | None = None,
    known: Meanings | None = None,
) -> str:
    """The table of metrics, and where the image stands in its cohort; nothing without any."""
    if not quality or not (quality["metrics"] or quality.get("missing") or quality.get("scores")):
        return ""
    known = meanings() if known is None else known
    flagged = {r.get("metric"): r["level"] for r in quality["reasons"]}
    names = ordered(list(quality["metrics"]), known)
    rows = [_row(n, quality["metrics"][n], standing, known, flagged.get(n, "")) for n in names]
    told = [row for row, n in zip(rows, names, strict=True) if quality["metrics"][n] is not None]
    parted = [
        (heading, [r for r in told if _group(r.name, known) == group])
        for group, heading in (("mriqc", "As MRIQC names them"), ("mriprep", "mriprep's own"), ("", "Others"))
    ]  # fmt: skip
    missing = dict(quality.get("missing") or {})
    for n in names:
        if quality["metrics"][n] is None:
            missing.setdefault(n, "not measured")
    return _part(
        "metrics.html",
        groups=[(heading, rows) for heading, rows in parted if rows],
        scores=[(k.replace("_", " "), f"{v:.3g}") for k, v in quality.get("scores", {}).items() if number(v) is not None],
        missing=[(title_of(n, known), n, why) for n, why in missing.items()],
        standing=standing,
        ranked=any(r.rank is not None for r in told),
    )  # fmt: skip


def histograms(quality: Mapping[str, Any] | None, standing: Standing | None = None) -> str:
    """Histograms of the scan and of the result, the latter against its cohort's; nothing without."""
    curves = []
    for when, title in (("before", "The scan"), ("after", "The result")):
        shape = histogram(quality or {}, when)
        if shape is not None:
            band = standing.histograms.get(when) if standing else None
            curves.append(_curve(title, shape, band))
    if not curves:
        return ""
    return _part("histograms.html", curves=curves, box=PLOT, standing=standing)


# -- marks ------------------------------------------------------------------------------------


def marked(name: str, html: str) -> str:
    """A part with marks around it, by which it is found again."""
    from markupsafe import Markup

    return Markup(f"<!--mriprep:{name}-->{html}<!--/mriprep:{name}-->")  # noqa: S704 - made by our templates


def refilled(page: str, parts: Mapping[str, str]) -> str:
    """A page with other contents between its marks.

    Raises
    ------
    InputError
        If a mark is not there, once and in pairs.
    """
    for name, html in parts.items():
        begin, end = f"<!--mriprep:{name}-->", f"<!--/mriprep:{name}-->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise InputError(
                f"the page has no place for '{name}': it was made by another version of mriprep",
                hint="run the case again to have its page made anew",
            )
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}{html}{end}{after}"
    return page


def ids_of(page: str) -> set[str]:
    """What can be linked to on a page."""
    return set(re.findall(r'<(?:section|h2|h3)[^>]* id="([^"]+)"', page))


# -- within -----------------------------------------------------------------------------------


def _part(template: str, **about: Any) -> str:
    return str(environment().get_template(template).render(**about))


def _group(name: str, known: Meanings) -> str:
    group = known[name].group if name in known else ""
    return group if group in ("mriqc", "mriprep") else ""


def _row(name: str, value: Any, standing: Standing | None, known: Meanings, flagged: str) -> Row:
    said = known.get(name)
    v = number(value)
    rank = standing.rank(name, v) if standing and v is not None else None
    text = ""
    if rank is not None:
        percent = round(100 * rank)
        text = f"{percent} % are lower"
    return Row(
        name=name,
        title=said.title if said else name,
        value=words.plain(v) if v is not None else "",
        unit=said.unit if said else "",
        better=BETTER.get(said.better, "") if said else "",
        meaning=said.meaning if said else "",
        rank=rank,
        standing=text,
        flagged=flagged if flagged in VERDICTS else "",
    )


def _curve(title: str, shape: tuple[Any, Any], band: Band | None) -> Curve:
    edges, density = shape
    low, high = float(edges[0]), float(edges[-1])
    if band is not None:
        low, high = min(low, float(band.at[0])), max(high, float(band.at[-1]))
    # A lone spike (the background, a fill value) may leave the box.
    top = float(min(density.max(), 3 * np.percentile(density, 90)) or density.max())
    if band is not None:
        top = max(top, float(np.percentile(band.high, 97)))
    width, height = PLOT
    at = (edges[1:] + edges[:-1]) / 2

    def points(xs: Any, ys: Any) -> str:
        x = (np.asarray(xs) - low) / (high - low) * width
        y = height * (1 - np.minimum(np.asarray(ys) / top, 1) * 0.96)
        return " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))

    area = middle = ""
    if band is not None:
        area = f"M{points(band.at, band.high)}L{points(band.at[::-1], band.low[::-1])}Z"
        middle = f"M{points(band.at, band.middle)}"
    return Curve(title, f"M{points(at, density)}", area, middle, *ends((low, high)))
