"""Sampling a volume through an affine map of indices: linear, cubic, nearest, and a vote of labels.

All functions take `matrix` (3, 4), which maps the index of an output voxel to
a fractional index of the input. A point within half a voxel of the outermost
centres belongs to the field of view and takes the edge's value; beyond it the
output is 0. Every output voxel is computed alone, so results do not depend on
the number of threads.

Most loops over planes call a function that does one: it is compiled in half the
time, as only what stands in the loop over threads is searched for what to share.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

# Round-off may push a point that lies on the very edge of the field of view out of it.
_EDGE = 0.5 + 1e-5
# Labels that may meet around one point; more than that in 8 x sub-samples voxels is noise.
_MAX_LABELS = 64


@nb.njit
def _inside(x: float, y: float, z: float, nx: int, ny: int, nz: int) -> bool:
    return (
        x >= -_EDGE
        and y >= -_EDGE
        and z >= -_EDGE
        and x <= nx - 1 + _EDGE
        and y <= ny - 1 + _EDGE
        and z <= nz - 1 + _EDGE
    )


@nb.njit
def _clamp(x: float, n: int) -> float:
    return min(max(x, 0.0), n - 1.0)


@nb.njit
def _linear_plane(data: Any, m: Any, out: Any, i: int) -> None:
    nx, ny, nz = data.shape
    for j in range(out.shape[1]):
        for k in range(out.shape[2]):
            x = m[0, 0] * i + m[0, 1] * j + m[0, 2] * k + m[0, 3]
            y = m[1, 0] * i + m[1, 1] * j + m[1, 2] * k + m[1, 3]
            z = m[2, 0] * i + m[2, 1] * j + m[2, 2] * k + m[2, 3]
            if not _inside(x, y, z, nx, ny, nz):
                out[i, j, k] = 0
                continue
            x, y, z = _clamp(x, nx), _clamp(y, ny), _clamp(z, nz)
            a, b, c = int(x), int(y), int(z)
            u, v, w = x - a, y - b, z - c
            a1, b1, c1 = min(a + 1, nx - 1), min(b + 1, ny - 1), min(c + 1, nz - 1)
            d00 = data[a, b, c] + (data[a1, b, c] - data[a, b, c]) * u
            d10 = data[a, b1, c] + (data[a1, b1, c] - data[a, b1, c]) * u
            d01 = data[a, b, c1] + (data[a1, b, c1] - data[a, b, c1]) * u
            d11 = data[a, b1, c1] + (data[a1, b1, c1] - data[a, b1, c1]) * u
            d0 = d00 + (d10 - d00) * v
            d1 = d01 + (d11 - d01) * v
            out[i, j, k] = d0 + (d1 - d0) * w


@nb.njit(parallel=True, cache=True)
def _linear(data: Any, m: Any, out: Any) -> None:
    for i in nb.prange(out.shape[0]):
        _linear_plane(data, m, out, np.int64(i))


@nb.njit(inline="always")
def _mirror(i: int, n: int) -> int:
    if n == 1:
        return 0
    period = 2 * (n - 1)
    i = abs(i) % period
    return period - i if i >= n else i


@nb.njit(parallel=True, cache=True)
def _cubic(coefficients: Any, m: Any, low: float, high: float, out: Any) -> None:
    nx, ny, nz = coefficients.shape
    for i in nb.prange(out.shape[0]):
        wx, wy, wz = np.empty(4), np.empty(4), np.empty(4)
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                x = m[0, 0] * i + m[0, 1] * j + m[0, 2] * k + m[0, 3]
                y = m[1, 0] * i + m[1, 1] * j + m[1, 2] * k + m[1, 3]
                z = m[2, 0] * i + m[2, 1] * j + m[2, 2] * k + m[2, 3]
                if not _inside(x, y, z, nx, ny, nz):
                    out[i, j, k] = 0
                    continue
                x, y, z = _clamp(x, nx), _clamp(y, ny), _clamp(z, nz)
                a, b, c = int(x), int(y), int(z)
                _weights(x - a, wx)
                _weights(y - b, wy)
                _weights(z - c, wz)
                total = 0.0
                for p in range(4):
                    ip = _mirror(a + p - 1, nx)
                    for q in range(4):
                        iq = _mirror(b + q - 1, ny)
                        line = 0.0
                        for r in range(4):
                            line += wz[r] * coefficients[ip, iq, _mirror(c + r - 1, nz)]
                        total += wx[p] * wy[q] * line
                out[i, j, k] = min(max(total, low), high)


@nb.njit(inline="always")
def _weights(t: float, w: Any) -> None:
    """Cubic B-spline weights of the four neighbours of a point at fraction t."""
    s = 1 - t
    w[0] = s * s * s / 6
    w[1] = (3 * t * t * t - 6 * t * t + 4) / 6
    w[2] = (3 * s * s * s - 6 * s * s + 4) / 6
    w[3] = t * t * t / 6


@nb.njit
def _spline_plane(lattice: Any, m: Any, out: Any, i: int) -> None:
    nx, ny, nz = lattice.shape
    wx, wy, wz = np.empty(4), np.empty(4), np.empty(4)
    for j in range(out.shape[1]):
        for k in range(out.shape[2]):
            x = m[0, 0] * i + m[0, 1] * j + m[0, 2] * k + m[0, 3] - 1
            y = m[1, 0] * i + m[1, 1] * j + m[1, 2] * k + m[1, 3] - 1
            z = m[2, 0] * i + m[2, 1] * j + m[2, 2] * k + m[2, 3] - 1
            x, y, z = _clamp(x, nx - 2), _clamp(y, ny - 2), _clamp(z, nz - 2)
            a, b, c = min(int(x), nx - 4), min(int(y), ny - 4), min(int(z), nz - 4)
            _weights(x - a, wx)
            _weights(y - b, wy)
            _weights(z - c, wz)
            total = 0.0
            for p in range(4):
                for q in range(4):
                    for r in range(4):
                        total += wx[p] * wy[q] * wz[r] * lattice[a + p, b + q, c + r]
            out[i, j, k] = total


@nb.njit(parallel=True, cache=True)
def _spline(lattice: Any, m: Any, out: Any) -> None:
    for i in nb.prange(out.shape[0]):
        _spline_plane(lattice, m, out, np.int64(i))


@nb.njit
def _nearest_plane(data: Any, m: Any, out: Any, i: int) -> None:
    nx, ny, nz = data.shape
    for j in range(out.shape[1]):
        for k in range(out.shape[2]):
            x = m[0, 0] * i + m[0, 1] * j + m[0, 2] * k + m[0, 3]
            y = m[1, 0] * i + m[1, 1] * j + m[1, 2] * k + m[1, 3]
            z = m[2, 0] * i + m[2, 1] * j + m[2, 2] * k + m[2, 3]
            if _inside(x, y, z, nx, ny, nz):
                out[i, j, k] = data[
                    int(_clamp(x, nx) + 0.5), int(_clamp(y, ny) + 0.5), int(_clamp(z, nz) + 0.5)
                ]
            else:
                out[i, j, k] = 0


@nb.njit(parallel=True, cache=True)
def _nearest(data: Any, m: Any, out: Any) -> None:
    for i in nb.prange(out.shape[0]):
        _nearest_plane(data, m, out, np.int64(i))


@nb.njit
def _vote_plane(data: Any, m: Any, sub: Any, out: Any, i: int) -> None:
    nx, ny, nz = data.shape
    names = np.empty(_MAX_LABELS, data.dtype)
    votes = np.empty(_MAX_LABELS)
    for j in range(out.shape[1]):
        for k in range(out.shape[2]):
            count = 0
            for si in range(sub[0]):
                fi = i + (si + 0.5) / sub[0] - 0.5
                for sj in range(sub[1]):
                    fj = j + (sj + 0.5) / sub[1] - 0.5
                    for sk in range(sub[2]):
                        fk = k + (sk + 0.5) / sub[2] - 0.5
                        x = m[0, 0] * fi + m[0, 1] * fj + m[0, 2] * fk + m[0, 3]
                        y = m[1, 0] * fi + m[1, 1] * fj + m[1, 2] * fk + m[1, 3]
                        z = m[2, 0] * fi + m[2, 1] * fj + m[2, 2] * fk + m[2, 3]
                        if not _inside(x, y, z, nx, ny, nz):
                            count = _add(names, votes, count, 0, 1.0)
                            continue
                        x, y, z = _clamp(x, nx), _clamp(y, ny), _clamp(z, nz)
                        a, b, c = int(x), int(y), int(z)
                        for p in range(2):
                            wx = x - a if p else 1 - (x - a)
                            if wx == 0:
                                continue
                            for q in range(2):
                                wy = y - b if q else 1 - (y - b)
                                if wy == 0:
                                    continue
                                for r in range(2):
                                    wz = z - c if r else 1 - (z - c)
                                    if wz == 0:
                                        continue
                                    label = data[a + p, b + q, c + r]
                                    count = _add(names, votes, count, label, wx * wy * wz)
            best = 0
            for n in range(1, count):
                # Equal votes go to the smaller label, so that order plays no part.
                if votes[n] > votes[best] or (votes[n] == votes[best] and names[n] < names[best]):
                    best = n
            out[i, j, k] = names[best]


@nb.njit(parallel=True, cache=True)
def _vote(data: Any, m: Any, sub: Any, out: Any) -> None:
    for i in nb.prange(out.shape[0]):
        _vote_plane(data, m, sub, out, np.int64(i))


@nb.njit
def _add(names: Any, votes: Any, count: int, label: Any, weight: float) -> int:
    for n in range(count):
        if names[n] == label:
            votes[n] += weight
            return count
    if count < names.size:
        names[count] = label
        votes[count] = weight
        return count + 1
    return count


def _fixed(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that can't be written to: what can and what can't would be compiled one by one."""
    view = data.view()
    view.flags.writeable = False
    return view


def linear(data: FloatArray, matrix: Matrix, shape: tuple[int, int, int]) -> FloatArray:
    """Trilinear interpolation of `data` (X, Y, Z) at the voxels of an array of `shape`."""
    out = np.empty(shape, np.float32)
    _linear(_fixed(np.ascontiguousarray(data, np.float32)), np.ascontiguousarray(matrix), out)
    return out


def cubic(data: FloatArray, matrix: Matrix, shape: tuple[int, int, int]) -> FloatArray:
    """Cubic B-spline interpolation, clamped to the input's range: no negative is born of overshoot.

    Unser M. Splines: a perfect fit for signal and image processing. IEEE
    Signal Process Mag 1999. doi:10.1109/79.799930
    """
    from scipy import ndimage

    coefficients = ndimage.spline_filter(data, order=3, output=np.float32, mode="mirror")
    out = np.empty(shape, np.float32)
    low, high = float(data.min()), float(data.max())
    _cubic(coefficients, np.ascontiguousarray(matrix), low, high, out)
    return out


def spline(lattice: FloatArray, matrix: Matrix, shape: tuple[int, int, int]) -> FloatArray:
    """A cubic B-spline given by its control points; beyond its domain, the value at the edge.

    `matrix` maps the index of an output voxel to a fractional index of the
    lattice, whose outermost control points lie outside the domain.
    """
    out = np.empty(shape, np.float32)
    _spline(_fixed(np.ascontiguousarray(lattice)), np.ascontiguousarray(matrix), out)
    return out


def nearest(
    data: npt.NDArray[Any], matrix: Matrix, shape: tuple[int, int, int]
) -> npt.NDArray[Any]:
    """The value of the nearest voxel, in the input's own type."""
    if data.dtype.itemsize > 8:  # long double
        data = data.astype(np.float64)
    # Bits are copied, so that every type and byte order will do; 0 has no bits set in any.
    bits = np.ascontiguousarray(data).view(f"u{data.dtype.itemsize}")
    out = np.empty(shape, bits.dtype)
    _nearest(_fixed(bits), np.ascontiguousarray(matrix), out)
    return out.view(data.dtype)


def vote(
    data: npt.NDArray[Any],
    matrix: Matrix,
    shape: tuple[int, int, int],
    subsamples: tuple[int, int, int] = (1, 1, 1),
) -> npt.NDArray[Any]:
    """The label with most weight around each point, as linear interpolation weighs its neighbours.

    The same as interpolating the indicator of every label linearly and taking
    the largest, at the cost of one pass. `subsamples` spreads the vote over
    points within each output voxel along its axes, for outputs coarser than
    the input.
    """
    # Each type is compiled anew, for seconds: labels that do not fit are numbered in their order.
    if data.dtype.kind not in "iub":
        return vote(data.astype(np.int64), matrix, shape, subsamples).astype(data.dtype)
    names = None
    if np.can_cast(data.dtype, np.int32) or _fits(data):
        work = np.ascontiguousarray(data, np.int32)
    else:
        names, numbers = np.unique(np.append(data, data.dtype.type(0)), return_inverse=True)
        zero = int(np.searchsorted(names, 0))  # what lies outside counts as 0
        work = (numbers[:-1].reshape(data.shape) - zero).astype(np.int32)
    out = np.empty(shape, work.dtype)
    _vote(_fixed(work), np.ascontiguousarray(matrix), np.asarray(subsamples, np.int64), out)
    return out.astype(data.dtype, copy=False) if names is None else names[out + zero]


def _fits(labels: npt.NDArray[Any]) -> bool:
    limits = np.iinfo(np.int32)
    return labels.size == 0 or (int(labels.min()) >= limits.min and int(labels.max()) <= limits.max)
