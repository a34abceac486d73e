"""Outlines of brain masks on their scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from _brain_scans import Scan

import mriprep as mp


def draw(scan: Scan, mask: np.ndarray, path: Path) -> Path:
    """Nine slices; the mask's outline in red, that of the mask that came with the scan in green."""
    from matplotlib.figure import Figure

    image = mp.reorient(scan.image, to="RAS")
    found = mp.reorient(scan.image.replace(mask, role="mask"), to="RAS").data
    given = None if scan.mask is None else mp.reorient(scan.mask, to="RAS").data
    values = np.nan_to_num(image.floats())
    top = float(np.percentile(values[found], 99.5)) * 1.2 if found.any() else float(values.max())
    figure = Figure(figsize=(9, 9), facecolor="black")
    index = np.argwhere(found if found.any() else np.ones_like(found))
    for axis in range(3):
        low, high = index[:, axis].min(), index[:, axis].max()
        a, b = (i for i in range(3) if i != axis)
        for column, share in enumerate((0.25, 0.5, 0.75)):
            at = int(low + share * (high - low))
            panel = figure.add_subplot(3, 3, 3 * axis + column + 1)
            panel.imshow(
                values.take(at, axis).T, cmap="gray", vmin=0, vmax=top, origin="lower",
                aspect=image.spacing[b] / image.spacing[a],
            )  # fmt: skip
            for outline, colour in ((given, "lime"), (found, "red")):
                if outline is not None and outline.take(at, axis).any():
                    panel.contour(outline.take(at, axis).T, [0.5], colors=colour, linewidths=0.7)
            panel.axis("off")
    figure.subplots_adjust(0, 0, 1, 1, 0.01, 0.01)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, facecolor="black")
    return path
