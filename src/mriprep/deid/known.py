"""The words that name the people of a data set, gathered from where a file says who it is of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from . import words

#: Attributes that name a person, a place or a number of theirs.
NAMING = (
    "PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers", "MilitaryRank",
    "AccessionNumber", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName",
    "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "RequestingPhysician",
    "ResponsiblePerson", "InstitutionName", "PatientBirthDate", "MedicalRecordLocator",
    "AdmissionID", "IssuerOfPatientID", "RegionOfResidence",
)  # fmt: skip

_LETTERS, _DIGITS = 4, 6
#: Lower case; a name that is one of these cannot be told from what mriprep writes by itself.
_OURS = f"{words.own_words()} mriprep deidentify removed modified basic application"


def words_in(text: str) -> Iterator[str]:
    """Words that are long enough to be told from chance, lower case."""
    for word in re.findall(r"\w+", text.replace("_", " "), flags=re.UNICODE):
        if len(word) >= (_DIGITS if word.isdigit() else _LETTERS):
            yield word.lower()


def of_dataset(ds: Any) -> set[str]:
    """The words of everything in a data set that names somebody."""
    found: set[str] = set()
    for keyword in NAMING:
        value = ds.get(keyword)
        if value is not None:
            found.update(words_in(str(value)))
    return found


def telling(found: Iterable[str]) -> frozenset[str]:
    """Those of which it would be known that they are somebody's where they turn up in an output."""
    return frozenset(w for w in found if w not in _OURS)


def named_in(data: bytes, known: Iterable[str]) -> bool:
    """Whether one of the words is in some bytes, in UTF-8, Latin-1 or UTF-16, in any case."""
    low = data.lower()
    views = [low.decode("latin-1")]
    if not low.isascii():
        # Beyond ASCII the case of a letter is known to text alone.
        views = [data.decode(c, "ignore").lower() for c in ("latin-1", "utf-8")]
    views += [data[n:].decode("utf-16-le", "ignore").lower() for n in (0, 1)]
    views += [data[n:].decode("utf-16-be", "ignore").lower() for n in (0, 1)]
    return any(word in view for word in known for view in views)
