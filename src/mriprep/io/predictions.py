"""What networks write: images, arrays without a header, classes in a fourth axis, folders of slices."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, OutputRefused, Role, Slices, Volume, restack
from mriprep.core.errors import nearest
from mriprep.core.slices import PLANES, display_axes, display_shape

from . import nifti
from .atomic import atomic_path
from .blocks import explained, gzipped, slabs
from .given import expanded, leads_to
from .images import read_header, read_image
from .sniff import extension

_SLICE = re.compile(r"slice-(\d+)(_dseg)?\.(png|npy)$", re.IGNORECASE)
_PLANE = re.compile(r"_plane-([a-z]+)_")

#: What holds a fourth axis of classes.
CLASSES_WRITABLE = (".nii", ".nii.gz")


def read_classes(path: str | os.PathLike[str]) -> list[Volume]:
    """Read an image, every volume of it: one, or one a class.

    Raises
    ------
    InputError, GeometryError
        As :func:`mriprep.io.images.read_image`.
    """
    count = read_header(path).volumes
    if count == 1:
        return [read_image(path)]
    return [read_image(path, volume=n) for n in range(count)]


def read_array(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read an array that NumPy saved (.npy); nothing in it is run.

    Raises
    ------
    InputError
        If it is no such file, or holds objects.
    """
    path = Path(path)
    try:
        with explained(path):
            leads_to(path)
            array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise InputError(
            f"{path} is not an array of numbers: {error}", hint="write it with numpy.save"
        ) from None
    return array


def split_classes(array: npt.NDArray[Any], grid: Grid) -> list[npt.NDArray[Any]]:
    """The (X, Y, Z) arrays of one with the classes last; of one without classes, itself.

    Raises
    ------
    InputError
        If it has neither three nor four axes.
    """
    if array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 1):
        return [array.reshape(array.shape[:3])]
    if array.ndim == 4:
        return [array[..., n] for n in range(array.shape[-1])]
    raise InputError(
        f"a prediction is an array of {grid.shape}, or of {grid.shape} and the classes; got"
        f" {array.shape}",
        hint="leave out the axis of the batch",
    )


def write_classes(volumes: Sequence[Volume], path: str | os.PathLike[str], code: int = 1) -> Path:
    """Write volumes of one grid as one NIfTI image with a fourth axis, whole or not at all.

    Parameters
    ----------
    volumes : sequence of Volume
        Of one grid and type; probabilities, one a class.
    path : path
        ``.nii`` or ``.nii.gz``.
    code : int
        What the world is, as NIfTI counts: 1 the scanner, 2 another scan, 4 MNI.

    Raises
    ------
    OutputError
        If the extension is another one or writing fails.
    """
    path = expanded(path)
    kind = extension(path, CLASSES_WRITABLE)
    if kind is None:
        raise OutputRefused(
            f"{len(volumes)} classes cannot be written as '{path.name}'",
            hint=f"accepted: {', '.join(CLASSES_WRITABLE)}",
        )
    header = bytearray(nifti.encode(volumes[0].grid, np.float32, code))
    # Bytes 40 to 55 of NIfTI-1 are the sizes: the number of axes first.
    header[40:56] = np.array([4, *volumes[0].shape, len(volumes), 1, 1, 1], "<i2").tobytes()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if kind == ".nii":
            file.write(header)
            for volume in volumes:
                file.writelines(slabs(volume.data, np.float32))
        else:
            with gzipped(file) as stream:
                stream.write(header)
                for volume in volumes:
                    stream.writelines(slabs(volume.data, np.float32))
    return path


def read_slice_stack(folder: str | os.PathLike[str], grid: Grid, plane: str | None) -> SliceStack:
    """Read what a network made of slices that mriprep wrote.

    Parameters
    ----------
    folder : path
        Files with the names of the slices, or at least ``slice-0093`` in
        them: ``.png``, or ``.npy`` of (H, W) or (H, W, classes). Where there
        are both ``slice-0093`` and ``slice-0093_dseg``, the latter count.
    grid : Grid
        Of the volume that the slices were cut from.
    plane : str, optional
        ``axial``, ``coronal`` or ``sagittal``; the names' ``plane-`` otherwise.

    Raises
    ------
    InputError
        If there are none, one is missing its pixels, or they do not fit the grid.
    """
    folder = Path(folder)
    found = {p: m for p in sorted(folder.iterdir()) if (m := _SLICE.search(p.name))}
    if any(m[2] for m in found.values()):
        found = {p: m for p, m in found.items() if m[2]}
    if not found:
        raise InputError(
            f"{folder} holds no predicted slices",
            hint="keep the names of the slices that mriprep wrote: '..._plane-axial_slice-0093.png'"
            " or .npy",
        )
    plane = _plane_of(folder, found, plane)
    first, *_ = display_axes(grid, plane)[0]
    by_index: dict[int, Path] = {}
    for path, match in found.items():
        index = int(match[1])
        if index in by_index:
            raise InputError(
                f"two files are slice {index}: {by_index[index].name} and {path.name}",
                hint="leave one kind in the folder",
            )
        if index >= grid.shape[first]:
            raise InputError(
                f"{path.name}: the volume has {plane} slices 0 to {grid.shape[first] - 1}",
                hint="is it of another case, or of another plane?",
            )
        by_index[index] = path
    picture = display_shape(grid, plane)[1:]
    pixels = [_pixels(by_index[n], picture) for n in sorted(by_index)]
    if len({p.shape for p in pixels}) > 1:
        raise InputError(f"the slices in {folder} have different numbers of classes")
    return SliceStack(np.stack(pixels), plane, tuple(sorted(by_index)), grid)


class SliceStack:
    """Predicted slices and where they belong.

    Parameters
    ----------
    stack : (N, H, W) or (N, H, W, classes) array
        The values.
    plane : str
        Their plane.
    indices : tuple of int
        Their places along the volume's axis.
    grid : Grid
        The volume's.
    """

    def __init__(
        self, stack: npt.NDArray[Any], plane: str, indices: tuple[int, ...], grid: Grid
    ) -> None:
        self.stack, self.plane, self.indices, self.grid = stack, plane, indices, grid

    @property
    def missing(self) -> int:
        """How many slices of the volume there are none of."""
        return display_shape(self.grid, self.plane)[0] - len(self.indices)

    def volumes(self) -> list[Volume]:
        """The slices put back into volumes, one a class; 0 where there is no slice."""
        classes = self.stack[..., None] if self.stack.ndim == 3 else self.stack
        n = len(self.indices)
        frame = Slices(
            np.broadcast_to(np.float32(0), classes.shape[:3]),
            self.plane,
            self.indices,
            self.grid,
            window=(0, 1),
            content=(1.0,) * n,
        )
        return [restack(frame, classes[..., c], role=Role.IMAGE) for c in range(classes.shape[-1])]


def _plane_of(folder: Path, found: dict[Path, re.Match[str]], plane: str | None) -> str:
    named = {m[1] for p in found if (m := _PLANE.search(p.name))}
    if len(named) > 1:
        raise InputError(
            f"{folder} holds slices of several planes: {', '.join(sorted(named))}",
            hint="one folder each",
        )
    chosen = next(iter(named), plane)
    if chosen not in PLANES:
        raise InputError(
            f"the plane of the slices in {folder} is not known: {chosen}",
            hint=nearest(str(chosen), PLANES),
        )
    return chosen


def _pixels(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if path.suffix.lower() == ".npy":
        array = read_array(path)
    else:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path, formats=["PNG"]) as picture:
                array = np.asarray(picture)
        except (UnidentifiedImageError, OSError) as error:
            raise InputError(f"{path.name} is not a PNG picture: {error}") from None
        if array.ndim != 2:
            raise InputError(
                f"{path.name} is a picture in colours",
                hint="write labels as grey values: a label's number is its pixel's",
            )
    if array.ndim not in (2, 3) or array.shape[:2] != shape:
        raise InputError(
            f"{path.name} is an array of {array.shape}, slices of this volume are {shape}",
            hint="undo any resizing or padding of the slices first; classes come last",
        )
    return array
