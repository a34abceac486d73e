"""Reading the voxels of one case."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mriprep.core import Case, InputError, MriprepWarning, Volume
from mriprep.core.age import age_of, parse_age, settle, with_age
from mriprep.intake import aged, read, read_case
from mriprep.intake_session import Given, merged, whose

from .contrast import contrast_from_image
from .source import CaseSource, ImageSource


def open_case(source: CaseSource, *, dicom_engine: str = "dcm2niix") -> Case:
    """Read the images of a case.

    Parameters
    ----------
    source : CaseSource
        From :func:`mriprep.cases.list_cases`.
    dicom_engine : str
        What converts DICOM.

    Returns
    -------
    Case
        A volume a contrast; facts of the headers, and ``age``, ``sex``,
        ``site``, ``label`` and ``split`` where the source tells them.

    Raises
    ------
    InputError, GeometryError, EngineError
        If an image cannot be read; says which.
    """
    images = [i for i in source.images if i.role == "image"]
    if not images:
        raise InputError(f"{source.name} has no image")
    read_ones = [_opened(image, source.name, dicom_engine) for image in images]
    case = merged(read_ones, [Path(i.path) for i in images], source.name)
    return Case(source.name, case.volumes, _facts(source, case.facts))


def open_session(source: CaseSource, *, dicom_engine: str = "dcm2niix") -> tuple[Case, Given]:
    """Read a case, and the masks and labels that come with it.

    Returns
    -------
    case : Case
        As :func:`open_case` gives it.
    given : dict
        By contrast, then by ``mask`` or ``labels``. One that names no
        contrast belongs to the image on whose grid it lies.
    """
    case = open_case(source, dicom_engine=dicom_engine)
    given: Given = {}
    for image in source.images:
        if image.role == "image":
            continue
        contrast, volume = image.contrast, None
        if contrast not in case:
            contrast, volume = whose(Path(image.path), "", image.role, case)
            if contrast is None:  # a warning has said why
                continue
        else:
            volume = read(image.path, role=image.role)  # type: ignore[assignment]
        assert contrast is not None
        assert isinstance(volume, Volume)
        here = given.setdefault(contrast, {})
        name, number = image.role, 2
        while name in here:
            name, number = f"{image.role}{number}", number + 1
        here[name] = volume
    return case, given


def _opened(image: ImageSource, name: str, engine: str) -> Case:
    if image.files:
        case = _scattered(image, name, engine)
    else:
        case = read_case(
            image.path, name=name, volume=image.volume, series=image.series, engine=engine
        )
    if image.contrast is None:
        return _told_by_itself(case)
    if tuple(case) == (image.contrast,):
        return case
    if len(case) > 1:
        return Case(case.name, {image.contrast: case[image.contrast]}, case.facts)
    volume = case[case.reference].replace(contrast=image.contrast)
    return Case(case.name, {image.contrast: volume}, case.facts)


def _told_by_itself(case: Case) -> Case:
    """A case whose image no name and no header tells the contrast of, under what it looks like."""
    if tuple(case) != ("image",):
        return case
    guess = contrast_from_image(case["image"])
    if guess.contrast is None:
        warnings.warn(
            f"{case.name}: the contrast of its image is not known: {guess.reason}",
            MriprepWarning,
            stacklevel=4,
        )
        return case
    warnings.warn(
        f"{case.name}: its image is taken for {guess.contrast} ({guess.confidence:.0%} sure) by"
        f" {guess.reason}",
        MriprepWarning,
        stacklevel=4,
    )
    volume = case["image"].replace(contrast=guess.contrast)
    return Case(case.name, {guess.contrast: volume}, case.facts)


def _scattered(image: ImageSource, name: str, engine: str) -> Case:
    """A series whose files lie among others, in a folder or in a zip."""
    from mriprep import engines
    from mriprep.io.archive import unzip
    from mriprep.io.dicom import read_series
    from mriprep.io.dicom_scan import read_files
    from mriprep.io.dicom_series import gather

    source = Path(image.path)
    if not source.exists():
        raise InputError(f"'{source}' does not exist", hint="was the dump moved? scan it again")
    unpacked = unzip(source, image.files) if zipfile.is_zipfile(source) else None
    folder = unpacked.folder if unpacked else source if source.is_dir() else source.parent
    headers = read_files([folder / f for f in image.files])
    if len(headers.found) < len(image.files):
        raise InputError(
            f"{len(image.files) - len(headers.found)} of the {len(image.files)} files of series"
            f" {image.series} cannot be read any more",
            hint="was the dump changed? scan it again",
        )
    series = gather(headers.found.values(), unpacked)
    if len(series) != 1:
        raise InputError(
            f"the files of series {image.series} form {len(series)} series now",
            hint="was the dump changed? scan it again",
        )
    case = read_series(series[0], engines.load("dicom", engine).convert, name)
    return Case(name, case.volumes, aged(case.facts, source, name))


def _facts(source: CaseSource, known: Mapping[str, Any]) -> dict[str, Any]:
    told = {k: getattr(source, k) for k in ("sex", "site", "label", "split")}
    facts = {**known, **source.facts, **{k: v for k, v in told.items() if v is not None}}
    age = parse_age(source.age, "the list of cases") if source.age else None
    return with_age(facts, settle([age, age_of(known)]))
