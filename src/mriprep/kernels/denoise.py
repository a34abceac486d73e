"""Total variation and non-local means, in single precision."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: Iterations of the dual problem: more change the fourth digit.
ITERATIONS = 60


def total_variation(data: Floats, weight: float, spacing: tuple[float, float, float]) -> Floats:
    """The image u that makes ``|u - data|² / 2 + weight * TV(u)`` least (Rudin, Osher, Fatemi).

    Isotropic variation; differences across wide spaces count less. Solved in
    the dual by projected gradients with momentum (Beck A, Teboulle M. Fast
    gradient-based algorithms for constrained total variation image denoising
    and deblurring problems. IEEE Trans Image Process 2009.
    doi:10.1109/TIP.2009.2028250), a fixed number of iterations.

    Parameters
    ----------
    data : (X, Y, Z) float32 array
        Finite values.
    weight : float
        Above 0, in units of intensity.
    spacing : (3,) floats
        mm along the axes.

    Returns
    -------
    (X, Y, Z) float32 array
    """
    per = (min(spacing) / np.asarray(spacing)).astype(np.float32)
    data = np.ascontiguousarray(data, np.float32)
    field = np.zeros((3, *data.shape), np.float32)
    ahead = field.copy()
    rate = np.float32(1 / (4 * float((per**2).sum()) * weight))
    image = data
    momentum = 1.0
    for _ in range(ITERATIONS):
        image = _primal(data, ahead, np.float32(weight), per)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        _ascend(image, field, ahead, rate, np.float32((momentum - 1) / following), per)
        momentum = following
    result: Floats = _primal(data, field, np.float32(weight), per)
    return result


@numba.njit(parallel=True, cache=True)
def _primal(data, field, weight, per):  # type: ignore[no-untyped-def]
    nx, ny, nz = data.shape
    out = np.empty_like(data)
    for i in numba.prange(nx):
        for j in range(ny):
            for k in range(nz):
                inflow = field[0, i, j, k] * per[0] + field[1, i, j, k] * per[1]
                inflow += field[2, i, j, k] * per[2]
                if i > 0:
                    inflow -= field[0, i - 1, j, k] * per[0]
                if j > 0:
                    inflow -= field[1, i, j - 1, k] * per[1]
                if k > 0:
                    inflow -= field[2, i, j, k - 1] * per[2]
                out[i, j, k] = data[i, j, k] + weight * inflow
    return out


@numba.njit(parallel=True, cache=True)
def _ascend(image, field, ahead, rate, momentum, per):  # type: ignore[no-untyped-def]
    nx, ny, nz = image.shape
    for i in numba.prange(nx):
        for j in range(ny):
            for k in range(nz):
                here = image[i, j, k]
                a, b, c = ahead[0, i, j, k], ahead[1, i, j, k], ahead[2, i, j, k]
                # Differences beyond an edge are 0, and so is the field there.
                if i < nx - 1:
                    a += rate * per[0] * (image[i + 1, j, k] - here)
                if j < ny - 1:
                    b += rate * per[1] * (image[i, j + 1, k] - here)
                if k < nz - 1:
                    c += rate * per[2] * (image[i, j, k + 1] - here)
                length = max(np.float32(1), np.sqrt(a * a + b * b + c * c))
                a, b, c = a / length, b / length, c / length
                ahead[0, i, j, k] = a + momentum * (a - field[0, i, j, k])
                ahead[1, i, j, k] = b + momentum * (b - field[1, i, j, k])
                ahead[2, i, j, k] = c + momentum * (c - field[2, i, j, k])
                field[0, i, j, k], field[1, i, j, k], field[2, i, j, k] = a, b, c


def non_local_means(data: Floats, sigma: float, rician: bool, search: int = 2) -> Floats:
    """Mean of the voxels around, weighted by how alike their surroundings are.

    The weight is ``exp(-d / h²)`` with d the mean squared difference of two
    patches of 27 voxels less the ``2 sigma²`` that noise alone makes, and h =
    sigma. A voxel itself counts as much as the best of the others.
    With `rician`, squares are averaged and ``2 sigma²`` taken off: magnitudes are too
    bright where there is little signal.

    Coupé P et al. An optimized blockwise nonlocal means denoising filter for
    3-D magnetic resonance images. IEEE Trans Med Imaging 2008.
    doi:10.1109/TMI.2007.906087; Wiest-Daesslé N et al. Rician noise removal
    by non-local means filtering for low signal-to-noise ratio MRI. MICCAI
    2008. doi:10.1007/978-3-540-85990-1_21

    Parameters
    ----------
    data : (X, Y, Z) float32 array
        Finite values.
    sigma : float
        Standard deviation of the noise, above 0, in units of intensity.
    rician : bool
        Whether the data are magnitudes.
    search : int
        Radius of the neighbourhood, voxels.

    Returns
    -------
    (X, Y, Z) float32 array
    """
    padded = np.pad(
        np.asarray(data, np.float32),
        search + 1,
        mode="reflect" if min(data.shape) > search + 1 else "edge",
    )
    result: Floats = _means(padded, np.float32(sigma), rician, search)
    return result


@numba.njit(parallel=True, cache=True)
def _means(data, sigma, rician, search):  # type: ignore[no-untyped-def]
    edge = search + 1
    nx, ny, nz = data.shape[0] - 2 * edge, data.shape[1] - 2 * edge, data.shape[2] - 2 * edge
    out = np.empty((nx, ny, nz), np.float32)
    noise = np.float32(2) * sigma * sigma
    scale = np.float32(1) / (sigma * sigma)
    for i in numba.prange(nx):
        total = np.zeros((ny, nz), np.float32)
        weights = np.zeros((ny, nz), np.float32)
        largest = np.zeros((ny, nz), np.float32)
        squares = np.empty((ny + 2, nz + 2), np.float32)
        x = i + edge
        for dx in range(-search, search + 1):
            for dy in range(-search, search + 1):
                for dz in range(-search, search + 1):
                    if dx == 0 and dy == 0 and dz == 0:
                        continue
                    for j in range(ny + 2):
                        y = j + search
                        for k in range(nz + 2):
                            z = k + search
                            d = np.float32(0)
                            for a in range(-1, 2):
                                e = data[x + a, y, z] - data[x + a + dx, y + dy, z + dz]
                                d += e * e
                            squares[j, k] = d
                    for j in range(ny):
                        for k in range(nz):
                            d = np.float32(0)
                            for b in range(3):
                                d += (
                                    squares[j + b, k]
                                    + squares[j + b, k + 1]
                                    + squares[j + b, k + 2]
                                )
                            d = d / np.float32(27) - noise
                            w = np.exp(-max(d, np.float32(0)) * scale)
                            v = data[x + dx, j + edge + dy, k + edge + dz]
                            total[j, k] += w * (v * v if rician else v)
                            weights[j, k] += w
                            largest[j, k] = max(largest[j, k], w)
        for j in range(ny):
            for k in range(nz):
                own = max(largest[j, k], np.float32(1e-6))
                v = data[x, j + edge, k + edge]
                mean = (total[j, k] + own * (v * v if rician else v)) / (weights[j, k] + own)
                out[i, j, k] = np.sqrt(max(mean - noise, np.float32(0))) if rician else mean
    return out
