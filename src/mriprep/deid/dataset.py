"""A DICOM data set, built anew from what may stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import csa
from .allowed import CODES, CSA, PRIVATE, PRIVATE_SEQUENCES, keywords
from .keyed import Keyed
from .values import cleaned, plausible

#: Deeper than this nothing is followed.
_DEEPEST = 12
_FAILURES = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, NotImplementedError,
    RecursionError, OSError,
)  # fmt: skip


@dataclass
class Tally:
    """How often what was kept, changed or left out, by name; never any value."""

    kept: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Take over the counts of another."""
        self.kept += other.kept
        self.changed += other.changed
        self.removed += other.removed


@dataclass(frozen=True)
class Cleaner:
    """Builds data sets anew.

    Parameters
    ----------
    keyed : Keyed
        Makes new values for old.
    options : frozenset of str
        Of :data:`mriprep.deid.allowed.OPTIONS`.
    known : collection of str
        Words that name people, lower case.
    """

    keyed: Keyed
    options: frozenset[str]
    known: Collection[str]
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", keywords(self.options))

    def clean(self, ds: Any, subject: str, person: str) -> Any:
        """A new data set, without pixels.

        Parameters
        ----------
        ds : pydicom.Dataset
            Read from a file; is not changed.
        subject : str
            The subject's new code.
        person : str
            What tells the person, for the shift of the dates.
        """
        new = self._level(ds, person, 0)
        private = _holds_private(new)
        for keyword in ("StudyDate", "StudyTime", "PatientSex"):  # must be there, may be empty
            if keyword not in new:
                setattr(new, keyword, "")
        for keyword in ("AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate"):
            setattr(new, keyword, "")
        new.PatientName = new.PatientID = subject
        new.PatientIdentityRemoved = "YES"
        new.LongitudinalTemporalInformationModified = (
            "MODIFIED" if "dates" in self.options else "REMOVED"
        )
        done = [
            "basic",
            "descriptors",
            *sorted(self.options & CODES.keys()),
            *(["private"] if private else []),
        ]
        new.DeidentificationMethod = "mriprep deidentify"
        new.DeidentificationMethodCodeSequence = [_code(*CODES[name]) for name in done]
        return new

    def _level(self, ds: Any, person: str, depth: int) -> Any:
        from pydicom import DataElement, Dataset
        from pydicom.datadict import dictionary_VR, keyword_for_tag

        allowed: Mapping[str, str] = self._allowed  # type: ignore[attr-defined]
        new = Dataset()
        for tag in sorted(ds.keys()):
            if tag.is_private or tag.element == 0:
                continue  # private ones are looked at apart; lengths of groups are void
            keyword = keyword_for_tag(tag)
            if keyword == "PixelData":
                continue
            if keyword not in allowed or depth > _DEEPEST:
                self.tally.removed[_name(tag, keyword)] += 1
                continue
            vr = dictionary_VR(tag)
            try:
                element = ds[tag]
                if vr == "SQ":
                    if element.VR == "SQ":
                        items = [self._level(item, person, depth + 1) for item in element.value]
                        new.add(DataElement(tag, "SQ", items))
                        self.tally.kept[keyword] += 1
                        continue
                    value = None
                elif element.VR not in (*vr.split(" or "), *(("UN",) if element.VM == 0 else ())):
                    value = None
                else:
                    if element.VM == 0:
                        value = None
                    else:
                        value = cleaned(
                            keyword, element.VR, element.value, self.keyed, person, self.known
                        )
                if value is None:
                    self.tally.removed[keyword] += 1
                    continue
                new.add(DataElement(tag, element.VR, value))
            except _FAILURES:
                self.tally.removed[keyword] += 1
                continue
            same = value == element.value or list(_listed(value)) == list(_listed(element.value))
            (self.tally.kept if same else self.tally.changed)[keyword] += 1
        self._private(ds, new, person, depth)
        return new

    def _private(self, ds: Any, new: Any, person: str, depth: int) -> None:
        """Take over the private elements that are numbers."""
        kept_tags = set()
        for creator, group, low, vr, most in PRIVATE:
            found = _private_element(ds, creator, group, low)
            value = None if found is None else _plain_numbers(found, vr, most)
            if found is None or value is None:
                continue
            new.private_block(group, creator, create=True).add_new(low, vr, value)
            self.tally.kept[f"private ({group:04x},xx{low:02x}) of {creator}"] += 1
            kept_tags.add(int(found.tag))
        for creator, group, low in PRIVATE_SEQUENCES if depth < _DEEPEST else ():
            found = _private_element(ds, creator, group, low)
            if found is None or found.VR != "SQ":
                continue
            items = [self._level(item, person, depth + 1) for item in found.value]
            if any(len(item) for item in items):
                new.private_block(group, creator, create=True).add_new(low, "SQ", items)
                self.tally.kept[f"private ({group:04x},xx{low:02x}) of {creator}"] += 1
                kept_tags.add(int(found.tag))
        creator, group, low = CSA
        found = _private_element(ds, creator, group, low)
        block = csa.rebuilt(found.value) if found and isinstance(found.value, bytes) else None
        if found and block:
            new.private_block(group, creator, create=True).add_new(low, "OB", block)
            self.tally.changed[f"private ({group:04x},xx{low:02x}) of {creator}: numbers only"] += 1
            kept_tags.add(int(found.tag))
        for tag in ds.keys():  # noqa: SIM118 - iterating would read all values
            if tag.is_private and int(tag) not in kept_tags:
                self.tally.removed[f"private, group {tag.group:04x}"] += 1


def _holds_private(ds: Any) -> bool:
    return any(element.tag.is_private for element in ds.iterall())


def _private_element(ds: Any, creator: str, group: int, low: int) -> Any:
    try:
        block = ds.private_block(group, creator)
        return block[low] if low in block else None  # noqa: SIM401 - a block has no get
    except _FAILURES:
        return None


def _plain_numbers(element: Any, vr: str, most: int) -> Any:
    """The numbers of a private element, whose type an implicit file does not tell."""
    import numpy as np

    value = element.value
    kinds = {"US": "<u2", "FL": "<f4", "FD": "<f8"}
    try:
        if isinstance(value, bytes):
            if vr in kinds:
                value = np.frombuffer(value, kinds[vr]).tolist()
            else:
                value = [float(v) for v in value.decode("ascii").strip(" \0").split("\\")]
        elif element.VR not in (vr, "UN"):
            return None
        told = [float(v) for v in _listed(value)]
        many = abs(most)
        if not told or len(told) > many or (most > 0 and len(told) != many):
            return None
        if not all(plausible(v) for v in told) or (vr == "FD" and most == 3 and max(told) > 1):
            return None
        new = [int(v) for v in told] if vr in ("US", "IS") else told
        if vr == "DS":
            new = [float(f"{v:.10g}") for v in told]
    except _FAILURES:
        return None
    return new[0] if len(new) == 1 else new


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value


def _code(value: str, meaning: str) -> Any:
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _name(tag: Any, keyword: str) -> str:
    """What an element is called; of one that no standard knows, its group alone."""
    if keyword:
        return keyword
    if 0x6000 <= tag.group <= 0x60FF:
        return "overlay"
    if 0x5000 <= tag.group <= 0x50FF:
        return "curve"
    return f"unknown, group {tag.group:04x}"
