"""A dump of DICOM: whose series they are, under codes that say nothing of anybody."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mriprep.core import MriprepWarning

from .dicom_contrast import Rules
from .dicom_headers import Header
from .dicom_scan import Headers, Hears, read_headers
from .dicom_series import Series, gather
from .dicom_verdict import Verdict, judge


@dataclass(frozen=True)
class Scanned:
    """A series of a dump.

    Parameters
    ----------
    subject : str
        A code, ``01``, ``02``, ...: patients in the order of a digest of
        their identifiers, so that the same dump gives the same codes.
    session : str or None
        ``01``, ``02``, ... in the order of time; None where a subject has one study.
    series : Series
        The series.
    verdict : Verdict
        Whether it can become a volume.
    id : str
        Recognises the series when the dump is scanned again.
    files : tuple of str
        Its files, relative to the dump, or members of the archive.
    """

    subject: str
    session: str | None
    series: Series
    verdict: Verdict
    id: str
    files: tuple[str, ...]


def read_dump(
    source: Path, *, processes: int = 1, rules: Rules | None = None, hears: Hears | None = None
) -> list[Scanned]:
    """List the series of all subjects of a folder or zip, from headers alone.

    Parameters
    ----------
    source : Path
        A folder with all its subfolders, or a zip, which is not unpacked.
    processes : int
        How many processes read at most.
    rules : Rules, optional
        For the contrast.
    hears : callable, optional
        Called with the number of files read, and of all.

    Returns
    -------
    list of Scanned
        By subject, session and number.

    Raises
    ------
    InputError
        If it holds no DICOM image.

    Warns
    -----
    MriprepWarning
        Of files that were left out, and of images that name no patient.
    """
    headers: Headers = read_headers(source, processes=processes, rules=rules, hears=hears)
    headers.tell()
    found = headers.found.values()
    nameless = sum(not h.patient for h in found)
    if nameless:
        warnings.warn(
            f"{nameless} images name no patient: each of their studies is taken for a subject",
            MriprepWarning,
            stacklevel=2,
        )
    scanned: list[Scanned] = []
    subjects = _subjects(found)
    width = max(2, len(str(len(subjects))))
    for number, studies in enumerate(subjects, start=1):
        for visit, study in enumerate(studies, start=1):
            session = f"{visit:02d}" if len(studies) > 1 else None
            for series in gather(study):
                files = _within(series.files, source)
                scanned.append(
                    Scanned(
                        f"{number:0{width}d}", session, series, judge(series), _id(series), files
                    )
                )
    return _told_apart(scanned)


def _subjects(headers: Iterable[Header]) -> list[list[list[Header]]]:
    """Headers by subject, then by study."""
    people: dict[str, dict[str, list[Header]]] = defaultdict(lambda: defaultdict(list))
    for h in headers:
        study = h.study or h.series_uid
        people[h.patient or f"study {study}"][study].append(h)

    def when(study: list[Header]) -> tuple[str, str]:
        return min((h.moment, h.series_uid) for h in study)

    def rank(studies: list[list[Header]]) -> tuple[str, tuple[str, str]]:
        first = studies[0]
        return (first[0].rank if first[0].patient else "~", when(first))

    sorted_ones = [sorted(studies.values(), key=when) for studies in people.values()]
    return sorted(sorted_ones, key=rank)


def _within(files: Sequence[Path], source: Path) -> tuple[str, ...]:
    """Paths relative to the dump; members of an archive are so already."""
    if source.is_file():
        return tuple(f.as_posix() if f != source else source.name for f in files)
    start = 0 if source == Path() else len(str(source).rstrip("/\\")) + 1
    return tuple(str(f)[start:].replace(os.sep, "/") for f in files)


def _id(series: Series) -> str:
    """A digest of what makes it a series of its own: one UID may stand for several."""
    spacing = [round(v, 3) for v in series.spacing or ()]
    shape = (series.rows, series.columns, series.slices, series.volumes)
    apart = f"{series.uid}|{series.key}|{series.image_type}|{shape}|{spacing}"
    return hashlib.blake2b(apart.encode(), digest_size=6).hexdigest()


def _told_apart(scanned: Sequence[Scanned]) -> list[Scanned]:
    """With a number after identifiers that still are the same: anonymised dumps may share UIDs."""
    seen: Counter[str] = Counter()
    unique = []
    for s in scanned:
        seen[s.id] += 1
        unique.append(s if seen[s.id] == 1 else replace(s, id=f"{s.id}-{seen[s.id]}"))
    return unique
