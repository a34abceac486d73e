"""A picture of bias correction on the digital head: scan, field (true, estimated), corrected scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mriprep.engines.bias import native
from mriprep.phantom import head


def draw(path: Path) -> Path:
    """Draw it; the file."""
    from matplotlib.figure import Figure

    scan = head("T1w", spacing=1.5, noise=0.03, bias=2.0, bias_kind="surface", seed=5)
    mask = scan.brain.replace(scan.brain.data & (scan.image.data > 0))
    found = native.field(
        scan.image, mask, levels=4, iterations=50, shrink=1.0, fwhm=0.15, noise=0.01,
        convergence=1e-3,
    )[0]  # fmt: skip
    inside = scan.brain.data
    level = np.exp(np.log(found.data[inside]).mean() - np.log(scan.bias_field.data[inside]).mean())
    estimated = found.data / level
    slab = int(scan.grid.to_index((0, 0, 18))[2])
    white = 1000.0
    fields = {
        "cmap": "magma",
        "vmin": 0,
        "vmax": float(np.quantile(scan.bias_field.data[inside], 0.999)),
    }
    panels = [
        ("scan", scan.image.data, {"cmap": "gray", "vmin": 0, "vmax": 2 * white}),
        ("true field, in the brain", np.where(inside, scan.bias_field.data, np.nan), fields),
        ("estimated field, in the brain", np.where(inside, estimated, np.nan), fields),
        (
            "corrected",
            scan.image.data / estimated,
            {"cmap": "gray", "vmin": 0, "vmax": 1.4 * white},
        ),
    ]
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    for axes, (title, volume, look) in zip(figure.subplots(1, 4), panels, strict=True):
        shown = axes.imshow(volume[:, :, slab].T, origin="lower", **look)
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
        if look is fields:
            figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Software": None})
    return path
