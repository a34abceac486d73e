"""``mriprep.check_leaks``: whether anybody, or any image, is on both sides of a split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mriprep.io.given import expanded

from . import alike
from .collect import Item, everything
from .leak_sources import Member, Source, read
from .persons import input_hashes, read_key
from .selection import Progress

#: What is found, the surest first; the last is a guess from names.
KINDS = ("same case", "same person", "same image", "turned copy", "alike names")


@dataclass(frozen=True)
class Leak:
    """Two members of different parts that must not be apart.

    Parameters
    ----------
    kind : str
        ``same case``, ``same person`` (a subject, sessions of it, or the
        key), ``same image`` (equal voxels or files), ``turned copy`` (equal
        voxels, flipped or turned), ``alike names`` (perhaps sessions or
        copies of one person).
    one, other : str
        Their names.
    parts : tuple of (str, str)
        The part of each.
    rounds : tuple of str
        The folds in which it is so; ``all`` where a split has one list.
    why : str
        In words.
    """

    kind: str
    one: str
    other: str
    parts: tuple[str, str]
    rounds: tuple[str, ...]
    why: str

    @property
    def sure(self) -> bool:
        """Whether it is more than a guess from names."""
        return self.kind != "alike names"


@dataclass(frozen=True)
class LeakReport:
    """What was found in a split.

    Parameters
    ----------
    kind : str
        What the split was read as.
    leaks : tuple of Leak
        Those that were found, the surest first.
    members : int
        How many cases or files are in it.
    compared : int
        Of how many the voxels, or hashes of them, were compared.
    notes : tuple of str
        What could not be looked at.
    """

    kind: str
    leaks: tuple[Leak, ...]
    members: int
    compared: int
    notes: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether there is no sure leak."""
        return not any(leak.sure for leak in self.leaks)


def check_leaks(
    split: str | Path,
    *,
    out: str | Path | None = None,
    images: str | Path | None = None,
    key: str | Path | None = None,
    voxels: bool = True,
    progress: Progress | None = None,
) -> LeakReport:
    """Look for people and images on both sides of a split.

    Parameters
    ----------
    split : path
        ``splits.tsv`` or another table with cases (or subjects, or files) and
        their split or fold; nnU-Net's ``splits_final.json``; a MONAI data
        list; a folder that holds one of these, or ``train/``, ``val/`` and
        ``test/``.
    out : path, optional
        What `mriprep run` wrote: hashes of the scans that cases were made of
        are compared. Taken by itself where the split lies in such a folder.
    images : path, optional
        Where the images of the cases are, if not beside the split.
    key : path, optional
        Whose code is whose, as for :func:`mriprep.split`.
    voxels : bool
        Read images, and compare their voxels, also flipped and turned.
        Intensities must be equal: rescaled, noisy or interpolated copies
        are not found.
    progress : callable, optional
        Told the file, its number and how many there are.

    Returns
    -------
    LeakReport

    Raises
    ------
    InputError
        If the split cannot be read.
    """
    source = read(split, images)
    known, notes = _known(expanded(split), out)
    told = read_key(key) if key is not None else {}
    members: dict[str, Member] = {}
    for parts in source.rounds.values():
        for inside in parts.values():
            for m in inside:
                members.setdefault(_identity(m), m)
    named = source.kind != "folders"  # files of different folders may be counted alike
    marks = {i: list(_marks(m, known, told, named)) for i, m in members.items()}
    compared = {i for i, found in marks.items() if any(kind == "same image" for kind, *_ in found)}
    if voxels:
        signatures, unread = _signatures(members, progress)
        for i, found in signatures.items():
            marks[i] += [("voxels", s, "") for s in found]
            compared.add(i)
        if unread:
            notes.append(f"{unread} images could not be read, or hold few values: not compared")
    if len(compared) < len(members):
        notes.append(
            f"of {len(members) - len(compared)} of {len(members)} no voxels were compared: give"
            " --images, where their images are, or --out, what `mriprep run` wrote"
        )
    leaks = _leaks(source, members, marks)
    return LeakReport(source.kind, tuple(leaks), len(members), len(compared), tuple(notes))


#: What a member may share with another one: the kind of leak, what is equal, in words.
Mark = tuple[str, Hashable, str]


def _identity(member: Member) -> str:
    return str(member.files[0]) if member.files else f"\0{member.name}"


def _known(split: Path, out: str | Path | None) -> tuple[Mapping[str, Item], list[str]]:
    """Cases of a folder of derivatives by name."""
    place = split if split.is_dir() else split.parent
    if out is None and not next(place.glob("sub-*/**/*_desc-preproc_*.json"), None):
        return {}, []
    found = {i.case: i for i in everything(out if out is not None else place)}
    return found, []


def _marks(
    member: Member, known: Mapping[str, Item], key: Mapping[str, Hashable], named: bool
) -> Iterator[Mark]:
    """All by which a member may be known elsewhere, voxels of its files apart."""
    if named:
        yield "same case", member.name, "the same case"
    item = known.get(member.name)
    subject = member.subject or (item.subject if item else None)
    if subject:
        yield "same person", ("subject", subject), f"both are of subject {subject}"
        if subject in key:
            yield "same person", ("key", key[subject]), "one person, as the key says"
    for record in item.records.values() if item else ():
        for found in input_hashes(record):
            yield "same image", found, "made of the same scan"
    if not subject:
        yield "alike names", member.stem.casefold(), f"both names begin with '{member.stem}'"


def _signatures(
    members: Mapping[str, Member], progress: Progress | None
) -> tuple[dict[str, list[str]], int]:
    """Of each member, signatures of its images; and how many could not be had."""
    found: dict[str, list[str]] = {}
    unread = 0
    total = sum(len(m.files) for m in members.values())
    number = 0
    for identity, member in members.items():
        for file in member.files:
            number += 1
            if progress is not None:
                progress(file.name, number, total)
            data = alike.voxels(file)
            if data is None:
                unread += 1
            else:
                found.setdefault(identity, []).append(alike.signature(data))
    return found, unread


def _leaks(
    source: Source, members: Mapping[str, Member], marks: Mapping[str, list[Mark]]
) -> list[Leak]:
    """Pairs of different parts that share a mark, each once, with its surest reason."""
    pairs: dict[tuple[str, str, str, str], dict[str, tuple[str, str]]] = {}
    for name, parts in source.rounds.items():
        where: dict[tuple[str, Hashable], list[tuple[str, str, str]]] = {}
        for part, inside in parts.items():
            for member in inside:
                identity = _identity(member)
                for kind, value, why in marks[identity]:
                    where.setdefault((kind, value), []).append((part, identity, why))
        for (kind, _), holders in where.items():
            for one, other in _apart(holders):
                pair = (one[0], one[1], other[0], other[1])
                before = pairs.setdefault(pair, {}).get(name)
                if before is None or _rank(kind) < _rank(before[0]):
                    pairs[pair][name] = (kind, one[2])
    oriented = _Oriented(members)
    found: dict[tuple[str, ...], Leak] = {}
    for (part, left, other_part, right), rounds in pairs.items():
        kind, why = min(rounds.values(), key=lambda k: _rank(k[0]))
        if kind == "voxels":
            told = oriented(left, right)
            if told is None:
                continue
            kind, why = told
        a, b = members[left], members[right]
        place = (kind, a.name, b.name, part, other_part)
        held = found.get(place)
        named = tuple(dict.fromkeys([*(held.rounds if held else ()), *rounds]))
        found[place] = Leak(kind, a.name, b.name, (part, other_part), named, why)
    return sorted(
        found.values(),
        key=lambda x: (KINDS.index(x.kind), x.one, x.other, x.parts),
    )  # fmt: skip


def _apart(
    holders: Iterable[tuple[str, str, str]],
) -> Iterator[tuple[tuple[str, str, str], tuple[str, str, str]]]:
    """Pairs of different parts; of each two parts' many, every member with the first of the other."""
    by_part: dict[str, list[tuple[str, str, str]]] = {}
    for holder in holders:
        by_part.setdefault(holder[0], []).append(holder)
    parts = list(by_part)
    for n, one in enumerate(parts):
        for other in parts[n + 1 :]:
            first, second = by_part[one], by_part[other]
            yield from ((a, second[0]) for a in first)
            yield from ((first[0], b) for b in second[1:])


def _rank(kind: str) -> int:
    order = ("same case", "same person", "same image", "voxels", "alike names")
    return order.index(kind)


class _Oriented:
    """Says of two members whose voxels agree in some order how one is made of the other."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        self._members = members

    def __call__(self, one: str, other: str) -> tuple[str, str] | None:
        for file in self._members[one].files:
            data = alike.voxels(file)
            if data is None:
                continue
            for beside in self._members[other].files:
                again = alike.voxels(beside)
                if again is None or alike.signature(data) != alike.signature(again):
                    continue
                how = alike.orientation(data, again)
                if how == "as it is":
                    return "same image", f"{file.name} and {beside.name} hold the same voxels"
                if how is not None:
                    return "turned copy", f"{beside.name} is {file.name}, {how}"
        return None
