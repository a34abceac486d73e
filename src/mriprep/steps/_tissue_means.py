"""Mean intensities of the brain's tissues, and which class is which."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError, MriprepWarning, Volume
from mriprep.core.errors import nearest
from mriprep.declare import Citation

from ._common import LEAST_RANGE, BoolImage, FloatImage, on_grid, varied
from ._state_use import contrast_of
from ._window import extent

Doubles = npt.NDArray[np.float64]

Contrast = Literal["auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"]

NAMES = ("csf", "gm", "wm")
#: Tissues from dark to bright.
ORDER = {
    "T1w": ("csf", "gm", "wm"),
    "T1c": ("csf", "gm", "wm"),
    "T2w": ("wm", "gm", "csf"),
    "FLAIR": ("csf", "wm", "gm"),
    "PDw": ("wm", "gm", "csf"),
}

_WORDS = {"csf": "fluid", "gm": "grey matter", "wm": "white matter"}
_BINS = 16384

REINHOLD = Citation(
    "reinhold2019",
    "Reinhold JC et al. Evaluating the impact of intensity normalization on MR image synthesis."
    " SPIE Medical Imaging 2019.",
    "10.1117/12.2513089",
)


def contrast_for(image: Volume, contrast: str, step: str) -> str:
    """The contrast that a step goes by: what it was told, or what the image says of itself.

    Raises
    ------
    InputError
        If neither is known.
    """
    if contrast != "auto":
        return contrast
    found = contrast_of(image)
    if found not in ORDER:
        known = f"it is '{found}'" if found else "it is not known"
        raise InputError(
            f"{step}: which intensity is white matter's depends on the contrast, and {known}",
            hint=f"give contrast, --contrast on the command line; {nearest(found, ORDER)}",
        )
    return found


def fuzzy_centres(sample: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """Fuzzy c-means of intensities (3 classes, exponent 2): centres, and means by membership; both rise.

    Computed on a histogram of 16384 bins, each at the mean of its voxels, which
    changes nothing that can be seen and takes milliseconds. One voxel in a
    thousand at either end is taken at that percentile. The start is fixed, so
    that the result is.

    Bezdek JC. Pattern recognition with fuzzy objective function algorithms.
    Plenum 1981. doi:10.1007/978-1-4757-0450-1
    """
    values = sample.astype(np.float64)
    low, high = extent(values)
    values = np.clip((values - low) / (high - low), 0, 1)
    place = np.minimum((values * _BINS).astype(np.intp), _BINS - 1)
    counts = np.bincount(place, minlength=_BINS).astype(np.float64)
    full = counts > 0
    x = np.bincount(place, values, _BINS)[full] / counts[full]
    counts = counts[full]
    share = (np.cumsum(counts) - counts / 2) / counts.sum()
    # Sums are NumPy's own here: those of a matrix library may depend on its threads.
    centres = np.interp((np.arange(3) + 0.5) / 3, share, x)
    for _ in range(500):
        weight = _membership(x, centres) ** 2 * counts
        moved = (weight * x).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300)
        done = np.abs(moved - centres).max() < 1e-7
        centres = moved
        if done:
            break
    centres = np.sort(centres)
    weight = _membership(x, centres) * counts
    means = (weight * x).sum(axis=1) / weight.sum(axis=1)
    return low + (high - low) * centres, low + (high - low) * means


def _membership(x: Doubles, centres: Doubles) -> Doubles:
    """Memberships, (classes, N): inversely as the squared distances, their sum 1."""
    near = 1 / np.maximum((x - centres[:, None]) ** 2, 1e-20)
    result: Doubles = near / near.sum(axis=0)
    return result


def fuzzy_tissue(values: Doubles, centres: Doubles, tissue: str, contrast: str) -> Doubles:
    """Membership of intensities in a tissue, given the centres of :func:`fuzzy_centres`."""
    result: Doubles = _membership(values, centres)[ORDER[contrast].index(tissue)]
    return result


def tissue_means(
    image: Volume,
    values: FloatImage,
    inside: BoolImage,
    tissues: Volume | None,
    contrast: str,
    step: str,
) -> dict[str, float]:
    """Mean intensity of CSF, grey and white matter, by labels or else by fuzzy c-means.

    Raises
    ------
    InputError
        If the region is constant, a tissue holds no voxels, or the contrast is not known.
    """
    varied(values[inside], step, "region")
    if tissues is None:
        order = ORDER[contrast_for(image, contrast, step)]
        return dict(zip(order, fuzzy_centres(values[inside])[1].tolist(), strict=True))
    labels = labels_of(image, tissues, step)
    found = {}
    for number, name in enumerate(NAMES, 1):
        sample = values[(labels == number) & inside]
        if not sample.size:
            raise InputError(
                f"{step}: no voxel of the region is labelled {number}, {name}, in the tissues",
                hint="tissues are labels: 1 CSF, 2 grey matter, 3 white matter",
            )
        found[name] = float(sample.mean(dtype=np.float64))
    return found


def labels_of(image: Volume, tissues: Volume, step: str) -> npt.NDArray[np.uint8]:
    """Labels 0 to 3 of the tissues on the image's grid.

    Raises
    ------
    GeometryError, InputError
        If they lie elsewhere, or are other labels.
    """
    on_grid(tissues, image.grid, step, "tissues")
    labels = np.asarray(tissues.data)
    known = np.isin(labels, (0, 1, 2, 3))
    if not known.all():
        raise InputError(
            f"{step}: the tissues hold other labels than 0 to 3, for instance {labels[~known][0]:g}",
            hint="tissues are labels: 1 CSF, 2 grey matter, 3 white matter, 0 for all else",
        )
    return labels.astype(np.uint8)


def tell_other_peak(
    mode: float, sample: npt.NDArray[np.floating], contrast: str, step: str
) -> None:
    """Warn where a mode that is taken for white matter's is nearer to another tissue.

    So it is where two tissues share one peak (coarse voxels, a bias field,
    aged white matter), or where grey matter's is the larger one of T2w. In
    FLAIR grey and white matter are too near to be told apart this way.
    """
    if contrast == "FLAIR":
        return
    centres, _ = fuzzy_centres(sample)
    nearest_one = ORDER[contrast][int(np.argmin(np.abs(centres - mode)))]
    if nearest_one != "wm":
        warnings.warn(
            f"{step}: the peak of the histogram that is taken for white matter's ({mode:g}) is nearer"
            f" to {_WORDS[nearest_one]}: look at the result; another peak may be meant (peak), or"
            " there is none of white matter alone: correct the bias field, give a brain mask, or"
            " take fcm",
            MriprepWarning,
            stacklevel=4,
        )


def positive(mean: float, what: str, step: str) -> float:
    """A mean or mode that an image can be divided by.

    Raises
    ------
    InputError
        If it is not above 0.
    """
    if not mean > LEAST_RANGE:
        raise InputError(
            f"{step}: {what} is {mean:g}, and an image can only be divided by what is above 0",
            hint="normalise intensities as the scanner gave them, before zscore or the like; or"
            " take whitestripe, which subtracts first",
        )
    return mean
