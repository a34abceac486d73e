"""The template that an image lies on, where it is on this machine; never fetched."""

from __future__ import annotations

import functools
from pathlib import Path

from mriprep import templates
from mriprep.core import MriprepError


@functools.lru_cache(maxsize=32)
def template_file(space: str | None, contrast: str) -> Path | None:
    """The image of a template, of a contrast where it has one.

    Parameters
    ----------
    space : str or None
        As in the file's ``space-`` entity.
    contrast : str
        Of the image.

    Returns
    -------
    Path or None
        A NIfTI file; None where there is none by that name.
    """
    if not space:
        return None
    try:
        found = templates.find(space, contrast=contrast, offline=True)
    except MriprepError:
        return None
    path = found.image.resolve()
    return path if path.name.endswith(".nii.gz") else None
