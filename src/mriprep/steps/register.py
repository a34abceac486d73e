"""Registration to a template or to another image: estimating a transform, resampling nothing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mriprep import templates
from mriprep.core import DoubtWarning, InputError, Transform, Volume
from mriprep.declare import Citation, Image, Mask, Reference, keep, step

from ._align import align
from ._anatomy import looks_stripped
from ._common import finite, on_grid, varied
from ._trust import THRESHOLD


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
    engine: Literal["native", "elastix", "ants"] = "native",
    model: Literal["rigid", "similarity", "scaled", "affine"] = "rigid",
    anatomy: Literal["auto", "same", "other"] = "auto",
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Transform:
    """Find where a scan lies in a template's (or another image's) space.

    Heads are registered to heads and brains to brains: for a template
    without skull, the brain mask of the scan is needed. Nothing is
    interpolated here; :func:`resample` takes the transform. The result is
    judged by what can be checked; one that is not trusted is tried again,
    with a longer search and with another engine, and said to be doubtful if
    that does not help.

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
    engine : {"native", "elastix", "ants"}
        What finds the transform.
    model : {"rigid", "similarity", "scaled", "affine"}
        6, 7 (one scale), 9 (a scale along each axis) or 12 degrees of
        freedom; elastix and ants know the first and the last.
    anatomy : {"auto", "same", "other"}
        Whether both images show the same person. Between different people, a
        rigid transform is the rigid part of an affine one, which also fits
        heads of different size. ``auto``: the same for `to`, other for a
        template.
    device : {"auto", "cpu", "cuda"}
        Where the native engine runs; a GPU is taken when there is one.

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
    if engine != "native" and model not in ("rigid", "affine"):
        raise InputError(
            f"register: {engine} knows the models rigid and affine, not {model}",
            hint="use engine=native",
        )
    name = "reference"
    fixed, brain = to, None
    if fixed is None:
        like = contrast or str(image.meta.get("contrast") or "") or None
        found = templates.find(template, age=age, contrast=like)
        fixed, brain, name = *_read(found), found.name
        keep(template_used=found.facts())
    whole = fixed
    fixed, moving = _alike(fixed, brain, image, mask)
    transform, trust, tried = align(
        fixed,
        moving,
        engine=engine,
        model=model,
        same_anatomy=anatomy == "same" or (anatomy == "auto" and to is not None),
        brain=brain,
        device=device,
    )
    keep(template=whole, registration={**trust.facts(), "tried": tried})
    if not trust.trusted:
        warnings.warn(
            f"the registration is doubtful: its score is {trust.score:.2f}, {THRESHOLD:g} is wanted"
            f" ({trust.weakest}; tried: {', '.join(tried)}); look at both images"
            " together before you use this",
            DoubtWarning,
            stacklevel=3,
        )
    return Transform(
        transform.matrix,
        fixed.grid,
        image.grid,
        reference_name=name,
        moving_name=str(image.meta.get("contrast") or "native"),
        meta={**transform.meta, **trust.facts()},
    )


def _read(template: templates.Template) -> tuple[Volume, Volume | None]:
    from mriprep.io.images import read_image

    mask = read_image(template.mask, role="mask") if template.mask else None
    return read_image(template.image), mask


def _alike(
    fixed: Volume,
    fixed_mask: Volume | None,
    moving: Volume,
    moving_mask: Volume | None,
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
    return fixed.replace(finite(fixed, "register")), moving.replace(finite(moving, "register"))


def _masked(image: Volume, mask: Volume) -> Volume:
    return image.replace(np.where(mask.data, image.data, 0).astype(np.float32))
