"""LapGM on a regular grid, where its linear system is nearly diagonal in cosines.

Vinas L, Amini AA, Fischer J, Sudhyadhom A. LapGM: a multisequence MR bias
correction and normalization model. 2022. doi:10.48550/arXiv.2209.13619

The log intensities of M contrasts at a voxel are the log field there plus a
draw from one of K Gaussian classes; the log field f has the prior
``exp(-sum |gradient f|^2 / (2 tau))``, the sum over voxels. Classes and field
are found by expectation-maximisation, as in the paper's package; the field
is the same for all contrasts, as there.

The package solves a sparse system of all voxels at each iteration. On a
regular grid the Laplacian is diagonal in cosines, and the prior leaves no
room for quick ones: a few thousand unknowns stand for millions of voxels.

`tau` is in 1/mm², the variance of the gradient that the prior expects, so
that it means the same at any voxel size. The package's is ``tau * h**2`` on
voxels of h mm. The default is what its authors use on 1 mm voxels, 5e-5: a
class whose log intensities spread by 0.1 has its field averaged over
``0.1 / sqrt(tau)`` = 14 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.engines import Engine
from mriprep.engines._device import on_gpu
from mriprep.kernels.extent import extent
from mriprep.kernels.lapgm_model import Mixture

ENGINE = Engine(
    title="LapGM on a regular grid: the same model, its linear system in cosines",
    packages=(),
    licence="Apache-2.0",
    gpu=True,
    memory_mb=0,
    seconds_per_megavoxel=0.3,
)

#: Variance of the log field's gradient that the prior expects, 1/mm².
TAU = 5e-5

#: Classes: three tissues, what lies between each two of them, and vessels or fat.
CLASSES = 6

#: How much more the prior must say than the voxels for a cosine to be left out.
FINEST = 50.0

#: Shortest wave of a field, mm: what is left out beyond it is a thousandth of the field's variance.
SHORTEST = 16.0


class Estimate(NamedTuple):
    """A field and the classes of log intensities without it.

    Parameters
    ----------
    field : Volume
        Multiplicative, float32, at every voxel of the images; its mean
        logarithm in the mask is 0.
    mixture : Mixture
        Classes of the corrected images' log intensities.
    iterations : int
        Of expectation-maximisation.
    """

    field: Volume
    mixture: Mixture
    iterations: int


def field(
    image: Volume,
    mask: Volume,
    *,
    tau: float | None = None,
    classes: int | None = None,
    shrink: float = 2.0,
    iterations: int = 25,
    convergence: float = 1e-4,
    device: Literal["auto", "cpu", "cuda"] = "cpu",
) -> tuple[Volume, None]:
    """Estimate the multiplicative bias field of one image; see :func:`estimate`.

    Returns
    -------
    field : Volume
        At every voxel of the image, float32; the corrected image is the
        image divided by it.
    None
        Other engines give their lattice.
    """
    found = estimate(
        [image], mask, tau=tau, classes=classes, shrink=shrink, iterations=iterations,
        convergence=convergence, device=device,
    )  # fmt: skip
    return found.field, None


def estimate(
    images: Sequence[Volume],
    mask: Volume,
    *,
    tau: float | None = None,
    classes: int | None = None,
    shrink: float = 2.0,
    iterations: int = 25,
    convergence: float = 1e-4,
    device: Literal["auto", "cpu", "cuda"] = "cpu",
) -> Estimate:
    """Estimate the field that all contrasts share, and the classes.

    Parameters
    ----------
    images : sequence of Volume
        Contrasts on one grid; finite, positive in the mask.
    mask : Volume
        Where the field is estimated, on the images' grid.
    tau : float, optional
        Variance of the log field's gradient that the prior expects, 1/mm²;
        :data:`TAU` without it.
    classes : int, optional
        Gaussian classes; :data:`CLASSES` without it. Classes that nothing
        falls into at the start are dropped.
    shrink : float
        Voxel size at which the field is estimated, mm. Axes that are coarser
        already are left as they are.
    iterations : int
        Most iterations of expectation-maximisation.
    convergence : float
        Relative change of the field below which it is done.
    device : {"auto", "cpu", "cuda"}
        numba on a CPU, torch on a GPU.
    """
    from mriprep.kernels.lapgm import contract

    from . import _lapgm as model

    tau = TAU if tau is None else tau
    first = images[0]
    coarse = Coarse.of(first, mask, shrink)
    logs = coarse.logs(images)
    floor = np.maximum(1e-3, 0.02 * logs.std(1, dtype=np.float64)) ** 2
    start = model.started(logs, min(CLASSES if classes is None else classes, logs.shape[1]), floor)
    precision = float(start.shares @ start.precisions().sum((1, 2)))
    axes = [
        model.Waves(n, s, model.number_of_waves(n, s, tau, precision, FINEST, SHORTEST))
        for n, s in zip(coarse.shape, coarse.spacing, strict=True)
    ]
    positions = [np.arange(b.start, b.stop) for b in coarse.box]
    bases = [a.at(p) for a, p in zip(axes, positions, strict=True)]
    finer = [
        a._replace(number=min(2 * a.number, a.size)).at(p)
        for a, p in zip(axes, positions, strict=True)
    ]
    found = model.fit(
        _voxels(logs, coarse.inside, bases, finer, device), axes, start,
        tau=tau, iterations=iterations, tolerance=convergence, floor=floor,
    )  # fmt: skip
    everywhere = [
        np.ascontiguousarray(a.at((np.arange(n) - o) / f).T)
        for a, n, o, f in zip(axes, first.shape, coarse.offsets, coarse.steps, strict=True)
    ]
    log_field = contract(found.waves.astype(np.float32), everywhere)
    # A field is known up to a factor; this one leaves the mean log intensity of the mask as it was.
    mean = float(log_field[mask.data].mean(dtype=np.float64))
    log_field -= np.float32(mean)
    mixture = found.mixture._replace(means=found.mixture.means + mean)
    return Estimate(first.replace(np.exp(log_field, out=log_field)), mixture, found.iterations)


class Coarse(NamedTuple):
    """Every few voxels of a mask: steps and offsets, and the box that holds its part of them."""

    steps: list[int]
    offsets: list[int]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    box: tuple[slice, ...]
    inside: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, image: Volume, mask: Volume, shrink: float) -> Coarse:
        """For voxels of about `shrink` mm; finer where the mask would lose nearly everything."""
        while True:
            steps = [
                max(1, min(int(shrink / s + 1e-3), n // 4))
                for s, n in zip(image.spacing, image.shape, strict=True)
            ]
            offsets = [(f - 1) // 2 for f in steps]
            sub = mask.data[tuple(slice(o, None, f) for o, f in zip(offsets, steps, strict=True))]
            if sub.sum() >= 64 or max(steps) == 1:
                break
            shrink /= 2
        box = tuple(extent(sub, axis) for axis in range(3))
        spacing = tuple(s * f for s, f in zip(image.spacing, steps, strict=True))
        return cls(steps, offsets, sub.shape, spacing, box, sub[box])

    def logs(self, images: Sequence[Volume]) -> npt.NDArray[np.float32]:
        """Log intensities at its voxels, one row an image."""
        here = tuple(slice(o, None, f) for o, f in zip(self.offsets, self.steps, strict=True))
        return np.stack(
            [np.log(i.data[here][self.box][self.inside], dtype=np.float32) for i in images]
        )


def scales(mixture: Mixture, *, jointly: bool = False) -> npt.NDArray[np.float64]:
    """What to divide each contrast by so that its brightest class is at 1, (M,).

    Parameters
    ----------
    mixture : Mixture
        Classes of the corrected images.
    jointly : bool
        One factor for all contrasts, by least squares, which leaves their
        ratios as they are.
    """
    brightest = np.exp(mixture.means.max(0))
    if jointly:
        return np.full(len(brightest), brightest @ brightest / brightest.sum())
    return np.asarray(brightest)


def _voxels(
    logs: npt.NDArray[np.float32],
    inside: npt.NDArray[np.bool_],
    bases: list[npt.NDArray[np.float32]],
    finer: list[npt.NDArray[np.float32]],
    device: str,
) -> Any:
    if on_gpu(device):
        from mriprep.kernels import lapgm_torch

        return lapgm_torch.Voxels(logs, inside, bases, finer, "cuda")
    from mriprep.kernels import lapgm

    return lapgm.Voxels(logs, inside, bases, finer)
