"""How well tissues are found: the digital head at several noise levels, the template, and real scans.

    python benchmarks/tissues.py                       # the digital head at 2 mm, the template at 1 mm
    python benchmarks/tissues.py --spacing 1 --short   # one noise level, for the seconds
    python benchmarks/tissues.py SCAN [SCAN ...] --pictures FOLDER

Of the digital head: Dice of CSF, GM and WM (each voxel's largest share against
the truth's), their mean, the mean absolute error of the fractions, seconds of
the clock and of all processors; without a template and with the head's true
pose. Of the template: correlation of the fractions with the maps that are
shipped beside it, which are averages of many brains and know more grey matter.
Of real scans: volumes and the fitted model, and pictures to be looked at,
which belong outside of the repository.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import mriprep as mp
from mriprep.declare import keeping
from mriprep.steps.tissues import NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="*", type=Path)
    parser.add_argument("--spacing", type=float, default=2.0)
    parser.add_argument("--contrasts", nargs="+", default=["T1w", "T2w", "FLAIR", "PDw"])
    parser.add_argument("--pictures", type=Path, help="folder, outside of the repository")
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.scans:
        for path in given.scans:
            real(path, given.pictures)
        return
    warm()
    print(
        f"{'':6}{'noise':>6}{'bias':>6}  {'prior':<9}{'CSF':>7}{'GM':>7}{'WM':>7}{'mean':>7}"
        f"{'error':>7}{'s':>7}{'cpu':>7}"
    )
    levels = [(0.03, 0.3)] if given.short else [(0.03, 0.0), (0.03, 0.3), (0.06, 0.3), (0.09, 0.3)]
    for contrast in given.contrasts:
        for noise, bias in levels:
            phantom(contrast, given.spacing, noise, bias)
    if not given.short:
        template()


def warm() -> None:
    """Compile, so that seconds are those of the work."""
    from mriprep.phantom import head

    scan = head(spacing=6)
    mp.tissues(scan.image, scan.brain, scan.pose)
    mp.tissues(scan.image, scan.brain)


def timed(*arguments: Any, **how: Any) -> tuple[mp.Volume, dict[str, Any], float, float]:
    with keeping() as kept:
        clock, processor = time.perf_counter(), time.process_time()
        labels = mp.tissues(*arguments, **how)
        took = time.perf_counter() - clock, time.process_time() - processor
    return labels, kept, *took


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def phantom(contrast: str, spacing: float, noise: float, bias: float) -> None:
    from mriprep.phantom import head

    scan = head(contrast, spacing=spacing, noise=noise, bias=bias, seed=1)
    inside = scan.brain.data
    fractions = np.stack([scan.probabilities[n].data[inside] for n in NAMES])
    fractions /= np.maximum(fractions.sum(axis=0), 1e-6)
    truth = fractions.argmax(axis=0) + 1
    for prior, pose in (("depth", None), ("template", scan.pose)):
        labels, kept, clock, processor = timed(scan.image, scan.brain, pose)
        overlaps = [dice(labels.data[inside] == n, truth == n) for n in (1, 2, 3)]
        ours = np.stack([kept[f"tissue_{n}"].data[inside] for n in NAMES])
        numbers = "".join(f"{v:7.3f}" for v in (*overlaps, np.mean(overlaps)))
        print(
            f"{contrast:6}{noise:6.2f}{bias:6.1f}  {prior:<9}{numbers}"
            f"{np.abs(ours - fractions).mean():7.3f}{clock:7.2f}{processor:7.2f}",
            flush=True,
        )


def template() -> None:
    """The shipped template against the maps beside it."""
    from mriprep import templates
    from mriprep.templates.maps import tissue_maps

    found = templates.find("mni152")
    image = mp.read(found.image)
    brain = image.replace(image.data > 0, role="mask")
    labels, kept, clock, processor = timed(image, brain, contrast="T1w")
    maps = {n: mp.resample(v, image.grid).data for n, v in tissue_maps().items()}
    maps["csf"] = np.clip(1 - maps["gm"] - maps["wm"], 0, 1)
    inside = brain.data
    truth = np.stack([maps[n][inside] for n in NAMES])
    print(f"template, {image.grid}; {clock:.2f} s, {processor:.2f} s of all processors")
    for n, name in enumerate(NAMES):
        ours = kept[f"tissue_{name}"].data[inside]
        r = np.corrcoef(ours, truth[n])[0, 1]
        overlap = dice(labels.data[inside] == n + 1, truth.argmax(axis=0) == n)
        print(f"  {name}: correlation {r:.3f}, Dice {overlap:.3f}")


def real(path: Path, pictures: Path | None) -> None:
    read = mp.read(path)
    image = read[read.reference] if isinstance(read, mp.Case) else read
    brain = mp.skullstrip(image)
    labels, kept, clock, processor = timed(image, brain)
    facts = {k: v for k, v in kept.items() if not isinstance(v, mp.Volume)}
    print(f"{path.name}: {clock:.2f} s, {processor:.2f} s of all processors; {facts}", flush=True)
    if pictures is not None:
        number = len(list(pictures.glob("*.png"))) if pictures.is_dir() else 0
        picture(image, labels, pictures / f"{number:02d}-{path.name.split('.')[0]}.png")


def picture(image: mp.Volume, labels: mp.Volume, path: Path) -> None:
    """Three axial planes and a coronal one, and their labels below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    a, b = (mp.reorient(v, to="RAS") for v in (image, labels))
    index = np.argwhere(b.data > 0)
    low, high = index.min(axis=0), index.max(axis=0)
    figure, axes = plt.subplots(2, 4, figsize=(16, 8), facecolor="black")
    white = np.percentile(a.data[b.data > 0], 99.5)
    for column, (axis, part) in enumerate(((2, 0.35), (2, 0.52), (2, 0.68), (1, 0.5))):
        cut: list[Any] = [slice(x, y + 1) for x, y in zip(low, high, strict=True)]
        cut[axis] = int(low[axis] + part * (high[axis] - low[axis]))
        across, up = (x for x in range(3) if x != axis)
        how = {"cmap": "gray", "origin": "lower", "aspect": a.spacing[up] / a.spacing[across]}
        axes[0, column].imshow(a.data[tuple(cut)].T, vmin=0, vmax=white, **how)
        axes[1, column].imshow(b.data[tuple(cut)].T, vmin=0, vmax=3, **how)
    for one in axes.ravel():
        one.axis("off")
    figure.tight_layout(pad=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=60)
    plt.close(figure)


if __name__ == "__main__":
    main()
