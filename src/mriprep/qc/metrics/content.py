"""What the voxels are: clipped, without a head, of another contrast, mirrored; and what bias is left."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid
from mriprep.core.grid import FloatArray
from mriprep.kernels.binary import dilated, eroded
from mriprep.kernels.sample import linear

from .declared import Found, Metric, Unmeasured, measures
from .scene import Floats, Scene

Mask = npt.NDArray[np.bool_]

#: From dark to bright, by contrast; where two are given at once, each is brighter than those before.
_ORDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "T1w": (("csf",), ("gm",), ("wm",)),
    "T1c": (("csf",), ("gm",), ("wm",)),
    "T2w": (("wm",), ("gm",), ("csf",)),
    "FLAIR": (("csf",), ("gm", "wm")),
    "PDw": (("wm",), ("gm",)),
}


@measures(
    Metric(
        "clipped", "Clipped voxels",
        "Share of the brain's voxels that hold the image's largest value: more than a few were cut off there.",
        "lower", "%",
    ),
)  # fmt: skip
def _clipped(scene: Scene) -> Found:
    inside = scene.raw[scene.brain]
    return {"clipped": 100 * float((inside == scene.raw.max()).mean())}


@measures(
    Metric(
        "head_signal", "Head around the brain",
        "Share of the voxels within 15 mm outside the brain that are brighter than a tenth of it: near 0 in an "
        "image whose skull was stripped.",
        "none", "%",
    ),
    Metric(
        "empty_air", "Empty air",
        "Share of the air that is 0 or less: near 100 where the scanner, a mask or defacing wiped it; metrics of the "
        "air's noise then say nothing.",
        "none", "%",
    ),
)  # fmt: skip
def _surroundings(scene: Scene) -> Found:
    step = float(np.mean(scene.spacing))
    wide = tuple(
        slice(max(s.start - round(20 / step), 0), s.stop + round(20 / step)) for s in scene.box
    )
    brain, image = scene.brain[wide], scene.raw[wide]
    shell = dilated(brain, max(1, round(15 / step))) & ~dilated(brain, max(1, round(3 / step)))
    found: dict[str, float | str] = {
        "head_signal": 100 * float((image[shell] > 0.1 * scene.brain_level).mean())
        if shell.any()
        else "the brain fills the image"
    }
    air = scene.raw[~scene.head]
    found["empty_air"] = (
        100 * float((air <= 0).mean()) if air.size else "there is no air about the head"
    )
    return found


@measures(
    Metric(
        "residual_bias", "Bias that is left",
        "Range (5th to 95th percentile) of a cubic surface through the logarithm of the corrected white matter: "
        "shading that the correction left or made.",
        "lower", "%",
    ),
)  # fmt: skip
def _residual_bias(scene: Scene) -> Found:
    sure = eroded(scene.tissue["wm"][scene.box] > 0.9)
    if sure.sum() < 500:
        sure = scene.tissue["wm"][scene.box] > 0.8
    image = scene.corrected[scene.box]
    sure &= image > 0
    if sure.sum() < 500:
        raise Unmeasured(f"{int(sure.sum())} voxels are white matter for sure")
    index = np.argwhere(sure)[:: max(1, int(sure.sum()) // 20_000)]
    logs = np.log(image[tuple(index.T)].astype(np.float64))
    shape = np.maximum(np.array(sure.shape) - 1, 1)
    terms = _cubic(2 * index / shape - 1)
    weights = np.ones(len(logs))
    surface = np.zeros(len(logs))
    for _ in range(4):  # least squares, then without what lies far off: vessels, lesions
        # Not by BLAS: its threads wait for each other on a busy machine, and their number shows.
        weighted = terms * weights[:, None]
        square = np.einsum("ni,nj->ij", weighted, terms) + 1e-9 * len(logs) * np.eye(len(terms.T))
        surface = np.einsum(
            "ni,i->n", terms, np.linalg.solve(square, np.einsum("ni,n->i", weighted, logs))
        )
        off = logs - surface
        spread = 1.4826 * float(np.median(np.abs(off))) or 1e-12
        weights = np.clip(1 - (off / (4.685 * spread)) ** 2, 0, None) ** 2
    low, high = np.percentile(surface, (5, 95))
    return {"residual_bias": 100 * float(np.expm1(high - low))}


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """All products of the coordinates (N, 3) up to the third power."""
    powers = [(a, b, c) for a in range(4) for b in range(4 - a) for c in range(4 - a - b)]
    return np.stack([x[:, 0] ** a * x[:, 1] ** b * x[:, 2] ** c for a, b, c in powers], axis=1)


@measures(
    Metric(
        "contrast_order", "Contrast fits its label",
        "Least step between the medians of tissues in the order from dark to bright that the label promises, to "
        "their mean: negative where the order is another. With a template's tissue maps the image's own "
        "segmentation is not asked.",
        "higher",
    ),
)  # fmt: skip
def _contrast_order(scene: Scene) -> Found:
    return {"contrast_order": _order(scene)}


@measures(
    Metric(
        "rim_to_core", "Brain's rim to its core",
        "Median within 2 to 6 mm of the brain's surface to that of its core, bias field removed: below 1 in T1w, above "
        "1 in T2w; needs no segmentation.",
        "none",
    ),
)  # fmt: skip
def _rim_to_core(scene: Scene) -> Found:
    step = float(np.mean(scene.spacing))
    brain, image = np.pad(scene.brain[scene.box], 1), np.pad(scene.corrected[scene.box], 1)
    rim = eroded(brain, max(1, round(2 / step)))
    inner = eroded(rim, max(1, round(4 / step)))
    core = eroded(inner, max(1, round(10 / step)))
    rim &= ~inner
    level = float(np.median(image[core])) if core.sum() > 100 else 0.0
    if level <= 0 or not rim.any():
        raise Unmeasured("the brain has no core, or none that is bright")
    return {"rim_to_core": float(np.median(image[rim])) / level}


def _order(scene: Scene) -> float:
    order = _ORDER.get(scene.contrast)
    if order is None:
        raise Unmeasured(f"what is dark and bright in '{scene.contrast}' is not known")
    given = scene.what.template_tissues
    names = [t for group in order for t in group]
    by_template = scene.what.pose is not None and all(t in given for t in names)
    medians: dict[str, float] = {}
    for t in names:
        box, chance = scene.expected[t] if by_template else (scene.box, scene.tissue[t][scene.box])
        brain = scene.brain[box]
        limit = 0.8 if by_template else 0.9
        sure = brain & (chance > limit)
        if sure.sum() < 50:
            sure = brain & (chance > 0.5)
        if sure.sum() < 50:
            raise Unmeasured(f"{int(sure.sum())} voxels are {t} for sure")
        medians[t] = float(np.median(scene.corrected[box][sure]))
    mean = float(np.mean(list(medians.values())))
    if mean <= 0:
        raise Unmeasured("the brain is not positive")
    steps = [
        medians[bright] - medians[dark]
        for darker, brighter in itertools.pairwise(order)
        for dark in darker
        for bright in brighter
    ]
    return min(steps) / mean


@measures(
    Metric(
        "left_right", "Sides as in the template",
        "How surely the brain's left and right differ as the template's do, in standard errors over blocks of 24 mm: "
        "3 and more as in the template, -3 and less mirrored, between them no telling. Brains are nearly "
        "symmetric: a hint, no proof.",
        "higher",
    ),
)  # fmt: skip
def _sides(scene: Scene) -> Found:
    template = scene.what.template
    if template is None or scene.what.pose is None:
        raise Unmeasured("there is no template to compare with")
    pose = scene.what.pose
    # On the template's own axes, its middle plane the mirror: 3 mm over a head's extent.
    grid = Grid(
        (61, 73, 61), np.array([[3.0, 0, 0, -90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
    )
    mirrored = grid.affine.copy()
    mirrored[0] *= -1

    def on(
        volume: Floats, affine: FloatArray, chain: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        return linear(volume, (np.linalg.inv(affine) @ chain)[:3], grid.shape).astype(np.float64)

    there = np.nan_to_num(template.floats())
    as_is = on(there, template.grid.affine, grid.affine)
    turned = on(there, template.grid.affine, mirrored)
    scan = on(scene.corrected, scene.grid.affine, pose.matrix @ grid.affine)
    brain = on(scene.brain.astype(np.float32), scene.grid.affine, pose.matrix @ grid.affine) > 0.5
    # Both sides of the plane must show brain, or the mask itself would count.
    brain &= brain[::-1] & (as_is > 0) & (turned > 0)
    brain = eroded(brain)
    if brain.sum() < 5000:
        raise Unmeasured("too little of the brain lies within the template")
    uneven, even = as_is - turned, as_is + turned
    even = even - even[brain].mean()
    if np.sqrt(np.mean(uneven[brain] ** 2)) < 0.02 * np.sqrt(np.mean(even[brain] ** 2)):
        raise Unmeasured("the template is symmetric: it does not tell left from right")
    scan = scan - scan[brain].mean()
    sign = np.sign(float((scan * even)[brain].sum()))  # contrasts may be inverse
    scan_uneven = scan - scan[::-1]
    product = sign * scan_uneven * uneven
    sums = _blocks(np.where(brain, product, 0), 8)
    used = _blocks(brain.astype(np.float64), 8) > 64
    # Each pair of mirrored voxels is in two blocks: half of them count.
    used[used.shape[0] // 2 :] = False
    values = sums[used]
    if len(values) < 10:
        raise Unmeasured("too little of the brain lies within the template")
    return {
        "left_right": float(values.mean() / (values.std(ddof=1) / np.sqrt(len(values)) + 1e-300))
    }


def _blocks(values: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    even = np.pad(values, [(0, -n % size) for n in values.shape])
    a, b, c = (n // size for n in even.shape)
    out: npt.NDArray[np.float64] = even.reshape(a, size, b, size, c, size).sum(axis=(1, 3, 5))
    return out
