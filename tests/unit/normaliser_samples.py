"""Intensities of three tissues whose truth is known, the same on every machine: no random numbers."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

import mriprep as mp
from mriprep.core import Volume

#: Mean, standard deviation and number of voxels: CSF, grey matter, white matter.
T1W = ((300.0, 60.0, 6000), (600.0, 50.0, 14000), (900.0, 40.0, 20000))


def tissues(parts=T1W, gain: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Normal distributions by their quantiles, (40, 40, 25), tissues one after the other."""
    values = [m + s * ndtri((np.arange(n) + 0.5) / n) for m, s, n in parts]
    return (np.concatenate(values) * gain + shift).reshape(40, 40, 25)


def labels(parts=T1W) -> np.ndarray:
    """1, 2, 3 for the tissues of :func:`tissues`."""
    return np.concatenate([np.full(n, i) for i, (_, _, n) in enumerate(parts, 1)]).reshape(
        40, 40, 25
    )


def volume(data: np.ndarray, contrast: str | None = "T1w") -> Volume:
    """An image of 2 mm."""
    return Volume(
        data, np.diag([2.0, 2.0, 2.0, 1.0]), meta={"contrast": contrast} if contrast else {}
    )


def whole(data: np.ndarray) -> Volume:
    """A mask of all voxels."""
    return Volume(np.ones(data.shape, bool), np.diag([2.0, 2.0, 2.0, 1.0]), "mask")


#: Three "scanners": gain, and tissues whose contrast differs.
COHORT = tuple(
    tissues(tuple((m * c, s, n) for (m, s, n), c in zip(T1W, contrast, strict=True)), gain)
    for gain, contrast in ((1.0, (1, 1, 1)), (0.4, (1.2, 1, 1)), (2.5, (0.9, 1.06, 1)))
)

#: The three, and a fourth that is only brighter; masks for each.
IMAGES = [volume(data) for data in (*COHORT, tissues(gain=1.3, shift=20))]
MASKS = [whole(image.data) for image in IMAGES]
#: What a kind needs beside the four images to be fitted on them.
HOW = {
    "combat": {"facts": [{"site": s} for s in "ABAB"], "covariates": "none"},
    "ravel": {"membership": 0.9, "share": 0.5},
}


def fitted(kind: str) -> mp.State:
    """A state of the four images."""
    return mp.fit(
        kind, IMAGES, MASKS, cases=["sub-01", "sub-02", "sub-03", "sub-04"], split="train fold 0",
        **HOW.get(kind, {}),
    )  # fmt: skip


def applied(kind: str, state: mp.State | str, image: Volume = IMAGES[0]) -> np.ndarray:
    """An image of the same grid, normalised by a state."""
    extra = {"site": "A"} if kind == "combat" else {}
    return getattr(mp, kind)(image, MASKS[0], state=state, **extra).data
