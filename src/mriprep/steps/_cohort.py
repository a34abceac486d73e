"""What cohort normalisers are fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mriprep.core import InputError, Volume


@dataclass(frozen=True, eq=False)
class Member:
    """An image of a cohort, with what is known about it.

    Parameters
    ----------
    name : str
        The case's name.
    image : Volume
        Its image.
    within : Volume or {"foreground", "whole"} or None
        Its region, as steps take it.
    tissues : Volume or None
        Labels: 1 CSF, 2 grey matter, 3 white matter.
    facts : mapping
        ``site``, ``age``, ``sex``.
    """

    name: str
    image: Volume
    within: Volume | Literal["foreground", "whole"] | None = None
    tissues: Volume | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def enough(number: int, least: int, kind: str) -> None:
    """Refuse to fit on fewer images than it takes.

    Raises
    ------
    InputError
        If there are fewer.
    """
    if number < least:
        raise InputError(
            f"fit {kind}: {number} image{'' if number == 1 else 's'} of a cohort cannot be fitted,"
            f" at least {least} are needed",
            hint="give the training part of the cohort",
        )
