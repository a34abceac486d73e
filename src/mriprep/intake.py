"""Reading what there is: an image, a folder of images, DICOM; and what to call it."""

from __future__ import annotations

import itertools
import math
import os
import re
import unicodedata
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .core import Case, Grid, InputError, MriprepWarning, Role, Volume
from .core.age import age_of, parse_age, settle, with_age
from .core.case import PREFERRED_CONTRASTS
from .core.errors import nearest
from .core.volume import as_role

#: Endings of image files.
IMAGE = re.compile(r"\.(nii|nii\.gz|mgh|mgz|nrrd|nhdr|mha|mhd)$", re.IGNORECASE)
#: What marks a file as made of a scan, as BIDS derivatives are called; such a file is no scan.
DERIVED = re.compile(r"(?<![A-Za-z0-9])(desc|space)-")
#: Endings of files that people give by mistake; any other may be DICOM, which often has none.
FOREIGN = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".json", ".txt", ".csv", ".tsv", ".html",
            ".npy", ".npz", ".pdf", ".yaml", ".yml", ".md", ".tfm", ".mat")  # fmt: skip


def read(
    path: str | Path,
    *,
    role: Role | str = Role.IMAGE,
    volume: int | None = None,
    series: str | None = None,
    engine: str = "dcm2niix",
) -> Volume | Case:
    """Read an image file, or a folder or zip of scans.

    Parameters
    ----------
    path : str or Path
        An image (NIfTI, MGH, NRRD, MetaImage), which gives a Volume; or a
        folder or zip of DICOM, or a folder of NIfTI files named by their
        contrast (``..._T1w.nii.gz``), which gives a Case.
    role : Role or str
        What the voxels of a file mean: ``image``, ``mask``, ``labels``,
        ``probability``.
    volume : int, optional
        Which volume of a 4D file, from 0.
    series : str, optional
        Which DICOM series: its number, or a part of its description.
    engine : str
        What converts DICOM.

    Raises
    ------
    InputError, GeometryError
        If it cannot be read; says why.
    """
    from .io.given import expanded, leads_to

    path = expanded(path)
    if leads_to(path) == "folder":
        files = scans_below(path)
        if files:
            return _labelled(_nifti_case(path, files), path)
        try:
            return _labelled(_dicom(path, series, engine), path)
        except InputError as error:
            raise _named_otherwise(path) or error from None
    if series is not None and is_image(path):
        raise InputError(
            f"'{path.name}' is an image file: it has no series", hint="leave --series out"
        )
    if path.is_file() and not is_image(path):
        if path.suffix.lower() in FOREIGN:
            raise InputError(
                f"'{path.name}' is neither an image with a geometry nor DICOM",
                hint="give .nii, .nii.gz, .mgh, .mgz, .nrrd, .nhdr, .mha or .mhd, or a folder or"
                " zip of DICOM",
            )
        return _labelled(_dicom(path, series, engine), path)
    from .io.images import read_image

    image = read_image(path, role=as_role(role), volume=volume)
    return image.replace(file=path.name)


def is_image(path: str | Path) -> bool:
    """Whether a path is to be read as one image file, and not as DICOM."""
    path = Path(path)
    return bool(IMAGE.search(path.name)) and not path.is_dir()


def read_case(path: str | Path, *, name: str | None = None, **options: Any) -> Case:
    """As :func:`read`, but always a Case: a single file becomes its only volume."""
    from .io.given import expanded

    path = expanded(path)
    found = read(path, **options)
    if isinstance(found, Case):
        if name is None:
            return found
        return Case(checked_name(name), found.volumes, found.facts)
    contrast = str(found.meta.get("contrast") or "image")
    label = case_name(path, "") if name is None else checked_name(name)
    if name is None:
        _letters_left_out(path, label)
    return Case(label, {contrast: found}, _sidecar_facts(path))


def _labelled(case: Case, path: Path) -> Case:
    """A case whose name is a subject's label, as all files that are written are named."""
    if case.name.startswith("sub-"):
        return case
    return Case(case_name(path, case.name), case.volumes, case.facts)


def case_name(path: Path, fallback: str) -> str:
    """A case's label from a file's or folder's name: ``sub-01``, ``sub-01_ses-2``, ``sub-chris``."""
    path = Path(os.path.abspath(path))  # links are not followed: their targets may have any name
    subject, session = r"sub-[A-Za-z0-9]+", r"ses-[A-Za-z0-9]+"
    match = re.search(rf"(?<![A-Za-z0-9])({subject})(?:_({session}))?(?![A-Za-z0-9-])", path.name)
    if match:
        return "_".join(g for g in match.groups() if g)
    for folder, inside in reversed(list(itertools.pairwise(path.parts))):
        if re.fullmatch(subject, folder):
            return f"{folder}_{inside}" if re.fullmatch(session, inside) else folder
    stem = _stem(path)
    label = re.sub(r"[^A-Za-z0-9]", "", stem) or re.sub(r"[^A-Za-z0-9]", "", fallback) or "case"
    return f"sub-{label}"


def _stem(path: Path) -> str:
    """What a file's name says of whose it is: without its contrast; its folder's name, if nothing."""
    stem = IMAGE.sub("", path.name).removesuffix(".zip").removeprefix("sub-")
    stem = unicodedata.normalize("NFKD", stem)  # an umlaut becomes its letter
    begin, _, end = stem.rpartition("_")
    if end in PREFERRED_CONTRASTS:
        stem = begin
    return stem or path.parent.name


def _letters_left_out(path: Path, label: str) -> None:
    """Say that a case's name lacks letters of its file's."""
    stem = _stem(path)
    kept = re.sub(r"[^A-Za-z0-9]", "", stem)
    if label == f"sub-{kept}" and any(c.isalnum() and not c.isascii() for c in stem):
        warnings.warn(
            f"the case is called '{label}': letters that are not a to z were left out (--name"
            " gives it another name)",
            MriprepWarning,
            stacklevel=3,
        )


def checked_name(name: str) -> str:
    """A case's name that somebody gave, with ``sub-`` before it; checked."""
    if not re.fullmatch(r"(sub-)?[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?", name):
        raise InputError(
            f"'{name}' cannot be a case's name",
            hint="letters and digits, as in 'sub-01' or 'sub-01_ses-2'",
        )
    return name if name.startswith("sub-") else f"sub-{name}"


def as_case(scan: Case | Volume | str | Path) -> Case:
    """A case of whatever a scan is given as; paths are read."""
    if isinstance(scan, Case):
        return scan
    if isinstance(scan, Volume):
        source = scan.meta.get("source")
        name = case_name(Path(str(source)), "case") if source else "sub-case"
        return Case(name, {str(scan.meta.get("contrast") or "image"): scan})
    return read_case(scan)


def _dicom(path: Path, series: str | None, engine: str) -> Case:
    from .steps.convert import convert

    case: Case = convert(path, series=series, engine=engine)  # type: ignore[arg-type]
    return Case(case.name, case.volumes, aged(case.facts, path, case_name(path, case.name)))


def with_given_age(case: Case, given: str | None) -> Case:
    """A case with the age that somebody gave (``7.5``, ``30mo``, ``adult``).

    Warns
    -----
    MriprepWarning
        If it is not the one that the headers tell; the given one wins.
    """
    if not given:
        return case
    age = settle([parse_age(given, "--age"), age_of(case.facts)])
    return Case(case.name, case.volumes, with_age(case.facts, age))


def aged(facts: Mapping[str, Any], path: Path, name: str) -> dict[str, Any]:
    """Facts with the age by the tables of the dataset, which comes before the header's."""
    from .io.ages import from_tables

    return with_age(facts, settle([from_tables(path, name), age_of(facts)]))


def header(
    source: Path,
    *,
    series: str | None = None,
    volume: int | None = None,
    contrast: str | None = None,
) -> tuple[Grid, str | None, dict[str, Any]]:
    """Grid, contrast and facts of a scan from headers alone, without reading a voxel."""
    from .io.dicom import choose, scan
    from .io.given import leads_to
    from .io.images import contrast_of, read_grid

    leads_to(source)
    image = source if is_image(source) else image_of(source, contrast)
    if image is not None:
        facts = _sidecar_facts(image)
        return read_grid(image, volume=volume), contrast or contrast_of(image), facts
    chosen = choose(scan(source), series)
    if chosen.grid is None:
        raise InputError(
            f"the headers of {chosen} do not say where its slices lie",
            hint="; ".join(chosen.problems) or None,
        )
    facts = aged(chosen.facts, source, case_name(source, "case"))
    return chosen.grid, chosen.contrast, facts


def scans_below(folder: Path) -> dict[str, list[Path]]:
    """NIfTI files in a folder (and its ``anat``), by the contrast that their names end on."""
    from .io.images import contrast_of

    found: dict[str, list[Path]] = {}
    for inside in (folder, folder / "anat", *sorted(folder.glob("ses-*/anat"))):
        for file in sorted(inside.glob("[!.]*")) if inside.is_dir() else ():
            contrast = contrast_of(file) or IMAGE.sub("", file.name).split("_")[-1]
            if not is_image(file) or contrast not in PREFERRED_CONTRASTS:
                continue
            if not DERIVED.search(file.name):
                found.setdefault(contrast, []).append(file)
    return found


def image_of(folder: Path, contrast: str | None = None) -> Path | None:
    """The file of a contrast in a folder of NIfTI (its reference by default); None if it is no such folder."""
    files = scans_below(folder)
    if not files:
        return None
    chosen = contrast or next(c for c in PREFERRED_CONTRASTS if c in files)
    if chosen not in files:
        raise InputError(f"'{folder}' has no {chosen}", hint=nearest(chosen, files))
    return _only(folder, chosen, files[chosen])


def _only(folder: Path, contrast: str, same: list[Path]) -> Path:
    if len(same) > 1:
        raise InputError(
            f"{len(same)} files in '{folder}' are {contrast}: " + ", ".join(f.name for f in same),
            hint="give the file that you mean",
        )
    return same[0]


def _nifti_case(folder: Path, files: dict[str, list[Path]]) -> Case:
    chosen = {c: _only(folder, c, same) for c, same in files.items()}
    volumes = {c: read(file).replace(contrast=c) for c, file in chosen.items()}  # type: ignore[union-attr]
    first = next(iter(chosen.values()))
    return Case(case_name(first, folder.name), volumes, _sidecar_facts(first))


def _named_otherwise(folder: Path) -> InputError | None:
    """What to say of a folder of images whose names do not say what they are."""
    images = [f.name for f in sorted(folder.glob("[!.]*")) if is_image(f)]
    if not images:
        return None
    return InputError(
        f"'{folder}' holds images whose names do not say their contrast: {', '.join(images[:5])}",
        hint=f"give one of the files, or let their names end on a contrast, as in"
        f" 'sub-01_T1w.nii.gz': {', '.join(PREFERRED_CONTRASTS)}",
    )


def _sidecar_facts(path: Path) -> dict[str, Any]:
    """What the BIDS sidecar beside an image says, without what could name anybody; and the age."""
    from .io.ages import from_sidecar

    content = _sidecar(path)
    known = {k: content[k] for k in SIDECAR_FACTS if k in content}
    finite = {k: v for k, v in known.items() if not isinstance(v, float) or math.isfinite(v)}
    sex = str(content.get("PatientSex") or content.get("sex") or "").strip().upper()[:1]
    if sex in ("F", "M", "O"):
        finite["sex"] = sex
    return aged(with_age(finite, from_sidecar(content)), path, case_name(path, ""))


def _sidecar(path: Path) -> dict[str, Any]:
    from .io.strict_json import load_json

    sidecar = path.with_name(IMAGE.sub("", path.name) + ".json")
    try:
        content = load_json(sidecar) if sidecar.is_file() else {}
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no JSON"
        warnings.warn(
            f"the file beside the scan, {sidecar.name}, cannot be read ({reason}): what it says of"
            " the scan, the age perhaps, is not known",
            MriprepWarning,
            stacklevel=3,
        )
        return {}
    return content if isinstance(content, dict) else {}


#: What is taken over from sidecars into records.
SIDECAR_FACTS = (
    "Modality",
    "Manufacturer",
    "ManufacturersModelName",
    "MagneticFieldStrength",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "MRAcquisitionType",
    "ScanningSequence",
    "SeriesDescription",
    "ProtocolName",
)
