"""What INPUT is: a table, a BIDS dataset, a folder of images, one image, or DICOM."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mriprep.core import InputError, MriprepWarning
from mriprep.intake import FOREIGN, case_name, is_image
from mriprep.io.dicom_contrast import Rules, load_rules
from mriprep.io.given import expanded, leads_to
from mriprep.io.images import contrast_of

from .bids import from_bids, is_bids
from .folder import from_folder, images_below
from .selection import from_dump, from_selection, is_selection
from .source import CaseSource, ImageSource, name_of, taken
from .table import TABLES, from_table, read_rows


def list_cases(
    source: Path,
    *,
    participants: Sequence[str] = (),
    filters: Path | None = None,
    wanted: Sequence[str] = (),
    processes: int = 1,
    rules: Path | None = None,
) -> list[CaseSource]:
    """List the cases of an input, reading names and headers alone.

    Parameters
    ----------
    source : Path
        A table (CSV, TSV, Parquet), a selection of a dump's series that
        ``mriprep scan`` wrote, a BIDS dataset, another folder of images, one
        image, or a folder, file or zip of DICOM.
    participants : sequence of str
        Subjects to keep, with or without ``sub-``; all if empty.
    filters : Path, optional
        A BIDS filter file (JSON), for a BIDS dataset.
    wanted : sequence of str
        Contrasts to keep; all if empty. Of a dump of DICOM the best series of
        each is taken, of the anatomical contrasts if empty.
    processes : int
        How many processes read the headers of a dump.
    rules : Path, optional
        Rules for the contrast of DICOM series, before the shipped ones.

    Returns
    -------
    list of CaseSource
        Sorted as the input is; at least one.

    Raises
    ------
    InputError
        If it is none of these, or nothing is left of it.
    """
    source = expanded(source)
    leads_to(source)
    if not source.exists():
        raise InputError(f"'{source}' does not exist", hint="check the path")
    found = _listed(source, participants, filters, wanted, processes, rules)
    found = taken(found, participants, lambda c: c.subject)
    kept = [c for c in (c.only(wanted) for c in found) if c.contrasts]
    if not kept and not wanted:
        raise InputError(
            f"no case of '{source.name}' has an image, only masks or labels",
            hint="list the scans as well (role: image)",
        )
    if not kept:
        there = sorted({c for case in found for c in case.contrasts})
        raise InputError(
            f"no case of '{source.name}' has {' or '.join(wanted)}",
            hint=f"there are {', '.join(there)}",
        )
    return kept


def _listed(
    source: Path,
    participants: Sequence[str],
    filters: Path | None,
    wanted: Sequence[str],
    processes: int,
    rules: Path | None,
) -> list[CaseSource]:
    if source.is_dir() and is_bids(source):
        return from_bids(source, participants=participants, filters=filters) or from_folder(source)
    if filters is not None:
        raise InputError(
            f"'{source.name}' is no BIDS dataset: a BIDS filter file cannot be applied to it",
            hint="give --bids-filter-file with a folder of sub-*/anat",
        )
    if source.is_file() and source.suffix.lower() in TABLES:
        if is_selection(read_rows(source)):
            return from_selection(source, processes=processes, rules=_rules(rules))
        return from_table(source)
    if is_image(source):
        return [_single(source)]
    if source.is_dir() and (images := images_below(source)):
        return from_folder(source, images)
    if source.is_file() and source.suffix.lower() in FOREIGN:
        raise InputError(
            f"'{source.name}' is neither an image, DICOM, nor a table",
            hint=f"give .nii.gz, a folder or zip of DICOM, or a table ({', '.join(TABLES)})",
        )
    return _of_dump(source, wanted, processes, rules)


def _of_dump(
    source: Path, wanted: Sequence[str], processes: int, rules: Path | None
) -> list[CaseSource]:
    cases, choices = from_dump(source, wanted, processes=processes, rules=_rules(rules))
    if not cases:
        told = "; ".join(dict.fromkeys(f"{c.scanned.series}: {c.why}" for c in choices[:5]))
        raise InputError(
            f"none of the {len(choices)} series of '{source.name}' is taken: {told}",
            hint=f"mriprep scan {source.name} tells of each; --choose names contrasts",
        )
    left = sum(not c.taken for c in choices)
    if left:
        warnings.warn(
            f"took {len(choices) - left} of {len(choices)} series; `mriprep scan {source.name}` tells"
            " why not the others, and writes the choice to be edited",
            MriprepWarning,
            stacklevel=4,
        )
    if len({c.subject for c in cases}) > 1:
        return cases
    # Of one person: named after the folder, as a run of it alone is.
    subject = case_name(source, "case").removeprefix("sub-").partition("_")[0]
    return [replace(c, subject=subject, name=name_of(subject, c.session)) for c in cases]


def _rules(path: Path | None) -> Rules | None:
    return load_rules(path) if path is not None else None


def _single(source: Path) -> CaseSource:
    """One image."""
    name = case_name(source, "case")
    subject, _, session = name.removeprefix("sub-").partition("_ses-")
    image = ImageSource(contrast_of(source), str(source.absolute()))
    return CaseSource(name, subject, session or None, (image,))
