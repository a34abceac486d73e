"""A case before it is read: plain data that says where its images are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from mriprep.core import InputError
from mriprep.core.case import PREFERRED_CONTRASTS
from mriprep.core.errors import nearest

_T = TypeVar("_T")

#: What an image of a case may be.
ROLES = ("image", "mask", "labels")
#: Words of tables for "not known".
UNKNOWN = ("", "n/a", "na", "nan", "none", "null", "unknown")


@dataclass(frozen=True)
class ImageSource:
    """Where one image of a case is.

    Parameters
    ----------
    contrast : str or None
        ``T1w``, ``FLAIR``, ...; None where nothing says it, which the header
        or the image itself may do when it is read. Of a mask or labels: whose
        they are.
    path : str
        An image file, or a folder, file or zip of DICOM.
    series : str, optional
        Which DICOM series of it: its number, or a part of its description.
    volume : int, optional
        Which volume of a 4D file, from 0.
    role : {"image", "mask", "labels"}
        What its voxels mean.
    files : tuple of str
        The files of the series, relative to `path` (members, if that is a
        zip), where it lies scattered among others.
    """

    contrast: str | None
    path: str
    series: str | None = None
    volume: int | None = None
    role: str = "image"
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseSource:
    """One session of one subject, not read yet.

    Parameters
    ----------
    name : str
        The case in file names: ``sub-01``, ``sub-01_ses-02``.
    subject : str
        Without ``sub-``.
    session : str, optional
        Without ``ses-``.
    images : tuple of ImageSource
        At most one image a contrast; masks and labels beside them.
    age : str, optional
        As :func:`mriprep.core.age.parse_age` reads it: ``7.5`` (years), ``30mo``.
    sex : str, optional
        ``F``, ``M`` or ``O``.
    site, label, split : str, optional
        Where it was scanned, what it is an example of, and the part of the
        data set it belongs to (``train``, ...).
    facts : mapping
        What else is known; values are plain.
    """

    name: str
    subject: str
    session: str | None = None
    images: tuple[ImageSource, ...] = ()
    age: str | None = None
    sex: str | None = None
    site: str | None = None
    label: str | None = None
    split: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Contrasts of its images, those not known as ``image``."""
        return tuple(i.contrast or "image" for i in self.images if i.role == "image")

    def only(self, wanted: Iterable[str]) -> CaseSource:
        """The case with these contrasts alone, and what comes with them; all of it if none is named."""
        names = {w.lower() for w in wanted}
        kept = (i for i in self.images if not names or (i.contrast or "image").lower() in names)
        return replace(self, images=tuple(kept))


def clean(value: Any) -> str | None:
    """The text of a table's cell; None for a word that says "not known"."""
    text = "" if value is None else str(value).strip()
    return None if text.lower() in UNKNOWN else text


def sex_of(value: Any) -> str | None:
    """``F``, ``M`` or ``O`` of what a table says; None where it is none of them."""
    first = (clean(value) or "").upper()[:1]
    return first if first in ("F", "M", "O") else None


def label_of(text: str, prefix: str) -> str:
    """A subject's or session's label: letters and digits, without its prefix.

    Raises
    ------
    InputError
        If nothing is left.
    """
    bare = re.sub(r"[^A-Za-z0-9]", "", text.strip().removeprefix(f"{prefix}-"))
    if not bare:
        raise InputError(
            f"'{text}' cannot be the label of a {'subject' if prefix == 'sub' else 'session'}",
            hint="letters and digits are needed: files are named after it",
        )
    return bare


def name_of(subject: str, session: str | None) -> str:
    """A case's name in file names."""
    return f"sub-{subject}" + (f"_ses-{session}" if session else "")


def in_order(images: Iterable[ImageSource]) -> tuple[ImageSource, ...]:
    """Images in the order in which contrasts are preferred, masks and labels last."""
    known = list(PREFERRED_CONTRASTS)

    def rank(i: ImageSource) -> tuple[int, int, str, str]:
        place = known.index(i.contrast) if i.contrast in known else len(known)
        return (ROLES.index(i.role), place, i.contrast or "", i.path)

    return tuple(sorted(images, key=rank))


def taken(
    items: Sequence[_T], participants: Iterable[str], subject: Callable[[_T], str]
) -> list[_T]:
    """What is of these participants (with or without ``sub-``); all of it if none is named.

    Raises
    ------
    InputError
        If one of them is not there.
    """
    wanted = {p.strip().removeprefix("sub-") for p in participants}
    there = {subject(item) for item in items}
    if missing := sorted(wanted - there):
        raise InputError(
            f"there is no participant {', '.join(missing)}", hint=nearest(missing[0], there)
        )
    return [item for item in items if not wanted or subject(item) in wanted]
