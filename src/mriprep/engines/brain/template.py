"""Brain extraction by a template: its mask carried to the scan, its surface moved to fit.

No network, no weights. A head is drawn around the template's brain (fluid,
skull, scalp), registered to the scan by mutual information from many starts,
12 degrees of freedom; the mask's surface is carried along, and moved where the
scan's own profile across the surface says that it lies too deep or too far out.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mriprep import templates
from mriprep.core import EngineError, InputError, Transform, Volume
from mriprep.engines import Engine
from mriprep.engines.registration import native

from . import _surface
from ._head import SPACING_MM, Head, head

ENGINE = Engine(
    title="a template's brain, registered and fitted to the scan: any contrast, no weights",
    packages=(),
    licence="Apache-2.0; the bundled template: MNI's permissive terms",
    memory_mb=300,
    seconds_per_megavoxel=0.3,
    least_seconds=3,
)

#: The probability falls from 0.88 to 0.12 within this of the surface, mm.
_SOFT_MM = 1.0
#: A fit that tells less than this of the pattern inside the brain (nats), from this deep on (mm), is of no head.
LEAST_INFORMATION = 0.04
_DEEP_MM = 4.0
#: What changes over more than this is no pattern (SD, mm).
_PATTERN_MM = 12.0
#: Nor is one that stretches the brain further than this, or shows less of it than this share.
_LARGEST_SCALES = (0.55, 1.6)
_LEAST_SEEN = 0.2
#: Distance from the surface that stands for what the template does not reach (mm).
_FAR_MM = 60.0

Floats = npt.NDArray[np.float32]


def probability(
    image: Volume,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    weights: Path | str | None = None,
    template: Volume | None = None,
    template_mask: Volume | None = None,
) -> Volume:
    """How probably each voxel is brain.

    Parameters
    ----------
    image : Volume
        A head of any contrast, orientation and spacing, with skull or
        without; NaN and infinities count as 0.
    device : {"auto", "cpu", "cuda"}
        Where the registration runs; a GPU is taken when one is asked for.
    weights : Path or str, optional
        There are none: anything but None is refused.
    template : Volume, optional
        A head, or a brain without skull, upright in its world (RAS+ mm); the
        MNI152 brain that ships with nilearn without it.
    template_mask : Volume, optional
        The brain's mask on the template's grid; needed for a head.

    Returns
    -------
    Volume
        Probability in [0, 1] on the image's grid, float32: 0.5 on the
        surface, a logistic function of the distance to it.

    Raises
    ------
    EngineError
        If there is no head in the image.
    InputError
        If weights are given, or the template cannot be used.

    References
    ----------
    The bundled template: Fonov VS et al. Unbiased nonlinear average
    age-appropriate brain templates from birth to adulthood. NeuroImage 2009.
    doi:10.1016/S1053-8119(09)70884-5
    """
    if weights is not None:
        raise InputError(
            "the engine 'template' has no weights", hint="leave weights out, or name a template"
        )
    if template is None:
        if template_mask is not None:
            raise InputError("a template's mask was given without its template")
        drawn = _bundled()
    else:
        drawn = head(template, template_mask)
    values = np.nan_to_num(image.floats(), nan=0.0, posinf=0.0, neginf=0.0)
    if float(values.min()) == float(values.max()):
        raise _no_head("every voxel is the same")
    finite = image.replace(values, role="image")
    pose = _registered(drawn, finite, "cuda" if device == "cuda" else "cpu")
    distance = _fitted(drawn, finite, pose)
    return image.replace(_logistic(distance), role="probability")


def _registered(drawn: Head, image: Volume, device: Literal["cpu", "cuda"]) -> Transform:
    """Template mm to image mm, affine; refused where it is no head's."""
    pose = native.estimate(
        drawn.image, image, fixed_mask=drawn.region, model="affine", device=device
    )
    least, most = _LARGEST_SCALES
    if not all(least <= s <= most for s in pose.scales):
        raise _no_head("the template fits only if it is squeezed out of shape")
    return pose


def information(drawn: Head, flat: Floats, seen: Floats) -> float:
    """Mutual information of template and scan deep inside the brain, nats.

    Parameters
    ----------
    drawn : Head
        The template.
    flat, seen : (X, Y, Z) float32
        The scan on the template's lattice, without shading; its field of view.
    """
    from scipy import ndimage

    deep = (drawn.distance < -_DEEP_MM) & (seen > 0.99)
    weight = deep.astype(np.float32)
    around = ndimage.gaussian_filter(weight, _PATTERN_MM / SPACING_MM) + 1e-6
    levels = []
    for values in (drawn.image.data, flat):
        # What is left of the shading must not pass for a pattern: slow changes are taken out.
        slow = ndimage.gaussian_filter(values * weight, _PATTERN_MM / SPACING_MM) / around
        inside = (ndimage.gaussian_filter(values, 1.0) - slow)[deep]
        levels.append(np.clip(inside, *np.percentile(inside, (1, 99))))
    joint = np.histogram2d(levels[0], levels[1], bins=24)[0] / len(levels[0])
    alone = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / alone[some])).sum())


def _fitted(drawn: Head, image: Volume, pose: Transform) -> Floats:
    """Signed distance to the brain's surface on the image's grid, mm, positive outside."""
    from scipy import ndimage

    from mriprep.kernels import sample

    grid = drawn.image.grid
    there = (np.linalg.inv(image.affine) @ pose.matrix @ grid.affine)[:3]
    # A point spread as wide as the lattice's voxels, so that nothing folds back.
    steps = np.linalg.norm(there[:, :3], axis=1)
    widths = np.sqrt(np.maximum(steps**2 - 1, 0)) / np.sqrt(8 * np.log(2))
    values = ndimage.gaussian_filter(image.floats(), np.where(widths > 0.1, widths, 0))
    values = ndimage.gaussian_filter(sample.linear(values, there, grid.shape), 0.6)
    seen = _seen(drawn, image, pose)
    if (seen[drawn.distance < -_DEEP_MM] > 0.99).mean() < _LEAST_SEEN:
        raise _no_head("the brain lies outside the field of view")
    flat = _surface.evened(values, seen, drawn.distance, SPACING_MM)
    found = information(drawn, flat, seen)
    if found < LEAST_INFORMATION:
        raise _no_head(f"there is no brain's pattern in it ({found:.2f} nats)")
    distance = _surface.moved(flat, seen, drawn.distance, SPACING_MM)
    back = (np.linalg.inv(grid.affine) @ pose.inverse().matrix @ image.affine)[:3]
    # Outside of the lattice the sampler gives 0.
    far = np.float32(_FAR_MM)
    near = sample.linear(np.minimum(distance, far) - far, back, image.shape) + far
    scale = abs(float(np.linalg.det(pose.matrix[:3, :3]))) ** (1 / 3)
    return np.asarray(near * np.float32(scale))


def _seen(drawn: Head, image: Volume, pose: Transform) -> Floats:
    """Where on the template's lattice the image's field of view is: 1, 0 outside."""
    from mriprep.kernels import sample

    grid = drawn.image.grid
    there = (np.linalg.inv(image.affine) @ pose.matrix @ grid.affine)[:3]
    ones = np.ones(image.shape, np.float32)
    return sample.linear(ones, there, grid.shape)


def _logistic(distance: Floats) -> Floats:
    """Distance to probability: 0.5 at the surface."""
    return np.asarray(1 / (1 + np.exp(np.clip(distance * (2 / _SOFT_MM), -40, 40))), np.float32)


@functools.cache
def _bundled() -> Head:
    from mriprep.io.images import read_image

    return head(read_image(templates.find(templates.BUNDLED[0]).image), None)


def _no_head(why: str) -> EngineError:
    return EngineError(
        f"there seems to be no head in this image: {why}",
        hint="is it a scan of a head? for a body use the recipe 'body'; for a part of a head, or"
        " another species, give a template that shows the same",
    )
