"""Compile the kernels before the tests, each once: ``python tests/compile_kernels.py [PROCESSES]``.

Workers that meet a kernel which isn't compiled yet all compile it. Each job here is one call
with small arrays of the types that are met in use; what it compiles is kept where any process
finds it (numba's cache). Nothing depends on this having run: what is not named here is compiled
by the first that needs it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

EYE = np.eye(4)[:3]
SHAPE = (9, 8, 10)
IMAGE = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
MASK = IMAGE > 0.5


def _bias() -> None:
    from mriprep.kernels import bias, spline

    axes = [spline.basis((np.arange(n) + 0.5) / n, 1) for n in SHAPE]
    voxels = bias.Voxels(IMAGE[MASK], MASK)
    voxels.histogram(0.0, 200.0, 200)
    voxels.fit(np.zeros(200), 0.0, 200.0, axes)
    voxels.subtract(np.zeros((4, 4, 4)), axes)


def _lapgm() -> None:
    from mriprep.kernels import lapgm
    from mriprep.kernels.lapgm_model import Mixture

    cosines = [np.ones((n, 2), np.float32) for n in SHAPE]
    voxels = lapgm.Voxels(IMAGE[MASK][None], MASK, cosines, cosines)
    mixture = Mixture(np.full(2, 0.5), np.array([[0.2], [0.7]]), np.ones((2, 1, 1)))
    voxels.expect(np.zeros((2, 2, 2)), mixture)
    voxels.hold(mixture)


def _mutual() -> None:
    from mriprep.kernels.mutual import Samples

    for count in (50, 30000):  # few and many have loops of their own
        bins = (np.arange(count) % 32).astype(np.uint8)
        samples = Samples(np.ones((count, 3)), bins, IMAGE)
        samples.gradients(EYE[None])
    samples.look(EYE[None])


def _tissues() -> None:
    from mriprep.kernels import tissues

    bins, place = np.zeros(SHAPE, np.uint16), np.zeros(SHAPE, np.uint8)
    table = np.zeros((tissues.BINS, tissues.STATES), np.float32)
    prior, pull = np.zeros((1, 5), np.float32), np.zeros((5, 5), np.float32)
    q = np.full((*SHAPE, 5), 0.2, np.float32)
    lattice = np.zeros((2, 2, 2), np.float32)
    tissues.binned(IMAGE, MASK, lattice, (5, 5, 5), 0.0, 1.0, bins)
    tissues.start(bins, MASK, table, place, prior, q)
    tissues.sweep(bins, MASK, table, place, prior, pull, np.ones(3, np.float32), q)
    tissues.histograms(bins, MASK, q)
    tissues.evidence(IMAGE, MASK, q, prior[0], prior[0], (5, 5, 5))
    tissues.parted(bins, MASK, q, np.ones((tissues.BINS, 5, 3), np.float32))


def _median_cube() -> None:
    from mriprep.kernels.median_cube import median_cube

    median_cube(IMAGE, 3)


def _median_3() -> None:
    from mriprep.kernels.median import median_3

    median_3(IMAGE)


def _vote() -> None:
    from mriprep.kernels import sample

    sample.vote(MASK, EYE, SHAPE)


def _nearest() -> None:
    from mriprep.kernels import sample

    for kind in (np.uint8, np.uint16, np.float32, np.float64):
        sample.nearest(IMAGE.astype(kind), EYE, SHAPE)


def _interpolations() -> None:
    from mriprep.kernels import sample
    from mriprep.kernels.shrink import block_means

    sample.linear(IMAGE, EYE, SHAPE)
    sample.cubic(IMAGE, EYE, SHAPE)
    sample.spline(IMAGE, EYE, SHAPE)
    block_means(IMAGE, (2, 2, 2))


def _binary() -> None:
    from mriprep.kernels import binary

    binary.dilated(MASK)
    binary.near(MASK, 2.0)


def _smooth() -> None:
    from mriprep.kernels import differences, smooth

    smooth.gaussian(IMAGE, (1.0, 1.0, 1.0))
    smooth.doubled_above(IMAGE, 0.5, (18, 16, 20))
    differences.steps(IMAGE, MASK, 1)


def _channels() -> None:
    from mriprep.kernels import channels

    rows, one = np.ones((100, 3), np.float32), np.ones(3, np.float32)
    channels.sums(rows)
    channels.scale(rows, one, one)


def _outlier() -> None:
    from mriprep.kernels.outlier import outlier

    along = tuple(np.linspace(0, 1, n) for n in SHAPE)
    small = tuple(np.ones(n, bool) for n in SHAPE)
    outlier(IMAGE, (along[0], along[1], along[2]), small, (0, 1, 2), 1.0)


def _phantom() -> None:
    from mriprep.phantom.kernel import mean_linear

    mean_linear(IMAGE, EYE, np.ones(3, int), np.empty(SHAPE, np.float32))


def _denoise() -> None:
    from mriprep.kernels import denoise

    denoise.total_variation(IMAGE, 0.1, (1.0, 1.0, 1.0))
    denoise.non_local_means(IMAGE, 0.1, True)


#: Those that take longest first, so that processes end together.
JOBS: dict[str, Callable[[], None]] = {
    "mutual": _mutual,
    "median_cube": _median_cube,
    "lapgm": _lapgm,
    "tissues": _tissues,
    "bias": _bias,
    "vote": _vote,
    "phantom": _phantom,
    "denoise": _denoise,
    "median": _median_3,
    "interpolation": _interpolations,
    "channels": _channels,
    "nearest": _nearest,
    "binary": _binary,
    "smooth": _smooth,
    "outlier": _outlier,
}


def run(name: str) -> tuple[str, float]:
    """Do one job; its processor time."""
    begin = time.process_time()
    JOBS[name]()
    return name, time.process_time() - begin


def main(processes: int) -> None:
    """Do all jobs, in so many processes."""
    begin = time.perf_counter()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for name, seconds in pool.map(run, JOBS):
            print(f"  {name}: {seconds:.1f} s", flush=True)
    print(f"kernels compiled in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
