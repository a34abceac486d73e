"""Bias fields of your own scans side by side: a picture of each, to be looked at.

    python benchmarks/bias_pictures.py SCAN [SCAN ...] --out FOLDER [--mask MASK | --brain]

A SCAN is a file (NIfTI, MGH, NRRD, MetaImage) or a DICOM folder or zip; of several series `--series`
takes one. For each, FOLDER gets a PNG: on the left the scan in three planes, then the field and the corrected
scan of every engine: native N4 at full resolution, SimpleITK's N4 at 4 mm, LapGM at 2 mm (`--engines`). Fields
share one scale, relative to their mean in the mask, and are pale outside of it, where nothing was measured;
corrected scans share the scan's grey levels. Under each engine: its seconds, the correlation and the root mean
square difference of its log field with the first one's in the mask, and the range of its field there (percentiles 1
to 99).

Fields are estimated in what Otsu's threshold keeps of the scan, in a mask of yours, or in the brain.
Pictures show the person who was scanned: the folder must not be in mriprep's repository.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

import mriprep as mp
from mriprep import snapshot
from mriprep.declare import keeping

#: Engines by name: the step, and what it is called with.
ENGINES = {
    "native": (mp.n4, {"engine": "native", "shrink": 1.0}),
    "SimpleITK": (mp.n4, {"engine": "sitk", "shrink": 4.0}),
    "lapgm": (mp.lapgm, {"engine": "lapgm"}),
    "lapgm-reference": (mp.lapgm, {"engine": "lapgm-reference", "shrink": 4.0}),
}
TITLES = {
    "native": "N4, native, full resolution",
    "SimpleITK": "N4, SimpleITK, 4 mm",
    "lapgm": "LapGM, 2 mm",
    "lapgm-reference": "LapGM, its package, 4 mm",
}
ROOT = Path(__file__).resolve().parents[1]
SIDES = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}


@dataclass(frozen=True)
class Found:
    """What an engine made of a scan; `seconds` on the clock, the first call's compiling among them."""

    title: str
    corrected: mp.Volume
    field: mp.Volume
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES)[:3])
    parser.add_argument("--series", help="of a DICOM folder, as `mriprep inspect` numbers them")
    within = parser.add_mutually_exclusive_group()
    within.add_argument("--mask", type=Path, help="where fields are estimated, on the scan's grid")
    within.add_argument("--brain", action="store_true", help="estimate them in the brain")
    given = parser.parse_args()
    folder = given.out.resolve()
    if folder.is_relative_to(ROOT):
        sys.exit(f"{folder} lies in the repository: pictures of people are to be kept elsewhere")
    if given.mask and len(given.scans) > 1:
        sys.exit("--mask is the mask of one scan: give one SCAN with it")
    folder.mkdir(parents=True, exist_ok=True)
    for path in given.scans:
        try:
            scan = opened(path, given.series)
            mask = region(scan, given.mask, given.brain)
            found = [estimated(name, scan, mask) for name in given.engines]
        except mp.MriprepError as error:
            sys.exit(f"{path}: {error}")
        stem = re.sub(r"\.nii$", "", path.stem)
        print(draw(scan, mask, found, free(folder, f"{path.resolve().parent.name}_{stem}")))
        for engine in found:
            print(f"  {engine.title:<32}{words(engine, found[0], mask)}", flush=True)
    return 0


def opened(path: Path, series: str | None) -> mp.Volume:
    """The scan; of several in a folder, the only one, or the one asked for."""
    read = mp.read(path, series=series) if series else mp.read(path)
    if isinstance(read, mp.Volume):
        return read
    names = list(read.keys())
    if len(names) != 1:
        raise mp.InputError(
            f"{len(names)} images: {', '.join(names)}", hint="name one with --series, or its file"
        )
    return read[names[0]]


def region(scan: mp.Volume, mask: Path | None, brain: bool) -> mp.Volume:
    """Where the scan is positive within the mask that is asked for."""
    if mask is not None:
        given = mp.read(mask)
        where = given.replace(given.data != 0, role="mask")
    else:
        where = mp.skullstrip(scan) if brain else mp.background(scan, output="mask")
    if not where.grid.matches(scan.grid):
        raise mp.GeometryError("the mask is not on the scan's grid", hint="resample it first")
    return where.replace(where.data & (np.nan_to_num(scan.floats()) > 0))


def estimated(name: str, scan: mp.Volume, mask: mp.Volume) -> Found:
    step, settings = ENGINES[name]
    began = time.perf_counter()
    with warnings.catch_warnings(), keeping() as kept:
        warnings.simplefilter("ignore")
        corrected = step(scan, mask, **settings)
    return Found(TITLES[name], corrected, kept["bias_field"], time.perf_counter() - began)


def words(engine: Found, first: Found, mask: mp.Volume) -> str:
    """Seconds, agreement with the first engine, and range, in a line."""
    a, b = (np.log(e.field.data[mask.data].astype(np.float64)) for e in (first, engine))
    low, high = np.exp(np.percentile(b, (1, 99)))
    text = f"{engine.seconds:.1f} s; {low:.2f} to {high:.2f}"
    if engine is not first:
        text += f"; r {np.corrcoef(a, b)[0, 1]:.3f}, rms {np.std(a - b):.3f}"
    return text


def free(folder: Path, stem: str) -> Path:
    """A file's name that no picture has yet."""
    names = [f"{stem}_bias.png", *(f"{stem}-{n}_bias.png" for n in range(2, 1000))]
    return next(folder / n for n in names if not (folder / n).exists())


def draw(scan: mp.Volume, mask: mp.Volume, found: list[Found], path: Path) -> Path:
    """Draw it; the file."""
    point = snapshot.middle(mask)
    inside = np.concatenate([np.log(e.field.data[mask.data]) for e in found])
    limit = max(0.02, float(np.percentile(np.abs(inside), 99)))
    bright = scan.floats()[mask.data]
    grey = {"cmap": "gray", "vmin": 0, "vmax": float(np.percentile(bright, 99.5))}
    colour = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    where = snapshot.view(mask, point)
    columns = [("scan", snapshot.view(scan, point), None, grey)]
    for engine in found:
        logs = engine.field.replace(np.log(engine.field.data))
        columns += [
            (engine.title, snapshot.view(logs, point), where, colour),
            (
                "corrected\n" + words(engine, found[0], mask),
                snapshot.view(engine.corrected, point),
                None,
                grey,
            ),
        ]
    heights = [
        plane.shape[0] * columns[0][1].aspect[name] / plane.shape[1]
        for name, plane in columns[0][1].planes.items()
    ]
    width = 2.6
    figure = Figure((width * len(columns), width * sum(heights) + 1), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.08)
    axes = figure.subplots(3, len(columns), height_ratios=heights, squeeze=False)
    shown = None
    for column, (title, view, within, look) in enumerate(columns):
        axes[0][column].set_title(title, fontsize=8)
        for row, (name, plane) in enumerate(view.planes.items()):
            here = axes[row][column]
            image = here.imshow(
                plane, aspect=view.aspect[name], interpolation="nearest", **look,
                alpha=None if within is None else np.where(within.planes[name] > 0, 1.0, 0.35),
            )  # fmt: skip
            shown = image if within is not None else shown
            here.set_xticks([])
            here.set_yticks([])
            if column == 0:
                lettered(here, SIDES[name])
    bar = figure.colorbar(shown, ax=axes, location="bottom", shrink=0.4, aspect=40, pad=0.02)
    ticks = np.linspace(-limit, limit, 5)
    bar.set_ticks(ticks, labels=[f"{np.exp(t):.2f}" for t in ticks])
    bar.set_label("field, 1 is its mean in the mask", fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def lettered(axes: Axes, sides: str) -> None:
    """Letters at the left, right, top and bottom of a plane, readable on bright and dark."""
    places = ((0.03, 0.5), (0.97, 0.5), (0.5, 0.95), (0.5, 0.05))
    for (x, y), side in zip(places, sides, strict=True):
        text = axes.text(x, y, side, transform=axes.transAxes, color="white", fontsize=8)
        text.set(ha="center", va="center")
        text.set_path_effects([Stroke(linewidth=2, foreground="black"), Normal()])


if __name__ == "__main__":
    sys.exit(main())
