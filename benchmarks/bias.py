"""N4: mriprep's against SimpleITK's, ANTs' and other engines: seconds, memory, agreement; one run.

    python benchmarks/bias.py [SCAN] [--shrink 4 2 1] [--engines native SimpleITK] [--short]

Each engine works on the same image and mask in a process of its own, with the
same number of threads, after a first call on a tiny image. Prints its seconds
on the clock and of all processors (which other work on the machine hardly
changes), how many times ours the latter are, how its log field agrees with ours
within the mask (correlation, and root mean square difference after their means
are taken off: a field is known up to a factor), and the most memory it took
beyond its input, in MB and in sizes of the float32 image. *Ours* is the native N4, and for LapGM's own
package mriprep's `lapgm` where that is among the engines. ITK's N4 at full resolution takes
minutes: ask for `--shrink 1` with `--engines native` if that is too long.
Without a SCAN, a digital head is simulated. `--short`: shrink 4 alone.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from _bias_engines import NAMES, Measured, measure

import mriprep as mp

#: What ours may take at full resolution beyond its input, in sizes of the float32 image.
MOST_IMAGES = 6
#: What an engine is compared with, where that is not the native N4 (and is measured).
OURS = {"lapgm-reference": "lapgm"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", nargs="?", type=Path)
    parser.add_argument("--shrink", nargs="+", type=float, default=[4, 2])
    parser.add_argument("--engines", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    image, mask = material(given.scan)
    size = 4 * image.data.size / 1e6
    print(f"{image.grid}; {int(mask.data.sum())} voxels in the mask; {given.threads} threads")
    print(f"the float32 image: {size:.0f} MB")
    print(
        f"{'shrink':>6} {'engine':<16}{'seconds':>8}{'cpu':>8}{'ratio':>7}{'r':>10}{'rms':>8}{'MB':>7}{'images':>8}"
    )
    full = min(image.spacing)
    for shrink in [4.0] if given.short else given.shrink:
        measured: dict[str, Measured] = {}
        for name in given.engines:
            found = measure(name, image, mask, shrink, given.iterations, given.threads)
            if found is None:
                print(f"{shrink:>6g} {name:<16}(not installed)", flush=True)
                continue
            measured[name] = found
            ours = measured.get(OURS.get(name, "native"), measured.get("native"))
            text = f"{shrink:>6g} {name:<16}{found.seconds:>8.2f}{found.processor:>8.2f}"
            text += compared(found, ours, mask.data) if ours else f"{'':>25}"
            images = found.megabytes / size
            print(text + f"{found.megabytes:>7.0f}{images:>8.1f}", flush=True)
            if name == "native" and shrink <= full and images > MOST_IMAGES:
                print(f"       native takes more than {MOST_IMAGES} images of memory")


def material(scan: Path | None) -> tuple[mp.Volume, mp.Volume]:
    """An image, finite, and the mask of its foreground."""
    if scan is None:
        from mriprep.phantom import head

        image = head("T1w", bias=0.4, seed=1, labels=False).image
    else:
        image = mp.read(scan)
    values = np.nan_to_num(image.floats())
    mask = mp.background(image, output="mask")
    return image.replace(values), mask.replace(mask.data & (values > 0))


def compared(found: Measured, ours: Measured, mask: np.ndarray) -> str:
    ratio = found.processor / ours.processor
    if found is ours:
        return f"{ratio:>7.0f}{'':>18}"
    a, b = (np.log(m.field[mask].astype(np.float64)) for m in (ours, found))
    return f"{ratio:>7.1f}{np.corrcoef(a, b)[0, 1]:>10.6f}{np.std(a - b):>8.4f}"


if __name__ == "__main__":
    main()
