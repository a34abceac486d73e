"""Pictures of the explanations, from the digital head: ``python docs/pictures.py [NAME ...]``.

Writes ``docs/images/explained-NAME.png``, each below 100 kB, and prints the numbers that the pages name.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

import mriprep as mp
from mriprep.core import Grid, Transform
from mriprep.declare import keeping
from mriprep.phantom import head

IMAGES = Path(__file__).parent / "images"
GREY = {"cmap": "gray", "interpolation": "nearest"}


def axial(ax: Any, data: Any, title: str, **how: Any) -> None:
    """One slice of an array as it lies in memory: first axis to the right, second up."""
    ax.imshow(data.T, origin="lower", **{**GREY, **how})
    ax.set_title(title, fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])


def affines() -> plt.Figure:
    """The same head under three affines: arrays differ, the world does not."""
    turn = Transform.rigid((0, 0, 25), (0, 0, 0)).matrix
    plain = head("T1w", spacing=3, labels=False).image.grid
    middle = plain.to_world((np.array(plain.shape) - 1) / 2)
    affine = turn @ np.diag([3.0, 3, 3, 1])
    shape = (80, 80, 60)
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    cases = {
        "RAS": {"spacing": 3},
        "LPS": {"spacing": 3, "orientation": "LPS"},
        "oblique, 25 degrees": {"grid": Grid(shape, affine)},
    }
    figure, axes = plt.subplots(2, 3, figsize=(7, 5.4))
    target = plain
    for k, (name, how) in enumerate(cases.items()):
        image = head("T1w", labels=False, noise=0.02, **how).image
        level = round(float(image.grid.to_index(middle)[2]))
        axial(axes[0, k], image.data[:, :, level], f"{name}: the array")
        same = mp.resample(image, target)
        axial(axes[1, k], same.data[:, :, target.shape[2] // 2], "in the world")
    return figure


def interpolation() -> plt.Figure:
    """Interpolated once and twice, against the head drawn on the final grid itself."""
    pose = {"rotation": (4, -3, 7), "translation": (3.3, -2.1, 4.4)}
    scan = head("T1w", spacing=2, noise=0, bias=0, labels=False, **pose)
    straight = head("T1w", spacing=2, noise=0, bias=0, labels=False)
    target = straight.image.grid
    once = mp.resample(scan.image, scan.pose, target)
    between = target.with_spacing(2.6)
    twice = mp.resample(mp.resample(scan.image, scan.pose, between), target)
    inside = straight.brain.data
    white = float(scan.facts["white_matter"])
    figure, axes = plt.subplots(2, 3, figsize=(7, 5.6))
    level = target.shape[2] // 2
    axial(axes[0, 0], straight.image.data[:, :, level], "the truth", vmin=0, vmax=1.1 * white)
    axes[1, 0].axis("off")
    for k, (name, made) in enumerate({"once": once, "twice": twice}.items(), 1):
        off = made.data - straight.image.data
        error = 100 * float(np.sqrt(np.mean(off[inside] ** 2))) / white
        kept = float(made.data[inside].std() / straight.image.data[inside].std())
        print(f"interpolated {name}: error {error:.1f} % of white matter, contrast {kept:.3f}")
        axial(axes[0, k], made.data[:, :, level], f"interpolated {name}", vmin=0, vmax=1.1 * white)
        title = f"error: {error:.1f} % of white matter"
        axial(axes[1, k], off[:, :, level], title, cmap="RdBu", vmin=-300, vmax=300)
    return figure


def n4() -> plt.Figure:
    """What shading does to the histogram, and what N4 takes away."""
    scan = head("T1w", spacing=2, noise=0.02, bias=0.8, bias_kind="coil", labels=False, seed=3)
    with keeping() as kept:
        corrected = mp.n4(scan.image, scan.brain)
    found = kept["bias_field"]
    level = scan.image.shape[2] // 2
    inside = scan.brain.data
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.7))
    axial(axes[0], scan.image.data[:, :, level], "scan")
    axial(axes[1], found.data[:, :, level], "field that N4 found", cmap="viridis")
    axial(axes[2], corrected.data[:, :, level], "scan / field")
    for data, name in ((scan.image, "scan"), (corrected, "corrected"), (scan.clean, "truth")):
        values = data.data[inside]
        axes[3].hist(
            values / np.median(values), 120, (0, 2), histtype="step", density=True, label=name
        )
    axes[3].legend(fontsize=7, frameon=False)
    axes[3].set_title("intensities in the brain", fontsize=9)
    axes[3].set_yticks([])
    truth = np.log(scan.bias_field.data[inside])
    r = float(np.corrcoef(np.log(found.data[inside]), truth)[0, 1])
    print(f"n4: correlation with the true field {r:.3f}")
    return figure


def normalisers() -> plt.Figure:
    """One head on three scanners, before and after."""
    gains = {"A": (1.0, 0.2), "B": (0.4, 0.1), "C": (1.7, 0.3)}
    scans = {}
    for seed, (site, (gain, bias)) in enumerate(gains.items()):
        made = head("T1w", spacing=2, bias=bias, seed=seed, labels=False)
        scans[site] = (made.image.replace(made.image.data * np.float32(gain)), made.brain)
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.7))
    ways: dict[str, Callable[[Any, Any], Any]] = {
        "as scanned": lambda image, _: image,
        "z-scores in the brain": lambda image, brain: mp.zscore(mp.n4(image, brain), brain),
        "white matter's mean is 1 (fcm)": lambda image, brain: mp.fcm(mp.n4(image, brain), brain),
    }
    for ax, (name, way) in zip(axes, ways.items(), strict=True):
        for site, (image, brain) in scans.items():
            values = way(image, brain).data[brain.data]
            low, high = np.percentile(values, (0.1, 99.9))
            ax.hist(
                values, 100, (low, high), histtype="step", density=True, label=f"scanner {site}"
            )
        ax.set_title(name, fontsize=9)
        ax.set_yticks([])
        ax.tick_params(labelsize=7)
    axes[0].legend(fontsize=7, frameon=False)
    return figure


def metrics() -> plt.Figure:
    """What noise and shading do to three metrics."""
    cases = {
        "good": {},
        "noise": {"noise": 0.15},
        "shading": {"bias": 1.2, "bias_kind": "surface"},
    }
    figure, axes = plt.subplots(1, 3, figsize=(7, 3))
    for ax, (name, how) in zip(axes, cases.items(), strict=True):
        made = head("T1w", spacing=2, seed=4, labels=False, **how)
        case = mp.Case("phantom", {"T1w": made.image})
        run = mp.recipe({"name": "quick", "steps": ["n4", "zscore"]})(case, mask=made.brain)
        found = run.quality["metrics"]
        told = "\n".join(f"{m} {found[m]:.2f}" for m in ("cjv", "snr_total", "inu_range"))
        print(name, run.quality["verdict"], told.replace("\n", ", "))
        axial(ax, made.image.data[:, :, made.image.shape[2] // 2], name)
        ax.set_xlabel(told, fontsize=8)
    return figure


PICTURES: dict[str, Callable[[], plt.Figure]] = {
    f.__name__: f for f in (affines, interpolation, n4, normalisers, metrics)
}


def main() -> None:
    """Make the pictures that are named, or all."""
    mpl.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*", choices=[[], *PICTURES])
    for name in parser.parse_args().name or PICTURES:
        figure = PICTURES[name]()
        figure.tight_layout()
        path = IMAGES / f"explained-{name}.png"
        figure.savefig(path, dpi=80, metadata={"Software": None})
        plt.close(figure)
        with Image.open(path) as picture:  # 128 colours: a third of the size
            small = picture.convert("RGB").quantize(128)
        small.save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
