"""ComBat's empirical Bayes: what sites add to and multiply features by, covariates kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError
from mriprep.core.age import parse_age

Doubles = npt.NDArray[np.float64]
Covariates = Literal["none", "age", "sex", "age,sex"]

_SEXES = {"f": 0.0, "female": 0.0, "m": 1.0, "male": 1.0}


def names_of(covariates: str) -> tuple[str, ...]:
    """The covariates that a choice names."""
    return () if covariates == "none" else tuple(covariates.split(","))


def row(facts: Mapping[str, Any], covariates: str, step: str) -> list[float]:
    """A case's row of the design: age in years, sex 0 (female) or 1 (male).

    Raises
    ------
    InputError
        If one is not known.
    """
    numbers = []
    for name in names_of(covariates):
        value = facts.get(name)
        number = _SEXES.get(str(value).strip().lower()) if name == "sex" else _years(value)
        if number is None:
            raise InputError(
                f"{step}: {name} is {'missing' if value in (None, '') else f'{value!r}'}, and it is"
                " kept as a covariate",
                hint="give age in years and sex as F or M for every image; or fit with"
                " covariates=none",
            )
        numbers.append(number)
    return numbers


def _years(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if np.isfinite(value) else None
    try:
        return parse_age(str(value)).years if value else None
    except InputError:
        return None


def design(facts: Sequence[Mapping[str, Any]], covariates: str, step: str) -> Doubles:
    """The covariates of cases, (n, covariates)."""
    return np.array([row(f, covariates, step) for f in facts], dtype=np.float64).reshape(
        len(facts), -1
    )


def combat(
    features: Doubles, sites: Sequence[str], known: Doubles, *, shrink: bool = True
) -> dict[str, Any]:
    """Estimate what sites do to features.

    Johnson WE et al. Adjusting batch effects in microarray expression data
    using empirical Bayes methods. Biostatistics 2007.
    doi:10.1093/biostatistics/kxj037; Fortin JP et al. Harmonization of cortical
    thickness measurements across scanners and sites. NeuroImage 2018.
    doi:10.1016/j.neuroimage.2017.11.024

    Parameters
    ----------
    features : (n, g) float64 array
        One row an image.
    sites : (n,) str
        Where each was taken.
    known : (n, p) float64 array
        Covariates.
    shrink : bool
        Whether a site's effects on the features are drawn towards each other
        (empirical Bayes).

    Returns
    -------
    dict
        ``mean`` (g,), ``slopes`` (p, g), ``scale`` (g,), and for each site
        ``shift`` (g,), ``spread`` (g,) and ``n``.
    """
    names = sorted(set(sites))
    member = np.array([[s == name for name in names] for s in sites], dtype=np.float64)
    counts = member.sum(axis=0)
    columns = np.hstack([member, known])
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise InputError(
            "fit combat: sites and covariates cannot be told apart: a covariate is the same within"
            " each site, or there are too few images",
            hint="fit with covariates=none, or with images that overlap in age and sex",
        )
    effects, *_ = np.linalg.lstsq(columns, features, rcond=None)
    slopes = effects[len(names) :]
    mean = counts @ effects[: len(names)] / counts.sum()
    scale = np.sqrt(np.mean((features - columns @ effects) ** 2, axis=0))
    if not (scale > 1e-12 * np.abs(features).max()).all():
        raise InputError(
            "fit combat: within the sites the images do not vary at all",
            hint="are these different images? normalised ones vary less: fit before, or leave it",
        )
    standard = (features - mean - known @ slopes) / scale
    found = {}
    for number, name in enumerate(names):
        own = standard[member[:, number] > 0]
        shift, spread = own.mean(axis=0), own.var(axis=0, ddof=1)
        if shrink and shift.size > 1:
            shift, spread = _posterior(own, shift, spread)
        found[name] = {"n": int(counts[number]), "shift": shift.tolist(), "spread": spread.tolist()}
    return {
        "mean": mean.tolist(),
        "slopes": slopes.tolist(),
        "scale": scale.tolist(),
        "sites": found,
    }


def _posterior(own: Doubles, shift: Doubles, spread: Doubles) -> tuple[Doubles, Doubles]:
    """A site's shifts and variances, drawn towards what its features have in common (Johnson, 3.3)."""
    n = len(own)
    centre, width = shift.mean(), shift.var(ddof=1)
    middle, variation = spread.mean(), spread.var(ddof=1)
    if not width > 0 or not variation > 0:
        return shift, spread
    form = (2 * variation + middle**2) / variation
    rate = (middle * variation + middle**3) / variation
    moved, wide = shift, spread
    for _ in range(1000):
        before = moved, wide
        moved = (n * width * shift + wide * centre) / (n * width + wide)
        wide = (rate + 0.5 * np.sum((own - moved) ** 2, axis=0)) / (n / 2 + form - 1)
        change = max(
            float(np.max(np.abs(new - old) / np.maximum(np.abs(old), 1e-12)))
            for new, old in zip((moved, wide), before, strict=True)
        )
        if change < 1e-8:
            break
    return moved, wide
