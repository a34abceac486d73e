"""Facts of a DICOM header under BIDS names and units, and what must be kept out of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from mriprep.core import InputError
from mriprep.core.age import ADULT, Age, age_between, parse_age, plausible, with_age

from .dicom_values import first, scanning_sequence, words

_TIMING = "MRTimingAndRelatedParametersSequence"
_NUMBERS: tuple[tuple[str, str, tuple[str, str], float], ...] = (
    # BIDS name, DICOM keyword, where multi-frame files keep it, factor to BIDS units
    ("MagneticFieldStrength", "MagneticFieldStrength", ("", ""), 1),
    ("RepetitionTime", "RepetitionTime", (_TIMING, "RepetitionTime"), 1e-3),
    ("InversionTime", "InversionTime", ("MRModifierSequence", "InversionTimes"), 1e-3),
    ("FlipAngle", "FlipAngle", (_TIMING, "FlipAngle"), 1),
    ("SliceThickness", "SliceThickness", ("PixelMeasuresSequence", "SliceThickness"), 1),
)
_TEXTS: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("Modality", lambda ds: str(ds.get("Modality") or "")),
    ("Manufacturer", lambda ds: str(ds.get("Manufacturer") or "")),
    ("ManufacturersModelName", lambda ds: str(ds.get("ManufacturerModelName") or "")),
    ("MRAcquisitionType", lambda ds: str(ds.get("MRAcquisitionType") or "")),
    ("ScanningSequence", lambda ds: "_".join(scanning_sequence(ds))),
    ("SequenceVariant", lambda ds: "_".join(words(ds.get("SequenceVariant")))),
)


def bids_facts(ds: Any, echo: float | None) -> dict[str, Any]:
    """What is worth knowing of a scan; `echo` in ms. Names are filled in by the caller."""
    facts: dict[str, Any] = {name: text for name, read in _TEXTS if (text := read(ds).strip())}
    for name, keyword, inside, factor in _NUMBERS:
        value = first(ds, keyword, inside)
        if value is not None and (value > 0 or name == "FlipAngle"):
            facts[name] = round(value * factor, 6)
    if echo:
        facts["EchoTime"] = round(echo * 1e-3, 6)
    facts = with_age(facts, age_at_scan(ds))
    if (sex := str(ds.get("PatientSex") or "").strip().upper()) in ("F", "M", "O"):
        facts["sex"] = sex
    return facts


def has_agent(ds: Any) -> bool:
    """Whether a contrast agent is named."""
    return str(ds.get("ContrastBolusAgent") or "").strip().lower() not in ("", "no", "none", "0")


def age_at_scan(ds: Any) -> Age | None:
    """Age at the scan, from PatientAge or else from the birth date and the scan's date."""
    text = str(ds.get("PatientAge") or "").strip()
    if text.lower() != ADULT:  # a word of ours, not of DICOM's
        try:
            # "000Y" is a filler, or too coarse for an infant: the dates know better then.
            if (age := plausible(parse_age(text, "DICOM PatientAge"))) is not None:
                return age
        except InputError:
            pass
    birth, source = ds.get("PatientBirthDate"), "DICOM birth and study dates"
    return age_between(birth, ds.get("StudyDate"), source) or age_between(
        birth, ds.get("SeriesDate"), source
    )


def age_years(ds: Any) -> float | None:
    """:func:`age_at_scan` in years."""
    age = age_at_scan(ds)
    return age.years if age else None


#: Drawn anew in every process, so that tokens say nothing outside it; processes that work
#: together share it.
_SALT = os.urandom(16)
#: What tells patients apart.
PATIENT = ("PatientID", "PatientName")


def salt(shared: bytes | None = None) -> bytes:
    """What tokens are made with; `shared` sets it, in a process that works for another."""
    global _SALT
    if shared is not None:
        _SALT = shared
    return _SALT


def token(text: str, *, salted: bool = True) -> str:
    """A short code for a text that must not be kept."""
    key = _SALT if salted else b""
    return hashlib.blake2b(text.encode(), key=key, digest_size=8).hexdigest()


def patient_token(ds: Any) -> str:
    """What tells one patient from another within this process; empty where the header names none."""
    told = "|".join(str(ds.get(k) or "").strip() for k in PATIENT)
    return token(told) if told.strip("|") else ""


def private_words(ds: Any) -> list[str]:
    """The words of the patient's name and identifier."""
    texts = [str(ds.get(k) or "") for k in ("PatientName", "PatientID")]
    return [w for text in texts for w in re.split(r"[\s^=,_]+", text) if len(w) >= 3]


def without(text: str, private: Sequence[str]) -> str:
    """The text without the patient's names, which a few sites write into it."""
    for word in private:
        text = re.sub(
            rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", "[removed]", text, flags=re.IGNORECASE
        )
    return text.strip()
