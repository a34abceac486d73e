"""Brain extraction."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le, Lt

from mriprep import engines
from mriprep.core import EngineError, Grid, MriprepWarning
from mriprep.declare import Citation, Image, Mask, Unit, keep, step

from ._common import finite, varied

#: Volumes of an intracranial space, from a newborn's to the largest adult's, ml.
PLAUSIBLE_ML = (300.0, 2300.0)


@step(
    kind="brain",
    methods="The brain was extracted with {engine}.",
    citations=(
        Citation(
            "fisch2024",
            "Fisch L et al. deepbet: Fast brain extraction of T1-weighted MRI using convolutional"
            " neural networks. Comput Biol Med 2024.",
            "10.1016/j.compbiomed.2024.108845",
        ),
    ),
)
def skullstrip(
    image: Image,
    *,
    engine: Literal["deepbet"] = "deepbet",
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5,
    border: Annotated[float, Ge(-10), Le(30), Unit("mm")] = 0.0,
    output: Literal["mask", "image"] = "mask",
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Mask:
    """Find the brain.

    Parameters
    ----------
    image : Volume
        A head.
    engine : {"deepbet"}
        What finds it.
    threshold : float
        Probability above which a voxel is brain.
    border : float
        How far to move the mask's surface outwards (or, negative, inwards), mm.
    output : {"mask", "image"}
        The mask, or the image with everything else set to 0.
    device : {"auto", "cpu", "cuda"}
        Where networks run.

    Returns
    -------
    Volume
        The mask, one piece without holes, on the image's grid; or the image.

    Raises
    ------
    InputError
        If the image is empty or constant.
    EngineError
        If no brain is found, or none is left within the border.
    """
    values = finite(image, "skullstrip")
    varied(values, "skullstrip")
    found = engines.load("brain", engine).probability(image.replace(values), device=device)
    inside = _one_piece(found.data > threshold)
    if not inside.any():
        raise EngineError(
            "no brain was found in this image",
            hint="is it a head? for a body, or a scan already stripped, leave skullstrip out",
        )
    if border:
        inside = _one_piece(_moved(inside, image.grid, border))
        if not inside.any():
            raise EngineError(
                f"nothing of the brain is left within a border of {border:g} mm",
                hint="move the border less far inwards",
            )
    _judge(inside, image.grid)
    mask = image.replace(inside, role="mask")
    if output == "image":
        keep(mask=mask)
        kept = inside & np.isfinite(image.data)
        return image.replace(np.where(kept, image.data, np.zeros((), image.data.dtype)))
    return mask


def _judge(inside: npt.NDArray[np.bool_], grid: Grid) -> None:
    volume = float(inside.sum()) * grid.voxel_volume / 1000
    keep(brain_volume_ml=round(volume, 1))
    low, high = PLAUSIBLE_ML
    if not low <= volume <= high:
        warnings.warn(
            f"the brain mask holds {volume:.0f} ml; a brain has {low:.0f} to {high:.0f} ml: the"
            " mask is probably wrong, or the scan shows a part of the head",
            MriprepWarning,
            stacklevel=4,  # this function, the step, its checks, the caller
        )


def _one_piece(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest component, its holes filled."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    box = ndimage.find_objects(labels)
    sizes = np.bincount(labels.ravel())[1:]
    largest = 1 + int(np.argmax(sizes))
    result: npt.NDArray[np.bool_] = labels == largest
    # A hole is background that does not reach the border of the (padded) box.
    part = np.pad(result[box[largest - 1]], 1)
    outside, _ = ndimage.label(~part)
    result[box[largest - 1]] = (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return result


def _moved(mask: npt.NDArray[np.bool_], grid: Grid, border: float) -> npt.NDArray[np.bool_]:
    """The mask with its surface moved by `border` mm."""
    from scipy import ndimage

    if border > 0:
        distance = ndimage.distance_transform_edt(~mask, grid.spacing)
        return np.asarray(distance <= border)
    # What lies beyond the volume is not the brain's outside: the volume's border does not erode.
    if mask.all():
        return mask
    distance = ndimage.distance_transform_edt(mask, grid.spacing)
    return np.asarray(distance > -border)
