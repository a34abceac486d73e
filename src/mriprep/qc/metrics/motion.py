"""Blur, ghosts and wrap-around: what motion and a narrow field of view leave."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage as nd

from mriprep.kernels.binary import dilated
from mriprep.kernels.smooth import gaussian

from .declared import Found, Metric, Unmeasured, measures, told
from .scene import Floats, Scene

#: Edges that are measured: the strongest ones, thinned to so many.
_POINTS = 6000
#: Slices that many times as thick as pixels are thick.
_THICK = 2.5
#: How far a profile across an edge reaches, mm, and its step.
_REACH, _STEP = 4.0, 0.1
#: A blurred step's width from 25 % to 75 % of its height, to FWHM.
_QUARTERS_TO_FWHM = 2.35482 / 1.34898


@measures(
    Metric(
        "gradient_entropy", "Entropy of gradients",
        "Entropy of the brain's gradients, 0 to 1: low where few sharp edges hold them all, high where blur or "
        "noise spreads them.",
        "lower", source="doi:10.1002/(SICI)1522-2586(200002)11:2<174::AID-JMRI15>3.0.CO;2-3",
    ),
    Metric(
        "sharpness", "Sharpness (Tenengrad)",
        "Root mean square of the brain's gradient, per mm, in percent of the brain's median; of an image that is "
        "blurred by a voxel first, so that noise counts little.",
        "higher", "% per mm", "doi:10.1109/TPAMI.1983.4767358",
    ),
    Metric(
        "edge_width", "Width of edges",
        "Full width at half maximum of the blur across the brain's strongest edges.",
        "lower", "mm",
    ),
)  # fmt: skip
def _sharpness(scene: Scene) -> Found:
    box = tuple(slice(max(s.start - 4, 0), s.stop + 4) for s in scene.box)
    image, brain = scene.raw[box], scene.brain[box]
    blurred = gaussian(image, (1.0, 1.0, 1.0))
    slope, parts = _gradient(blurred, scene.spacing)
    inside = slope[brain].astype(np.float64)
    total = float(inside.sum())
    if total <= 0:
        raise Unmeasured("the brain has no edges: all its voxels are the same")
    share = inside[inside > 0] / total
    return {
        "gradient_entropy": float(-(share * np.log(share)).sum() / np.log(inside.size)),
        "sharpness": 100 * float(np.sqrt(np.mean(inside**2))) / scene.brain_level,
        "edge_width": told(_edge_width, image, slope, parts, brain, scene.spacing),
    }


def _gradient(image: Floats, spacing: tuple[float, float, float]) -> tuple[Floats, list[Floats]]:
    """Length and components of the gradient, per mm."""
    parts = []
    for axis in range(3):
        part = np.zeros_like(image)
        to, of = np.moveaxis(part, axis, 0), np.moveaxis(image, axis, 0)
        to[1:-1] = (of[2:] - of[:-2]) * np.float32(0.5 / spacing[axis])
        parts.append(part)
    total = np.square(parts[0])
    for part in parts[1:]:
        total += np.square(part)
    return np.sqrt(total), parts


def _edge_width(
    image: Floats,
    slope: Floats,
    parts: list[Floats],
    brain: npt.NDArray[np.bool_],
    spacing: tuple[float, float, float],
) -> float:
    values = slope[brain]
    strong = np.argwhere(
        brain & (slope >= np.partition(values, int(0.97 * len(values)))[int(0.97 * len(values))])
    )
    strong = strong[:: max(1, len(strong) // _POINTS)]
    if len(strong) < 100:
        raise Unmeasured(f"{len(strong)} voxels of the brain lie on strong edges")
    at = tuple(strong.T)
    way = np.stack([p[at] for p in parts], axis=1).astype(np.float64)
    way /= np.linalg.norm(way, axis=1, keepdims=True)  # in mm
    steps = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    points = strong[:, :, None] + (way / np.asarray(spacing))[:, :, None] * steps
    profiles = nd.map_coordinates(
        image, np.moveaxis(points, 1, 0).reshape(3, -1), np.float64, order=1, mode="nearest"
    ).reshape(len(strong), len(steps))
    # Rising from the nearest trough to the nearest crest of its mean: other edges lie beyond.
    mean = np.median(profiles / np.median(np.abs(profiles)), axis=0)
    middle = len(steps) // 2
    low, high = middle, middle
    while low > 0 and mean[low - 1] < mean[low]:
        low -= 1
    while high < len(mean) - 1 and mean[high + 1] > mean[high]:
        high += 1
    rise = mean[high] - mean[low]
    if high - low < 3 or rise <= 0:
        raise Unmeasured("the brain's strongest edges do not rise")
    part = (mean[low : high + 1] - mean[low]) / rise
    quarters = np.interp([0.25, 0.75], part, steps[low : high + 1])
    return float((quarters[1] - quarters[0]) * _QUARTERS_TO_FWHM)


def _thin(scene: Scene) -> None:
    """Refuse thick slices: margins of voxels that keep off the head reach through it there."""
    thick = max(scene.spacing) / min(scene.spacing)
    if thick > _THICK:
        raise Unmeasured(
            f"slices are {thick:.1f} times as thick as pixels: the air about the head is not sure"
        )


@measures(
    Metric(
        "ringing", "Signal beside the head",
        "Mean of the air next to the head over that of the air far off, in percent of the brain's median: ringing "
        "and ghosts of small shifts, as motion gives, lie there.",
        "lower", "%",
    ),
)  # fmt: skip
def _ringing(scene: Scene) -> Found:
    scene.shown(scene.air, "its noise was")
    _thin(scene)
    step = float(np.mean(scene.spacing))
    beside = dilated(scene.whole_head, max(2, round(8 / step)))
    beyond = dilated(beside, max(2, round(8 / step)))
    near, far = scene.outside & beside, scene.outside & ~beyond
    if near.sum() < 500 or far.sum() < 500:
        raise Unmeasured("the air above the head's base is too narrow")
    excess = scene.raw[near].mean(dtype=np.float64) - scene.raw[far].mean(dtype=np.float64)
    return {"ringing": 100 * float(excess) / scene.brain_level}


@measures(
    *(
        Metric(
            f"ghost_{a}", f"Nyquist ghost, {a}",
            "Mean of the air half a field of view beside the head over that of other air, in percent of the "
            "brain's median. Only along an encoding axis can it be a ghost.",
            "lower", "%", "doi:10.1002/mrm.1910350410",
        )
        for a in "xyz"
    )
)  # fmt: skip
def _ghosts(scene: Scene) -> Found:
    _thin(scene)
    air = scene.shown(scene.outside, "ghosts were")
    values = scene.raw[air]
    found: dict[str, float | str] = {}
    # The head proper: what is as bright as a third of the brain, not the wide mask.
    bright = scene.whole_head & (scene.raw > scene.brain_level / 3)
    for axis, name in enumerate("xyz"):
        there = np.roll(bright, bright.shape[axis] // 2, axis)[air]
        if there.sum() < 300 or (~there).sum() < 300:
            found[f"ghost_{name}"] = (
                "half a field of view off the head there is no air, or no other"
            )
            continue
        excess = values[there].mean(dtype=np.float64) - values[~there].mean(dtype=np.float64)
        found[f"ghost_{name}"] = 100 * float(excess) / scene.brain_level
    return found


@measures(
    *(
        Metric(
            f"wrap_{a}", f"Wrap-around, {a}",
            "Share of the field of view's end along the axis where both opposite borders show signal: a head that "
            "reaches out of it and folds in on the other side.",
            "lower", "%",
        )
        for a in "xyz"
    )
)  # fmt: skip
def _wrap(scene: Scene) -> Found:
    found: dict[str, float | str] = {}
    hat = scene.raw[scene.air]
    noise = float(np.median(hat)) if hat.size else 0.0
    least = max(0.1 * scene.brain_level, 4 * noise)
    for axis, name in enumerate("xyz"):
        ends = np.moveaxis(scene.raw, axis, 0)
        if len(ends) < 8:
            found[f"wrap_{name}"] = f"{len(ends)} voxels along the axis are too few"
            continue
        # Single voxels of noise do not make a fold: patches of three by three do.
        first, last = (nd.median_filter(np.minimum(*pair), 3) for pair in (ends[:2], ends[-2:]))
        found[f"wrap_{name}"] = 100 * float(((first > least) & (last > least)).mean())
    return found
