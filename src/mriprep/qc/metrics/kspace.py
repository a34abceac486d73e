"""What the image's frequencies tell: spikes, parts of k-space that were never measured, resolution, noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from mriprep.kernels.differences import steps
from mriprep.kernels.order import median
from mriprep.kernels.outlier import outlier

from .declared import Found, Metric, Unmeasured, measures, told
from .scene import Floats, Scene

#: A fall of the power by this factor (natural logarithm) within a tenth of the axis is an edge.
_EDGE = 1.5
#: Slices this much thicker than the voxel's other sides were measured one by one.
_THICK = 1.5


@measures(
    Metric(
        "spike", "Strongest spike of k-space",
        "Largest magnitude in the outer k-space to those about it. Noise alone gives 4 to 5; a spike, seen "
        "as stripes all over the image, more.",
        "lower", source="doi:10.1016/j.neuroimage.2007.10.038",
    ),
)  # fmt: skip
def _spike(scene: Scene) -> Found:
    slices = _slice_axis(scene)
    if slices is None:
        return {"spike": _outlier(scene.power, scene.raw.shape, (0, 1, 2))}
    stacked = np.moveaxis(scene.raw, slices, 0)
    plane = scipy.fft.rfft2(stacked, workers=1)
    power = np.square(plane.real) + np.square(plane.imag)
    return {"spike": _outlier(power, stacked.shape, (1, 2))}


def _slice_axis(scene: Scene) -> int | None:
    """The axis across thick slices, each of which has a k-space of its own."""
    axis = int(np.argmax(scene.spacing))
    others = [s for a, s in enumerate(scene.spacing) if a != axis]
    return axis if scene.spacing[axis] > _THICK * max(others) else None


def _outlier(power: Floats, shape: tuple[int, ...], axes: tuple[int, ...]) -> float:
    along = [_frequencies(shape, a) for a in range(3)]
    radius, small = [], []
    for a in range(3):
        used = a in axes
        radius.append((along[a] / (shape[a] / 2)) ** 2 if used else np.zeros(power.shape[a]))
        # Where all but one are small lie the streaks of edges and of a cut field of view.
        limit = max(6, 0.05 * shape[a])
        small.append(np.abs(along[a]) < limit if used else np.zeros(power.shape[a], bool))
    if min(shape[a] for a in axes) < 32:
        raise Unmeasured("the image is too small to look for spikes")
    floor = 0.5 * float(np.median(power.ravel()[:: max(1, power.size // 100_000)]))
    if floor <= 0:
        raise Unmeasured("half of k-space is empty")
    return float(
        np.sqrt(outlier(power, (radius[0], radius[1], radius[2]), tuple(small), axes, floor))
    )


def _frequencies(shape: tuple[int, ...], axis: int) -> npt.NDArray[np.float64]:
    n = shape[axis]
    f = np.fft.rfftfreq(n) if axis == 2 else np.fft.fftfreq(n)
    return np.asarray(f * n, dtype=np.float64)


@measures(
    *(
        Metric(
            f"kspace_{a}", f"Measured part of k-space, {a}",
            "How far out, along the axis, k-space holds data: 1 where all was measured, less where the scanner "
            "filled up with zeros or the image was resampled from coarser voxels.",
            "higher", source="doi:10.1002/mrm.1910140211",
        )
        for a in "xyz"
    ),
    *(
        Metric(
            f"resolution_{a}", f"Resolution, {a}",
            "Voxel size that was really measured: the spacing divided by the measured part of k-space.",
            "lower", "mm",
        )
        for a in "xyz"
    ),
)  # fmt: skip
def _measured_part(scene: Scene) -> Found:
    found: dict[str, float | str] = {}
    for axis, name in enumerate("xyz"):
        part = told(_reach, scene, axis)
        found[f"kspace_{name}"] = part
        found[f"resolution_{name}"] = part if isinstance(part, str) else scene.spacing[axis] / part
    return found


def _profile(scene: Scene, axis: int) -> npt.NDArray[np.float64]:
    """Mean power from the centre out along an axis, over middle frequencies of the other two."""
    power, shape = scene.power, scene.raw.shape
    if shape[axis] < 24:
        raise Unmeasured(f"{shape[axis]} voxels along the axis are too few")
    chosen: list[npt.NDArray[np.intp]] = []
    for a in range(3):
        f = np.abs(_frequencies(shape, a)) / (shape[a] / 2)
        chosen.append(np.arange(len(f)) if a == axis else np.flatnonzero((f > 0.08) & (f < 0.4)))
        if not chosen[a].size:
            chosen[a] = np.arange(len(f))
    part = power[np.ix_(*chosen)]
    line: npt.NDArray[np.float64] = part.mean(
        axis=tuple(a for a in range(3) if a != axis), dtype=np.float64
    )
    if axis == 2:
        return line
    n = shape[axis]
    half = n // 2 + 1
    mirrored = line[(-np.arange(half)) % n]
    return np.asarray((line[:half] + mirrored) / 2)


def _reach(scene: Scene, axis: int) -> float:
    """Where the power falls off an edge, as a share of the axis; 1 where it does not."""
    profile = _profile(scene, axis)
    if profile.max() <= 0:
        raise Unmeasured("the image is empty")
    logs = np.log(np.maximum(profile, profile.max() * 1e-14))
    n = len(logs)
    width = max(2, round(0.06 * n))
    best, at = _EDGE, 1.0
    for i in range(max(round(0.25 * n), width), n - width):
        # One bin is left out on either side: an edge is seldom sharper than two.
        inside = np.median(logs[max(i - width, 0) : i])
        outside = np.median(logs[i + 1 : i + 1 + width])
        beyond = np.median(logs[i + 1 :])
        fall = float(inside - max(outside, beyond))
        if fall > best:
            best, at = fall, i / (n - 1)
    return at


@measures(
    *(
        Metric(
            f"noise_correlation_{a}", f"Correlation of neighbours' noise, {a}",
            "Of neighbouring voxels in the air: about 0 in an image as it was measured, more in one that was "
            "interpolated, filtered or filled with zeros.",
            "lower",
        )
        for a in "xyz"
    )
)  # fmt: skip
def _noise_correlation(scene: Scene) -> Found:
    air = scene.shown(scene.air, "its noise was")
    # What of the head the air's mask left in is no noise: hardly any noise reaches four medians.
    noise = air & (scene.raw < 4 * median(scene.raw[air]))
    found: dict[str, float | str] = {}
    near, far = (steps(scene.raw, noise, step) for step in (1, 3))
    for name, (n, _, squares), (m, _, wide) in zip("xyz", near, far, strict=True):
        found[f"noise_correlation_{name}"] = (
            float(1 - (squares / n) / (wide / m))
            if min(n, m) >= 500 and wide > 0
            else "the air is too narrow along the axis"
        )
    return found
