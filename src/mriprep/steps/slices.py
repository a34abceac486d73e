"""Two-dimensional slices."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mriprep.core import InputError, Volume
from mriprep.core.slices import Slices, arranged, chosen, display_axes, every_of
from mriprep.declare import Image, Labels, Mask, Only, Unit, step

from ._common import BoolImage, finite, foreground, on_grid
from ._window import Percentiles
from ._window import window as intensity_window


@step(
    methods="Slices were taken in the {plane} plane, one of every {every}, leaving out those with"
    " less than {content:g} of the content of the fullest one.",
    plan=lambda inputs, parameters: None,
    seconds_per_megavoxel=0.05,
)
def slices(
    image: Image,
    mask: Mask | None = None,
    labels: Labels | None = None,
    *,
    plane: Literal["axial", "coronal", "sagittal"] = "axial",
    every: Annotated[int, Ge(1)] = 1,
    spacing: Annotated[float, Gt(0), Unit("mm")] | None = None,
    keep: Literal["content", "mask", "label"] = "content",
    content: Annotated[float, Ge(0), Le(1)] = 0.05,
    format: Literal["png8", "png16", "npy"] = "png8",
    window: Annotated[Percentiles, Only("format", "png8", "png16")] = (0.5, 99.5),
) -> Slices:
    """Cut a volume into the slices of one plane, as radiologists see them.

    The patient's left is on the right of the picture (axial, coronal), the
    front on the left (sagittal). Nothing is interpolated:
    :func:`mriprep.core.slices.restack` puts the slices back exactly.

    Parameters
    ----------
    image : Volume
        The image. NaN and infinities are taken as 0, with a warning.
    mask : Volume, optional
        What counts as content, on the image's grid; without it what Otsu's
        threshold keeps. The window of pictures is taken within it.
    labels : Volume, optional
        Labels on the image's grid, cut alike.
    plane : {"axial", "coronal", "sagittal"}
        The plane; of an oblique volume the nearest one.
    every : int
        Take every so manieth slice, from the first one with enough content on.
    spacing : float, optional
        Instead of `every`: take slices about so far apart, by whole slices,
        none twice.
    keep : {"content", "mask", "label"}
        What counts as content: the mask, or without one what Otsu's threshold
        keeps; the mask, which must be there; or voxels with a label.
    content : float
        Least number of voxels with content in a slice, as a share of that of
        the slice which has most; 0 takes empty slices as well.
    format : {"png8", "png16", "npy"}
        How the slices are written: pictures of 8 or 16 bit, or the float32
        intensities themselves.
    window : (2,) floats
        Percentiles, the lower first, of the intensities that are black and white in pictures,
        one window for all slices: within the mask, or without one the lower
        of all voxels and the upper of the foreground, so that neither dark
        fluid nor bright tissue is cut off.

    Returns
    -------
    Slices
        The slices, where they were, and how to show them.

    Raises
    ------
    InputError
        If the mask is empty or, without a mask, the image is constant; if
        what is to be kept was not given, or no voxel has a label; if both
        `every` and `spacing` are asked for.
    GeometryError
        If the mask or the labels are not on the image's grid.
    """
    for companion in (mask, labels):
        if companion is not None:
            on_grid(companion, image.grid, "slices")
    values = finite(image, "slices")
    inside: BoolImage = foreground(image, "slices") if mask is None else mask.data
    order, flip = display_axes(image.grid, plane)
    axis = order[0]
    if not inside.any():
        raise InputError(
            "slices: the mask is empty, so no slice has content",
            hint="check the brain extraction",
        )
    if spacing is not None and every != 1:
        raise InputError("slices: both every and spacing are asked for", hint="give one of them")
    counted = _counted(keep, inside, mask, labels)
    counts = counted.sum(axis=tuple(a for a in range(3) if a != axis))
    step = every if spacing is None else every_of(spacing, image.grid, axis)
    kept = chosen(counts, content, step)
    share = counts / counts.max()
    sample = values[inside]
    return Slices(
        stack=np.ascontiguousarray(arranged(values, order, flip)[kept]),
        plane=plane,
        indices=tuple(kept),
        grid=image.grid,
        window=intensity_window(values if mask is None else sample, sample, window, "slices"),
        content=tuple(share[kept]),
        labels=None
        if labels is None
        else np.ascontiguousarray(arranged(labels.data, order, flip)[kept]),
        format=format,
    )


def _counted(keep: str, inside: BoolImage, mask: Volume | None, labels: Volume | None) -> BoolImage:
    """The voxels that count as content."""
    if keep == "mask" and mask is None:
        raise InputError(
            "slices: those with a mask are to be kept, and there is none",
            hint="give a mask, or keep: content",
        )
    if keep != "label":
        return inside
    if labels is None:
        raise InputError(
            "slices: those with a label are to be kept, and there are no labels",
            hint="give labels, or keep: content",
        )
    found: BoolImage = labels.data != 0
    if not found.any():
        raise InputError(
            "slices: no voxel has a label, so no slice would be kept", hint="keep: content"
        )
    return found
