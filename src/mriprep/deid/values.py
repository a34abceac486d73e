"""Values of DICOM elements, one by one: cleaned, or none where they cannot be trusted."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Collection
from typing import Any

from . import words
from .keyed import Keyed

_NUMBERS = {"US", "SS", "UL", "SL", "FL", "FD", "DS", "IS", "AT", "UV", "SV"}
_OLDEST = 89  # ages above are told as 90: there are few such people


def cleaned(
    keyword: str, vr: str, value: Any, keyed: Keyed, subject: str, known: Collection[str]
) -> Any:
    """The value that stays; None where nothing of it may.

    Parameters
    ----------
    keyword, vr : str
        Of the element, by the standard.
    value : object
        As pydicom gives it.
    keyed : Keyed
        Makes UIDs and dates.
    subject : str
        Whose dates.
    known : collection of str
        Words that name people, lower case.
    """
    if vr in _NUMBERS:
        return _numbers(value, vr)
    if vr == "UI":
        return uid(value, keyed)
    if vr == "CS":
        return _terms(value, known)
    text = _CLEANERS.get(keyword)
    if text is not None:
        return text(value, known) or None
    if vr in ("DA", "DT"):
        return shifted(str(value), keyed.days(subject))
    if vr == "TM":
        return _time(str(value))
    if vr == "AS":
        return _age(str(value))
    return None


def plausible(number: float) -> bool:
    """Whether a number is one that scanners write: eight letters, read as one, are not."""
    return number == 0 or (math.isfinite(number) and 1e-25 <= abs(number) <= 1e12)


def uid(value: Any, keyed: Keyed) -> Any:
    """A UID of the standard as it is, any other replaced."""
    from pydicom.uid import UID_dictionary

    told = [value] if isinstance(value, str) else list(value or ())
    new = [str(u) if str(u) in UID_dictionary else keyed.uid(str(u)) for u in told if str(u)]
    return None if not new else new[0] if len(new) == 1 else new


def shifted(text: str, days: int) -> str | None:
    """A DICOM date (with a time, where there is one) moved back; None where it is none."""
    found = re.fullmatch(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)?(?:[+-]\d{4})?", text.strip())
    if not found:
        return None
    try:
        date = datetime.datetime.strptime(found[1], "%Y%m%d")
        return (date - datetime.timedelta(days)).strftime("%Y%m%d") + (found[2] or "")
    except (ValueError, OverflowError):
        return None


def _time(text: str) -> str | None:
    return text.strip() if re.fullmatch(r"\d{2,6}(\.\d{1,6})?", text.strip()) else None


def _age(text: str) -> str | None:
    found = re.fullmatch(r"(\d{3})([DWMY])", text.strip())
    if not found:
        return None
    return "090Y" if found[2] == "Y" and int(found[1]) > _OLDEST else text.strip()


def _numbers(value: Any, vr: str) -> Any:
    several = not isinstance(value, (str, bytes, int, float)) and hasattr(value, "__len__")
    told = list(value) if several else [value]
    if not told or isinstance(value, (str, bytes)):
        return None
    for number in told:
        if vr in ("DS", "FL", "FD"):
            # Decimal strings are digits already; directions hold tiny ones, as 1e-17.
            if not (math.isfinite(float(number)) if vr == "DS" else plausible(float(number))):
                return None
        elif int(number) != number:
            return None
    return told if several else told[0]


def _terms(value: Any, known: Collection[str]) -> Any:
    told = [value] if isinstance(value, str) else list(value or ())
    # The place of a value says what it is: an unknown one leaves a word that says nothing.
    new = [t if (t := str(v).strip().upper()) in words.TERMS else "OTHER" for v in told]
    if not told or all(n == "OTHER" for n in new):
        return None
    return new[0] if len(new) == 1 else new


def _device(value: Any, known: Collection[str]) -> str:
    """A text about a device, unless a person is named in it."""
    told = [value] if isinstance(value, str) else list(value or ())
    text = "\\".join(str(v) for v in told)
    low = text.lower()
    if not re.fullmatch(r"[\w .,:;/\\()+*-]{1,128}", text) or any(w in low for w in known):
        return ""
    return text


def _agent(value: Any, known: Collection[str]) -> str:
    text = str(value or "").strip().lower()
    return "AGENT" if text not in ("", "no", "none", "0") else ""


def _nucleus(value: Any, known: Collection[str]) -> str:
    return str(value) if str(value) in words.TERMS else ""


def _stack(value: Any, known: Collection[str]) -> str:
    return str(value) if re.fullmatch(r"\d{1,3}", str(value)) else ""


_CLEANERS = {
    "Manufacturer": lambda v, known: words.vendor(str(v)),
    "SeriesDescription": lambda v, known: words.described(str(v), known)[:64],
    "ProtocolName": lambda v, known: words.described(str(v), known)[:64],
    "SequenceName": lambda v, known: words.sequence_name(str(v)),
    "PulseSequenceName": lambda v, known: words.sequence_name(str(v)),
    "ContrastBolusAgent": _agent,
    "ImagedNucleus": _nucleus,
    "StackID": _stack,
    **dict.fromkeys(
        (
            "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber", "StationName",
            "ReceiveCoilName", "TransmitCoilName",
        ),
        _device,
    ),
}  # fmt: skip
