"""Series: the images of a DICOM folder that belong together, and what is wrong with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mriprep.core import Grid

from .archive import Unpacked
from .dicom_contrast import ANATOMICAL, UNKNOWN, Guess
from .dicom_copies import without_copies
from .dicom_geometry import FEWEST_SLICES, SAME_DIRECTION, TILT, Stack, stack
from .dicom_headers import Header

#: Fewer slices than this do not cover a head in 3D.
FEWEST_3D_SLICES = 32
#: Without MRAcquisitionType, slices at most this far apart (mm) are taken as a 3D acquisition.
WIDEST_3D_MM = 2.0
#: Echo times that differ by less than this are the same echo (ms).
SAME_ECHO_MS = 0.05
#: A series of several acquisitions, each a volume, is taken apart if there are no more than this.
MOST_ACQUISITIONS = 4
#: Said of files whose pixels are not all there.
CUT_OFF = "cut off"
#: Contrasts of which each volume is one of many.
_OVER_TIME = ("bold", "DWI", "ADC", "ASL", "perf")
#: Values of ImageType that mark a reformat or a projection of another series.
_REFORMATTED = {"DERIVED", "SECONDARY", "MPR", "PROJECTION IMAGE", "MIP", "MINIP", "MNIP"}


@dataclass(frozen=True)
class Series:
    """One series of a DICOM folder, or the part of one that can form a volume.

    Parameters
    ----------
    key : str
        What names it on the command line: its number, with a suffix where a
        number stands for several (``"5"``, ``"5-2"``).
    number : int or None
        SeriesNumber.
    description : str
        SeriesDescription, without the patient's name.
    contrast : str or None
        A guess: ``T1w``, ``T1c``, ``T2w``, ``FLAIR``, ``PDw``, ``bold``,
        ``dwi``, ``perf``, ``localizer``, or None.
    files : tuple of Path
        Sorted along the slices' normal.
    rows, columns, slices : int
        Size of a volume, counting the slices that are there.
    volumes : int
        Volumes over time, echoes or the like; one for an anatomical scan.
    spacing : (3,) floats or None
        Between columns, rows and slices, mm.
    is_3d_anatomical : bool
        Whether it is an MR scan acquired in 3D on which anatomy can be seen.
    derived : bool
        Whether it is a reformat or a projection, not an original.
    usable : bool
        Whether it can be converted into one greyscale volume.
    problems : tuple of str
        What is wrong or odd, in words.
    grid : Grid or None
        From the headers, RAS+, axes: columns, rows, slices along their
        normal, missing ones included. None if it cannot be known.
    missing : tuple of int
        Indices along the grid's third axis where a slice is missing.
    even : bool
        Whether the slices, missing ones aside, are evenly spaced and not tilted.
    facts : dict
        Header facts under BIDS names and units, with ``age`` (years) and ``sex``.
    """

    key: str
    number: int | None
    description: str
    contrast: str | None
    files: tuple[Path, ...]
    rows: int
    columns: int
    slices: int
    volumes: int
    spacing: tuple[float, float, float] | None
    is_3d_anatomical: bool
    derived: bool
    usable: bool
    problems: tuple[str, ...]
    grid: Grid | None
    missing: tuple[int, ...] = ()
    even: bool = True
    facts: dict[str, Any] = field(default_factory=dict, repr=False)
    #: Tell patients and series apart within this process; never written.
    patient: str = field(default="", repr=False)
    uid: str = field(default="", repr=False)
    guessed: Guess = field(default=UNKNOWN, repr=False)
    syntax: str = field(default="", repr=False)
    image_type: tuple[str, ...] = field(default=(), repr=False)
    #: Files that are left out because their pixels are not all there.
    lost: int = 0
    #: Keeps the folder of an unpacked archive as long as the files may be read.
    unpacked: Unpacked | None = field(default=None, repr=False, compare=False)

    @property
    def tilted(self) -> bool:
        """Whether its slices lean against their stacking, evenly."""
        return self.grid is not None and any(p.startswith(TILT) for p in self.problems)

    def __str__(self) -> str:
        return f"series {self.key} ({self.description or 'no description'})"


def gather(headers: Iterable[Header], unpacked: Unpacked | None = None) -> list[Series]:
    """Group headers into series, sorted by number; a repeated image must be given once only."""
    groups = sorted(_split(headers), key=_rank)
    bases = ["unnumbered" if g[0].number is None else str(g[0].number) for g in groups]
    total, seen = Counter(bases), Counter[str]()
    turns = _directions(groups)
    series = []
    for base, group in zip(bases, groups, strict=True):
        seen[base] += 1
        key = base if total[base] == 1 else f"{base}-{seen[base]}"
        series.append(_series(key, group, turns[group[0].series_uid], unpacked))
    return series


def _directions(groups: list[list[Header]]) -> Counter[str]:
    """How many orientations the slices of each series have."""
    different: dict[str, list[Any]] = defaultdict(list)
    for head in (g[0] for g in groups):
        known = different[head.series_uid]
        if not any(_near(_direction(head), other, SAME_DIRECTION) for other in known):
            known.append(_direction(head))
    return Counter({uid: len(known) for uid, known in different.items()})


def _rank(group: list[Header]) -> tuple[Any, ...]:
    head = group[0]
    number = (head.number is None, head.number or 0)
    return (*number, head.echo_number or 0, head.echo or 0.0, head.image_type, head.uid)


def _split(headers: Iterable[Header]) -> list[list[Header]]:
    """Split by what makes a series more than one volume, in practice."""
    exact: dict[tuple[Any, ...], list[Header]] = defaultdict(list)
    for h in headers:
        same = (h.series_uid, h.number, h.facts.get("Modality"), h.image_type, h.echo_number)
        exact[*same, h.rows, h.columns, h.samples, h.mosaic, h.frames > 1].append(h)
    groups: list[list[Header]] = []
    for members in exact.values():
        near: list[list[Header]] = []
        for h in sorted(members, key=lambda h: (h.instance or 0, h.uid)):
            home = next((g for g in near if _alike(g[0], h)), None)
            if home is None:
                near.append([h])
            else:
                home.append(h)
        groups += [part for g in near for part in _acquisitions(g)]
    return groups


def _acquisitions(group: list[Header]) -> list[list[Header]]:
    """Take a series apart that was acquired several times under one number."""
    numbers = sorted({h.acquisition for h in group if h.acquisition is not None})
    if not 1 < len(numbers) <= MOST_ACQUISITIONS or group[0].contrast in _OVER_TIME:
        return [group]
    if any(h.positions is None or len(h.positions) != 1 for h in group):
        return [group]
    parts = [[h for h in group if h.acquisition == n] for n in numbers]
    places = [[_place(h) for h in part] for part in parts]
    whole = sum(map(len, parts)) == len(group) and all(len(set(p)) == len(p) for p in places)
    # Interleaved slices are numbered so too: then none is there twice.
    whole = whole and len(places[0]) >= FEWEST_SLICES
    again = set(places[0]) & {p for other in places[1:] for p in other}
    return parts if whole and len(again) > len(places[0]) / 2 else [group]


def _place(header: Header) -> tuple[float, ...]:
    assert header.positions is not None
    return tuple(np.round(header.positions[0], 2))


def _alike(a: Header, b: Header) -> bool:
    return (
        _near(a.spacing, b.spacing, 1e-3)
        and _near(a.echo, b.echo, SAME_ECHO_MS)
        and (
            a.orientations is b.orientations or _near(_direction(a), _direction(b), SAME_DIRECTION)
        )
    )


def _direction(header: Header) -> Any:
    return None if header.orientations is None else header.orientations[0]


def _near(a: Any, b: Any, tolerance: float) -> bool:
    if a is b:  # mostly so: the files of a series share their values
        return True
    if a is None or b is None:
        return a is b
    return bool(np.abs(np.asarray(a) - np.asarray(b)).max() <= tolerance)


def _series(key: str, group: list[Header], orientations: int, unpacked: Unpacked | None) -> Series:
    head = group[0]
    everything, group = group, [h for h in group if not h.lost]
    copies = 0
    if head.contrast not in _OVER_TIME:
        group, copies = without_copies(group)
    if not group:
        problem = f"all {len(everything)} files are {CUT_OFF}: their pixels are not all there"
        return _nothing(key, head, problem, unpacked)
    found = _stack(group)
    blocking = _blocking(head)
    modality = head.facts.get("Modality", "")
    odd: tuple[str, ...] = () if modality in ("MR", "") else (f"{modality}, not MR",)
    if orientations > 1:
        odd += (f"mixed orientation: one of {orientations} in this series",)
    lost = len(everything) - len(group) - copies
    if lost:
        odd += (f"{lost} of {len(everything)} files are {CUT_OFF}: their pixels are not all there",)
    if copies:
        odd += (f"{copies} copies of images that are there already",)
    slices = head.frames if head.mosaic else found.slices
    volumes = len(group) if head.mosaic else found.volumes
    usable = (
        not blocking and volumes == 1 and slices >= FEWEST_SLICES and head.contrast != "localizer"
    )
    anatomical = usable and modality == "MR" and head.contrast in ANATOMICAL
    order = found.order if len(found.order) == len(group) else range(len(group))
    return Series(
        key=key,
        number=head.number,
        description=head.description,
        contrast=head.contrast,
        files=tuple(group[i].path for i in order),
        rows=head.rows,
        columns=head.columns,
        slices=slices,
        volumes=volumes,
        spacing=found.grid.spacing if found.grid else None,
        is_3d_anatomical=anatomical and slices >= FEWEST_3D_SLICES and _is_3d(head, found.grid),
        derived=bool(_REFORMATTED & {t.upper() for t in head.image_type}),
        usable=usable,
        problems=(*blocking, *odd, *found.problems),
        grid=found.grid,
        missing=found.missing,
        even=found.even,
        facts=head.facts,
        patient=head.patient,
        uid=head.series_uid,
        guessed=head.guessed,
        syntax=head.syntax,
        image_type=head.image_type,
        lost=lost,
        unpacked=unpacked,
    )


def _nothing(key: str, head: Header, problem: str, unpacked: Unpacked | None) -> Series:
    """A series of which nothing can be used."""
    return Series(
        key, head.number, head.description, head.contrast, (), head.rows, head.columns, 0, 0, None,
        is_3d_anatomical=False, derived=False, usable=False, problems=(problem,), grid=None,
        facts=head.facts, patient=head.patient, uid=head.series_uid, guessed=head.guessed,
        syntax=head.syntax, image_type=head.image_type, unpacked=unpacked,
    )  # fmt: skip


def _stack(group: list[Header]) -> Stack:
    """Where the slices of all files, or of all frames, lie."""
    head = group[0]
    nowhere = Stack(tuple(range(len(group))), len(group), 1, None, (), True, ())
    if head.rows == 0 or head.mosaic:
        return nowhere
    positions = [h.positions for h in group if h.positions is not None]
    turns = [h.orientations for h in group if h.orientations is not None]
    if len(positions) < len(group) or len(turns) < len(group):
        slices = sum(h.frames for h in group)
        text = "the header does not tell where the slices lie"
        return Stack(nowhere.order, slices, 1, None, (), True, (text,))
    return stack(
        np.concatenate(positions),
        np.concatenate(turns),
        matrix=(head.rows, head.columns),
        pixel_spacing=head.spacing,
        thickness=head.thickness,
    )


def _blocking(head: Header) -> tuple[str, ...]:
    """Why this can be no greyscale volume."""
    if head.rows == 0 or head.columns == 0:
        return ("not an image",)
    if head.samples != 1:
        return (f"colour: {head.samples} values a pixel",)
    return ()


def _is_3d(head: Header, grid: Grid | None) -> bool:
    kind = head.facts.get("MRAcquisitionType")
    if kind is not None:
        return bool(kind == "3D")
    return grid is not None and grid.spacing[2] <= WIDEST_3D_MM
