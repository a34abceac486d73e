"""What a step is called with: volumes, transforms and words, checked against its declaration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .core import Grid, InputError, RecipeError, Role, Transform, Volume
from .core.errors import nearest
from .signature import Input


def check_input(step_name: str, wanted: Input, value: Any) -> None:
    """Refuse what a step cannot consume.

    Raises
    ------
    InputError
        If it is missing, of another type or of a role that the step does not take.
    RecipeError
        If it is a word that stands for nothing.
    """
    if value is None:
        if not wanted.optional:
            raise InputError(f"{step_name} needs {wanted.name}", hint=wanted.doc or None)
        return
    if isinstance(value, str) and wanted.words:
        if value not in wanted.words:
            raise RecipeError(
                f"{step_name}: {wanted.name} = {value!r} is not accepted",
                hint=nearest(value, wanted.words),
            )
        return
    accepted: tuple[type, ...] = {
        "transform": (Transform, Volume, Grid),
        "grid": (Grid, Volume),
        "source": (str, Path),
    }.get(wanted.slot, (Volume,))
    if not isinstance(value, accepted):
        kind = " or ".join(t.__name__ for t in accepted)
        if isinstance(value, np.ndarray):
            hint = "wrap it first: Volume(array, affine) says where its voxels lie"
        elif isinstance(value, str | Path):
            hint = "read it first: mriprep.read(path)"
        else:
            hint = wanted.doc
        raise InputError(
            f"{step_name}: {wanted.name} must be a {kind}, got {type(value).__name__}",
            hint=hint or None,
        )
    if not isinstance(value, Volume):
        return
    if wanted.role is Role.IMAGE and value.role in (Role.MASK, Role.LABELS):
        raise InputError(
            f"{step_name}: {wanted.name} must hold intensities, got a volume of role"
            f" '{value.role}'",
            hint="only steps that move voxels (resample, reorient, crop, pad) take masks and labels",
        )
    if wanted.slot == "mask" and value.role is not Role.MASK:
        raise InputError(
            f"{step_name}: {wanted.name} must be a mask, got a volume of role '{value.role}'",
            hint='make it one: volume.replace(volume.data > 0, role="mask")',
        )
