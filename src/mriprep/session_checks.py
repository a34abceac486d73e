"""What can be wrong with a session: not volumes, not in one place, not one person."""

from __future__ import annotations

import warnings
from collections.abc import Container
from pathlib import Path

import numpy as np

from . import engines, session_brain
from .core import Case, InputError, MriprepError, MriprepWarning, Transform, Volume
from .plan import Plan
from .recipe import Recipe

#: With fewer slices than this there is little to lay upon anything.
_FEW_SLICES = 8

#: How much an affine registration may stretch one contrast of a head to another, as the length of
#: the vector of log scales. Of fifteen pairs of contrasts of one person it was 0.001 to 0.019, of
#: ten pairs from two people 0.040 to 0.19.
SAME_HEAD = 0.03

#: Contrasts that may stand for each other in a template's name.
_FAMILY = {"T1c": "T1w", "FLAIR": "T2w"}


def flat(case: Case) -> None:
    """Refuse 2D images; warn of a few slices.

    Raises
    ------
    InputError
        If an image has one slice.
    """
    for contrast, volume in case.items():
        least = min(volume.shape)
        size = "x".join(map(str, volume.shape))
        if least == 1:
            raise InputError(
                f"{contrast} is a 2D image ({size}): one slice cannot be laid upon another scan",
                hint="give the whole volume, or leave this contrast out",
            )
        if least < _FEW_SLICES:
            _warn(
                f"{contrast} has {least} slices only ({size}): is it a localizer? where it is laid"
                " can hardly be told"
            )


def placed(case: Case, reference: str) -> None:
    """Warn of contrasts that lie nowhere near the reference."""
    low, high = _box(case[reference])
    for contrast, volume in case.items():
        its_low, its_high = _box(volume)
        if (np.maximum(low, its_low) >= np.minimum(high, its_high)).any():
            centers = [
                v.grid.center.round(0).astype(int).tolist() for v in (volume, case[reference])
            ]
            _warn(
                f"{contrast} and {reference} do not overlap anywhere in the world (centres"
                f" {centers[0]} and {centers[1]} mm): are they of one session, of one part of the"
                " body? registered from their middles; look at the report"
            )


def template(recipe: Recipe, plan: Plan, reference: str) -> None:
    """Warn of a template of another contrast than the reference's, or of another size than expected."""
    from .io.images import contrast_of

    for entry in recipe.entries:
        if entry.step.name != "register":
            continue
        named = contrast_of(Path(str(entry.parameters["template"])))
        asked = entry.parameters.get("contrast")
        for theirs in filter(None, (named, asked)):
            if _family(theirs) != _family(reference) and reference != "image":
                _warn(
                    f"the template is {theirs} and the reference {reference}: registered all the"
                    f" same, less surely; a template of {_family(reference)} would be better, or"
                    f" --reference {theirs}"
                )
        shape = recipe.session.shape if recipe.session else None
        target = next((s.after for s in plan.steps if s.name == "resample"), None)
        if shape and target and (tuple(target.shape) != shape or _not_1_mm(target.spacing)):
            _warn(
                f"the results will have {target}; {recipe.name} expects"
                f" {'x'.join(map(str, shape))} voxels of 1 mm: is it the right atlas?"
            )


def network(recipe: Recipe, reference: str, contrasts: Container[str] = ()) -> None:
    """Warn of brains to be found by a network that does not know the contrast."""
    for entry in recipe.entries:
        if entry.step.kind != "brain":
            continue
        where = session_brain.best(entry, reference, contrasts)
        engine = entry.step.engine({**entry.parameters, "contrast": where})
        known = engines.describe("brain", engine).contrasts if engine else ()
        if known and where != "image" and not {where, _family(where)} & set(known):
            _warn(
                f"the brain is looked for in {where}, by a network that was trained on"
                f" {', '.join(known)} scans: look at the mask in the report, or give one with --mask"
            )


def same_head(
    image: Volume, reference: Volume, laid: Transform, device: str = "auto"
) -> tuple[float, str | None]:
    """How much a head would have to be stretched to be the reference's, and what to say of it.

    An affine registration of two scans of one head finds scales near 1;
    those of two people differ.

    Returns
    -------
    stretch : float
        Length of the vector of log scales; NaN where it could not be found.
    said : str or None
        A warning, if it is more than one head's.
    """
    still, floating = (v.replace(np.nan_to_num(v.floats())) for v in (reference, image))
    try:
        affine = engines.load("registration", "native").estimate(
            still, floating, model="affine", start=laid, device=device
        )
    except MriprepError:
        return float("nan"), None
    stretch = float(np.linalg.norm(np.log(affine.scales)))
    if stretch <= SAME_HEAD:
        return stretch, None
    scales = ", ".join(f"{s:.3f}" for s in affine.scales)
    return stretch, (
        f"laid upon {laid.reference_name}, this head would have to be stretched to fit ({scales}"
        " along its axes): are they scans of two people? Look at the report"
    )


def _family(contrast: str) -> str:
    return _FAMILY.get(contrast, contrast)


def _not_1_mm(spacing: tuple[float, float, float]) -> bool:
    return not np.allclose(spacing, 1, atol=0.01)


def _box(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    corners = volume.grid.corners
    return corners.min(0), corners.max(0)


def _warn(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=3)
