"""Slices that are missing, there twice, dark, or bright by turns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .declared import Found, Metric, Unmeasured, measures
from .scene import Scene

_FEWEST = 8
#: Slices that show less of the brain than this part of the fullest are not compared.
_LEAST = 0.2


@measures(
    Metric(
        "slice_outlier", "Slice out of line",
        "By how much the brightness of one slice differs from that of both its neighbours, the worst one: dark or "
        "bright slices.",
        "lower", "%",
    ),
    Metric(
        "slice_alternation", "Slices bright by turns",
        "By how much every second slice is brighter than the others: interleaved slices that disturb each other.",
        "lower", "%",
    ),
    Metric(
        "slice_repeat", "Slice there twice",
        "Least change from one slice to the next, to what is usual about it: near 0 where a slice was repeated.",
        "higher",
    ),
    Metric(
        "slice_gap", "Jump between slices",
        "Largest change from one slice to the next, to what is usual about it: near 1 where none is missing and "
        "the head lay still.",
        "lower",
    ),
)  # fmt: skip
def _slices(scene: Scene) -> Found:
    axis = stack_axis(scene)
    image = np.ascontiguousarray(np.moveaxis(scene.raw[scene.box], axis, 0))
    brain = np.ascontiguousarray(np.moveaxis(scene.brain[scene.box], axis, 0))
    area = brain.sum(axis=(1, 2))
    full = np.flatnonzero(area > _LEAST * area.max())
    if len(full) < _FEWEST:
        raise Unmeasured(f"{len(full)} slices show enough of the brain")
    image, brain = image[full[0] : full[-1] + 1], brain[full[0] : full[-1] + 1]
    gain, change = _steps(image, brain, scene.brain_level)
    usual = _usual(change)
    return {
        "slice_outlier": 100 * _out_of_line(gain),
        "slice_alternation": 100 * _alternation(gain),
        "slice_repeat": float((change / usual).min()),
        "slice_gap": float((change / usual).max()),
    }


@measures(
    Metric(
        "empty_slices", "Slices that are lost",
        "Number of slices, along the axis that has most of them, that hold one value alone and lie between slices "
        "that hold more.",
        "lower",
    ),
)  # fmt: skip
def _empty(scene: Scene) -> Found:
    lost = 0
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        flat = scene.raw.max(axis=others) == scene.raw.min(axis=others)
        shown = np.flatnonzero(~flat)
        if shown.size:
            lost = max(lost, int(flat[shown[0] : shown[-1]].sum()))
    return {"empty_slices": float(lost)}


def stack_axis(scene: Scene) -> int:
    """Along which axis slices are stacked: the thickest, else the one that the file stores last."""
    spacing = scene.spacing
    return int(np.argmax(spacing)) if max(spacing) > 1.2 * min(spacing) else scene.stored_axis


def _steps(
    image: npt.NDArray[np.float32], brain: npt.NDArray[np.bool_], level: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """From each slice to the next: median logarithm of the ratio, and mean difference."""
    gain, change = [], []
    # Dark voxels say little of a slice's gain; a slice without signal must say much.
    floor = np.float32(0.02 * level)
    for here, there, a, b in zip(image, image[1:], brain, brain[1:], strict=False):
        both = a & b
        u, v = here[both], there[both]
        if u.size < 20:
            gain.append(0.0)
            change.append(np.nan)
            continue
        ratio = np.log(np.maximum(v, floor)) - np.log(np.maximum(u, floor))
        gain.append(float(np.median(ratio)))
        change.append(float(np.abs(v - u).mean(dtype=np.float64)))
    changes = np.array(change)
    changes[~np.isfinite(changes)] = np.nanmedian(changes)
    return np.array(gain), changes


def _out_of_line(gain: npt.NDArray[np.float64]) -> float:
    """The least of the steps to and from a slice where they are opposite, of the worst slice."""
    to, away = gain[:-1], -gain[1:]
    same = np.sign(to) == np.sign(away)
    least = np.where(same, np.minimum(np.abs(to), np.abs(away)), 0)
    return float(1 - np.exp(-least.max(initial=0)))


def _alternation(gain: npt.NDArray[np.float64]) -> float:
    signs = np.where(np.arange(len(gain)) % 2, -1.0, 1.0)
    # Steps from even to odd and back differ by twice what a slice differs from the mean.
    return float(np.expm1(abs(np.median(gain[signs > 0]) - np.median(gain[signs < 0])) / 2))


def _usual(change: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median of the three changes before and the three after each; slices that are copies do not count."""
    positive = change[change > 0]
    if not positive.size:
        raise Unmeasured("no slice differs from the next")
    usual = np.empty(len(change))
    for i in range(len(change)):
        about = np.r_[change[max(i - 3, 0) : i], change[i + 1 : i + 4]]
        about = about[about > 0]
        usual[i] = np.median(about if about.size else positive)
    return usual
