"""N4: mriprep's against SimpleITK's (and ANTs', if installed), same image, mask and settings, one run.

    python benchmarks/bias.py [SCAN] [--shrink 4 2 1] [--iterations 50] [--short]

Prints seconds, ratio, and how the log fields agree within the mask:
correlation, and root mean square difference after their means are taken off
(a field is known up to a factor). SimpleITK at full resolution takes minutes.
Without a SCAN, a digital head is simulated. `--short`: shrink 4 alone.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import mriprep as mp
from mriprep.engines.bias import native, sitk

Field = Callable[[], np.ndarray]


def ants_field(image: mp.Volume, mask: mp.Volume, shrink: int, iterations: int) -> Field | None:
    try:
        import ants
    except ImportError:
        return None
    given = ants.from_numpy(image.floats(), spacing=image.spacing)
    where = ants.from_numpy(mask.data.astype(np.float32), spacing=image.spacing)
    return lambda: ants.n4_bias_field_correction(
        given, mask=where, shrink_factor=shrink, return_bias_field=True,
        convergence={"iters": [iterations] * 4, "tol": 1e-3},
    ).numpy()  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", nargs="?", type=Path)
    parser.add_argument("--shrink", nargs="+", type=int, default=[4, 2])
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.scan:
        image = mp.read(given.scan)
    else:
        from mriprep.phantom import head

        image = head("T1w", bias=0.4, seed=1, labels=False).image
    values = np.nan_to_num(image.floats())
    mask = mp.background(image, output="mask")
    mask = mask.replace(mask.data & (values > 0))
    image = image.replace(values)
    print(f"{image.grid}; {int(mask.data.sum())} voxels in the mask")
    settings = {"levels": 4, "iterations": given.iterations, "fwhm": 0.15, "noise": 0.01,
                "convergence": 1e-3}  # fmt: skip
    native.field(image, mask, shrink=8.0, **settings)  # kernels are compiled once per machine
    print(f"{'shrink':>6} {'engine':<10}{'seconds':>9}{'ratio':>8}{'r':>10}{'rms':>9}")
    for shrink in [4] if given.short else given.shrink:
        began = time.perf_counter()
        ours = np.log(
            native.field(image, mask, shrink=float(shrink), **settings)[0].data[mask.data]
        )
        seconds = time.perf_counter() - began
        print(f"{shrink:>6} {'native':<10}{seconds:>9.2f}{1:>8}")
        peers: dict[str, Field | None] = {
            "SimpleITK": lambda s=shrink: (
                sitk.field(image, mask, shrink=float(s), **settings)[0].data
            ),
            "ANTs": ants_field(image, mask, shrink, given.iterations),
        }
        for name, run in peers.items():
            if run is None:
                print(f"{shrink:>6} {name:<10} (not installed)")
                continue
            began = time.perf_counter()
            theirs = np.log(run()[mask.data])
            took = time.perf_counter() - began
            r = np.corrcoef(ours, theirs)[0, 1]
            rms = np.std(ours - theirs)
            print(f"{shrink:>6} {name:<10}{took:>9.2f}{took / seconds:>8.0f}{r:>10.6f}{rms:>9.4f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process: {peak:.0f} MB; the image: {values.nbytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
