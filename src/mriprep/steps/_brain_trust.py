"""How far a brain mask can be trusted: a score from 0 to 1 of things that can be checked.

Whatever engine found it, a right mask has a brain's volume and roundness, is
as symmetric as the head that it lies in, runs along edges of the image, and
parts what looks like brain from what does not. :data:`WEIGHTS` say how much
each counts; `benchmarks/brain_trust.py` fitted them on good and on spoilt
masks of real heads and of the digital one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid

from ._brain_surface import Coarse, measured

#: Below this a mask is tried another way, and flagged if that does not help.
THRESHOLD = 0.5

Limits = dict[str, tuple[float, float, float]]

#: The logistic model: its constant, and of each measure the end of the range that is usual in good
#: masks, what each unit beyond it takes off, and the most that is counted.
BIAS = 3.932
BELOW: Limits = {
    "roundness": (0.8993, 116.429, 0.0875),
    "reach": (1.204, 19.5845, 0.2394),
    "symmetry": (0.943, 98.2461, 0.0882),
    "edges": (0.7833, 17.5581, 0.4339),
    "peak": (-0.2273, 1.0543, 3.1485),
    "rim": (0.4255, 7.8908, 0.8378),
    "worst_rim": (0.244, 6.8588, 0.8236),
    "deep": (10.1494, 1.5198, 13.8122),
    "nudged": (-0.1903, 1.4182, 1.5861),
    "moved": (-0.2711, 0.2375, 2.3912),
    "parting": (0.0333, 1.8349, 1.4142),
    "worst_parting": (-0.0364, 4.3702, 1.4032),
}
ABOVE: Limits = {
    "roundness": (0.9226, 87.4928, 0.0875),
    "reach": (1.2696, 7.7813, 0.2394),
    "touch": (0.0051, 18.1846, 0.0898),
    "peak": (0.675, 0.3735, 3.1485),
    "rim": (0.6416, 12.4161, 0.8378),
    "shell": (0.5495, 10.6582, 1.3523),
    "worst_shell": (0.6536, 6.5605, 1.4625),
    "least_deep": (12.8089, 0.2567, 27.0806),
    "deep": (14.2461, 1.1476, 13.8122),
}

#: Brain and intracranial space of healthy people, relative to the mean intracranial volume at their
#: age: from an old brain that has shrunk, without the fluid around it, to a large man's skull.
_LEAST, _MOST = 0.5, 1.4
#: Where no age is known: from a newborn's brain to the largest skull, ml.
PLAUSIBLE_ML = (300.0, 2100.0)


def implausible(ml: float) -> str | None:
    """Why a mask of that volume (ml) is hardly a brain's at any age; None if it may be one."""
    least, most = PLAUSIBLE_ML
    if least <= ml <= most:
        return None
    return (
        f"the mask holds {ml:.0f} ml; a brain has {least:.0f} to {most:.0f} ml (is it the brain's"
        " mask, and of the whole brain?)"
    )


#: A volume beyond the range by this factor (log) is no brain's, whatever else speaks for it.
_BEYOND = 0.25
#: A scan that is thinner than this shows no whole brain, mm: a newborn's is twice as high.
SLAB_MM = 40.0
#: Width of the band in which an engine is not sure, mm: up to the first it counts for nothing,
#: from the second on no mask is trusted.
_BANDS = (4.0, 10.0)
#: Overlap (Dice) of two engines' masks: from the first on it speaks for both, at the second wholly.
_AGREEMENT = (0.85, 0.97)

#: What to say of a measure beyond its range.
_WORDS = {
    ("roundness", "low"): "its surface is larger than a brain's: roundness {:.2f}",
    ("roundness", "high"): "it is rounder than a brain: {:.2f}",
    ("reach", "low"): "it is more like a ball than a brain is: reach {:.2f}",
    ("reach", "high"): "it reaches far out: {:.2f} times the radius of a ball",
    ("touch", "high"): "much of it lies at the border of the scan: {:.2f} of its surface",
    ("symmetry", "low"): "it is not symmetric about the head's midplane: overlap {:.2f}",
    ("edges", "low"): "its surface does not lie along edges: {:.2f}",
    ("peak", "low"): "no edge runs along its surface: log ratio {:.2f}",
    ("peak", "high"): "its surface is a stronger edge than a brain's: log ratio {:.2f}",
    ("rim", "low"): "what lies just inside does not look like brain: likeness {:.2f}",
    ("rim", "high"): "what lies just inside looks like the depth of a brain: likeness {:.2f}",
    ("worst_rim", "low"): "in places what lies inside does not look like brain: likeness {:.2f}",
    ("least_deep", "low"): "it comes close to the scalp: {:.0f} mm",
    ("least_deep", "high"): "it lies deep below the scalp: {:.0f} mm where it is closest",
    ("deep", "low"): "it lies close under the scalp: {:.0f} mm",
    ("deep", "high"): "it lies deep below the scalp: {:.0f} mm",
    ("nudged", "low"): "shifted by 7 mm its surface would lie on stronger edges: log ratio {:.2f}",
    ("moved", "low"): "5 mm in or out its surface would lie on stronger edges: log ratio {:.2f}",
    ("parting", "low"): "it does not part what looks like brain from what does not: {:.2f}",
    ("worst_parting", "low"): "in places it does not part brain from what is around: {:.2f}",
    ("shell", "low"): "what lies just outside is like nothing in it: likeness {:.2f}",
    ("shell", "high"): "what lies just outside looks like brain: likeness {:.2f}",
    ("worst_shell", "high"): "in places what lies outside looks like brain: likeness {:.2f}",
}


@dataclass(frozen=True)
class BrainTrust:
    """What was measured of a brain mask, and what follows.

    Parameters
    ----------
    score : float
        0 to 1.
    measures : dict of str to float
        By name; see :func:`mriprep.steps._brain_surface.measured`. Empty for a mask without a shape.
    volume_ml : float
        What the mask holds.
    expected_ml : (2,) floats
        Between which a brain of that age lies.
    band : float or None
        Width of the band in which the engine was not sure (0.1 to 0.9), mm.
    why : str
        What speaks most against it, in words.
    """

    score: float
    measures: dict[str, float]
    volume_ml: float
    expected_ml: tuple[float, float]
    band: float | None
    why: str

    @property
    def trusted(self) -> bool:
        """Whether the score reaches the threshold."""
        return self.score >= THRESHOLD

    def facts(self) -> dict[str, float | list[float]]:
        """For the record."""
        told = {"score": self.score, **self.measures}
        if self.band is not None:
            told["unsure_mm"] = self.band
        return {
            **{k: round(float(v), 4) for k, v in told.items()},
            "wanted": THRESHOLD,
            "expected_ml": [round(v) for v in self.expected_ml],
        }

    def no_head(self) -> BrainTrust:
        """The same of a scan that shows no head."""
        return replace(
            self,
            score=0.0,
            why="what the scan shows is even throughout, as a bottle of water is: it seems to be"
            " no head",
        )


def judge(
    coarse: Coarse,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    age: float | None = None,
    probability: npt.NDArray[np.float32] | None = None,
    *,
    volume_alone: bool = False,
) -> BrainTrust:
    """Judge a brain mask.

    Parameters
    ----------
    coarse : Coarse
        The image.
    mask : (X, Y, Z) bool
        On the image's grid.
    grid : Grid
        The image's.
    age : float, optional
        Years; the volume to expect follows from it.
    probability : (X, Y, Z) float32, optional
        What the engine made the mask of.
    volume_alone : bool
        Whether the volume alone counts: of a scan that shows a brain and nothing else, every
        mask lies on an edge.
    """
    volume = float(mask.sum()) * grid.voxel_volume / 1000
    expected = expected_ml(age)
    if thickness(grid) < SLAB_MM:
        why = f"the scan is {thickness(grid):.3g} mm thick: it shows a part of the head"
        return BrainTrust(0.0, {}, volume, expected, None, why)
    measures = measured(coarse, mask)
    if measures is None:
        return BrainTrust(0.0, {}, volume, expected, None, f"it is tiny: {volume:.0f} ml")
    band = None if probability is None else _band(probability, mask, grid, measures["roundness"])
    shape = 1.0 if volume_alone else logistic(measures)
    plausible = right_volume(volume, age)
    sure = 1.0 if band is None else 1 - _between(band, *_BANDS)
    whys = {
        shape: _weakest(measures),
        sure: f"the engine is not sure of its surface, by {band or 0:.0f} mm",
        plausible: f"it holds {volume:.0f} ml; a brain has {expected[0]:.0f} to"
        f" {expected[1]:.0f} ml" + ("" if age is None else f" at {age:g} years"),
    }
    return BrainTrust(shape * plausible * sure, measures, volume, expected, band, whys[min(whys)])


def thickness(grid: Grid) -> float:
    """Of an image along its shortest axis, mm."""
    return min(n * s for n, s in zip(grid.shape, grid.spacing, strict=True))


def agreed(trust: BrainTrust, agreement: float) -> BrainTrust:
    """The same when another engine has been asked: half of the score is how far the two agree."""
    share = _between(agreement, *_AGREEMENT)
    why = f"two engines differ: their masks overlap by {agreement:.2f}"
    return replace(
        trust, score=(trust.score + share) / 2, why=why if share < trust.score else trust.why
    )


def expected_ml(age: float | None) -> tuple[float, float]:
    """Between which volumes a brain, or the space within its skull, lies at an age in years."""
    if age is None:
        return PLAUSIBLE_ML
    from mriprep.phantom import intracranial_volume

    mean = intracranial_volume(age)
    return max(_LEAST * mean, PLAUSIBLE_ML[0]), min(_MOST * mean, PLAUSIBLE_ML[1])


def right_volume(volume_ml: float, age: float | None = None) -> float:
    """1 where a volume is a brain's at that age, 0 where it is far from it."""
    low, high = expected_ml(age)
    if volume_ml <= 0:
        return 0.0
    beyond = max(math.log(low / volume_ml), math.log(volume_ml / high), 0.0)
    return 1 - min(beyond / _BEYOND, 1)


def logistic(
    measures: dict[str, float],
    bias: float | None = None,
    below: Limits | None = None,
    above: Limits | None = None,
) -> float:
    """The score that follows from measures alone; by another model where one is given."""
    bias = BIAS if bias is None else bias
    losses = _losses(measures, BELOW if below is None else below, ABOVE if above is None else above)
    total = bias - sum(losses.values())
    return float(1 / (1 + np.exp(-np.clip(total, -50, 50))))


def _losses(
    measures: dict[str, float], below: Limits, above: Limits
) -> dict[tuple[str, str], float]:
    """What each measure takes off, by its name and the side on which it is beyond its range."""
    low = {
        (k, "low"): weight * min(max(end - measures[k], 0), most)
        for k, (end, weight, most) in below.items()
    }
    high = {
        (k, "high"): weight * min(max(measures[k] - end, 0), most)
        for k, (end, weight, most) in above.items()
    }
    return low | high


def _weakest(measures: dict[str, float]) -> str:
    losses = _losses(measures, BELOW, ABOVE)
    if not losses:
        return ""
    name, side = max(losses, key=lambda k: losses[k])
    return _WORDS[name, side].format(measures[name])


def _band(
    probability: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], grid: Grid, roundness: float
) -> float:
    """Volume of what is neither brain nor not, over the mask's surface, mm."""
    unsure = float(((probability > 0.1) & (probability < 0.9)).sum()) * grid.voxel_volume
    volume = float(mask.sum()) * grid.voxel_volume
    surface = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / roundness
    return float(unsure / surface)


def _between(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
