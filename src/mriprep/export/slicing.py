"""Cutting a case into slices, all contrasts and companions alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError
from mriprep.core.slices import PLANES, arranged, chosen, display_axes, every_of
from mriprep.kernels.otsu import otsu

from .arrays import Arrays

Format = Literal["npy", "npz", "png8", "png16", "webdataset"]
Keep = Literal["content", "mask", "label"]


@dataclass(frozen=True)
class Cut:
    """A case's slices.

    Parameters
    ----------
    plane : str
        Their plane.
    axis : int
        The array axis that they are cut across.
    indices : tuple of int
        Where they lie along it, ascending.
    positions : tuple of float
        World coordinate of their centres across the plane, mm, RAS+.
    content : tuple of float
        What each shows, as a share of the fullest one.
    spacing : (float, float)
        Of rows and columns, mm.
    stacks : (C, N, H, W) array
        All slices of the volume, as they are seen.
    companions : mapping of str to (n, H, W) array
        Labels and mask of the slices that are taken.
    windows : tuple of (float, float)
        Of each contrast, the intensities that are black and white.
    neighbours : int
        How many slices on each side are channels too.
    contrasts : tuple of str
        Names of the C images.
    """

    plane: str
    axis: int
    indices: tuple[int, ...]
    positions: tuple[float, ...]
    content: tuple[float, ...]
    spacing: tuple[float, float]
    stacks: npt.NDArray[Any]
    companions: Mapping[str, npt.NDArray[Any]]
    windows: tuple[tuple[float, float], ...]
    neighbours: int
    contrasts: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Of a slice: rows, columns."""
        return self.stacks.shape[2], self.stacks.shape[3]

    def image(self, n: int) -> npt.NDArray[Any]:
        """The n-th of the slices that are taken: (C * (2k + 1), H, W)."""
        offsets = np.arange(-self.neighbours, self.neighbours + 1)
        places = np.clip(self.indices[n] + offsets, 0, self.stacks.shape[1] - 1)
        return np.ascontiguousarray(self.stacks[:, places].reshape(-1, *self.shape))


def channel_names(contrasts: Sequence[str], neighbours: int) -> list[str]:
    """What the channels of an array are: ``T1w-1``, ``T1w``, ``T1w+1``, ``FLAIR-1``, ..."""
    offsets = range(-neighbours, neighbours + 1)
    return [f"{c}{f'{k:+d}' if k else ''}" for c in contrasts for k in offsets]


def cut(
    arrays: Arrays,
    *,
    plane: str,
    keep: Keep,
    content: float,
    every: int,
    spacing: float | None,
    neighbours: int,
    window: tuple[float, float],
    contrasts: tuple[str, ...],
    case: str,
) -> Cut | str:
    """Cut a case, or say why it has no slices. See :func:`mriprep.export.slices.write`.

    Raises
    ------
    InputError
        If an image has no contrast within the window.
    """
    grid = Grid(arrays.image.shape[1:], arrays.affine)
    order, flip = display_axes(grid, plane)
    axis = order[0]
    inside = _inside(arrays)
    counted = {"content": inside, "mask": arrays.companions.get("mask"),
               "label": arrays.companions.get("labels")}[keep]  # fmt: skip
    if inside is None:
        return "the image is constant"
    if counted is None or not counted.any():
        return f"no voxel is in a {keep}" if keep != "content" else "the mask is empty"
    counts = (counted != 0).sum(axis=tuple(a for a in range(3) if a != axis))
    kept = chosen(counts, content, every if spacing is None else every_of(spacing, grid, axis))
    centres = np.tile((np.asarray(grid.shape) - 1) / 2, (len(kept), 1))
    centres[:, axis] = kept
    share = counts / counts.max()
    return Cut(
        plane,
        axis,
        tuple(kept),
        tuple(float(p) for p in grid.to_world(centres)[:, PLANES[plane][0]]),
        tuple(float(share[i]) for i in kept),
        (float(grid.spacing[order[1]]), float(grid.spacing[order[2]])),
        np.stack([arranged(image, order, flip) for image in arrays.image]),
        {
            n: np.ascontiguousarray(arranged(a, order, flip)[kept])
            for n, a in arrays.companions.items()
        },
        tuple(
            _window(image, inside, "mask" in arrays.companions, window, f"{case}, {contrast}")
            for contrast, image in zip(contrasts, arrays.image, strict=True)
        ),
        neighbours,
        contrasts,
    )


def written(found: Cut, n: int, sample: str, format: str) -> dict[str, tuple[str, Any]]:
    """The files of a sample: by column of the index, name and content."""
    if format == "npz":
        whole = {"image": found.image(n), **{k: v[n] for k, v in found.companions.items()}}
        return {"image": (f"{sample}.npz", whole)}
    ends = {"labels": "_dseg", "mask": "_mask"}
    beside = {k: (f"{sample}{ends[k]}", v[n]) for k, v in found.companions.items()}
    if format == "npy":
        files = {"image": (sample, found.image(n)), **beside}
        return {k: (f"{name}.npy", array) for k, (name, array) in files.items()}
    pictures = {
        f"image_{contrast}": (f"{sample}_{contrast}", grey(stack[found.indices[n]], ends_, format))
        for contrast, stack, ends_ in zip(found.contrasts, found.stacks, found.windows, strict=True)
    }
    pictures |= {k: (name, as_picture(array)) for k, (name, array) in beside.items()}
    return {k: (f"{name}.png", array) for k, (name, array) in pictures.items()}


def grey(values: npt.NDArray[Any], window: tuple[float, float], format: str) -> npt.NDArray[Any]:
    """A slice within its window, 0 to 255 or 65535; NaN is black."""
    white, kind = (255, np.uint8) if format == "png8" else (65535, np.uint16)
    low, high = window
    share = (np.nan_to_num(values.astype(np.float64), nan=low) - low) / (high - low)
    return np.rint(np.clip(share, 0, 1) * white).astype(kind)


def as_picture(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels as a picture of 8 or 16 bit, their values as they are.

    Raises
    ------
    InputError
        If they do not fit.
    """
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest > 65535:
        raise InputError(
            f"labels from {lowest} to {highest} do not fit a picture of 16 bit",
            hint="write slices as npy or npz",
        )
    return labels.astype(np.uint8 if highest <= 255 else np.uint16)


def _inside(arrays: Arrays) -> npt.NDArray[np.bool_] | None:
    """The mask, or without one what Otsu's threshold keeps of the first contrast; None of a constant."""
    if "mask" in arrays.companions:
        return arrays.companions["mask"].astype(bool)
    first: npt.NDArray[np.float32] = arrays.image[0].astype(np.float32)
    first = np.nan_to_num(first, posinf=0, neginf=0)
    return None if first.min() == first.max() else np.greater(first, otsu(first))


def _window(
    image: npt.NDArray[Any],
    inside: npt.NDArray[np.bool_],
    masked: bool,
    percentiles: tuple[float, float],
    where: str,
) -> tuple[float, float]:
    """The intensities at two percentiles: within the mask, or the lower of all and the upper of the foreground."""
    sample = image[inside]
    lower = sample if masked else image
    lower, sample = lower[np.isfinite(lower)], sample[np.isfinite(sample)]
    if lower.size and sample.size:
        low = float(np.percentile(lower, percentiles[0]))
        high = float(np.percentile(sample, percentiles[1]))
        if low < high:
            return low, high
    raise InputError(
        f"{where}: the image has no contrast within its window",
        hint="percentiles further apart: --window 0 100; or leave the case out",
    )
