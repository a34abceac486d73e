"""Scans spoilt on purpose, in the ways that scanners and people spoil them, in three strengths each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from mriprep.core import Volume
from mriprep.phantom.fields import add_noise, bias_field

Floats = np.ndarray

#: What each strength means, weakest first.
STRENGTHS: dict[str, tuple[float, float, float]] = {
    "motion": (1.0, 2.5, 5.0),  # mm and degrees, at a few moments of the scan
    "noise": (0.04, 0.1, 0.2),  # deviation over what is bright in the brain, added
    "ghost": (0.05, 0.12, 0.3),  # of the signal, half a field of view away
    "spike": (0.05, 0.12, 0.3),  # amplitude of the stripes over what is bright in the brain
    "bias": (0.8, 1.5, 2.5),  # range of a coil's field in the brain
    "wrap": (10.0, 25.0, 45.0),  # mm of the head that fold over
    "clipping": (0.02, 0.1, 0.3),  # share of the brain's voxels at the top
    "low resolution": (1.7, 2.5, 4.0),  # voxels, along two axes
    "slices": (2.0, 6.0, 14.0),  # slices without signal
}


def bright(image: Volume, brain: Volume) -> float:
    """A level that most of the brain does not exceed."""
    return float(np.percentile(image.data[brain.data], 95))


def spoilt(
    image: Volume, brain: Volume, kind: str, strength: float, seed: int
) -> tuple[Volume, Volume]:
    """A scan spoilt in one way, and its mask; the same arguments give the same voxels.

    Parameters
    ----------
    image : Volume
        Finite, as stored.
    brain : Volume
        Its mask.
    kind : str
        One of :data:`STRENGTHS`.
    strength : float
        See there.
    seed : int
        Of what is random.
    """
    if kind == "wrap":
        return _folded(image, brain, strength)
    rng = np.random.default_rng([seed, len(kind)])
    made = _SPOILERS[kind](image.floats(), image, brain, strength, rng)
    # What is stored are whole numbers where they were before.
    if image.data.dtype.kind in "iu":
        made = np.clip(np.round(made), 0, None)
    return image.replace(np.ascontiguousarray(made, dtype=np.float32)), brain


def _axes(image: Volume) -> tuple[int, int, int]:
    """Array axes that run left-right, back-front, down-up."""
    order, _ = image.grid.axes_to("RAS")
    return tuple(order)  # type: ignore[return-value]


def _motion(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    """K-space put together from the head in several places, along the phase axis."""
    _, phase, _ = _axes(image)
    n = values.shape[phase]
    cuts = np.sort(rng.choice(np.arange(n // 8, n - n // 8), 4, replace=False))
    parts = np.split(np.arange(n), cuts)
    total = np.zeros(values.shape, np.complex64)
    middle = np.array(ndimage.center_of_mass(brain.data))
    spacing = np.asarray(image.spacing)
    for number, rows in enumerate(parts):
        if number == len(parts) // 2:  # the head is where it is while the middle is acquired
            moved = values
        else:
            angles = np.deg2rad(strength * rng.uniform(-1, 1, 3))
            shift = strength * rng.uniform(-1, 1, 3)
            turn = _rotation(angles)
            matrix = np.diag(1 / spacing) @ turn @ np.diag(spacing)
            offset = middle - matrix @ middle + shift / spacing
            moved = ndimage.affine_transform(values, matrix, offset, order=1, mode="nearest")
        spectrum = np.fft.fftshift(np.fft.fft(moved, axis=phase), axes=phase).astype(np.complex64)
        where = [slice(None)] * 3
        where[phase] = slice(rows[0], rows[-1] + 1)
        total[tuple(where)] = spectrum[tuple(where)]
    return np.abs(np.fft.ifft(np.fft.ifftshift(total, axes=phase), axis=phase))


def _rotation(angles: Floats) -> Floats:
    a, b, c = angles
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def _noise(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    sigma = strength * bright(image, brain)
    return add_noise(values, sigma, int(rng.integers(1 << 30)))


def _ghost(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    _, phase, _ = _axes(image)
    ghost = np.roll(values, values.shape[phase] // 2, axis=phase)
    return np.abs((1 - strength / 2) * values + strength * ghost)


def _spike(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    where = [int(s * rng.uniform(0.15, 0.35)) for s in values.shape]
    phase = sum(
        2 * np.pi * k * np.arange(s).reshape([-1 if a == i else 1 for i in range(3)]) / s
        for a, (k, s) in enumerate(zip(where, values.shape, strict=True))
    )
    return np.abs(values + strength * bright(image, brain) * np.cos(phase))


def _bias(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    seed = int(rng.integers(1 << 30))
    return values * bias_field(image.grid, np.asarray(brain.data), strength, "surface", seed)


def _folded(image: Volume, brain: Volume, strength: float) -> tuple[Volume, Volume]:
    """The field of view too small along the phase axis: what is beyond comes in on the other side."""
    _, phase, _ = _axes(image)
    values = np.moveaxis(image.floats(), phase, 0)
    inside = np.moveaxis(np.asarray(brain.data), phase, 0)
    shown = np.flatnonzero((values > 0.1 * bright(image, brain)).mean(axis=(1, 2)) > 0.01)
    lost = max(1, round(strength / image.spacing[phase]))
    start = shown[0] + lost // 2
    length = len(range(shown[0], shown[-1] + 1)) - lost
    made = np.zeros((length, *values.shape[1:]), np.float32)
    for i in range(shown[0], shown[-1] + 1):
        made[(i - start) % length] += values[i]
    index = np.zeros(3)
    index[phase] = start
    affine = image.affine.copy()
    affine[:3, 3] = image.grid.to_world(index)
    kept = inside[start : start + length]
    return (
        Volume(np.moveaxis(made, 0, phase), affine, meta=image.meta),
        Volume(np.moveaxis(kept, 0, phase), affine, role="mask"),
    )


def _clipping(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    return np.minimum(values, np.percentile(values[brain.data], 100 * (1 - strength)))


def _low_resolution(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    """K-space cut off along two axes, and filled with zeros, as scanners' consoles do."""
    made = values
    for axis in _axes(image)[:2]:
        n = values.shape[axis]
        spectrum = np.fft.fft(made, axis=axis)
        keep = np.abs(np.fft.fftfreq(n)) <= 0.5 / strength
        spectrum *= keep.reshape([-1 if a == axis else 1 for a in range(3)])
        made = np.fft.ifft(spectrum, axis=axis).real
    return np.abs(made)


def _slices(
    values: Floats, image: Volume, brain: Volume, strength: float, rng: np.random.Generator
) -> Floats:
    spacing = image.spacing
    stack = int(np.argmax(spacing)) if max(spacing) > 1.2 * min(spacing) else 2
    area = np.moveaxis(np.asarray(brain.data), stack, 0).sum(axis=(1, 2))
    there = np.flatnonzero(area > 0.4 * area.max())
    lost = rng.choice(there[2:-2], min(int(strength), len(there) // 2), replace=False)
    made = np.moveaxis(values.copy(), stack, 0)
    made[lost] = 0
    return np.moveaxis(made, 0, stack)


_SPOILERS: dict[str, Callable[..., Floats]] = {
    "motion": _motion,
    "noise": _noise,
    "ghost": _ghost,
    "spike": _spike,
    "bias": _bias,
    "clipping": _clipping,
    "low resolution": _low_resolution,
    "slices": _slices,
}
