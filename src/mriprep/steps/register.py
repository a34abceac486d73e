"""Registration to a template or to another image: estimating a transform, resampling nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mriprep import engines, templates
from mriprep.core import InputError, MriprepError, MriprepWarning, Transform, Volume
from mriprep.declare import Citation, Image, Mask, Reference, keep, keeping, step

from ._align import align, stands_out
from ._anatomy import looks_stripped
from ._common import finite, on_grid, varied


def _plan(inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Transform:
    from mriprep.io.images import read_grid

    if inputs.get("to") is not None:
        grid, name = inputs["to"], "reference"
    else:
        template = templates.find(
            parameters["template"], age=parameters["age"], contrast=parameters["contrast"]
        )
        grid, name = read_grid(template.image), template.name
    return Transform(np.eye(4), grid, inputs["image"], reference_name=name, moving_name="native")


@step(
    kind="registration",
    plan=_plan,
    methods="The scan was registered to {template} ({model}, {engine}).",
    citations=(
        Citation(
            "klein2010",
            "Klein S et al. elastix: a toolbox for intensity-based medical image registration."
            " IEEE Trans Med Imaging 2010.",
            "10.1109/TMI.2009.2035616",
        ),
        Citation(
            "mattes2003",
            "Mattes D et al. PET-CT image registration in the chest using free-form deformations."
            " IEEE Trans Med Imaging 2003.",
            "10.1109/TMI.2003.809072",
        ),
    ),
    bytes_per_voxel=16,
)
def register(
    image: Image,
    mask: Mask | None = None,
    to: Reference | None = None,
    *,
    template: str = "mni152",
    age: float | str | None = None,
    contrast: str | None = None,
    engine: Literal["elastix"] = "elastix",
    model: Literal["rigid", "affine"] = "rigid",
    center: Literal["auto", "fov", "mass"] = "auto",
    focus: Literal["brain", "head"] = "brain",
) -> Transform:
    """Find where a scan lies in a template's (or another image's) space.

    Heads are registered to heads and brains to brains: for a template
    without skull, the brain mask of the scan is needed. Nothing is
    interpolated here; :func:`resample` takes the transform.

    Parameters
    ----------
    image : Volume
        The moving image.
    mask : Volume, optional
        Its brain mask; used where the template is a brain without skull.
    to : Volume, optional
        The image to register to, instead of a template.
    template : str
        A file's path, ``mni152`` (a brain, shipped with nilearn), a name of
        TemplateFlow such as ``MNI152NLin2009cAsym``, ``auto`` or ``NIHPD``
        (by age), or a folder of one's own with a ``templates.yaml``.
    age : float or str, optional
        Where the template goes by age: years, or with a unit as in ``30mo``,
        or ``adult``. In a recipe, the case's.
    contrast : str, optional
        The template's image: ``T1w``, ``T2w``, ``PDw``. The scan's own by
        default, where the template has it.
    engine : {"elastix"}
        What finds the transform.
    model : {"rigid", "affine"}
        6 or 12 degrees of freedom.
    center : {"auto", "fov", "mass"}
        What is laid upon each other to start with: middles of the fields of
        view, centres of mass, or one after the other, where they are far
        apart, and the better result is taken.
    focus : {"brain", "head"}
        What counts when a head is registered to a template's head: the
        brains, where they are known or can be found in both, since scalps
        and necks differ more between people; or all that is seen.

    Returns
    -------
    Transform
        Template mm to scan mm, RAS+; knows both grids.

    Raises
    ------
    InputError
        If head and brain are mixed, or an image is empty.
    EngineError
        If the engine gives up.
    """
    name = "reference"
    fixed, brain = to, None
    if fixed is None:
        like = contrast or str(image.meta.get("contrast") or "") or None
        found = templates.find(template, age=age, contrast=like)
        fixed, brain, name = *_read(found), found.name
        keep(template_used=found.facts())
    whole = fixed
    fixed, moving = _alike(fixed, brain, image, mask, focus if to is None else "head")
    transform, scores = align(
        engines.load("registration", engine).estimate, fixed, moving, model=model, center=center
    )
    keep(template=whole, registration={k: round(v, 4) for k, v in scores.items()})
    before, after, turned = (scores[f"nmi_{k}"] for k in ("before", "after", "turned"))
    if after < before:
        warnings.warn(
            f"the registration made the images less alike (normalised mutual information"
            f" {before:.3f} before, {after:.3f} after): it has probably failed; look at the report",
            MriprepWarning,
            stacklevel=3,
        )
    elif not stands_out(after, turned):
        warnings.warn(
            "the registration is doubtful: turned by 25 degrees or more the images would be about"
            f" as alike (normalised mutual information {turned:.3f} against {after:.3f}); look at"
            " the report",
            MriprepWarning,
            stacklevel=3,
        )
    return Transform(
        transform.matrix,
        fixed.grid,
        image.grid,
        reference_name=name,
        moving_name=str(image.meta.get("contrast") or "native"),
        meta={**transform.meta, **scores},
    )


def _read(template: templates.Template) -> tuple[Volume, Volume | None]:
    from mriprep.io.images import read_image

    mask = read_image(template.mask, role="mask") if template.mask else None
    return read_image(template.image), mask


def _brain_of(image: Volume) -> Volume | None:
    """The brain of a head, where one can be found; a body has none."""
    from .skullstrip import skullstrip

    try:
        # What is found on the way is nobody's result: neither kept nor told.
        with warnings.catch_warnings(), keeping():
            warnings.simplefilter("error", MriprepWarning)
            return skullstrip(image.replace(finite(image, "register")))
    except (MriprepError, MriprepWarning):
        return None


def _alike(
    fixed: Volume,
    fixed_mask: Volume | None,
    moving: Volume,
    moving_mask: Volume | None,
    focus: str,
) -> tuple[Volume, Volume]:
    """Both as heads, or both as brains; finite and float32."""
    for volume in (fixed, moving):
        varied(np.nan_to_num(volume.data), "register")
    if moving_mask is not None:
        on_grid(moving_mask, moving.grid, "register")
        if not moving_mask.data.any():
            raise InputError("register: the mask is empty", hint="check the brain extraction")
    fixed_is_brain = looks_stripped(fixed, fixed_mask)
    moving_is_brain = looks_stripped(moving, moving_mask)
    if fixed_is_brain and not moving_is_brain:
        if moving_mask is None:
            raise InputError(
                "the template is a brain without skull, the scan a whole head",
                hint="strip the scan first (skullstrip gives the mask), or take a template with"
                " a skull",
            )
        moving = _masked(moving, moving_mask)
    elif moving_is_brain and not fixed_is_brain:
        if fixed_mask is None:
            raise InputError(
                "the scan is a brain without skull, the template a whole head",
                hint="register to a brain, for instance template='mni152', or use the scan before"
                " its skull was removed",
            )
        fixed = _masked(fixed, fixed_mask)
    elif focus == "brain" and not fixed_is_brain:
        fixed_mask = fixed_mask or _brain_of(fixed)
        moving_mask = moving_mask or (_brain_of(moving) if fixed_mask else None)
        if fixed_mask and moving_mask:
            fixed, moving = _masked(fixed, fixed_mask), _masked(moving, moving_mask)
    return fixed.replace(finite(fixed, "register")), moving.replace(finite(moving, "register"))


def _masked(image: Volume, mask: Volume) -> Volume:
    return image.replace(np.where(mask.data, image.data, 0).astype(np.float32))
