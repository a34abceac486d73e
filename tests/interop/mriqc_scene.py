"""A head of ellipsoids from numpy alone: the same voxels in mriprep's environment and in MRIQC's."""

from __future__ import annotations

import numpy as np

SHAPE = (72, 84, 70)
AFFINE = np.array([[2.0, 0, 0, -72], [0, 2.2, 0, -96], [0, 0, 2.5, -80], [0, 0, 0, 1]])


def scene(contrast: str = "T1w", seed: int = 7) -> dict[str, np.ndarray]:
    """Arrays (X, Y, Z), axes to the right, front and top; RandomState's stream is the same for ever."""
    rng = np.random.RandomState(seed)
    i, j, k = np.indices(SHAPE).astype(np.float64)

    def ellipsoid(center, radii, soft=0.06):
        r = np.sqrt(
            sum(((x - c) / a) ** 2 for x, c, a in zip((i, j, k), center, radii, strict=True))
        )
        return 1 / (1 + np.exp((r - 1) / soft))

    middle = (36, 41, 38)
    skin = ellipsoid(middle, (27, 34, 29), 0.02)
    skull = ellipsoid(middle, (24.5, 31, 26.5), 0.02)
    intra = ellipsoid(middle, (22, 28, 23.5), 0.02)
    neck = ellipsoid((36, 36, 0), (14, 16, 30), 0.05)
    folds = 0.12 * np.sin(i / 1.7) * np.sin(j / 2.1) * np.sin(k / 1.9)
    white = np.clip(ellipsoid(middle, (16, 21, 17), 0.05) + folds, 0, 1)
    ventricle = ellipsoid(middle, (4, 9, 5), 0.08)
    cortex = ellipsoid(middle, (20.5, 26.3, 22), 0.03)
    csf = np.clip(intra - cortex + ventricle, 0, 1)
    wm = np.clip(white - ventricle, 0, 1) * cortex
    gm = np.clip(intra - csf - wm, 0, 1)
    levels = {"T1w": (180, 640, 980), "T2w": (1500, 820, 560)}[contrast]
    brain = intra > 0.5
    total = np.maximum(csf + gm + wm, 1e-6)
    tissues = {t: np.where(brain, p / total, 0) for t, p in (("csf", csf), ("gm", gm), ("wm", wm))}
    clean = (skin - skull).clip(0) * 900 + (skull - intra).clip(0) * 60 + neck * (1 - skin) * 500
    clean = clean + sum(level * p for level, p in zip(levels, (csf, gm, wm), strict=True))
    bias = 1 + 0.18 * np.cos(i / 40) - 0.12 * (j / SHAPE[1]) + 0.05 * np.sin(k / 25)
    ghost = 0.15 * np.roll(clean, SHAPE[1] // 2, axis=1) * (k > 45)
    real = clean * bias + ghost + rng.normal(0, 22, SHAPE)
    raw = np.sqrt(real**2 + rng.normal(0, 22, SHAPE) ** 2)
    raw[:, :, -3:] = 0  # a corner that a rotation left
    raw = np.round(raw)
    moved = {f"template_{t}": np.roll(p, (1, -2, 1), (0, 1, 2)) for t, p in tissues.items()}
    arrays = {"raw": raw, "corrected": raw / bias, "bias": bias, "brain": brain, **tissues, **moved}
    # Six decimals: what libraries of mathematics round otherwise is cut off.
    return {
        n: a if a.dtype == bool else np.round(a, 6).astype(np.float32) for n, a in arrays.items()
    }
