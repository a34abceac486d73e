"""LapGM as its authors wrote it, through their package.

Vinas L, Amini AA, Fischer J, Sudhyadhom A. LapGM: a multisequence MR bias
correction and normalization model. 2022. doi:10.48550/arXiv.2209.13619

The package takes a whole array, in which it fills zeros with noise, and has no
mask. Here its start (k-means) and its iterations are given the voxels of the
mask; its Laplacian and its solver, those of the whole grid, where nothing is
measured outside of the mask.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError, Volume
from mriprep.engines import Engine

from .lapgm import CLASSES, TAU, Coarse

ENGINE = Engine(
    title="LapGM of its authors: slow",
    packages=("lapgm", "scikit-learn"),
    licence="MIT",
    memory_mb=500,
    seconds_per_megavoxel=150.0,
)


def field(
    image: Volume,
    mask: Volume,
    *,
    tau: float | None = None,
    classes: int | None = None,
    shrink: float = 2.0,
    iterations: int = 25,
    convergence: float = 1e-4,
    device: str = "cpu",  # engines of a kind are called alike
) -> tuple[Volume, None]:
    """Estimate the multiplicative bias field.

    Parameters
    ----------
    image : Volume
        Finite voxels; those of the mask positive.
    mask : Volume
        Where the field is estimated, on the image's grid.
    tau : float, optional
        Variance of the log field's gradient that the prior expects, 1/mm².
        The package knows no millimetres: it is given tau times the square of
        the coarse voxels' size, the geometric mean of their edges.
    classes : int, optional
        Gaussian classes, 6 without it.
    shrink : float
        Voxel size at which the field is estimated, mm.
    iterations : int
        Most iterations of expectation-maximisation.
    convergence : float
        Relative change of the field below which it is done.
    device : str
        Not used.

    Returns
    -------
    field : Volume
        At every voxel of the image's grid, float32, interpolated from the
        coarse ones; the corrected image is the image divided by it.
    lattice : None
        There is none.
    """
    coarse = Coarse.of(image, mask, shrink)
    size = float(np.prod(coarse.spacing)) ** (2 / 3)
    inside = np.zeros(coarse.shape, bool)
    inside[coarse.box] = coarse.inside
    try:
        log_field = _package(
            coarse.logs([image]), inside, (TAU if tau is None else tau) * size,
            CLASSES if classes is None else classes, iterations, convergence,
        )  # fmt: skip
    except (ValueError, np.linalg.LinAlgError) as error:
        raise EngineError(
            f"the package lapgm failed: {error}",
            hint="give fewer classes or a larger mask, or use engine='lapgm'",
        ) from error
    if not np.isfinite(log_field).all():
        raise EngineError(
            "the package lapgm gave a field that is not finite",
            hint="a class may have become empty: give fewer, or use engine='lapgm'",
        )
    low = log_field
    for axis, (n, o, f) in enumerate(zip(image.shape, coarse.offsets, coarse.steps, strict=True)):
        at = np.clip((np.arange(n) - o) / f, 0, low.shape[axis] - 1)
        low = _along(low, axis, at)
    return image.replace(np.exp(low, dtype=np.float32)), None


def _along(values: npt.NDArray[Any], axis: int, at: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Linear interpolation along one axis."""
    first = np.minimum(at.astype(int), max(values.shape[axis] - 2, 0))
    share = (at - first).reshape([-1 if a == axis else 1 for a in range(3)])
    last = np.minimum(first + 1, values.shape[axis] - 1)
    return np.asarray(values.take(first, axis) * (1 - share) + values.take(last, axis) * share)


def _package(
    logs: npt.NDArray[np.float32],
    inside: npt.NDArray[np.bool_],
    tau: float,
    classes: int,
    iterations: int,
    tolerance: float,
) -> npt.NDArray[np.float64]:
    """The log field on the whole coarse grid, by the package's own functions."""
    from scipy import sparse

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is no CuPy
        import lapgm
        from lapgm import bias_calc, laplacian_routines, param_setup

    lapgm.use_gpu(False)
    values = logs.astype(np.float64)
    parameters = param_setup.ParameterEstimate(
        None,
        np.exp(values),
        values,
        {
            "log_initialize": True,
            "kmeans_settings": {
                "n_clusters": classes, "n_init": 5, "max_iter": 300, "random_state": 1,
            },
        },
        {"maxiter": 25000},
        {"store_history": False, "unstore_large": True},
    )  # fmt: skip
    edges = laplacian_routines.construct_dirichlet_lap(inside.shape, True)
    laplacian = laplacian_routines.weight_laplacian(edges, np.ones(inside.size)) / tau
    where = np.flatnonzero(inside)
    solve = param_setup.sp_cg_wrapper({"maxiter": 25000})
    everywhere = np.zeros(inside.size)

    def solver(held: Any, pull: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The package's linear system of the mask, which comes without a Laplacian, on the grid."""
        weights, target = np.zeros(inside.size), np.zeros(inside.size)
        weights[where], target[where] = held.diagonal(), pull
        everywhere[:] = solve(laplacian + sparse.diags(weights), target)
        return everywhere[where]

    parameters.setup_solver(solver, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bias_calc.compute_bias_field(
            values, sparse.csr_matrix((where.size, where.size)), parameters, tolerance,
            iterations, False,
        )  # fmt: skip
    return everywhere.reshape(inside.shape)
