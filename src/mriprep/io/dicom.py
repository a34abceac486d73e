"""DICOM in: what a folder holds, which series to take, and its volume.

A folder or a zip archive is scanned by its headers alone; one series is
chosen; an engine (:mod:`mriprep.engines.dicom`) converts it. Names, dates and
identifiers of a patient are never kept.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from mriprep.core import Case, EngineError, InputError, MriprepWarning, Volume

from .archive import Unpacked, unzip
from .dicom_contrast import ANATOMICAL
from .dicom_geometry import along, place
from .dicom_scan import read_headers
from .dicom_series import Series, gather
from .dicom_shear import upright
from .dicom_verdict import judge
from .given import leads_to

__all__ = ["Series", "choose", "read_dicom", "scan"]

#: A converted volume farther than this from where its headers put it is wrong (mm).
MISPLACED_MM = 0.1


def scan(source: str | Path) -> list[Series]:
    """List the series of a DICOM folder, archive or file, reading headers only.

    Parameters
    ----------
    source : path
        A folder (searched with all its subfolders), a zip archive, or one
        multi-frame file. Files that are not DICOM and repeated images are
        left out, and counted in a warning.

    Returns
    -------
    list of Series
        Sorted by number. The files of an archive live as long as these do.

    Raises
    ------
    InputError
        If it does not exist or holds no DICOM image.
    """
    path = Path(source)
    if leads_to(path) == "missing":
        raise InputError("there is no such DICOM folder or archive", hint="check the path")
    unpacked: Unpacked | None = None
    if path.is_file() and zipfile.is_zipfile(path):
        unpacked = unzip(path)
    headers = read_headers(unpacked.folder if unpacked else path)
    headers.tell()
    return gather(headers.found.values(), unpacked)


def choose(series: Sequence[Series], wanted: str | None = None) -> Series:
    """Take one series.

    Parameters
    ----------
    series : sequence of Series
        From :func:`scan`.
    wanted : str, optional
        Key, number, description (any case; a part of it is enough if only one
        has it) or contrast. Without it, the one 3D anatomical series is taken:
        originals before reformats, then 2D stacks, then whatever is a volume.

    Returns
    -------
    Series

    Raises
    ------
    InputError
        If none or several fit; the message lists all series.

    Warns
    -----
    MriprepWarning
        If one was taken and others left, which.
    """
    if not series:
        raise InputError("there are no series to choose from")
    if wanted is not None:
        return _wanted(series, wanted.strip())
    tiers: tuple[Callable[[Series], bool], ...] = (
        lambda s: s.is_3d_anatomical and not s.derived,
        lambda s: s.is_3d_anatomical,
        lambda s: s.usable and s.contrast in ANATOMICAL and not s.derived,
        lambda s: (
            s.usable and s.facts.get("Modality") == "MR" and s.contrast in (*ANATOMICAL, None)
        ),
        lambda s: s.usable,
    )
    for fits in tiers:
        found = [s for s in series if fits(s)]
        if len(found) == 1:
            left = [s for s in series if s is not found[0]]
            if left:
                _warn(
                    f"took {found[0]}; left {', '.join(map(str, left))}; --series chooses another"
                )
            return found[0]
        if found:
            raise InputError(
                f"{len(found)} series could be the one that is meant:\n{_table(series)}",
                hint=f"choose one, for instance --series {found[0].key}",
            )
    raise InputError(
        f"no series here is a volume of anatomy:\n{_table(series)}",
        hint="--series takes one all the same, if it can be converted",
    )


def _wanted(series: Sequence[Series], wanted: str) -> Series:
    low = wanted.lower()
    rules: tuple[Callable[[Series], bool], ...] = (
        lambda s: s.key == wanted,
        lambda s: str(s.number) == wanted,
        lambda s: s.description.lower() == low,
        lambda s: (s.contrast or "").lower() == low,
        lambda s: low in s.description.lower(),
    )
    for fits in rules if low else ():
        found = [s for s in series if fits(s)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"'{wanted}' fits {len(found)} series:\n{_table(found)}",
                hint=f"give its key, for instance --series {found[0].key}",
            )
    raise InputError(
        f"no series is called '{wanted}':\n{_table(series)}",
        hint=f"give a key, a description or a contrast, for instance --series {series[0].key}",
    )


def _table(series: Sequence[Series]) -> str:
    rows = [("series", "description", "contrast", "matrix", "spacing mm", "slices", "problems")]
    for s in series:
        spacing = "x".join(f"{v:.3g}" for v in s.spacing) if s.spacing else "?"
        slices = f"{s.slices}x{s.volumes}" if s.volumes > 1 else str(s.slices)
        size = f"{s.columns}x{s.rows}"
        about = "; ".join(s.problems)
        rows.append((s.key, s.description, s.contrast or "?", size, spacing, slices, about))
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    lines = ("  ".join(v.ljust(w) for v, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line.rstrip()}" for line in lines)


class Converter(Protocol):
    """What turns the files of one series into a volume: an engine's ``convert``."""

    def __call__(self, files: Sequence[Path], *, strict: bool) -> Volume:
        """Convert; not `strict`, stack the slices as they are, whatever lies between them."""


def read_dicom(source: str | Path, convert: Converter, *, series: str | None = None) -> Case:
    """Read one series of a DICOM folder or archive as a case.

    A slice that is missing between others is filled in from its neighbours,
    with a warning that says where; too many missing are an error.

    Parameters
    ----------
    source : path
        A folder, a zip archive or a multi-frame file.
    convert : callable
        What converts the files of a series.
    series : str, optional
        Which series, see :func:`choose`.

    Returns
    -------
    Case
        One volume under its contrast (``T1w``, ...; ``image`` if unknown),
        and the facts of the header. It is named after the folder or archive.

    Raises
    ------
    InputError
        If there is no such series, or it is not one greyscale volume.
    EngineError
        If the conversion fails.
    """
    return read_series(choose(scan(source), series), convert, _name(Path(source)))


def read_series(chosen: Series, convert: Converter, name: str) -> Case:
    """Read a series as a case of this name; see :func:`read_dicom`."""
    verdict = judge(chosen)
    if verdict.kind == "refuse" and not verdict.small:
        raise InputError(f"{chosen}: {verdict.why}", hint=verdict.hint)
    gaps = bool(chosen.missing) and chosen.even
    grid = chosen.grid if gaps or chosen.tilted else None
    volume = convert(chosen.files, strict=grid is None)
    if grid is not None:
        volume = place(volume, grid, chosen.missing)
    if chosen.tilted:
        volume = upright(volume, volume.meta["slice_axis"])
    if chosen.problems:
        _warn(f"{chosen}: {verdict.why}")
    _check_place(chosen, volume)
    contrast = chosen.contrast or "image"
    # The engine reads some private elements: they complete the standard ones.
    facts = {**volume.meta.get("facts", {}), **chosen.facts}
    volume = volume.replace(source=f"DICOM {chosen}", contrast=contrast)
    if chosen.patient:
        volume = volume.replace(patient=chosen.patient)
    return Case(name, {contrast: volume}, facts)


def _check_place(series: Series, volume: Volume) -> None:
    """Compare the converted volume with the headers: an engine that misplaces it must not go unseen."""
    if series.grid is None or not series.even or series.slices < 2:
        return
    off = along(series.grid, volume.grid)[0].distance(volume.grid)
    if off > MISPLACED_MM:
        raise EngineError(
            f"{series} was converted to {volume.grid}, {off:.2g} mm from where its headers say:"
            f" {series.grid}",
            hint="try the other DICOM engine, and report this",
        )


def _name(source: Path) -> str:
    """A label made of the folder's or archive's name, letters and digits only."""
    resolved = source.resolve()
    stem = resolved.name if resolved.is_dir() else resolved.stem
    return re.sub(r"[^A-Za-z0-9]", "", stem) or "case"


def _warn(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=3)
