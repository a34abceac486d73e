"""Every engine of bias correction called alike; and each measured in a process of its own."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import mriprep as mp
from mriprep import engines

#: (image, mask, shrink in mm, iterations) to the field, (X, Y, Z).
Estimate = Callable[[mp.Volume, mp.Volume, float, int], np.ndarray]

#: What is compared, ours first.
NAMES = ("native", "SimpleITK", "ANTs", "lapgm", "lapgm-reference")


def estimator(name: str) -> Estimate | None:
    """The engine of that name, or None where it is not installed."""
    if name == "ANTs":
        try:
            import ants
        except ImportError:
            return None

        def with_ants(image: mp.Volume, mask: mp.Volume, shrink: float, rounds: int) -> np.ndarray:
            given = ants.from_numpy(image.floats(), spacing=image.spacing)
            where = ants.from_numpy(mask.data.astype(np.float32), spacing=image.spacing)
            # ANTs shrinks by a whole number, the same along all axes.
            factor = max(1, round(shrink / min(image.spacing)))
            return ants.n4_bias_field_correction(
                given, mask=where, shrink_factor=factor, return_bias_field=True,
                convergence={"iters": [rounds] * 4, "tol": 1e-3},
            ).numpy()  # fmt: skip

        return with_ants
    if name.startswith("lapgm"):
        try:
            lapgm = engines.load("bias", name)
        except mp.MriprepError:
            return None
        return lambda image, mask, shrink, rounds: (
            lapgm.field(image, mask, shrink=shrink, device="cpu")[0].data
        )
    module = engines.load("bias", {"SimpleITK": "sitk"}.get(name, name))
    settings = {"levels": 4, "fwhm": 0.15, "noise": 0.01, "convergence": 1e-3, "device": "cpu"}
    return lambda image, mask, shrink, rounds: (
        module.field(image, mask, shrink=shrink, iterations=rounds, **settings)[0].data
    )


@dataclass(frozen=True)
class Measured:
    """What an engine gave; the call's seconds, on the clock and of all processors; memory beyond the input, MB."""

    field: np.ndarray
    seconds: float
    processor: float
    megabytes: float


def measure(
    name: str, image: mp.Volume, mask: mp.Volume, shrink: float, iterations: int, threads: int
) -> Measured | None:
    """Call an engine in a fresh process, after a first call on a tiny image; None if not installed."""
    if estimator(name) is None:
        return None
    number = str(threads)
    limits = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    with tempfile.TemporaryDirectory() as folder:
        for key, array in (
            ("image", image.floats()), ("mask", mask.data), ("affine", image.affine),
        ):  # fmt: skip
            np.save(f"{folder}/{key}.npy", array)
        told = subprocess.run(
            [sys.executable, __file__, folder, name, str(shrink), str(iterations)],
            env={**os.environ, **dict.fromkeys(limits, number)},
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.split()  # fmt: skip
        return Measured(np.load(f"{folder}/field.npy"), *(float(t) for t in told[-3:]))


def _peak() -> float:
    """The most memory that this process has held so far, MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():  # what Linux gives as ru_maxrss begins with the peak of the parent process
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _child(folder: Path, name: str, shrink: float, iterations: int) -> None:
    warnings.simplefilter("ignore")
    estimate = estimator(name)
    assert estimate is not None
    # Libraries are loaded and kernels compiled before anything is measured.
    axis = np.linspace(-1, 1, 16)
    ball = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < 0.9
    bright = np.where(ball, 100 + 20 * axis, 1).astype(np.float32)
    bright += np.random.default_rng(0).random(bright.shape, np.float32)
    estimate(mp.Volume(bright, np.eye(4)), mp.Volume(ball, np.eye(4), "mask"), 1.0, 2)
    affine = np.load(folder / "affine.npy")
    image = mp.Volume(np.load(folder / "image.npy"), affine)
    mask = mp.Volume(np.load(folder / "mask.npy"), affine, "mask")
    with contextlib.suppress(OSError):  # Linux: what loading and compiling took is forgotten
        Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    began, spent = time.perf_counter(), time.process_time()
    field = estimate(image, mask, shrink, iterations)
    seconds, processor = time.perf_counter() - began, time.process_time() - spent
    extra = _peak() - before
    for _ in range(4 if seconds < 5 else 0):  # of a short call the quickest of five counts
        began, spent = time.perf_counter(), time.process_time()
        field = estimate(image, mask, shrink, iterations)
        seconds = min(seconds, time.perf_counter() - began)
        processor = min(processor, time.process_time() - spent)
    np.save(folder / "field.npy", field)
    print(seconds, processor, extra)


if __name__ == "__main__":
    _child(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
