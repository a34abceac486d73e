"""What a folder of derivatives holds for a training set: images, masks, labels, facts, judgements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.core.case import PREFERRED_CONTRASTS
from mriprep.core.errors import nearest
from mriprep.io.given import expanded
from mriprep.outputs import folder_of_outputs

from .plain import read_json
from .ratings import worst_ratings

#: The name of labels that came with a scan and carry none of their own.
GIVEN = "given"

#: Where the records of final images lie: a subject's folder, a session's in it.
_PLACES = ("*/anat/*_desc-preproc_*.json", "*/ses-*/anat/*_desc-preproc_*.json")
_FAILURES = ("*/*_desc-failed_record.json", "*/ses-*/*_desc-failed_record.json")
_LABELS = re.compile(r"(?:_desc-(?P<name>[A-Za-z0-9+]+))?_(?P<kind>dseg|mask)\.nii\.gz$")
_CASE = re.compile(r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?")
_CONTRAST = re.compile(r"[A-Za-z0-9+][A-Za-z0-9+_.-]*")
_BRAIN = ("brain", "foreground")


@dataclass(frozen=True)
class Item:
    """One case of a data set: a session of a subject.

    Parameters
    ----------
    case : str
        ``sub-01``, ``sub-01_ses-2``.
    subject : str
        Without ``sub-``.
    session : str or None
        Without ``ses-``.
    images : mapping of str to Path
        The final image of every contrast.
    mask : Path or None
        The brain (or foreground) mask on the images' grid.
    labels : Path or None
        The labels that were asked for.
    facts : mapping
        Age, sex, site, scanner, ... as the record has them.
    quality : mapping or None
        By contrast, what ``..._quality.json`` says; None where
        nothing was measured.
    rating : str or None
        ``pass``, ``unsure`` or ``fail``: the worst that somebody gave.
    records : mapping of str to mapping
        By contrast, the record beside the image.
    labels_name : str or None
        What the labels are called: ``given``, ``brain``, ``tissues``, ...
    """

    case: str
    subject: str
    session: str | None
    images: Mapping[str, Path]
    mask: Path | None = None
    labels: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] | None = None
    rating: str | None = None
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    labels_name: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """A case that is not taken, and why."""

    case: str
    why: str


@dataclass(frozen=True)
class Collected:
    """Cases of an output folder.

    Parameters
    ----------
    items : tuple of Item
        Those that are taken, by name.
    left : tuple of LeftOut
        Those that are not.
    contrasts : tuple of str
        What every item has an image of.
    """

    items: tuple[Item, ...]
    left: tuple[LeftOut, ...]
    contrasts: tuple[str, ...]


def collect(
    out: str | Path,
    contrasts: Sequence[str] | None = None,
    labels: str | None = None,
    passed_only: bool = True,
) -> list[Item]:
    """The cases that `mriprep run` left in a folder.

    Parameters
    ----------
    out : path
        The folder of derivatives.
    contrasts : sequence of str, optional
        Which images; all that any case has by default. A case that lacks one
        is left out.
    labels : str, optional
        Which labels: ``brain``, ``tissues``, ... as in ``_desc-brain_mask``
        and ``_desc-tissues_dseg``; ``given`` for those that came with the
        scan; ``none``. Without it those that came with the scan, or the only
        ones there are.
    passed_only : bool
        Leave out cases whose quality, or whose rating, is "fail".

    Returns
    -------
    list of Item
        By name. :func:`gather` also says what is left out.

    Raises
    ------
    InputError
        If the folder holds no outputs, a record is damaged, or it is not
        clear which file is meant.
    """
    return list(gather(out, contrasts, labels, passed_only).items)


def gather(
    out: str | Path,
    contrasts: Sequence[str] | None = None,
    labels: str | None = None,
    passed_only: bool = True,
) -> Collected:
    """As :func:`collect`, with what is left out and why."""
    folder = expanded(out)
    found = _found(folder)
    there = sorted({c for case in found.values() for c in case}, key=_rank)
    wanted = _wanted(contrasts, there)
    choose = _choice(labels, found)
    ratings = worst_ratings(folder)
    items, left = [], _failed(folder, found)
    for case, images in sorted(found.items()):
        item = _item(case, images, wanted, choose, ratings)
        missing = [c for c in wanted if c not in images]
        if missing:
            left.append(LeftOut(case, f"has no {', '.join(missing)}"))
        elif passed_only and (why := _refused(item)):
            left.append(LeftOut(case, why))
        else:
            items.append(item)
    return Collected(tuple(items), tuple(sorted(left, key=lambda x: x.case)), wanted)


def everything(out: str | Path) -> list[Item]:
    """All cases of a folder, whatever contrasts they have and however they were judged; without labels.

    Raises
    ------
    InputError
        As :func:`collect`.
    """
    folder = expanded(out)
    found = _found(folder)
    there = sorted({c for case in found.values() for c in case}, key=_rank)
    ratings = worst_ratings(folder)
    return [_item(case, found[case], there, _Choice((), True), ratings) for case in sorted(found)]


def _found(folder: Path) -> dict[str, dict[str, tuple[Path, Mapping[str, Any]]]]:
    """Image and record of every contrast of every case."""
    folder = folder_of_outputs(folder)
    found: dict[str, dict[str, tuple[Path, Mapping[str, Any]]]] = {}
    for place in _PLACES:
        for file in sorted(folder.glob(place)):
            image = file.with_name(file.name.removesuffix(".json") + ".nii.gz")
            if file.name.startswith(".") or not image.is_file():
                continue  # a record is written before its image: that case is under way
            record = read_json(file)
            case, contrast = str(record.get("case", "")), str(record.get("contrast", ""))
            # Files are named after these: they may be no paths.
            if case.isalnum() and not _CASE.fullmatch(case):
                raise InputError(
                    f"the case of '{file.name}' is called '{case}', which is no subject's label",
                    hint="name cases 'sub-' and letters or digits, as in 'sub-01' or"
                    " 'sub-01_ses-2', and do it again",
                )
            named = _CASE.fullmatch(case) and _CONTRAST.fullmatch(contrast)
            if not named or not isinstance(record.get("output"), dict):
                raise InputError(
                    f"'{file}' is not the record of an image",
                    hint="do the case again: mriprep run ... --force",
                )
            known = found.setdefault(case, {})
            if contrast in known:
                raise InputError(
                    f"{case} has two images of {contrast}: {known[contrast][0].name} and {image.name}",
                    hint="two recipes were written into one folder: give each a folder of its own",
                )
            known[contrast] = (image, record)
    if not found:
        raise InputError(
            f"'{folder}' holds no preprocessed image",
            hint="give the folder that `mriprep run` wrote (it holds sub-.../anat/..._desc-preproc_...)",
        )
    return found


def _wanted(contrasts: Sequence[str] | None, there: Sequence[str]) -> tuple[str, ...]:
    if contrasts is None:
        return tuple(there)
    known = {c.lower(): c for c in there}
    for name in contrasts:
        if name.lower() not in known:
            raise InputError(f"no case has a contrast '{name}'", hint=nearest(name, there))
    wanted = tuple(dict.fromkeys(known[c.lower()] for c in contrasts))
    if not wanted:
        raise InputError("no contrast is asked for", hint=f"there are: {', '.join(there)}")
    return wanted


@dataclass(frozen=True)
class _Choice:
    """Which labels are taken: all names in the order in which they are looked for."""

    names: tuple[str, ...]
    asked: bool


def _choice(labels: str | None, found: Mapping[str, Mapping[str, Any]]) -> _Choice:
    if labels is not None and labels.lower() == "none":
        return _Choice((), True)
    segmentations: set[str] = set()
    masks: set[str] = set()
    given: set[str] = set()
    for images in found.values():
        for name, kind, path in _beside(images):
            (segmentations if kind == "dseg" else masks).add(name)
            if kind == "dseg" and "given" in str(_about(path).get("Description", "")):
                given.add(name)
    there = segmentations | masks
    if labels is not None:
        if labels == GIVEN and given:
            return _Choice(_one(given), True)
        if labels not in there:
            raise InputError(f"no case has labels '{labels}'", hint=nearest(labels, there))
        return _Choice((labels,), True)
    if given:
        return _Choice(_one(given), False)
    if len(segmentations) > 1:
        raise InputError(
            f"there are labels of {len(segmentations)} kinds: {', '.join(sorted(segmentations))}",
            hint="say which with --labels, or --labels none",
        )
    return _Choice(tuple(segmentations), False)


def _one(given: set[str]) -> tuple[str, ...]:
    """Labels that came with scans may be named after their contrast: one name, or it must be said."""
    if len(given) > 1:
        raise InputError(
            f"labels came with the scans under {len(given)} names: {', '.join(sorted(given))}",
            hint=f"say which with --labels, for instance --labels {min(given)}",
        )
    return tuple(given)


def _beside(images: Mapping[str, Any]) -> Iterator[tuple[str, str, Path]]:
    """Name, kind and file of the labels and masks that lie beside a case's images."""
    for folder in sorted({path.parent for path, _ in images.values()}):
        for path in sorted([*folder.glob("*_dseg.nii.gz"), *folder.glob("*_mask.nii.gz")]):
            match = _LABELS.search(path.name)
            if match is not None and not path.name.startswith("."):
                yield match["name"] or GIVEN, match["kind"], path


def _item(
    case: str,
    images: Mapping[str, tuple[Path, Mapping[str, Any]]],
    wanted: Sequence[str],
    choice: _Choice,
    ratings: Mapping[tuple[str, str], str],
) -> Item:
    beside = list(_beside(images))
    masks = [p for name, kind, p in beside if kind == "mask" and name in _BRAIN]
    chosen = [(n, p) for n, _, p in beside if n in choice.names]
    for what, files in (("brain masks", masks), ("labels", [p for _, p in chosen])):
        if len(files) > 1:
            raise InputError(
                f"{case} has several {what}: {', '.join(p.name for p in files)}",
                hint="two recipes were written into one folder: give each a folder of its own",
            )
    kept = {c: images[c] for c in wanted if c in images}
    records = {c: record for c, (_, record) in kept.items()}
    facts: dict[str, Any] = {}
    for record in reversed(list(records.values())):  # what the first contrast says counts
        facts |= dict(record.get("facts") or {})
    subject, _, session = case.partition("_ses-")
    quality = {c: q for c, (path, _) in kept.items() if (q := _quality(path, case, c)) is not None}
    found = [ratings[case, c] for c in kept if (case, c) in ratings]
    return Item(
        case,
        subject.removeprefix("sub-"),
        session or None,
        {c: path for c, (path, _) in kept.items()},
        masks[0] if masks else None,
        chosen[0][1] if chosen else None,
        facts,
        quality or None,
        next((r for r in ("fail", "unsure", "pass") if r in found), None),
        records,
        chosen[0][0] if chosen else None,
    )


def _quality(image: Path, case: str, contrast: str) -> Mapping[str, Any] | None:
    """What was measured of an image: ``sub-01_T1w_quality.json`` beside it."""
    agent, suffix = ("_ce-gadolinium", "T1w") if contrast == "T1c" else ("", contrast)
    path = image.with_name(f"{case}{agent}_{suffix}_quality.json")
    return read_json(path) if path.is_file() else None


def _refused(item: Item) -> str:
    """Why a case did not pass; empty if it did, or was not judged."""
    for contrast, quality in (item.quality or {}).items():
        if quality.get("verdict") == "fail":
            codes = [str(r.get("code")) for r in quality.get("reasons") or []]
            return f"quality of {contrast} is 'fail' ({', '.join(codes) or 'no reason given'})"
    return "was rated 'fail'" if item.rating == "fail" else ""


def _failed(folder: Path, found: Mapping[str, Any]) -> list[LeftOut]:
    """Cases of which a run made nothing."""
    left: dict[str, str] = {}
    for place in _FAILURES:
        for file in sorted(folder.glob(place)):
            record = read_json(file)
            case, failure = str(record.get("case", "")), record.get("failure") or {}
            if case and case not in found:
                left[case] = f"was not done: stopped in {failure.get('step', 'a step')}"
    return [LeftOut(case, why) for case, why in left.items()]


def _about(path: Path) -> Mapping[str, Any]:
    file = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
    return read_json(file) if file.is_file() else {}


def _rank(contrast: str) -> tuple[int, str]:
    known = list(PREFERRED_CONTRASTS)
    return (known.index(contrast) if contrast in known else len(known)), contrast
