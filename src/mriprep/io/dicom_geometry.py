"""Where DICOM slices lie: their grid, gaps between them, and putting slices where they belong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError, GeometryError, Grid, Volume
from mriprep.core.grid import FloatArray

#: Slices nearer than this lie at one position (mm).
SAME_POSITION_MM = 1e-2
#: A slice may lie off its regular place by this part of the distance between slices.
JITTER = 0.1
#: Direction cosines that differ by less than this are the same direction.
SAME_DIRECTION = 1e-3
#: A slice direction leaning more than this off the slices' normal is a gantry tilt (degrees).
TILT_DEGREES = 0.5
#: How the problem of a tilted gantry begins.
TILT = "gantry tilt"
#: Fewer slices than this are a localizer or a scrap, not a volume.
FEWEST_SLICES = 4

#: DICOM's patient coordinates are LPS; the world is RAS.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """How the slices of a series lie in space.

    Parameters
    ----------
    order : tuple of int
        The slices sorted along their normal.
    slices : int
        Number of different positions.
    volumes : int
        Largest number of slices at one position.
    grid : Grid or None
        Axes: columns, rows, slices, missing slices included. None if it cannot be known.
    missing : tuple of int
        Indices along the third axis where there is no slice.
    even : bool
        Whether the slices, missing ones aside, are evenly spaced, parallel and not tilted.
    problems : tuple of str
        What is wrong, in words.
    """

    order: tuple[int, ...]
    slices: int
    volumes: int
    grid: Grid | None
    missing: tuple[int, ...]
    even: bool
    problems: tuple[str, ...]


def stack(
    positions: npt.ArrayLike,
    orientations: npt.ArrayLike,
    *,
    matrix: tuple[int, int],
    pixel_spacing: tuple[float, float] | None,
    thickness: float | None = None,
) -> Stack:
    """Find the grid on which slices lie.

    Parameters
    ----------
    positions : (N, 3) array_like
        ImagePositionPatient of each slice: centre of the first pixel, mm, LPS.
    orientations : (N, 6) array_like
        ImageOrientationPatient of each slice: directions along a row, then
        along a column, LPS.
    matrix : (2,) ints
        Rows and columns.
    pixel_spacing : (2,) floats or None
        Between rows, then between columns, mm.
    thickness : float, optional
        Slice thickness in mm, used when there is a single slice.

    Returns
    -------
    Stack
        The grid (RAS+ mm), the missing slices and the problems.
    """
    points = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    turns = np.asarray(orientations, dtype=np.float64).reshape(-1, 6)
    row, column = turns[0, :3], turns[0, 3:]
    normal = np.cross(row, column)
    if not abs(np.linalg.norm(normal) - 1) <= 0.01:  # NaN, of numbers too large, is not either
        return _unknown(len(points), "the directions of rows and columns are not at right angles")
    if np.abs(turns - turns[0]).max() > SAME_DIRECTION:
        return _unknown(len(points), "mixed orientation: the slices are not parallel")

    offsets = points @ normal
    order = np.argsort(offsets, kind="stable")
    first = np.flatnonzero(np.diff(offsets[order], prepend=-np.inf) > SAME_POSITION_MM)
    counts = np.diff([*first, len(order)])
    unique = points[order[first]]
    problems = _repeats(counts)
    lattice = _lattice(unique, normal, thickness)
    problems += lattice.problems
    if len(unique) < FEWEST_SLICES and not (len(unique) == 1 < len(points)):
        problems += (f"too few slices: {len(unique)}",)

    grid = None
    if lattice.step is not None and pixel_spacing is not None:
        lps = np.eye(4)
        lps[:3, 0], lps[:3, 1] = row * pixel_spacing[1], column * pixel_spacing[0]
        lps[:3, 2], lps[:3, 3] = lattice.step, unique[0]
        rows, columns = matrix
        try:
            grid = Grid((columns, rows, lattice.length), LPS_TO_RAS @ lps)
        except GeometryError as error:
            problems += (error.message,)
    elif pixel_spacing is None:
        problems += ("the header gives no pixel spacing",)
    if grid is not None and lattice.missing:
        problems += (_say_missing(grid, lattice.missing),)
    return Stack(
        order=tuple(int(i) for i in order),
        slices=len(unique),
        volumes=int(counts.max()),
        grid=grid,
        missing=lattice.missing,
        even=lattice.step is not None and not lattice.problems,
        problems=problems,
    )


@dataclass(frozen=True)
class _Lattice:
    step: FloatArray | None
    length: int
    missing: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


def _lattice(points: FloatArray, normal: FloatArray, thickness: float | None) -> _Lattice:
    """The even spacing that fits positions sorted along the normal."""
    if len(points) == 1:
        return _Lattice(None if thickness is None else normal * thickness, 1)
    distances = (points - points[0]) @ normal
    gaps = np.diff(distances)
    length = 1 + int(np.round(gaps / np.median(gaps)).sum())
    step = (points[-1] - points[0]) / max(length - 1, 1)
    index = np.round(distances / (step @ normal)).astype(int)
    off = np.linalg.norm(points - (points[0] + index[:, None] * step), axis=1).max()
    if off > JITTER * (step @ normal) or (np.diff(index) < 1).any():
        text = f"irregular: the slices are {gaps.min():.3g} to {gaps.max():.3g} mm apart"
        return _Lattice(None, len(points), (), (text,))
    missing = tuple(int(i) for i in np.setdiff1d(np.arange(length), index))
    lean = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    tilt = (f"{TILT}: {lean:.1f}°",) if lean > TILT_DEGREES else ()
    return _Lattice(step, length, missing, tilt)


def _unknown(count: int, problem: str) -> Stack:
    return Stack(tuple(range(count)), count, 1, None, (), False, (problem,))


def _repeats(counts: npt.NDArray[np.intp]) -> tuple[str, ...]:
    if len(counts) == 1 < counts[0]:
        return (f"not a volume: all {counts[0]} images lie at one position",)
    if counts.max() == 1:
        return ()
    if counts.min() == counts.max():
        return (f"{counts[0]} volumes: each position is there {counts[0]} times",)
    return (f"positions are there {counts.min()} to {counts.max()} times: incomplete volumes",)


def _say_missing(grid: Grid, missing: tuple[int, ...]) -> str:
    middle = (np.array(grid.shape[:2]) - 1) / 2
    places = []
    for index in missing[:5]:
        x, y, z = grid.to_world([*middle, index])
        places.append(f"number {index + 1}, centred at ({x:.1f}, {y:.1f}, {z:.1f}) mm RAS")
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return (
        f"{len(missing)} of {grid.shape[2]} slices missing: {'; '.join(places)}{more}"
        f" (slices are {grid.spacing[2]:.3g} mm apart)"
    )


def place(stacked: Volume, grid: Grid, missing: tuple[int, ...]) -> Volume:
    """Put stacked slices where they belong and fill the gaps from their neighbours.

    Parameters
    ----------
    stacked : Volume
        The slices that are there, without gaps; its axes may be permuted and
        flipped against the grid's.
    grid : Grid
        Where the slices lie: the third axis counts slices, missing ones included.
    missing : tuple of int
        Indices along the third axis where there is no slice.

    Returns
    -------
    Volume
        On the grid, axes in the order and direction of `stacked`. Measured
        voxels are unchanged; missing slices are interpolated linearly, and
        ``meta["interpolated_slices"]`` and ``meta["slice_axis"]`` say which.

    Raises
    ------
    EngineError
        If the converted slices are not those of the grid.
    """
    target, axis, backwards = along(grid, stacked.grid)
    length = target.shape[axis]
    gaps = sorted(length - 1 - i if backwards else i for i in missing)
    there = np.setdiff1d(np.arange(length), gaps)
    expected = tuple(len(there) if a == axis else n for a, n in enumerate(target.shape))
    if stacked.shape != expected:
        raise EngineError(f"the converted slices form {stacked.shape}, the headers say {expected}")
    slices = np.moveaxis(stacked.data, axis, 0)
    whole = np.zeros((length, *slices.shape[1:]), dtype=slices.dtype)
    whole[there] = slices
    for gap in gaps:
        after = int(np.searchsorted(there, gap))
        low, high = there[after - 1], there[after]
        weight = (gap - low) / (high - low)
        mixed = (1 - weight) * whole[low].astype(np.float64) + weight * whole[high]
        whole[gap] = mixed if slices.dtype.kind == "f" else np.round(mixed)
    return stacked.replace(
        np.moveaxis(whole, 0, axis),
        grid=target,
        interpolated_slices=gaps,
        slice_axis=axis,
    )


def along(grid: Grid, like: Grid) -> tuple[Grid, int, bool]:
    """Permute and flip the axes of a grid along another's.

    Unlike naming both by the nearest anatomical axes, this is stable for
    volumes at 45 degrees.

    Returns
    -------
    grid : Grid
        The same points, axes along those of `like`.
    axis : int
        Where the third axis went.
    backwards : bool
        Whether it was flipped.

    Raises
    ------
    EngineError
        If the two grids' axes are not parallel.
    """
    cosines = like.direction.T @ grid.direction
    order = [int(np.argmax(np.abs(cosines[axis]))) for axis in range(3)]
    if sorted(order) != [0, 1, 2] or np.abs(cosines[range(3), order]).min() < 0.99:
        raise EngineError("the converted slices do not lie along the header's directions")
    affine = np.eye(4)
    start = np.zeros(3)
    for new, old in enumerate(order):
        backwards = cosines[new, old] < 0
        affine[:3, new] = grid.affine[:3, old] * (-1 if backwards else 1)
        start[old] = grid.shape[old] - 1 if backwards else 0
    affine[:3, 3] = grid.to_world(start)
    a, b, c = (grid.shape[old] for old in order)
    axis = order.index(2)
    return Grid((a, b, c), affine), axis, bool(cosines[axis, 2] < 0)
