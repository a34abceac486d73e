"""What a scanner adds to the tissues: a bias field and noise."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError
from mriprep.core.errors import nearest

from .shapes import Floats

BiasKind = Literal["smooth", "coil", "surface"]


def bias_field(
    grid: Grid, brain: npt.NDArray[np.bool_], amplitude: float, kind: BiasKind, seed: int
) -> Floats:
    """A smooth, positive, multiplicative field that is fixed to the scanner.

    Parameters
    ----------
    grid : Grid
        Where to evaluate it.
    brain : (X, Y, Z) bool array
        Where its mean is 1 and its range is `amplitude`.
    amplitude : float
        Largest minus smallest value within the brain; 0 for none.
    kind : {"smooth", "coil", "surface"}
        A few long waves in random directions; a ring of receive coils, bright
        near the scalp and dark in the middle; or one small coil at a side,
        from which the signal falls off to the other.
    seed : int
        Of the waves' directions, of the coils' gains, and of the side.

    Returns
    -------
    (X, Y, Z) float32 array
    """
    if kind not in get_args(BiasKind):
        raise InputError(
            f"'{kind}' is not a kind of bias field", hint=nearest(kind, get_args(BiasKind))
        )
    if amplitude == 0 or not brain.any():
        return np.ones(grid.shape, np.float32)
    rng = np.random.default_rng([seed, 1])
    log_field = {"smooth": _waves, "coil": _coils, "surface": _surface}[kind](grid, rng)
    within = log_field[brain].astype(np.float64)
    within -= within.mean()
    low, high = 0.0, 1.0
    while _spread(within, high) < amplitude:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _spread(within, middle) < amplitude else (low, middle)
    field: Floats = np.exp(np.float32(high) * (log_field - log_field[brain].mean()))
    field /= np.float32(np.exp(high * within).mean())
    return field


def add_noise(clean: Floats, sigma: float, seed: int) -> Floats:
    """Magnitude of a complex signal with Gaussian noise of deviation `sigma` in both channels (Rice).

    Gudbjartsson H, Patz S. The Rician distribution of noisy MRI data.
    Magn Reson Med 1995. doi:10.1002/mrm.1910340618
    """
    if sigma == 0:
        return clean.copy()
    rng = np.random.default_rng([seed, 2])
    real = rng.standard_normal(clean.shape, dtype=np.float32)
    real *= np.float32(sigma)
    real += clean
    imaginary = rng.standard_normal(clean.shape, dtype=np.float32)
    imaginary *= np.float32(sigma)
    magnitude: Floats = np.hypot(real, imaginary, out=real)
    return magnitude


def _spread(log_field: npt.NDArray[np.float64], power: float) -> float:
    field = np.exp(power * log_field)
    return float(np.ptp(field) / field.mean())


def _waves(grid: Grid, rng: np.random.Generator) -> Floats:
    field = np.zeros(grid.shape, np.float32)
    for _ in range(4):
        direction = rng.standard_normal(3)
        direction *= 2 * np.pi / rng.uniform(220, 420) / np.linalg.norm(direction)
        steps = direction @ grid.affine[:3, :3]
        start = float(direction @ grid.affine[:3, 3] + rng.uniform(0, 2 * np.pi))
        i, j, k = (np.arange(n) * s for n, s in zip(grid.shape, steps, strict=True))
        phase = (i[:, None, None] + j[None, :, None]).astype(np.float32) + (start + k).astype(
            np.float32
        )
        field += np.cos(phase)
    return field


def _coils(grid: Grid, rng: np.random.Generator) -> Floats:
    """Log of the root sum of squares of the sensitivities of twelve coils around the head."""
    power = np.zeros(grid.shape, np.float32)
    sizes = np.multiply(grid.spacing, grid.shape)
    radius = 0.5 * float(sizes.max()) + 15
    for number in range(12):
        angle, height = 2 * np.pi * number / 6 + 0.3, (-25.0, 55.0)[number // 6]
        where = grid.center + np.array(
            [0.8 * radius * np.cos(angle), radius * np.sin(angle), height]
        )
        squared = _squared_distance(grid, where)
        gain = np.float32(rng.uniform(0.9, 1.1))
        power += np.square(gain / (1 + squared / np.float32(70.0**2)))
    return np.float32(0.5) * np.log(power)


def _surface(grid: Grid, rng: np.random.Generator) -> Floats:
    """Log of the field on the axis of a loop coil of 70 mm radius, at a random side of the head."""
    angle = rng.uniform(0, 2 * np.pi)
    where = grid.center + np.array([100 * np.cos(angle), 125 * np.sin(angle), rng.uniform(0, 40)])
    log_field: Floats = np.float32(-1.5) * np.log1p(
        _squared_distance(grid, where) / np.float32(70.0**2)
    )
    return log_field


def _squared_distance(grid: Grid, where: npt.NDArray[np.float64]) -> Floats:
    # In the array's own axes the squared distance is a sum of one term an axis.
    i, j, k = (
        ((np.arange(n) - c) * s) ** 2
        for n, c, s in zip(grid.shape, grid.to_index(where), grid.spacing, strict=True)
    )
    squared: Floats = (i[:, None, None] + j[None, :, None]).astype(np.float32) + k.astype(
        np.float32
    )
    return squared
