"""deepbet's own package against mriprep's running of its networks, on one head.

    python benchmarks/_brain_deepbet.py SCAN [--runs 2] [--threads 1]

SCAN: a T1-weighted head that can be read (1 mm is what the figures are meant
for). Each side works in a process of its own, in memory, from the image to the
mask: `net` (the larger network's published TorchScript alone, one forward pass
of 256 voxels cubed: the yardstick), `package` (`deepbet.bet.BrainExtraction`,
modules of its GUI stood in for where they cannot be imported) and `mriprep`.
Prints, for each, seconds on the clock and of all processors (which other work
on the machine changes less, least with one thread) of the first call, which loads the networks, and
of the best later one; those of importing; the most memory of the whole process and
what of it came with the call; then Dice between the two masks and their
roughness: the area of the mask's surface over that of the same mask smoothed
by 1.5 mm. A mask that was made of the smoothed one shows what of it is steps
from voxel to voxel, which every mask has.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIDES = ("net", "package", "mriprep")


@dataclass(frozen=True)
class Measured:
    """Seconds on the clock and of all processors; the whole process's most memory, and the call's, MB."""

    imports: float
    first: float
    first_processor: float
    later: float
    later_processor: float
    megabytes: float
    beyond: float


def compare(
    scan: Path, runs: int = 2, threads: int | None = None
) -> tuple[dict[str, Measured], dict[str, Any]]:
    """Measure all sides on a scan; the masks of `package` and `mriprep` compared."""
    with tempfile.TemporaryDirectory() as folder:
        measured = {}
        environment = dict(os.environ)
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        for side in SIDES:
            command = [sys.executable, __file__, str(scan), "--runs", str(runs), "--side", side]
            done = subprocess.run(
                [*command, "--to", f"{folder}/{side}.npz"],
                capture_output=True,
                text=True,
                env=environment,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
            measured[side] = Measured(**json.loads(done.stdout.splitlines()[-1]))
        masks = {side: np.load(f"{folder}/{side}.npz") for side in SIDES[1:]}
        theirs, ours = (masks[side]["mask"] for side in SIDES[1:])
        spacing = tuple(masks["mriprep"]["spacing"])
    rough = {side: roughness(masks[side]["mask"], spacing) for side in SIDES[1:]}
    rough["smooth"] = roughness(smoothed(ours.astype(np.float32), spacing) > 0.5, spacing)
    return measured, {
        "dice": 2 * float((theirs & ours).sum()) / float(theirs.sum() + ours.sum()),
        "roughness": rough,
    }


def roughness(mask: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Area of a mask's surface over that of the mask smoothed by a Gaussian of 1.5 mm.

    Steps from voxel to voxel are a part of it that no mask is without.
    """
    from scipy import ndimage

    box = tuple(
        slice(max(s.start - 8, 0), s.stop + 8)
        for s in ndimage.find_objects(mask.astype(np.uint8))[0]
    )
    part = np.pad(mask[box], 2).astype(np.float32)
    return area(part, spacing) / area(smoothed(part, spacing), spacing)


def smoothed(values: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(values, [1.5 / s for s in spacing]))


def area(values: np.ndarray, spacing: tuple[float, ...]) -> float:
    from skimage import measure

    corners, faces, *_ = measure.marching_cubes(values, 0.5, spacing=spacing)
    return float(measure.mesh_surface_area(corners, faces))


def _child(side: str, scan: Path, runs: int, to: Path) -> None:
    import mriprep as mp

    image = mp.read(scan)
    image = image.replace(np.nan_to_num(image.floats()))
    start = time.perf_counter()
    call = {"net": _net, "package": _package, "mriprep": _mriprep}[side](image)
    imports = time.perf_counter() - start
    before = _most()
    timed, mask = [], None
    for _ in range(runs):
        clock, processor = time.perf_counter(), time.process_time()
        mask = call()
        timed.append((time.perf_counter() - clock, time.process_time() - processor))
    later = timed[1:] or timed
    np.savez(to, mask=mask, spacing=image.spacing)
    found = Measured(
        imports,
        *timed[0],
        min(t for t, _ in later),
        min(t for _, t in later),
        _most(),
        _most() - before,
    )
    print(json.dumps(vars(found)))


def _most() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _net(image: Any) -> Callable[[], Any]:
    import torch

    from mriprep.engines.brain import deepbet

    network = torch.jit.load(str(deepbet._weights("model")), map_location="cpu").eval()
    x = torch.nn.functional.interpolate(torch.from_numpy(image.floats())[None, None], (256,) * 3)
    x = 0.226 * (x - x.mean()) / x.std() + 0.449

    def call() -> Any:
        with torch.inference_mode():
            return network(x)[0, 1, :1, :1, :1].numpy()

    return call


def _package(image: Any) -> Callable[[], Any]:
    import nibabel as nib

    run = _its_class()
    nifti = nib.Nifti1Image(image.floats(), image.affine)

    def call() -> Any:
        _, mask, _ = run(no_gpu=True).run(nifti)
        return np.asarray(mask.dataobj) > 0

    return call


def _its_class() -> Any:
    """deepbet's class; what its GUI needs is stood in for by empty modules where it is missing."""
    while True:
        try:
            return importlib.import_module("deepbet.bet").BrainExtraction
        except ImportError as error:
            name = error.name
            if name is None or name in sys.modules or name.split(".")[0] in ("deepbet", "torch"):
                raise
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
            module.__path__ = []
            module.__getattr__ = lambda _: type("Absent", (), {})  # type: ignore[method-assign]
            sys.modules[name] = module


def _mriprep(image: Any) -> Callable[[], Any]:
    import torch  # noqa: F401
    from scipy import ndimage

    from mriprep.engines.brain import deepbet

    def call() -> Any:
        mask = deepbet.probability(image, device="cpu").data > 0.5
        labels, _ = ndimage.label(mask)
        largest = int(np.argmax(np.bincount(labels.ravel())[1:]))
        box = ndimage.find_objects(labels)[largest]
        air, _ = ndimage.label(np.pad(labels[box] != largest + 1, 1, constant_values=True))
        result = np.zeros_like(mask)
        result[box] = (air != air[0, 0, 0])[1:-1, 1:-1, 1:-1]
        return result

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        _child(given.side, given.scan, given.runs, given.to)
        return
    measured, masks = compare(given.scan, given.runs, given.threads)
    net = measured["net"]
    print(
        f"{'':<10}{'import':>8}{'first':>8}{'cpu':>8}{'later':>8}{'cpu':>8}{'/ net':>7}{'MB':>7}{'+MB':>7}"
    )
    for side, m in measured.items():
        print(
            f"{side:<10}{m.imports:>8.2f}{m.first:>8.2f}{m.first_processor:>8.2f}{m.later:>8.2f}"
            f"{m.later_processor:>8.2f}{m.later_processor / net.later_processor:>7.2f}"
            f"{m.megabytes:>7.0f}{m.beyond:>7.0f}"
        )
    print(
        f"the package's processor time over ours: {_over(measured, 'first_processor'):.2f} first,",
        end=" ",
    )
    print(f"{_over(measured, 'later_processor'):.2f} later")
    rough = masks["roughness"]
    print(f"Dice between the masks {masks['dice']:.5f}; roughness of the", end=" ")
    print(f"package's {rough['package']:.4f}, of ours {rough['mriprep']:.4f},", end=" ")
    print(f"of a mask made of ours smoothed {rough['smooth']:.4f}")


def _over(measured: dict[str, Measured], what: str) -> float:
    return float(getattr(measured["package"], what) / getattr(measured["mriprep"], what))


if __name__ == "__main__":
    main()
