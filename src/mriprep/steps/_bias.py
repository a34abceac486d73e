"""What steps that take off a bias field have in common: where it may be estimated, its scale."""

from __future__ import annotations

import numpy as np

from mriprep.core import InputError, Volume
from mriprep.declare import keep

from ._common import BoolImage, FloatImage, foreground, on_grid, varied

#: Fewer voxels than these say nothing about a field.
LEAST = 64


def positive(values: FloatImage, image: Volume, mask: Volume | None, step: str) -> BoolImage:
    """Where an image's finite voxels are positive within the mask, bool, the image's shape.

    Without a mask, within what Otsu's threshold keeps of the image.

    Raises
    ------
    GeometryError
        If the mask is not on the image's grid.
    InputError
        If the mask is empty, or there is none and the image is constant.
    """
    if mask is None:
        inside = foreground(image, step)
    else:
        on_grid(mask, image.grid, step)
        inside = np.asarray(mask.data)
        if not inside.any():
            raise InputError(
                f"{step}: the mask is empty",
                hint=f"give a mask that holds what matters, or none: {step} then takes the foreground",
            )
    return inside & (values > 0)


def enough(values: FloatImage, inside: BoolImage, step: str) -> None:
    """Refuse a region that is too small, or holds one value only.

    Raises
    ------
    InputError
        Says how many voxels there are, and what to do.
    """
    count = int(inside.sum())
    if count < LEAST:
        raise InputError(
            f"{step}: only {count} voxels of the mask are positive: too few for a field",
            hint=f"give a larger mask, or none; do not normalise the image to zero mean before {step}",
        )
    varied(values[inside], step, "image in the mask")


def scaled(field: Volume, inside: BoolImage) -> tuple[Volume, float]:
    """A field that leaves the mean log intensity of a region as it is, and what it was divided by.

    A field is known up to a factor. It is kept as the by-product ``bias_field``.
    """
    scale = float(np.exp(np.mean(np.log(field.data[inside]), dtype=np.float64)))
    field = field.replace((field.data / scale).astype(np.float32))
    keep(bias_field=field)
    return field, scale
