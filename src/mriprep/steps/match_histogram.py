"""The histogram of another image, or of a cohort."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from mriprep.core import RecipeError, Volume
from mriprep.declare import Citation, Image, Reference, Within, step

from ._cohort import Member, enough
from ._common import finite, region
from ._landmarks import Doubles, landmarks, piecewise
from ._state_use import in_use, planner
from ._states import State, StateFile, Values

#: The mask of a reference, which no recipe fills in.
ReferenceMask = Annotated[Volume, "reference mask"]

#: Quantiles between which maps are linear.
_POINTS = 1001


def check(state: State) -> Doubles:
    """The quantiles of a state, read strictly."""
    values = Values(state, ("quantiles",))
    quantiles = values.numbers("quantiles", rising="never falling")
    if not quantiles[0] < quantiles[-1]:
        raise values.refuse("'quantiles' have no extent")
    return quantiles


def _inner(quantiles: Doubles) -> tuple[float, float]:
    """Percentiles 1 and 99 of evenly spaced quantiles; the ends, where those coincide."""
    shares = np.linspace(0, 100, quantiles.size)
    low, high = np.interp((1, 99), shares, quantiles)
    return (float(low), float(high)) if low < high else (float(quantiles[0]), float(quantiles[-1]))


def fit(
    cases: Iterable[Member], *, points: Annotated[int, Ge(11), Le(10001)] = _POINTS
) -> dict[str, Any]:
    """The mean quantile function of a cohort; of one image, its own.

    Before the mean, each image is scaled so that its percentiles 1 and 99 are
    the cohort's mean ones: a bright image counts no more than a dark one.

    Parameters
    ----------
    cases : iterable of Member
        The cohort.
    points : int
        Quantiles that are kept, evenly spaced from the least to the greatest.
    """
    step = "fit match_histogram"
    shares = np.linspace(0, 100, points)
    found, ends = [], []
    for case in cases:
        values = finite(case.image, step)
        quantiles = landmarks(values[region(case.image, case.within, step)], shares, step)
        low, high = _inner(quantiles)
        ends.append((low, high))
        found.append((quantiles - low) / (high - low))
    enough(len(found), 1, "match_histogram")
    low, high = np.mean(ends, axis=0)
    return {"quantiles": (low + (high - low) * np.mean(found, axis=0)).tolist()}


@step(
    methods="Histograms were matched to a template.",
    citations=(
        Citation(
            "gonzalez2002",
            "Gonzalez RC, Woods RE. Digital image processing. 2nd ed. Prentice Hall 2002; as in"
            " van der Walt S et al. scikit-image: image processing in Python. PeerJ 2014.",
            "10.7717/peerj.453",
        ),
    ),
    plan=planner("match_histogram", check),
    seconds_per_megavoxel=0.2,
)
def match_histogram(
    image: Image,
    within: Within = None,
    reference: Reference | None = None,
    reference_within: ReferenceMask | None = None,
    *,
    state: StateFile = "",
) -> Image:
    """Give the image the histogram of another image, or a cohort's mean one.

    An intensity becomes the one that holds the same rank in the template.
    Between quantiles, 1001 or as many as the state has, the map is linear;
    beyond the region's least and greatest intensity it goes on with the slope
    between percentiles 1 and 99.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    within : Volume or {"foreground", "whole"}, optional
        The region whose histogram it is: a mask on the image's grid, what
        Otsu's threshold keeps (the default without a mask), or everywhere.
        All voxels are transformed.
    reference : Volume, optional
        The image whose histogram is taken, on any grid.
    reference_within : Volume, optional
        Its mask, where the image has one; the same word as for the image
        otherwise.
    state : str or State
        A fitted template in place of a reference: a file; ``{contrast}`` in
        its name stands for the image's contrast. Of one image or of many
        (``mriprep fit match_histogram``).

    Returns
    -------
    Volume
        float32; darker voxels never become brighter than others.

    Raises
    ------
    InputError
        If a region is empty or constant, there is no template, or the state
        cannot be used.
    """
    name = "match_histogram"
    if bool(state) == (reference is not None):
        raise RecipeError(
            f"{name}: give one template, reference or state; got {'both' if state else 'neither'}",
            hint="reference is an image; a state is fitted on one or many: mriprep fit"
            " match_histogram IMAGES... --state FILE.json",
        )
    if reference is not None:
        template = _of_reference(within, reference, reference_within)
    else:
        _, template = in_use(state, name, check, image, within)
    values = finite(image, name)
    shares = np.linspace(0, 100, template.size)
    at = landmarks(values[region(image, within, name)], shares, name)
    (low, high), (first, last) = _inner(at), _inner(template)
    return image.replace(piecewise(values, at, template, (last - first) / (high - low)))


def _of_reference(within: Any, reference: Volume, mask: Volume | None) -> Doubles:
    """The quantiles of a reference, in its mask or by the same word as the image's."""
    if isinstance(within, Volume) and mask is None:
        raise RecipeError(
            "match_histogram: the image has a mask and the reference has none: a brain would get"
            " the histogram of a head",
            hint="give reference_within, the reference's own mask (--reference-within)",
        )
    where = within if mask is None else mask.replace(mask.data > 0, role="mask")
    values = finite(reference, "match_histogram")
    sample = values[region(reference, where, "match_histogram")]
    return landmarks(sample, np.linspace(0, 100, _POINTS), "match_histogram")
