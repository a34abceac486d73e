"""What INPUT is: a table, a BIDS dataset, a folder of images, one image, or DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mriprep.core import InputError
from mriprep.intake import case_name, is_image
from mriprep.io.images import contrast_of

from .bids import from_bids, is_bids
from .folder import from_folder, images_below
from .source import CaseSource, ImageSource, taken
from .table import TABLES, from_table


def list_cases(
    source: Path,
    *,
    participants: Sequence[str] = (),
    filters: Path | None = None,
    wanted: Sequence[str] = (),
) -> list[CaseSource]:
    """List the cases of an input, reading names and headers alone.

    Parameters
    ----------
    source : Path
        A table (CSV, TSV, Parquet), a BIDS dataset, another folder of images,
        one image, or a folder, file or zip of DICOM.
    participants : sequence of str
        Subjects to keep, with or without ``sub-``; all if empty.
    filters : Path, optional
        A BIDS filter file (JSON), for a BIDS dataset.
    wanted : sequence of str
        Contrasts to keep; all if empty.

    Returns
    -------
    list of CaseSource
        Sorted as the input is; at least one.

    Raises
    ------
    InputError
        If it is none of these, or nothing is left of it.
    """
    source = Path(source).expanduser()
    if not source.exists():
        raise InputError(f"'{source}' does not exist", hint="check the path")
    found = _listed(source, participants, filters)
    found = taken(found, participants, lambda c: c.subject)
    kept = [c for c in (c.only(wanted) for c in found) if c.contrasts]
    if not kept:
        there = sorted({c for case in found for c in case.contrasts})
        raise InputError(
            f"no case of '{source.name}' has {' or '.join(wanted)}",
            hint=f"there are {', '.join(there)}",
        )
    return kept


def _listed(source: Path, participants: Sequence[str], filters: Path | None) -> list[CaseSource]:
    if source.is_dir() and is_bids(source):
        return from_bids(source, participants=participants, filters=filters) or from_folder(source)
    if filters is not None:
        raise InputError(
            f"'{source.name}' is no BIDS dataset: a BIDS filter file cannot be applied to it",
            hint="give --bids-filter-file with a folder of sub-*/anat",
        )
    if source.is_file():
        if source.suffix.lower() in TABLES:
            return from_table(source)
        return [_single(source)]
    images = images_below(source)
    if images:
        return from_folder(source, images)
    return [_single(source)]


def _single(source: Path) -> CaseSource:
    """One image, or one DICOM series."""
    name = case_name(source, "case")
    subject, _, session = name.removeprefix("sub-").partition("_ses-")
    contrast = contrast_of(source) if is_image(source) else None
    image = ImageSource(contrast, str(source.absolute()))
    return CaseSource(name, subject, session or None, (image,))
