"""The rounds of tissue segmentation: intensities, neighbours, and the shading that is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mriprep.kernels import tissues as loops
from mriprep.kernels.tissues_model import FLAIR_ORDER, PURE, Model, edges, first_guess, kmeans, pull

from ._tissues_prior import Places, by_depth, triple

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]

#: CSF, GM and WM (0, 1, 2) from dark to bright, by contrast.
ORDERS = {
    "T1w": (0, 1, 2),
    "T1c": (0, 1, 2),
    "T2w": (2, 1, 0),
    "FLAIR": FLAIR_ORDER,
    "PDw": (2, 1, 0),
}
#: Contrasts whose intensities hardly tell all three tissues apart.
WEAK = ("FLAIR", "PDw")

#: Between fluid and cortex, FLAIR passes through what white matter looks like: fluid and white matter
#: are no neighbours there, most often.
_RIM = 0.5
#: Neighbours say more where intensities say less, by this factor.
_MORE = 1.5

#: Shading is fitted to sums over blocks of about this size, mm.
_BLOCK_MM = 8.0
#: Rounds in which intensities and shading are fitted, and updates of the states after them.
_ROUNDS, _LAST = 8, 4
#: At first, before tissues are known well, shading is taken to be smoother by this factor.
_AT_FIRST = 1.6
#: Shading beyond this factor to either side is none.
_MOST_SHADING = 1.0


@dataclass(frozen=True)
class Parted:
    """What a brain is made of.

    Parameters
    ----------
    fractions : (3, X, Y, Z) float32
        Of CSF, GM, WM; sum 1 in the mask, 0 outside.
    labels : (X, Y, Z) uint8
        1, 2, 3; 0 outside.
    model : Model
        Intensities of the tissues.
    shading : (2,) floats
        Least and greatest factor of the shading that was allowed for.
    """

    fractions: Floats
    labels: npt.NDArray[np.uint8]
    model: Model
    shading: tuple[float, float]


def part(
    values: Floats,
    mask: Bools,
    spacing: Spacing,
    contrast: str,
    places: Places | None = None,
    *,
    smoothness: float,
    bias_fwhm: float,
) -> Parted:
    """Part a brain into CSF, grey and white matter.

    Parameters
    ----------
    values : (X, Y, Z) float32
        Intensities; their box has a margin of a voxel around the mask.
    mask : (X, Y, Z) bool
        The brain.
    spacing : (3,) floats
        Voxel size, mm.
    contrast : str
        One of :data:`ORDERS`.
    places : Places, optional
        What is expected where; by depth below the surface without it.
    smoothness : float
        What six neighbours of one tissue add to its log odds, a sixth of it.
    bias_fwhm : float
        Smoothness of the shading, mm; 0 for no shading.
    """
    low, high = _range(values[mask])
    centres = edges(low, high)
    step = triple([max(1, round(_BLOCK_MM / s)) for s in spacing])
    lattice = np.zeros([-(-n // s) for n, s in zip(values.shape, step, strict=True)], np.float32)
    bins = np.zeros(values.shape, np.uint16)
    q = np.zeros((*values.shape, loops.STATES), np.float32)
    # As much in all, nearer neighbours more.
    weights = 1 / np.asarray(spacing)
    weights = (weights * 3 / weights.sum()).astype(np.float32)
    attraction = pull(
        smoothness * (_MORE if contrast in WEAK else 1), _RIM if contrast == "FLAIR" else 0.0
    )

    loops.binned(values, mask, lattice, step, low, high, bins)
    model = first_guess(centres, _histogram(bins[mask]), ORDERS[contrast])
    here = Places.nothing(mask.shape)
    loops.start(bins, mask, model.table(centres), here.kinds, here.table, q)
    here = places or by_depth(mask, q, spacing, weak=contrast in WEAK)
    for number in range(_ROUNDS):
        table = model.table(centres)
        loops.sweep(bins, mask, table, here.kinds, here.table, attraction, weights, q)
        if bias_fwhm:
            width = bias_fwhm * (_AT_FIRST if number < 2 else 1)
            lattice = _shading(values, mask, q, model, step, spacing, width)
            loops.binned(values, mask, lattice, step, low, high, bins)
        if number == 0 and contrast not in WEAK:  # the histogram is sharper now
            model = first_guess(centres, _histogram(bins[mask]), ORDERS[contrast])
        else:
            model = model.refitted(centres, loops.histograms(bins, mask, q))
    table = model.table(centres)
    for _ in range(_LAST):
        loops.sweep(bins, mask, table, here.kinds, here.table, attraction, weights, q)
    fractions, labels = loops.parted(bins, mask, q, model.fractions(centres))
    shading = float(np.exp(lattice.min())), float(np.exp(lattice.max()))
    return Parted(fractions, labels, model, shading)


def looks_like(values: Floats, mask: Bools, spacing: Spacing) -> str:
    """The contrast of a brain by where its dark, middle and bright voxels lie: T1w, T2w or FLAIR.

    White matter is what lies deepest: in T1w the brightest, in T2w the
    darkest, in FLAIR what is between fluid and grey matter.
    """
    from scipy import ndimage

    every = tuple(slice(None, None, max(1, round(3 / s))) for s in spacing)
    size = [s * (e.step or 1) for s, e in zip(spacing, every, strict=True)]
    inside = np.pad(mask[every], 1)
    deep = ndimage.distance_transform_edt(inside, sampling=size)[1:-1, 1:-1, 1:-1]
    sample, depth = values[every][mask[every]], deep[mask[every]]
    low, high = _range(sample)
    counts, ends = np.histogram(sample, 256, (low, high))
    middles = (ends[1:] + ends[:-1]) / 2
    share = np.cumsum(counts) / max(counts.sum(), 1)
    start = np.interp((0.1, 0.5, 0.9), share, middles)
    centres = np.sort(kmeans(middles, counts.astype(np.float64), start))
    nearest = np.abs(sample[:, None] - centres).argmin(axis=1)
    depths = [float(depth[nearest == c].mean()) if (nearest == c).any() else 0.0 for c in range(3)]
    return ("T2w", "FLAIR", "T1w")[int(np.argmax(depths))]


def _range(inside: Floats) -> tuple[float, float]:
    """From where to where intensities are told apart."""
    low, high = (float(v) for v in np.percentile(inside, (0.05, 99.9)))
    margin = 0.1 * (high - low) or 1e-3 * max(abs(high), 1e-30)
    return low - margin, high + margin


def _histogram(bins: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    return np.bincount(bins, minlength=loops.BINS).astype(np.float64)


def _shading(
    values: Floats,
    mask: Bools,
    q: Floats,
    model: Model,
    step: tuple[int, int, int],
    spacing: Spacing,
    fwhm: float,
) -> Floats:
    """Log of the smooth factor that brings pure GM and WM to their means, by least squares.

    Sums over blocks are smoothed with a Gaussian; their quotient is the
    factor. Its mean over the evidence is 1.
    """
    from scipy import ndimage

    first, second = np.zeros(loops.STATES, np.float32), np.zeros(loops.STATES, np.float32)
    for tissue in (1, 2):
        mean, deviation = model.means[tissue], model.deviations[tissue]
        first[PURE[tissue]] = mean / deviation**2
        second[PURE[tissue]] = (mean / deviation) ** 2
    sums = loops.evidence(values, mask, q, first, second, step)
    sigma = [fwhm / 2.355 / (n * s) for n, s in zip(step, spacing, strict=True)]
    above, below = (ndimage.gaussian_filter(v, sigma, mode="constant", truncate=6) for v in sums)
    told = (below > 1e-6 * below.max()) & (above > 0)
    if not told.any():
        return np.zeros(below.shape, np.float32)
    field = np.zeros(below.shape)
    field[told] = np.log(above[told] / below[told])
    field[told] -= np.average(field[told], weights=below[told])
    return np.clip(field, -_MOST_SHADING, _MOST_SHADING).astype(np.float32)
