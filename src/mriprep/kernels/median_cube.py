"""Median of larger windows, by sorting networks whose parts neighbours share."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from .networks import Step, merge, prune, sort

#: Voxels of a line that are worked on together: what they need fits the cache of a core.
BLOCK = 256


def median_cube(data: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Median in a cubic window; beyond an edge its voxels repeat.

    The same numbers as ``scipy.ndimage.median_filter(data, size,
    mode="nearest")``. The `size`² voxels across a line are
    sorted once and shared by `size` neighbours along it; sorted layers are
    merged in twos, twos in fours, each shared by neighbours again. The last
    merge is cut to the ranks that can be the median's. Nothing is rounded,
    nothing depends on the number of threads.

    Parameters
    ----------
    data : (X, Y, Z) array
        float32 without NaN, or whole numbers that fit into int32.
    size : {3, 5, 7}
        Edge of the window, voxels.

    Returns
    -------
    (X, Y, Z) array
        The type of `data`.
    """
    if data.dtype == np.float32:  # compilers do not run comparisons of floats side by side
        return _in_order(_cube(_in_order(data.view(np.int32)), size)).view(np.float32)
    # One type is one compilation; voxels of 16 bits cost what those of 32 do.
    result: npt.NDArray[Any] = _cube(data.astype(np.int32), size).astype(data.dtype)
    return result


def _cube(data: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.int32]:
    padded = np.pad(data, size // 2, mode="edge")
    result: npt.NDArray[np.int32] = _filter(np.ascontiguousarray(padded), size, *_programs(size))
    return result


def _in_order(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The bits of floats as integers in the same order, and back: it undoes itself."""
    ordered: npt.NDArray[np.int32] = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return ordered


@functools.cache
def _programs(size: int) -> tuple[npt.NDArray[np.int16], ...]:
    """Programs and the order of their wires: layer, two layers, four, six; the last ones pruned.

    The last layer is not merged. Of the union of sorted lists A and B, the
    value of rank r is the least, over all ways to take r + 1 values from the
    ends of A and B, of the greatest that was taken: so only `size`² + 1
    values of A are looked at.
    """
    layer = size * size
    rank = size**3 // 2
    looked_at = slice(rank - layer, rank + 1)
    wires = list(range(6 * layer))
    programs: list[list[Step]] = [[], [], [], []]
    orders = [sort(wires[:layer], programs[0]), wires[:0], wires[:0], wires[:0]]
    parts = {3: ((1, 1),), 5: ((1, 1), (2, 2)), 7: ((1, 1), (2, 2), (4, 2))}[size]
    for n, (a, b) in enumerate(parts, 1):
        orders[n] = merge(wires[: a * layer], wires[a * layer : (a + b) * layer], programs[n])
    last = len(parts)
    programs[last] = prune(programs[last], orders[last][looked_at])
    orders[last] = orders[last][looked_at]
    arrays = []
    for program, order in zip(programs, orders, strict=True):
        arrays.append(np.array(program, np.int16).reshape(-1, 3))
        arrays.append(np.array(order, np.int16))
    return tuple(arrays)


@numba.njit(cache=True)
def _execute(program, wires, count):  # type: ignore[no-untyped-def]
    for s in range(len(program)):
        p, q = wires[program[s, 0], :count], wires[program[s, 1], :count]
        kept = program[s, 2]
        if kept == 0:
            for k in range(count):
                u, v = p[k], q[k]
                p[k] = u if u < v else v
                q[k] = v if u < v else u
        elif kept == 1:
            for k in range(count):
                p[k] = p[k] if p[k] < q[k] else q[k]
        else:
            for k in range(count):
                q[k] = q[k] if p[k] < q[k] else p[k]


@numba.njit(cache=True)
def _copy(source, order, shift, target, first, count):  # type: ignore[no-untyped-def]
    for w in range(len(order)):
        there, here = target[first + w, :count], source[order[w], shift : shift + count]
        for k in range(count):
            there[k] = here[k]


@numba.njit(parallel=True, cache=True)
def _filter(data, size, p1, o1, p2, o2, p4, o4, p6, o6):  # type: ignore[no-untyped-def]
    nx, ny, nz = data.shape[0] - size + 1, data.shape[1] - size + 1, data.shape[2] - size + 1
    out = np.empty((nx, ny, nz), data.dtype)
    layer = size * size
    for i in numba.prange(nx):
        one = np.empty((layer, BLOCK + size), data.dtype)
        two = np.empty((2 * layer, BLOCK + size), data.dtype)
        four = np.empty((4 * layer if size > 3 else 0, BLOCK + size), data.dtype)
        six = np.empty((6 * layer if size > 5 else 0, BLOCK + size), data.dtype)
        for j in range(ny):
            for start in range(0, nz, BLOCK):
                count = min(BLOCK, nz - start)
                n = count + size - 1
                for a in range(size):
                    for b in range(size):
                        wire, here = one[a * size + b, :n], data[i + a, j + b, start : start + n]
                        for k in range(n):
                            wire[k] = here[k]
                _execute(p1, one, n)
                n -= 1
                for half in range(2):
                    _copy(one, o1, half, two, half * layer, n)
                _execute(p2, two, n)
                line = out[i, j, start : start + count]
                if size == 3:
                    _select(two, o2, one, o1, size - 1, line)
                    continue
                n -= 2
                for half in range(2):
                    _copy(two, o2, 2 * half, four, 2 * half * layer, n)
                _execute(p4, four, n)
                if size == 5:
                    _select(four, o4, one, o1, size - 1, line)
                    continue
                n -= 2
                _copy(four, o4, 0, six, 0, n)
                _copy(two, o2, 4, six, 4 * layer, n)
                _execute(p6, six, n)
                _select(six, o6, one, o1, size - 1, line)
    return out


@numba.njit(cache=True)
def _select(middle, ranks, layer, order, shift, line):  # type: ignore[no-untyped-def]
    """The median, of the middle of many sorted values and of one more sorted layer."""
    count = len(line)
    for k in range(count):
        line[k] = middle[ranks[len(order)], k]
    for taken in range(1, len(order) + 1):
        p = middle[ranks[len(order) - taken], :count]
        q = layer[order[taken - 1], shift : shift + count]
        for k in range(count):
            greater = q[k] if p[k] < q[k] else p[k]
            line[k] = greater if greater < line[k] else line[k]
