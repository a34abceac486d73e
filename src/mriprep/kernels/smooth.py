"""Gaussians along axes, in single precision."""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def gradient_magnitude(values: Floats, sigma: tuple[float, float, float]) -> Floats:
    """Length of the gradient of an image blurred by a Gaussian, in values per voxel.

    As ``scipy.ndimage.gaussian_gradient_magnitude`` (kernels cut at four
    sigma, edges mirrored) to single precision; blurs that two components
    share are made once.

    Parameters
    ----------
    values : (X, Y, Z) float32 array
        Finite values.
    sigma : (3,) floats
        Standard deviation along each axis, voxels.

    Returns
    -------
    (X, Y, Z) float32 array
    """
    (g0, d0), (g1, d1), (g2, d2) = (_kernels(s) for s in sigma)
    blurred = along(values, g2, 2)
    total = along(along(blurred, g1, 1), d0, 0)
    np.square(total, out=total)
    part = along(along(blurred, d1, 1), g0, 0)
    total += np.square(part, out=part)
    part = along(along(along(values, d2, 2), g1, 1), g0, 0)
    total += np.square(part, out=part)
    return np.sqrt(total, out=total)


def gaussian(values: Floats, sigma: tuple[float, float, float]) -> Floats:
    """An image blurred by a Gaussian of `sigma` voxels along each axis; edges mirrored."""
    for axis in range(3):
        if sigma[axis] > 0:
            values = along(values, _kernels(sigma[axis])[0], axis)
    return values


def along(values: Floats, kernel: Doubles, axis: int) -> Floats:
    """Correlate with a kernel of odd length along one axis; beyond an edge the image is mirrored."""
    kernel = kernel.astype(np.float32)
    if axis == 2:
        inner: Floats = _inner(np.ascontiguousarray(values), kernel)
        return inner
    shape = values.shape
    flat = (1, shape[0], -1) if axis == 0 else shape
    out: Floats = _outer(np.ascontiguousarray(values).reshape(flat), kernel)
    return out.reshape(shape)


def _kernels(sigma: float) -> tuple[Doubles, Doubles]:
    """A Gaussian and its slope, as correlation kernels."""
    radius = int(4 * sigma + 0.5)
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    bell = np.exp(-(x**2) / (2 * sigma**2)) if sigma > 0 else np.ones(1)
    bell /= bell.sum()
    return bell, (x / sigma**2 * bell if sigma > 0 else np.zeros(1))


@nb.njit(inline="always")
def _mirrored(i, n):  # type: ignore[no-untyped-def]
    i = i % (2 * n)
    return 2 * n - 1 - i if i >= n else i


@nb.njit(cache=True, fastmath={"contract"})
def _outer(values, kernel):  # type: ignore[no-untyped-def]
    """Along the middle axis, in strips that stay in the cache."""
    m, n, width = values.shape
    radius = len(kernel) // 2
    out = np.zeros(values.shape, np.float32)
    strip = 512
    for j in range(m):
        for start in range(0, width, strip):
            stop = min(start + strip, width)
            for i in range(n):
                target = out[j, i, start:stop]
                for t in range(-radius, radius + 1):
                    weight = kernel[t + radius]
                    line = values[j, _mirrored(i + t, n), start:stop]
                    for k in range(stop - start):
                        target[k] += weight * line[k]
    return out


@nb.njit(cache=True, fastmath={"contract"})
def _inner(values, kernel):  # type: ignore[no-untyped-def]
    n, m, width = values.shape
    radius = len(kernel) // 2
    out = np.empty(values.shape, np.float32)
    line = np.empty(width + 2 * radius, np.float32)
    for i in range(n):
        for j in range(m):
            for k in range(-radius, width + radius):
                line[k + radius] = values[i, j, _mirrored(k, width)]
            target = out[i, j]
            target[:] = 0
            for t in range(2 * radius + 1):
                weight = kernel[t]
                shifted = line[t : t + width]
                for k in range(width):
                    target[k] += weight * shifted[k]
    return out


def doubled_above(
    coarse: Floats, limit: float, shape: tuple[int, int, int]
) -> npt.NDArray[np.bool_]:
    """Where an image of blocks of two voxels, interpolated to the voxels, lies above a limit.

    Parameters
    ----------
    coarse : (X // 2, Y // 2, Z // 2) float32 array
    limit : float
    shape : (3,) ints
        ``(X, Y, Z)``.
    """
    out: npt.NDArray[np.bool_] = _doubled_above(coarse, np.float32(limit), *shape)
    return out


@nb.njit(cache=True)
def _doubled_above(coarse, limit, nx, ny, nz):  # type: ignore[no-untyped-def]
    mx, my, mz = coarse.shape
    out = np.empty((nx, ny, nz), np.bool_)
    line = np.empty(mz, np.float32)
    far, near = np.float32(0.25), np.float32(0.75)
    for i in range(nx):
        a = min(i // 2, mx - 1)
        b = min(max(a + (1 if i % 2 else -1), 0), mx - 1)
        for j in range(ny):
            c = min(j // 2, my - 1)
            d = min(max(c + (1 if j % 2 else -1), 0), my - 1)
            for k in range(mz):
                line[k] = near * (near * coarse[a, c, k] + far * coarse[a, d, k]) + far * (
                    near * coarse[b, c, k] + far * coarse[b, d, k]
                )
            for k in range(nz):
                e = min(k // 2, mz - 1)
                f = min(max(e + (1 if k % 2 else -1), 0), mz - 1)
                out[i, j, k] = near * line[e] + far * line[f] > limit
    return out
