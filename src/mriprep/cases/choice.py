"""The best series of each contrast of a session, and why the others were left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mriprep.io.dicom_contrast import ANATOMICAL
from mriprep.io.dicom_dump import Scanned
from mriprep.io.dicom_series import Series
from mriprep.io.dicom_verdict import Verdict

#: The longest side of a voxel over the shortest, up to which it counts as isotropic.
ISOTROPIC = 1.3
#: Slices that cover less than this are a slab, not a head, mm.
SLAB_MM = 30.0


@dataclass(frozen=True)
class Choice:
    """A series of a dump, whether it is taken, and why (not)."""

    scanned: Scanned
    taken: bool
    why: str


def choose_best(scanned: Sequence[Scanned], wanted: Sequence[str] = ()) -> list[Choice]:
    """Take the best series of each contrast of each session.

    Parameters
    ----------
    scanned : sequence of Scanned
        From :func:`mriprep.io.dicom_dump.read_dump`.
    wanted : sequence of str
        Contrasts; the anatomical ones if empty.

    Returns
    -------
    list of Choice
        One for each series, in their order. A head comes before a slab of less
        than 30 mm, 3D before 2D, then what is
        isotropic, complete, original, finer, and last what was scanned last.
    """
    names = {w.lower() for w in wanted or ANATOMICAL}
    scanned = [_of_mr(s) for s in scanned]
    candidates: dict[tuple[str, str | None, str], list[Scanned]] = defaultdict(list)
    for s in scanned:
        if s.verdict.kind != "refuse" and (s.series.contrast or "").lower() in names:
            candidates[s.subject, s.session, s.series.contrast or ""].append(s)
    best = {group: max(same, key=_merit) for group, same in candidates.items()}
    return [
        _choice(s, best.get((s.subject, s.session, s.series.contrast or "")), names)
        for s in scanned
    ]


def _of_mr(s: Scanned) -> Scanned:
    """The series; refused if it is no MR, though its geometry may be good and it can be converted."""
    modality = s.series.facts.get("Modality") or "MR"
    if s.verdict.kind == "refuse" or modality == "MR":
        return s
    refused = Verdict("refuse", f"{modality}, not MR", "mriprep takes MR; choose another series")
    return replace(s, verdict=refused)


def _choice(s: Scanned, best: Scanned | None, names: set[str]) -> Choice:
    contrast = s.series.contrast
    if s.verdict.kind == "refuse":
        return Choice(s, False, s.verdict.why)
    if contrast is None:
        return Choice(s, False, "its contrast is not known")
    if contrast.lower() not in names:
        return Choice(s, False, f"{contrast} is not wanted")
    if s is best:
        why = "the best" if s.verdict.kind == "good" else s.verdict.why
        return Choice(s, True, why if _covers(s.series) else f"{why}, but {_slab(s.series)}")
    assert best is not None
    return Choice(s, False, _less(s, best))


def _merit(s: Scanned) -> tuple[bool, bool, bool, bool, bool, float, int, str]:
    series = s.series
    finer = -round(float(np.log(np.prod(series.spacing))), 1) if series.spacing else -np.inf
    return (
        _covers(series),
        series.is_3d_anatomical,
        _isotropic(series),
        s.verdict.kind == "good",
        not series.derived,
        finer,
        series.number or 0,
        series.key,
    )


def _extent(series: Series) -> float | None:
    """How far the slices reach, from the first to the last, mm."""
    if series.spacing is None:
        return None
    return float((series.slices + len(series.missing)) * series.spacing[2])


def _covers(series: Series) -> bool:
    extent = _extent(series)
    return extent is None or extent >= SLAB_MM


def _slab(series: Series) -> str:
    return f"it covers only {_extent(series):.0f} mm"


def _isotropic(series: Series) -> bool:
    return series.spacing is not None and max(series.spacing) <= ISOTROPIC * min(series.spacing)


def _less(s: Scanned, best: Scanned) -> str:
    """In what a series comes after the best."""
    other = f"series {best.series.key}"
    reasons = (
        _slab(s.series) if not _covers(s.series) else f"{other} covers more",
        f"it is not 3D, {other} is",
        f"it is less isotropic than {other}",
        f"{other} is whole: {s.verdict.why}",
        f"it is a reformat, {other} is original",
        f"its voxels are larger than those of {other}",
    )
    mine, theirs = _merit(s), _merit(best)
    for reason, a, b in zip(reasons, mine, theirs, strict=False):
        if a != b:
            return reason
    return f"it was repeated: {other} is the last"
