"""The contrast of a session in which the brain is looked for, and its mask carried to the reference."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

import numpy as np

from . import engines
from .core import Grid, Role, Transform, Volume
from .declare import keep
from .entries import Entry

#: Where a brain is found best, in order; the reference comes first if it is one of these.
_BEST = ("T1w", "T1c")


def best(entry: Entry, reference: str, contrasts: Container[str]) -> str:
    """The contrast to look for the brain in.

    The reference, where it is T1-weighted or the engine that is named takes
    its contrast; else T1w, if the session has one.

    Parameters
    ----------
    entry : Entry
        A step that finds brains.
    reference : str
        The contrast that the others follow.
    contrasts : container of str
        All that there are.
    """
    if reference in _BEST:
        return reference
    engine = entry.parameters.get("engine", "auto")
    if engine != "auto":
        known = engines.describe("brain", engine).contrasts
        if not known or reference in known:
            return reference
    return next((c for c in _BEST if c in contrasts), reference)


def carried(entry: Entry, contrast: str, scan: Volume, laid: Transform | None) -> Entry:
    """The same step, done to another contrast's image, its mask carried to the reference.

    Parameters
    ----------
    entry : Entry
        A step that finds brains.
    contrast : str
        Where it is looked for.
    scan : Volume
        Of that contrast, as it is now.
    laid : Transform or None
        Reference mm to that contrast's mm, rigid; None where both lie on one grid already.
    """
    function = entry.step.function

    def found(image: Volume, **how: Any) -> Volume:
        from .steps.apply_mask import apply_mask
        from .steps.resample import resample

        mask: Volume = function(scan, **{**how, "output": "mask", "contrast": contrast})
        # No voxel is interpolated: the mask's own grid, turned to where the reference has the brain.
        # It waits there to be interpolated once, to the final grid.
        affine = mask.affine if laid is None else np.linalg.inv(laid.matrix) @ mask.affine
        posed = mask.replace(grid=Grid(mask.shape, affine), role=Role.MASK)
        keep(brain_from=contrast)
        if how.get("output") != "image":
            return posed
        keep(mask=posed)
        masked: Volume = apply_mask(image, resample(posed, None, image.grid))
        return masked

    return replace(entry, step=replace(entry.step, function=found))
