"""Anatomical fiducials (AFIDs) in 3D Slicer's files, and how far an engine brings them apart.

Lau JC et al. A framework for evaluating correspondence between brain images
using anatomical fiducials. Hum Brain Mapp 2019. doi:10.1002/hbm.24693
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def read_fcsv(path: Path) -> tuple[list[str], np.ndarray]:
    """Labels, and points (N, 3) in mm, RAS+, whatever the file's own convention."""
    sign = np.ones(3)
    labels, points = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            if "CoordinateSystem" in line:
                system = line.split("=")[1].strip().upper()
                # Old files say 0 for RAS and 1 for LPS.
                sign = np.array([-1, -1, 1]) if system in ("1", "LPS") else np.ones(3)
            continue
        cells = line.split(",")
        points.append([float(v) for v in cells[1:4]])
        labels.append(cells[12])
    return labels, np.array(points) * sign


def plausible(labels: list[str], points: np.ndarray) -> bool:
    """Whether right is right of left, the genu before the splenium, and the ventricles above the horns."""
    where = dict(zip(labels, points, strict=True))
    sides = all(where[k][0] > 0 for k in labels if k.startswith("R ")) and all(
        where[k][0] < 0 for k in labels if k.startswith("L ")
    )
    front = where["genu of CC"][1] > where["AC"][1] > where["PC"][1] > where["culmen"][1]
    return sides and front and where["R LV at AC"][2] > where["R AL temporal horn"][2]


def errors(found, fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Distance of each landmark from where the transform sends it, mm."""
    return np.linalg.norm(found(fixed) - moving, axis=1)
