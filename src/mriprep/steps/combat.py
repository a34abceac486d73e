"""Intensities harmonised between sites, what age and sex do to them kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
from annotated_types import Ge, Le

from mriprep.core import InputError
from mriprep.core.errors import nearest
from mriprep.declare import Citation, Image, Unit, Within, step

from . import _combat as model
from ._cohort import Member, enough
from ._combat import Covariates
from ._common import finite, region
from ._landmarks import NYUL, Doubles, landmarks, percentiles_of, piecewise
from ._state_use import in_use, planner
from ._states import State, StateFile, Values


class _Model(NamedTuple):
    """The values of a state: arrays of landmarks, slopes (covariates, landmarks), and by site two."""

    percentiles: Doubles
    covariates: str
    mean: Doubles
    slopes: Doubles | None
    scale: Doubles
    sites: dict[str, tuple[Doubles, Doubles]]


def check(state: State) -> _Model:
    """The values of a state, read strictly."""
    names = ("percentiles", "covariates", "mean", "slopes", "scale", "sites")
    values = Values(state, names)
    percentiles = percentiles_of(values)
    size = percentiles.shape
    if values["covariates"] not in get_args(Covariates):
        raise values.refuse("'covariates' are unknown")
    mean, scale = values.numbers("mean", size), values.numbers("scale", size)
    if (scale <= 0).any():
        raise values.refuse("'scale' must be above 0")
    count = len(model.names_of(values["covariates"]))
    slopes = values.numbers("slopes", (count, *size)) if count else None
    if slopes is None and values["slopes"] != []:
        raise values.refuse("'slopes' belong to no covariate")
    sites = values["sites"]
    if not isinstance(sites, dict) or not sites:
        raise values.refuse("'sites' is no mapping")
    found = {}
    for name, site in sites.items():
        if not isinstance(site, dict) or set(site) != {"n", "shift", "spread"}:
            raise values.refuse(f"the site '{name}' has n, shift and spread, and nothing else")
        shift = values.array("shift", site["shift"], size)
        spread = values.array("spread", site["spread"], size)
        if (spread <= 0).any():
            raise values.refuse("'spread' must be above 0")
        found[name] = (shift, spread)
    return _Model(percentiles, values["covariates"], mean, slopes, scale, found)


def fit(
    cases: Iterable[Member], *, covariates: Covariates = "age,sex", shrink: bool = True
) -> dict[str, Any]:
    """What every site adds to the landmarks of its histograms, and how it spreads them.

    Parameters
    ----------
    cases : iterable of Member
        The cohort; each knows its ``site``, and what is kept. Two images or
        more a site.
    covariates : {"none", "age", "sex", "age,sex"}
        What is estimated beside the sites, and kept.
    shrink : bool
        Whether a site's effects on the landmarks are drawn towards each other
        (empirical Bayes), which steadies small sites.
    """
    name = "fit combat"
    features, sites, facts = [], [], []
    for case in cases:
        site = str(case.facts.get("site") or "")
        if not site:
            raise InputError(
                f"{name}: the site of {case.name} is not known",
                hint="give a column `site` in the table, or facts=[{'site': ...}, ...]",
            )
        values = finite(case.image, name)
        features.append(landmarks(values[region(case.image, case.within, name)], NYUL, name))
        sites.append(site)
        facts.append(case.facts)
    enough(len(features), 3, "combat")
    for site in sorted(set(sites)):
        if sites.count(site) < 2:
            raise InputError(
                f"{name}: the site '{site}' has one image, and its spread cannot be told from that",
                hint="leave the site out, or give more of its images",
            )
    known = model.design(facts, covariates, name)
    return {
        "percentiles": list(NYUL),
        "covariates": covariates,
        **model.combat(np.array(features), sites, known, shrink=shrink),
    }


@step(
    methods="Histogram landmarks were harmonised between sites with ComBat (site {site}).",
    citations=(
        Citation(
            "johnson2007",
            "Johnson WE, Li C, Rabinovic A. Adjusting batch effects in microarray expression data"
            " using empirical Bayes methods. Biostatistics 2007.",
            "10.1093/biostatistics/kxj037",
        ),
        Citation(
            "fortin2018",
            "Fortin JP et al. Harmonization of cortical thickness measurements across scanners and"
            " sites. NeuroImage 2018.",
            "10.1016/j.neuroimage.2017.11.024",
        ),
    ),
    plan=planner("combat", check),
    seconds_per_megavoxel=0.1,
)
def combat(
    image: Image,
    within: Within = None,
    *,
    state: StateFile,
    site: str = "",
    age: Annotated[float, Ge(0), Le(130), Unit("years")] | None = None,
    sex: Literal["F", "M"] | None = None,
) -> Image:
    """Take what its site does to an image's histogram away.

    Percentiles 1, 10, 20 ... 90 and 99 of the region are the features of
    ComBat: a site's shift and spread of them, as estimated on a cohort, are
    undone, what age and sex explain stays. The image follows its landmarks on
    straight lines. Fit with ``mriprep fit combat``, or ``mriprep.fit("combat",
    images, masks, facts=...)``.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        Where the percentiles are taken: a mask on the image's grid, what
        Otsu's threshold keeps (the default without a mask), or everywhere; as
        in the fit. All voxels are transformed.
    state : str or State
        The fitted model: a file; ``{contrast}`` in its name stands for the
        image's contrast.
    site : str
        Where the image was taken: one of the sites of the fit. In a recipe,
        the case's.
    age : float, optional
        Age at the scan, if it is a covariate of the fit. In a recipe, the case's.
    sex : {"F", "M"}, optional
        Sex, if it is a covariate of the fit. In a recipe, the case's.

    Returns
    -------
    Volume
        float32; darker voxels never become brighter than others.

    Raises
    ------
    InputError
        If the site was not in the fit, a covariate is missing, the region is
        empty or its percentiles coincide, or the state cannot be used.
    """
    _, known = in_use(state, "combat", check, image, within)
    if site not in known.sites:
        what = f"there is no site '{site}' in the state" if site else "it needs the image's site"
        raise InputError(
            f"combat: {what}",
            hint=f"{nearest(site, known.sites)}; a site that was not in the fit has no known effect",
        )
    kept = np.array(model.row({"age": age, "sex": sex}, known.covariates, "combat"))
    values = finite(image, "combat")
    at = landmarks(values[region(image, within, "combat")], known.percentiles, "combat")
    expected = known.mean if known.slopes is None else known.mean + kept @ known.slopes
    shift, spread = known.sites[site]
    standard = (at - expected) / known.scale
    to = expected + known.scale * (standard - shift) / np.sqrt(spread)
    # Landmarks are harmonised one by one; their order is the image's.
    return image.replace(piecewise(values, at, np.maximum.accumulate(to)))
