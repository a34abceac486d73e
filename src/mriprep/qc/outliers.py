"""Images of a cohort that stand apart from the others: one measure at a time, and all together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .meanings import Meanings, meanings, number, title_of

Array = npt.NDArray[np.float64]

#: With fewer images of a contrast than this nothing is said: there is no telling what is usual.
FEWEST = 6
#: A site and scanner with as many images has a middle of its own; others are pooled.
OWN_MIDDLE = 8
#: All measures together are judged from this many images on.
FEWEST_TOGETHER = 20
#: Chance that any measure of an image without fault is told of, and that all together are.
FALSE_ALARMS = 0.015
FALSE_ALARMS_TOGETHER = 0.005
#: Whatever the numbers say, nearer than this to the middle is not told of (robust z).
LEAST_Z = 4.0
#: Differences below this share of the usual value are of no interest, however alike images are.
SMALLEST_SHARE = 0.01
#: From this many images on it can be told whether a measure is skewed.
SKEWNESS_KNOWN = 60
#: No image is given more reasons than this; the farthest come first.
MOST = 6

#: Of more values than this, as many are taken for a spread.
_PAIRS = 800
_MAD = 1.4826  # of a normal distribution: its standard deviation over its MAD


@dataclass(frozen=True)
class Group:
    """Images of one contrast: which of the cohort, their site and scanner."""

    contrast: str
    members: tuple[int, ...]
    places: tuple[str, ...]


def cohort_reasons(
    qualities: Sequence[Mapping[str, Any]], metrics: Meanings | None = None
) -> list[list[dict[str, Any]]]:
    """What in each image is unusual among the images of its contrast.

    Each measure is centred on the middle of its site and scanner where that
    has eight images or more, and compared with the spread (Qn) of all; a
    measure that is skewed is compared on a logarithmic scale. The limit grows
    where images are few, so that of clean images one or two in a hundred is
    told of, however many measures there are. From twenty images on, all
    measures are also judged together by the distances of ROBPCA: within the
    main components of their spread, and from these.

    Parameters
    ----------
    qualities : sequence of mapping
        Qualities of images, as their JSON files hold them. Images without
        metrics (failed ones) are neither judged nor compared with.
    metrics : mapping, optional
        What is known of each measure; by default what mriprep knows. Where
        higher is better only low values are told of, and the other way round.

    Returns
    -------
    list of list of mapping
        For each quality, in order, its reasons: ``code`` begins with
        ``cohort-``, ``level`` is ``look``. Empty where nothing is unusual, or
        where fewer than six images have that contrast.

    References
    ----------
    Hubert M, Rousseeuw PJ, Vanden Branden K. ROBPCA: a new approach to robust
    principal component analysis. Technometrics 2005. doi:10.1198/004017004000000563

    Rousseeuw PJ, Croux C. Alternatives to the median absolute deviation. J Am
    Stat Assoc 1993. doi:10.1080/01621459.1993.10476408
    """
    known = meanings() if metrics is None else metrics
    found: list[list[dict[str, Any]]] = [[] for _ in qualities]
    for group in groups(qualities):
        if len(group.members) < FEWEST:
            continue
        names, values = _table([qualities[i] for i in group.members])
        if not names:
            continue
        z = np.column_stack([_robust_z(v, group.places) for v in values.T])
        for i, reasons in zip(group.members, _single(z, values, names, group, known), strict=True):
            found[i] += reasons
        for i, reason in zip(group.members, _together(z, names, group, known), strict=True):
            if reason is not None:
                found[i].append(reason)
    return found


def groups(qualities: Sequence[Mapping[str, Any]]) -> list[Group]:
    """The images that can be compared, by contrast."""
    by_contrast: dict[str, list[int]] = defaultdict(list)
    for i, q in enumerate(qualities):
        if any(number(v) is not None for v in q.get("metrics", {}).values()):
            by_contrast[str(q.get("contrast"))].append(i)
    return [
        Group(contrast, tuple(members), tuple(place_of(qualities[i]) for i in members))
        for contrast, members in by_contrast.items()
    ]


def place_of(quality: Mapping[str, Any]) -> str:
    """Site and scanner of an image, as far as they are known."""
    return ", ".join(part for part in (site_of(quality), scanner_of(quality)) if part)


def site_of(quality: Mapping[str, Any]) -> str:
    """The site of an image, or nothing."""
    return str(quality.get("facts", {}).get("site") or "")


def scanner_of(quality: Mapping[str, Any]) -> str:
    """Maker, model and field strength of an image's scanner, as far as they are known."""
    facts = quality.get("facts", {})
    parts = [str(facts.get(k) or "") for k in ("Manufacturer", "ManufacturersModelName")]
    strength = number(facts.get("MagneticFieldStrength"))
    return " ".join([*filter(None, parts), *([f"{strength:g} T"] if strength else [])])


# -- one measure at a time --------------------------------------------------------------------


def _table(qualities: Sequence[Mapping[str, Any]]) -> tuple[list[str], Array]:
    """Measures that most of the images have, and their values, (images, measures); NaN for none."""
    names = list(dict.fromkeys(name for q in qualities for name in q["metrics"]))
    rows = [[number(q["metrics"].get(n)) for n in names] for q in qualities]
    values = np.array([[math.nan if v is None else v for v in row] for row in rows])
    enough = np.isfinite(values).sum(0) >= max(FEWEST, 0.5 * len(values))
    return [n for n, e in zip(names, enough, strict=True) if e], values[:, enough]


def _robust_z(values: Array, places: Sequence[str]) -> Array:
    """How far each value lies from its place's middle, in spreads of all; 0 where there is none.

    Values that are skewed to the right are taken by their logarithms. Of few
    images the skewness is not known well: the nearer of both counts.
    """
    there = np.isfinite(values)
    z = _away(values, places, SMALLEST_SHARE * abs(float(np.median(values[there]))))
    skewed = _skewness(z[there])
    if skewed <= 0 or (values[there] <= 0).any():
        return z
    logarithms = _away(np.log(values), places, SMALLEST_SHARE)
    if there.sum() < SKEWNESS_KNOWN:
        return np.where(np.abs(logarithms) < np.abs(z), logarithms, z)
    return logarithms if skewed > abs(_skewness(logarithms[there])) else z


def _away(values: Array, places: Sequence[str], floor: float) -> Array:
    """Distances from the middle of a value's place, in spreads; none is below the floor."""
    middles = np.full(len(values), np.nanmedian(values))
    at, there = np.array(places), np.isfinite(values)
    own = {place: (at == place) & there for place in set(places)}
    for here in own.values():
        if here.sum() >= OWN_MIDDLE:
            middles[here] = np.median(values[here])
    away = values - middles
    spread = _qn(away[there])
    if spread == 0:  # more than half of all are equal
        spread = 1.2533 * float(np.abs(away[there]).mean())
    spreads = np.full(len(values), spread)
    for here in own.values():
        # A place whose images differ more among each other is measured by its own spread.
        if here.sum() >= 2 * OWN_MIDDLE:
            spreads[here] = max(spread, _qn(away[here]))
    spreads = np.maximum(spreads, floor)
    z: Array = np.where(there & (spreads > 0), away / np.where(spreads > 0, spreads, 1), 0)
    return z


def _qn(values: Array) -> float:
    """Spread of values (their standard deviation, were they normal) by Rousseeuw and Croux's Qn.

    Half of all values may be wild, as for MAD, and it needs less than half as
    many of them to know the spread as well.
    """
    v = np.sort(values)
    if len(v) > _PAIRS:
        v = v[np.linspace(0, len(v) - 1, _PAIRS).round().astype(int)]
    n = len(v)
    if n < 2:
        return 0.0
    half = n // 2 + 1
    first, second = np.triu_indices(n, 1)
    gaps = v[second] - v[first]
    rank = half * (half - 1) // 2 - 1
    few = {2: 0.399, 3: 0.994, 4: 0.512, 5: 0.844, 6: 0.611, 7: 0.857, 8: 0.669, 9: 0.872}
    share = few.get(n, n / (n + (1.4 if n % 2 else 3.8)))
    return 2.2191 * share * float(np.partition(gaps, rank)[rank])


def _skewness(values: Array) -> float:
    """Skewness by quantiles: 0 for an even spread, at most 1."""
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return float((high + low - 2 * middle) / (high - low)) if high > low else 0.0


def z_limit(z: Array) -> float:
    """The robust z, of (images, measures), beyond which one is unusual.

    A spread that was estimated from few images is uncertain: Qn knows 82 %
    as much as a standard deviation would, so the limit is that of Student's t
    with as many degrees of freedom. Where measures in general have longer
    tails than a normal distribution, so has the limit.
    """
    from scipy import special

    images, measures = z.shape
    freedom = 1 / (1 / (0.82 * (images - 1)) + 1 / _tails(z))
    share = FALSE_ALARMS / (2 * measures)
    return max(LEAST_Z, -float(special.stdtrit(freedom, share)))


def _tails(z: Array) -> float:
    """Degrees of freedom of the Student's t whose tails are as long as those of all measures.

    By two quantiles that a tenth of bad images does not move far.
    """
    from scipy import special

    middle, outer = np.quantile(np.abs(z[z != 0]), (0.5, 0.9)) if (z != 0).any() else (1.0, 1.0)
    freedoms = np.geomspace(2, 200, 60)
    ratios = special.stdtrit(freedoms, 0.05) / special.stdtrit(freedoms, 0.25)
    return float(np.interp(-outer / middle, -ratios, freedoms))


def _single(
    z: Array, values: Array, names: list[str], group: Group, known: Meanings
) -> list[list[dict[str, Any]]]:
    limit = z_limit(z)
    bad = np.zeros_like(z, dtype=bool)
    for column, name in enumerate(names):
        better = known[name].better if name in known else "none"
        bad[:, column] = (z[:, column] > limit) & (better != "higher")
        bad[:, column] |= (z[:, column] < -limit) & (better != "lower")
    found = []
    for row in range(len(z)):
        order = sorted(np.flatnonzero(bad[row]), key=lambda c: -abs(z[row, c]))[:MOST]
        found.append([_reason(z, values, names, row, int(c), group, known) for c in order])
    return found


def _reason(
    z: Array, values: Array, names: list[str], row: int, column: int, group: Group, known: Meanings
) -> dict[str, Any]:
    name, value, place = names[column], float(values[row, column]), group.places[row]
    same = np.array([p == place for p in group.places])
    own = bool(place) and int(same.sum()) >= OWN_MIDDLE and not same.all()
    others = values[same if own else np.full(len(same), True), column]
    calm = np.abs(z[:, column]) <= LEAST_Z / 2
    low, high = np.nanquantile(values[calm & same if own else calm, column], (0.02, 0.98))
    where = f" from {place}" if own else ""
    side, limit = ("above", high) if z[row, column] > 0 else ("below", low)
    return {
        "code": f"cohort-{name}",
        "level": "look",
        "says": f"{title_of(name, known)} is {value:.3g}, far {side} what is usual among the"
        f" {len(others)} {group.contrast} images{where} ({low:.3g} to {high:.3g});"
        f" robust z {z[row, column]:+.1f}".replace("-", "−"),
        "metric": name,
        "value": value,
        "limit": float(limit),
        "picture": "metrics",
    }


# -- all measures together --------------------------------------------------------------------


def _together(
    z: Array, names: list[str], group: Group, known: Meanings
) -> Iterable[dict[str, Any] | None]:
    n = len(z)
    useful = np.abs(z).max(0) > 0
    if n < FEWEST_TOGETHER or useful.sum() < 3:
        return [None] * n
    distances, limits = _robpca(np.clip(z[:, useful], -8, 8))
    found: list[dict[str, Any] | None] = [None] * n
    titles = [title_of(m, known) for m, u in zip(names, useful, strict=True) if u]
    for row in range(n):
        worst = int(np.argmax(distances[:, row] / limits))
        distance, limit = float(distances[worst, row]), float(limits[worst])
        if distance <= limit:
            continue
        most = np.argsort(-np.abs(z[row, useful]))[:3]
        told = ", ".join(f"{titles[c]} ({z[row, useful][c]:+.1f})" for c in most)
        what = (
            "Taken together, its metrics are unusual",
            "Its metrics do not go together as usual",
        )
        found[row] = {
            "code": "cohort-together",
            "level": "look",
            "says": f"{what[worst]} among the {n} {group.contrast} images: distance {distance:.1f},"
            f" usual is up to {limit:.1f}; most by {told}".replace("-", "−"),
            "metric": None,
            "value": round(distance, 2),
            "limit": round(limit, 2),
            "picture": "metrics",
        }
    return found


def _robpca(z: Array) -> tuple[Array, Array]:
    """Distance of each row within the main components of all, and from these; the limits of both.

    Components are those of the rows' directions (spherical principal
    components), which no single row can turn.
    """
    from scipy import special

    n, d = z.shape
    lengths = np.linalg.norm(z, axis=1, keepdims=True)
    directions = z / np.where(lengths > 0, lengths, 1)
    _, singular, axes = np.linalg.svd(directions, full_matrices=False)
    share = np.cumsum(singular**2) / np.sum(singular**2)
    k = int(np.clip(np.searchsorted(share, 0.8) + 1, 1, max(1, min(d - 1, 10, n // 10))))
    scores = z @ axes[:k].T
    spread = _MAD * np.median(np.abs(scores - np.median(scores, 0)), axis=0)
    within = np.sqrt(
        (((scores - np.median(scores, 0)) / np.where(spread > 0, spread, 1)) ** 2).sum(1)
    )
    # Brought to the chi distribution that it would have: by their medians.
    within *= math.sqrt(special.chdtri(k, 0.5)) / max(float(np.median(within)), 1e-9)
    freedom = 1 / (1 / max(0.37 * (n - 1), 2) + 1 / _tails(z))
    p = FALSE_ALARMS_TOGETHER / 2
    far = math.sqrt(k * float(special.fdtri(k, freedom, 1 - p)))
    off = np.linalg.norm(z - scores @ axes[:k], axis=1)
    # The cube root of its square is nearly normal (Wilson and Hilferty).
    root = off ** (2 / 3)
    middle = float(np.median(root))
    scale = max(_MAD * float(np.median(np.abs(root - middle))), 1e-9)
    beyond = (middle + scale * max(LEAST_Z, -float(special.stdtrit(freedom, p)))) ** 1.5
    return np.stack([within, off]), np.array([far, beyond])
