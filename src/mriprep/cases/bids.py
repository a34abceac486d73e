"""Cases of a BIDS dataset: names read by its schema, filtered as BIDS apps filter them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mriprep.core import Grid, InputError, MriprepError, MriprepWarning
from mriprep.core.errors import nearest
from mriprep.intake import DERIVED, is_image
from mriprep.io.images import contrast_of, read_grid
from mriprep.io.strict_json import load_json

from .folder import left_derived, with_participants
from .source import CaseSource, ImageSource, in_order, label_of, name_of, taken

#: Parts of a complex image that are no anatomy by themselves.
_PARTS = ("phase", "real", "imag")
#: What a filter file calls contrasts, besides their suffixes.
_KEYS = ("t1w", "t1c", "t2w", "flair", "pdw")


@dataclass(frozen=True)
class _File:
    path: Path
    entities: Mapping[str, str]

    @property
    def contrast(self) -> str | None:
        return contrast_of(self.path)


def is_bids(folder: Path) -> bool:
    """Whether a folder holds subjects of a BIDS dataset."""
    return any(True for _ in folder.glob("sub-*/anat/sub-*")) or any(
        True for _ in folder.glob("sub-*/ses-*/anat/sub-*")
    )


def from_bids(
    folder: Path, *, participants: Sequence[str] = (), filters: Path | None = None
) -> list[CaseSource]:
    """Cases of a BIDS dataset, one a session.

    Parameters
    ----------
    folder : Path
        The dataset; anatomical images (``sub-*/[ses-*/]anat``) are listed.
    participants : sequence of str
        Subjects to look for; all if empty. No other folder is entered.
    filters : Path, optional
        JSON as other BIDS apps take it: for each contrast, the entities that
        its images must have, ``{"t1w": {"session": "2", "acquisition": null}}``.
        A list means any of it, null that the entity must be absent, ``"*"``
        that it must be there.

    Returns
    -------
    list of CaseSource
        By subject and session. Where several images of a contrast are left,
        the one with the finest voxels, then of the last run, is taken.

    Raises
    ------
    InputError
        If the filter file is wrong, or no image passes it.

    Warns
    -----
    MriprepWarning
        Of images left out for another of the same contrast, and of names that
        are not of BIDS.
    """
    asked = _filters(filters) if filters is not None else {}
    cases: list[CaseSource] = []
    odd: list[str] = []
    made: list[str] = []
    doubled: list[tuple[_File, _File]] = []
    there = [s for s in sorted(folder.glob("sub-*")) if s.is_dir()]
    for subject in taken(there, participants, lambda s: s.name.removeprefix("sub-")):
        for session, anat in _sessions(subject):
            files = list(_files(folder, anat, odd, made))
            images = []
            for contrast, candidates in _by_contrast(files, asked).items():
                chosen = _best(candidates)
                images.append(ImageSource(contrast, str(chosen.path.absolute())))
                doubled += [(chosen, c) for c in candidates if c is not chosen]
            if images:
                who = label_of(subject.name, "sub")
                visit = label_of(session, "ses") if session else None
                cases.append(CaseSource(name_of(who, visit), who, visit, in_order(images)))
    if made:
        _warn(left_derived(made))
    if odd:
        _warn(f"left out {len(odd)} images whose names are not of BIDS, the first: {odd[0]}")
    if doubled:
        kept, left = doubled[0]
        _warn(
            f"left out {len(doubled)} images for others of the same contrast and session, the first:"
            f" {left.path.name} for {kept.path.name}; a filter file (--bids-filter-file) chooses"
        )
    if not cases and asked:
        raise InputError(
            "no image of the dataset passes the filter file",
            hint="null means that an entity must be absent; labels are without their prefix",
        )
    return with_participants(cases, folder)


def _sessions(subject: Path) -> Iterator[tuple[str | None, Path]]:
    if (subject / "anat").is_dir():
        yield None, subject / "anat"
    for session in sorted(subject.glob("ses-*")):
        if (session / "anat").is_dir():
            yield session.name, session / "anat"


def _files(root: Path, anat: Path, odd: list[str], made: list[str]) -> Iterator[_File]:
    import bids2table

    for path in sorted(anat.iterdir()):
        if path.name.startswith(".") or not is_image(path):
            continue
        if DERIVED.search(path.name):
            made.append(path.name)
            continue
        told = bids2table.parse_bids_entities(str(path.relative_to(root)))
        valid, _ = bids2table.validate_bids_entities(told)
        if "suffix" not in valid or "sub" not in valid:
            odd.append(path.name)
        elif valid.get("part") not in _PARTS:
            yield _File(path, {k: str(v) for k, v in valid.items()})


def _by_contrast(
    files: Sequence[_File], asked: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[_File]]:
    found: dict[str, list[_File]] = {}
    for key, entities in asked.items():
        contrast = contrast_of(f"{key}.nii") or key
        suffixed = "suffix" in entities or "ce" in entities
        of_it = [f for f in files if suffixed or f.contrast == contrast]
        if suffixed and "suffix" not in entities:
            of_it = [f for f in files if contrast_of(f"{f.entities['suffix']}.nii") == contrast]
        if passing := [f for f in of_it if _passes(f.entities, entities)]:
            found[contrast] = passing
    named = {contrast_of(f"{key}.nii") or key for key in asked}
    for file in files:
        if file.contrast is not None and file.contrast not in named:
            found.setdefault(file.contrast, []).append(file)
    return found


def _passes(entities: Mapping[str, str], asked: Mapping[str, Any]) -> bool:
    return all(_fits(entities.get(name), value) for name, value in asked.items())


def _fits(there: str | None, asked: Any) -> bool:
    if asked is None or there is None:
        return asked is None and there is None
    if asked == "*":
        return True
    if isinstance(asked, list):
        return any(_fits(there, one) for one in asked)
    text = str(asked)
    if there.isdigit() and text.isdigit():
        return int(there) == int(text)
    return there == text


def _best(files: Sequence[_File]) -> _File:
    """The finest, then the last run, then the first by name."""
    if len(files) == 1:
        return files[0]
    sizes = {f.path: _voxel(f.path) for f in files}
    finest = min(sizes.values())
    near = [f for f in files if sizes[f.path] <= 1.05 * finest]
    return max(
        near,
        key=lambda f: (
            int(f.entities.get("run", "0")) if f.entities.get("run", "0").isdigit() else 0
        ),
    )


def _voxel(path: Path) -> float:
    try:
        grid: Grid = read_grid(path)
    except MriprepError:
        return float("inf")  # it says what is wrong with it when it is all there is
    return float(grid.voxel_volume)


# -- the filter file --------------------------------------------------------------------------


@cache
def _short_names() -> dict[str, str]:
    """Short names of entities by their long ones: ``acq`` of ``acquisition``."""
    from bidsschematools.schema import load_schema

    entities = load_schema().objects.entities
    names = {str(long): str(entities[long]["name"]) for long in entities}
    same = ("suffix", "datatype")
    return {**names, **{v: v for v in names.values()}, **{s: s for s in same}, "extension": "ext"}


def _filters(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = load_json(path)
    except OSError as error:
        raise InputError(f"the filter file {path.name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"the filter file {path.name} is no JSON: {error}") from None
    example = 'for instance {"t1w": {"session": "2", "acquisition": null}}'
    if not isinstance(content, dict):
        raise InputError(f"the filter file {path.name} must hold a mapping", hint=example)
    names = _short_names()
    found: dict[str, dict[str, Any]] = {}
    for key, entities in content.items():
        contrast = contrast_of(f"{key}.nii")
        if contrast is None or contrast.lower() not in _KEYS:
            continue  # written for another app as well: bold, fmap, ...
        if not isinstance(entities, dict):
            raise InputError(f"{path.name}: '{key}' must be a mapping of entities", hint=example)
        for name in entities:
            if name not in names:
                raise InputError(
                    f"{path.name}: '{key}' asks for '{name}', which is no entity of BIDS",
                    hint=nearest(name, names),
                )
        found[key] = {names[n]: v for n, v in entities.items() if n != "datatype"}
    return found


def _warn(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=4)
