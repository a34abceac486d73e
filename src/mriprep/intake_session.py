"""Reading all scans of one session: files, a folder, or DICOM; and what came with them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .core import Case, Grid, InputError, MriprepWarning, Volume
from .core.age import age_of, settle, with_age
from .core.case import PREFERRED_CONTRASTS
from .core.errors import nearest
from .intake import case_name, checked_name, header, is_image, read, read_case, scans_below
from .io.given import expanded
from .session_plan import REFERENCES, pick

#: What a mask or segmentation beside a scan is called at its end.
_COMPANION = re.compile(r"(?:^|[_-])(mask|dseg|seg)$", re.IGNORECASE)
_ENDING = re.compile(r"\.(nii\.gz|[A-Za-z]+)$")
_ENTITIES = re.compile(r"(?<![A-Za-z0-9])(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?")

#: Volumes that came with the scans, by contrast.
Given = dict[str, dict[str, Volume]]


def read_session(
    sources: str | Path | Sequence[str | Path],
    *,
    name: str | None = None,
    **options: Any,
) -> tuple[Case, Given]:
    """Read the scans of one session, and the masks and segmentations beside them.

    Parameters
    ----------
    sources : path or sequence of paths
        A folder of images named by their contrast, a folder or zip of DICOM
        (every anatomical series), or several of these and single images.
    name : str, optional
        The case's; from the first source otherwise.
    **options
        As :func:`mriprep.read` takes them.

    Returns
    -------
    case : Case
        A volume a contrast.
    given : dict
        By contrast, then by name: what lies beside the scans and ends on
        ``_mask``, ``_dseg`` or ``_seg``.

    Raises
    ------
    InputError
        If a contrast is there twice, files are of several people or
        sessions, or something cannot be read.
    """
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    paths = [expanded(p) for p in listed]
    if not paths:
        raise InputError("a session needs at least one scan")
    cases = [c for path in paths for c in _cases(path, options)]
    case = merged(cases, paths, name)
    return case, _beside(case)


def _cases(path: Path, options: Mapping[str, Any]) -> list[Case]:
    """What a source holds, a case a scan."""
    if is_image(path) or (path.is_dir() and scans_below(path)) or options.get("series"):
        return [read_case(path, **options)]
    if path.is_file() and path.suffix.lower() not in (".zip", ".dcm", ""):
        return [read_case(path, **options)]  # says what is wrong with it
    wanted = _anatomical(path)
    twice = {s.contrast for s in wanted if [t.contrast for t in wanted].count(s.contrast) > 1}
    if twice:
        raise InputError(
            f"several series of '{path.name}' are {', '.join(sorted(filter(None, twice)))}: "
            + "; ".join(str(s) for s in wanted if s.contrast in twice),
            hint="convert those that you mean (`mriprep convert DICOM T1w.nii.gz --series N`) and"
            " give the files",
        )
    if len(wanted) < 2:
        return [read_case(path, **options)]
    return [read_case(path, **{**options, "series": s.key}) for s in wanted]


def _anatomical(path: Path) -> list[Any]:
    """The anatomical series of a DICOM folder or archive; none where it is no DICOM."""
    from .io.dicom import scan
    from .io.dicom_contrast import ANATOMICAL

    try:
        return [s for s in scan(path) if s.contrast in ANATOMICAL and s.usable and not s.derived]
    except InputError:
        return []


def merged(cases: Sequence[Case], paths: Sequence[Path], name: str | None) -> Case:
    """One case of several that are of one session; refused where they cannot be."""
    volumes: dict[str, Volume] = {}
    for case in cases:
        for contrast, volume in case.items():
            if contrast in volumes:
                files = [_file(v) for v in (volumes[contrast], volume)]
                raise InputError(
                    f"two scans of the session are {contrast}: {' and '.join(files)}",
                    hint="give one of them; where a name does not say the contrast, let it end on"
                    f" one, as in 'sub-01_T1w.nii.gz': {', '.join(PREFERRED_CONTRASTS)}",
                )
            volumes[contrast] = volume
    _one_person(volumes, cases)
    main = next((c for c in cases if pick(volumes) in c), cases[0])
    age = settle(age_of(c.facts) for c in [main, *(c for c in cases if c is not main)])
    label = main.name
    if name is not None:
        label = checked_name(name)
    elif len(volumes) > 1 and not any(_ENTITIES.search(str(p.absolute())) for p in _paths(volumes)):
        label = _common_name(volumes, paths, label)
    order = sorted(volumes, key=_rank)
    return Case(label, {c: volumes[c] for c in order}, with_age(main.facts, age))


def _rank(contrast: str) -> tuple[int, str]:
    known = list(dict.fromkeys([*REFERENCES, *PREFERRED_CONTRASTS]))
    return (known.index(contrast) if contrast in known else len(known), contrast)


def _one_person(volumes: Mapping[str, Volume], cases: Sequence[Case]) -> None:
    """Refuse scans of several people or sessions, as far as names and headers tell.

    Raises
    ------
    InputError
        Says by what they differ.
    """
    hint = "give the scans of one session of one person; several make several runs"
    told: dict[str, dict[Any, str]] = {"names": {}, "sex": {}, "patients": {}}
    for contrast, volume in volumes.items():
        match = _ENTITIES.search(_file(volume))
        if match:
            told["names"]["_".join(g for g in match.groups() if g)] = contrast
        if volume.meta.get("patient") is not None:
            told["patients"][volume.meta["patient"]] = contrast
    for case in cases:
        if case.facts.get("sex") in ("F", "M"):
            told["sex"][case.facts["sex"]] = case.reference
    if len(told["names"]) > 1:
        found = ", ".join(f"{c} is of {n}" for n, c in told["names"].items())
        raise InputError(f"the files are not of one session: {found}", hint=hint)
    if len(told["patients"]) > 1:
        found = " and ".join(told["patients"].values())
        raise InputError(
            f"the scans are of different patients: the identifiers in the headers of {found} differ",
            hint=hint,
        )
    if len(told["sex"]) > 1:
        found = ", ".join(f"{c} says {s}" for s, c in told["sex"].items())
        raise InputError(f"the scans are of different people: of the sex, {found}", hint=hint)
    ages = [(c.reference, age_of(c.facts)) for c in cases]
    known = [(c, a.years) for c, a in ages if a is not None and a.years is not None]
    years = [y for _, y in known]
    if years and max(years) - min(years) > max(1.0, 0.1 * max(years)):
        found = ", ".join(f"{c} says {y:g}" for c, y in known)
        raise InputError(
            f"the scans are of different people or times: of the age in years, {found}", hint=hint
        )


def _common_name(volumes: Mapping[str, Volume], paths: Sequence[Path], fallback: str) -> str:
    """What the files' names begin with, or their folder's name: ``patient7_t1``, ``patient7_t2``."""
    stems = {re.sub(r"[_-]?[^_-]+$", "", _ENDING.sub("", _file(v))) for v in volumes.values()}
    common = stems.pop() if len(stems) == 1 else ""
    common = re.sub(r"[^A-Za-z0-9]", "", common)
    if common:
        return f"sub-{common}"
    folder = paths[0] if paths[0].is_dir() else paths[0].absolute().parent
    return case_name(folder, fallback)


def _paths(volumes: Mapping[str, Volume]) -> list[Path]:
    """The files that volumes were read from."""
    return [Path(str(v.meta["source"])) for v in volumes.values() if v.meta.get("file")]


def _file(volume: Volume) -> str:
    return str(volume.meta.get("file") or volume.meta.get("source") or "a scan")


def headers(
    sources: Sequence[Path], *, series: str | None = None, volume: int | None = None
) -> tuple[dict[str, Grid], dict[str, Any]]:
    """Grids by contrast, and facts of the first scan, from headers alone."""
    grids: dict[str, Grid] = {}
    facts: dict[str, Any] = {}
    for path in sources:
        files = scans_below(path) if path.is_dir() else {}
        wanted: list[tuple[Path, dict[str, Any]]] = [
            (f, {}) for same in files.values() for f in same
        ]
        if not wanted and not is_image(path) and series is None:
            wanted = [(path, {"series": s.key}) for s in _anatomical(path)]
        for file, how in wanted or [(path, {"series": series})]:
            grid, contrast, known = header(file, volume=volume, **how)
            if (contrast or "image") in grids:
                raise InputError(f"two scans of the session are {contrast}: '{file.name}' is one")
            grids[contrast or "image"] = grid
            facts = facts or known
    return {c: grids[c] for c in sorted(grids, key=_rank)}, facts


# -- what came with them ----------------------------------------------------------------------


def _beside(case: Case) -> Given:
    """Masks and segmentations in the folders of the scans."""
    folders = dict.fromkeys(
        Path(str(v.meta["source"])).parent
        for v in case.values()
        if v.meta.get("file") and v.meta.get("source")
    )
    scans = {Path(str(v.meta.get("source"))).name: c for c, v in case.items()}
    given: Given = {}
    for folder in folders:
        for path in sorted(folder.glob("[!.]*")) if folder.is_dir() else ():
            if not is_image(path) or path.name in scans:
                continue
            stem = _ENDING.sub("", path.name)
            match = _COMPANION.search(stem)
            if match and not _of_others(stem, case):
                role = "mask" if match[1].lower() == "mask" else "labels"
                contrast, volume = whose(path, stem, role, case)
                if contrast is not None:
                    said = re.sub(r"[^A-Za-z0-9]", "", _said_of(stem, contrast))
                    plain = "labels" if role == "labels" and not said else f"{contrast}{said}"
                    _add(given, contrast, plain, volume)
    return given


def _add(given: Given, contrast: str, name: str, volume: Volume) -> None:
    """Put a volume among what is given, under a name that nothing else has yet."""
    here = given.setdefault(contrast, {})
    name = contrast if name in here and name in ("mask", "labels") else name
    stem, number = name, 2
    while name in here:
        name, number = f"{stem}{number}", number + 1
    here[name] = volume


def joined(told: Given, beside: Given, case: Case) -> Given:
    """What was said to come with the scans, and what lies beside them, each under its own name."""
    together = {c: dict(v) for c, v in told.items()}
    for contrast, volumes in beside.items():
        for name, volume in volumes.items():
            if contrast in case:
                _add(together, contrast, name, volume)
    return together


def _of_others(stem: str, case: Case) -> bool:
    """Whether a file's name speaks of another case than the one whose scans lie beside it."""
    match = _ENTITIES.search(stem)
    name = "_".join(g for g in match.groups() if g) if match else case.name
    return match is not None and _ENTITIES.search(case.name) is not None and name != case.name


def whose(path: Path, stem: str, role: str, case: Case) -> tuple[str | None, Volume]:
    """The scan that a mask or segmentation belongs to: by its name, or by its grid."""
    volume = read(path, role=role)
    assert isinstance(volume, Volume)
    from .io.images import contrast_of

    words = [w for w in re.split(r"[_-]", stem) if w]
    named = [c for w in words if (c := contrast_of(w)) in case]
    on_grid = [c for c in sorted(case, key=_rank) if volume.grid.matches(case[c].grid)]
    if named:
        return named[0], volume
    if on_grid:
        return on_grid[0], volume
    warnings.warn(
        f"'{path.name}' lies beside the scans but on the grid of none of them, and its name does not"
        " say whose it is: left out; give it with --labels or --mask, as CONTRAST=FILE",
        MriprepWarning,
        stacklevel=2,
    )
    return None, volume


def _said_of(stem: str, contrast: str) -> str:
    """What a file's name says beyond case, contrast and kind: ``brain`` of ``T1c_brain-mask``."""
    left = _COMPANION.sub("", stem)
    left = _ENTITIES.sub("", left)
    left = re.sub(r"(?<![A-Za-z0-9])(space|desc|label|ce)-", "", left)
    words = [w for w in re.split(r"[_-]", left) if w and w.lower() != contrast.lower()]
    return "".join(w[0].upper() + w[1:] for w in words[-2:])


def companions(texts: Iterable[str | Path], role: str, case: Case, reference: str) -> Given:
    """Masks or labels as the command line gives them: ``FILE`` (the reference's), ``T2w=FILE``."""
    given: Given = {}
    for text in map(str, texts):
        contrast, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            contrast, path = reference, text
        if contrast not in case:
            raise InputError(
                f"'{text}': the session has no {contrast}", hint=nearest(contrast, case)
            )
        volume = read(path, role=role)
        assert isinstance(volume, Volume)
        if role in given.setdefault(contrast, {}):
            raise InputError(f"two files were given as the {role} of {contrast}")
        given[contrast][role] = volume
    return given
