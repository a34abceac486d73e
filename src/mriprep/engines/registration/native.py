"""Registration by mutual information from many starts, coarse to fine.

Mattes D et al. PET-CT image registration in the chest using free-form
deformations. IEEE Trans Med Imaging 2003. doi:10.1109/TMI.2003.809072.
Studholme C, Hill DLG, Hawkes DJ. Automated three-dimensional registration of
magnetic resonance and positron emission tomography brain images by
multiresolution optimization of voxel similarity measures. Med Phys 1997.
doi:10.1118/1.598130: many starts at the coarsest level.

At the coarsest level some thousand poses are looked at, spread over all
rotations; the best of them are refined there, and fewer at each finer level.
Samples, starts and the order of sums are fixed: the same images give the same
transform, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError, Transform, Volume
from mriprep.engines import Engine
from mriprep.engines._device import on_gpu

from . import _pose
from ._descent import minimize
from ._pose import Doubles, Model
from ._pyramid import Pyramid

ENGINE = Engine(
    title="mutual information from many starts, coarse to fine",
    packages=(),
    licence="Apache-2.0",
    gpu=True,
    memory_mb=100,
    seconds_per_megavoxel=0.15,
    least_seconds=2,
)


class Stage(NamedTuple):
    """One resolution.

    Parameters
    ----------
    spacing : float
        Voxel size, mm.
    smooth : float
        Standard deviation of a further smoothing, voxels. Between different
        people it takes the local optima away that a finer stage would be
        caught in.
    samples : int
        Points that the images are compared at.
    keep : int
        Results that go on to the next stage.
    steps : int
        Steps of the optimiser, at most.
    tolerance : float
        Its last step, mm.
    """

    spacing: float
    smooth: float
    samples: int
    keep: int
    steps: int
    tolerance: float


_SEARCH = Stage(8.0, 1.0, 1500, 0, 15, 0.1)
_SIFT = Stage(4.0, 1.0, 4000, 6, 10, 0.1)
COARSE = Stage(4.0, 1.0, 20000, 2, 25, 0.03)
_MIDDLE = Stage(2.0, 1.0, 40000, 1, 40, 0.01)
_FINE = Stage(1.0, 0.0, 60000, 1, 40, 0.003)

#: Images coarser than this on every axis have nothing to show at the finest stage (mm).
_FINE_BELOW_MM = 1.5


class Effort(NamedTuple):
    """How long the search at the coarsest stage is.

    Parameters
    ----------
    rotations : int
        Rotations looked at; 600 lie about 30 degrees from each other.
    offsets : tuple of float
        How far off each other's the centres of the two images may lie (mm):
        necks and caps of heads are seen in one and not in the other.
    refined : int
        Starts that are refined.
    keep : int
        Results that go on.
    """

    rotations: int
    offsets: tuple[float, ...]
    refined: int
    keep: int


_USUAL = Effort(600, (20.0, 40.0), 64, 20)
_THOROUGH = Effort(1500, (20.0, 40.0, 60.0), 200, 32)

#: Results that lie nearer to a better one than this are the same (mm): after the search, whose results
#: are rough, and later.
_APART_MM = (15.0, 6.0)
#: The objective in units that make the optimiser's first step about a millimetre.
_GAIN = 100.0


class Found(NamedTuple):
    """A map (4, 4), fixed mm to moving mm, and its mutual information (nats)."""

    matrix: Doubles
    value: float


def estimate(
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    model: Model = "rigid",
    start: Transform | None = None,
    thorough: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "cpu",
    pyramids: tuple[Pyramid, Pyramid] | None = None,
) -> Transform:
    """Find the transform that brings the moving image onto the fixed one.

    Parameters
    ----------
    fixed, moving : Volume
        Images of any contrast and grid; finite voxels. Either may show a part
        of the other only.
    fixed_mask, moving_mask : Volume, optional
        Where the images are compared; what they show, otherwise.
    model : {"rigid", "similarity", "scaled", "affine"}
        6, 7 (one scale), 9 (a scale along each axis) or 12 degrees of freedom.
    start : Transform, optional
        Where to begin (fixed mm to moving mm), within some 20 mm and 20
        degrees of the truth. All poses are searched, otherwise.
    thorough : bool
        Search four times as many poses.
    device : {"auto", "cpu", "cuda"}
        numba on a CPU, torch on a GPU.
    pyramids : pair of Pyramid, optional
        Of the two images with their masks, where they have been made before.

    Returns
    -------
    Transform
        Fixed mm to moving mm, RAS+.

    Raises
    ------
    EngineError
        If the images have nothing in common anywhere.
    """
    still, floating = pyramids or (Pyramid(fixed, fixed_mask), Pyramid(moving, moving_mask))
    if start is None:
        found = _searched(still, floating, _THOROUGH if thorough else _USUAL, device)
    else:
        found = [Found(np.asarray(start.matrix), 0.0)]
    if not found:
        raise EngineError(
            "the images do not overlap at any pose",
            hint="is each of them what it should be? `mriprep inspect` shows where each lies",
        )
    finest = min(min(still.spacing), min(floating.spacing)) < _FINE_BELOW_MM
    # Without the factor of the overlap an affine map may shrink one image into a corner of the
    # other. A rigid one cannot, and at fine stages the factor would draw it off by a little.
    stages: list[tuple[Stage, Model, bool]] = [(COARSE, "rigid", True)]
    if len(found) > _SIFT.keep:
        stages.insert(0, (_SIFT, "rigid", True))
    if model == "rigid":
        stages.append((_MIDDLE, "rigid", False))
    else:
        stages += [(COARSE, model, True), (_MIDDLE, model, True)]
    if finest:
        stages.append((_FINE, model, model != "rigid"))
    for number, (stage, freedom, overlap) in enumerate(stages):
        both_ways = number == len(stages) - 1
        pair = Pair(still, floating, stage, device, both_ways)
        ends = pair.refined([f.matrix for f in found], freedom, overlap)
        found = _best(ends, stage.keep, still.center, _APART_MM[1])
    return Transform(
        found[0].matrix,
        fixed.grid,
        moving.grid,
        meta={"engine": "native", "engine_version": ENGINE.version, "model": model},
    )


def _searched(still: Pyramid, floating: Pyramid, effort: Effort, device: str) -> list[Found]:
    """The best of all poses, at the coarsest stage: of each rotation, the best place is refined."""
    pair = Pair(still, floating, _SEARCH, device)
    starts = _starts(still, floating, effort)
    values = pair.look(starts.reshape(-1, 4, 4)).reshape(starts.shape[:2])
    place = values.argmax(axis=1)
    best = values.max(axis=1)
    order = np.argsort(-best, kind="stable")[: effort.refined]
    begin = [starts[n, place[n]] for n in order if best[n] > 0]
    found = pair.refined(begin, "rigid", True) if begin else []
    return _best(found, effort.keep, still.center, _APART_MM[0])


class Pair:
    """Two images at one resolution.

    Parameters
    ----------
    still, floating : Pyramid
        The fixed and the moving image.
    stage : Stage
        The resolution.
    device : str
        As the engine's.
    both_ways : bool
        Whether each image is sampled and looked up in the other: the map from
        one to the other is then the inverse of that from the other to the
        one, and what interpolation blurs is blurred in both.
    """

    def __init__(
        self,
        still: Pyramid,
        floating: Pyramid,
        stage: Stage,
        device: str = "cpu",
        both_ways: bool = False,
    ) -> None:
        self._there = _Way(still, floating, stage, device)
        self._back = _Way(floating, still, stage, device) if both_ways else None
        self._center = still.center
        self._stage = stage

    def values(self, matrices: npt.ArrayLike) -> Doubles:
        """Mutual information times overlap under each of many maps (M, 4, 4)."""
        return self._there.values(np.asarray(matrices))

    def look(self, matrices: npt.ArrayLike) -> Doubles:
        """About the same of very many maps, quickly."""
        return self._there.look(np.asarray(matrices))

    def refined(self, matrices: Sequence[Doubles], model: Model, overlap: bool) -> list[Found]:
        """The local optimum near each of several maps (4, 4)."""
        center = self._center
        begin = [_pose.initial(m[:3, :3], model) for m in matrices]
        rotations = np.array([r for r, _ in begin])
        targets = np.array([m[:3, :3] @ center + m[:3, 3] for m in matrices])

        def assembled(p: Doubles, who: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
            parts, by = _pose.linear(p, rotations[who])
            whole = np.zeros((len(p), 4, 4))
            whole[:, :3, :3], whole[:, 3, 3] = parts, 1
            whole[:, :3, 3] = targets[who] + p[:, 3:6] - parts @ center
            return whole, by

        def cost(p: Doubles, who: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
            whole, by = assembled(p, who)
            values, slopes = self._there.gradients(whole, overlap)
            if self._back is not None:
                inverse = np.asarray(np.linalg.inv(whole), dtype=np.float64)
                more, back = self._back.gradients(inverse, overlap)
                turned = np.swapaxes(inverse, 1, 2)
                # The derivative of an inverse: d(M^-1) = -M^-1 dM M^-1.
                values = (values + more) / 2
                slopes = (slopes - (turned[:, :, :3] @ back @ turned)[:, :3]) / 2
            shifts = slopes[:, :, 3]
            by_linear = slopes[:, :, :3] - shifts[:, :, None] * center
            gradients = (by * by_linear[:, None]).sum(axis=(2, 3))
            gradients[:, 3:6] = shifts
            return -_GAIN * values, -_GAIN * gradients

        where, least = minimize(
            cost,
            np.array([p for _, p in begin]),
            iterations=self._stage.steps,
            tolerance=self._stage.tolerance,
        )
        maps, _ = assembled(where, np.arange(len(where)))
        return [Found(m, float(-v) / _GAIN) for m, v in zip(maps, least, strict=True)]


class _Way:
    """One image sampled, the other looked up in."""

    def __init__(self, sampled: Pyramid, other: Pyramid, stage: Stage, device: str) -> None:
        points, bins = sampled.samples(sampled.level(stage.spacing, stage.smooth), stage.samples)
        level = other.level(stage.spacing, stage.smooth)
        self._samples = _on(device)(points, bins, level.data, level.mask)
        self._to_index = np.asarray(np.linalg.inv(level.affine)[:3], dtype=np.float64)

    def values(self, maps: Doubles) -> Doubles:
        values: Doubles = self._samples.values(self._to_index @ maps, True)
        return values

    def look(self, maps: Doubles) -> Doubles:
        values: Doubles = self._samples.look(self._to_index @ maps)
        return values

    def gradients(self, maps: Doubles, overlap: bool) -> tuple[Doubles, Doubles]:
        """Values (K,) under maps (K, 4, 4), mm to mm, and derivatives (K, 3, 4) by them."""
        values, slopes = self._samples.gradients(self._to_index @ maps, overlap)
        return values, self._to_index[:, :3].T @ slopes


def _starts(still: Pyramid, floating: Pyramid, effort: Effort) -> Doubles:
    """Maps to begin with, (rotations, places, 4, 4): every rotation, with the centres near each other."""
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    offsets = np.concatenate([np.zeros((1, 3)), *(size * axes for size in effort.offsets)])
    turns = np.concatenate([np.eye(3)[None], _pose.rotations(effort.rotations)])
    starts = np.zeros((len(turns), len(offsets), 4, 4))
    starts[..., :3, :3] = turns[:, None]
    starts[..., :3, 3] = (floating.center - turns @ still.center)[:, None] + offsets
    starts[..., 3, 3] = 1
    return starts


def _best(found: Sequence[Found], keep: int, center: Doubles, apart: float) -> list[Found]:
    """The best results that lie apart from each other, best first."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * _pose.RADIUS_MM
    points = np.asarray(center + corners / np.sqrt(3), dtype=np.float64)
    kept: list[tuple[Found, Doubles]] = []
    for one in sorted(found, key=lambda f: -f.value):
        mapped = points @ one.matrix[:3, :3].T + one.matrix[:3, 3]
        if all(np.linalg.norm(mapped - m, axis=1).mean() > apart for _, m in kept):
            kept.append((one, mapped))
        if len(kept) == keep:
            break
    return [f for f, _ in kept]


def _on(device: str) -> Any:
    """What compares the images: numba's class, or torch's on a GPU."""
    if on_gpu(device):
        from functools import partial

        from mriprep.kernels import mutual_torch

        return partial(mutual_torch.Samples, device="cuda")
    from mriprep.kernels import mutual

    return mutual.Samples
