"""Values of a DICOM header, whether it is a classic or a multi-frame file's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mriprep.core.grid import FloatArray

SHARED = "SharedFunctionalGroupsSequence"
FRAMES = "PerFrameFunctionalGroupsSequence"


def one(value: Any) -> Any:
    """The first of several values."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return value
    return value[0] if len(value) else None


def real(value: Any) -> float | None:
    """A finite number, or None."""
    if type(value) is float and -1e300 < value < 1e300:
        return value
    try:
        number = float(one(value))
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def whole(value: Any) -> int | None:
    """A whole number, or None."""
    number = real(value)
    return None if number is None else int(number)


def words(value: Any) -> tuple[str, ...]:
    """The values of a text element."""
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else value
    return tuple(str(v).strip() for v in values)


def reals(value: Any, length: int) -> list[float] | None:
    """As many finite numbers, or None."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or len(value) != length:
        return None
    numbers = [real(v) for v in value]
    return None if None in numbers else [n for n in numbers if n is not None]


def within(item: Any, sequence: str, keyword: str) -> Any:
    """A value in the first item of a sequence of a functional group."""
    inner = item.get(sequence) if item is not None else None
    return inner[0].get(keyword) if inner else None


def groups(ds: Any) -> list[Any]:
    """The functional groups that may hold a value for the whole file: shared, then the first frame's."""
    return [seq[0] for seq in (ds.get(SHARED), ds.get(FRAMES)) if seq]


def first(ds: Any, keyword: str, inside: tuple[str, str]) -> float | None:
    """A number from the top of the header or, in multi-frame files, from a functional group."""
    candidates = [ds.get(keyword), *(within(group, *inside) for group in groups(ds))]
    return next((n for n in map(real, candidates) if n is not None), None)


def first_list(ds: Any, keyword: str, inside: tuple[str, str], length: int) -> list[float] | None:
    """The same for a list of numbers."""
    candidates = [ds.get(keyword), *(within(group, *inside) for group in groups(ds))]
    return next((v for v in (reals(c, length) for c in candidates) if v is not None), None)


def each(ds: Any, keyword: str, sequence: str, frames: int, length: int) -> FloatArray | None:
    """A vector for every frame."""
    groups = ds.get(FRAMES)
    shared = next(iter(ds.get(SHARED) or ()), None)
    if groups:
        common = within(shared, sequence, keyword)
        values = [within(group, sequence, keyword) or common for group in groups]
    else:
        values = [within(shared, sequence, keyword) or ds.get(keyword)]
    vectors = [reals(v, length) for v in values]
    if len(vectors) != frames or any(v is None for v in vectors):
        return None
    return np.array(vectors, dtype=np.float64)


def scanning_sequence(ds: Any) -> tuple[str, ...]:
    """ScanningSequence, or what the enhanced header says instead."""
    classic = words(ds.get("ScanningSequence"))
    if classic:
        return classic
    spins = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("GR", "SE")}
    found = list(spins.get(str(ds.get("EchoPulseSequence") or ""), ()))
    if any(within(g, "MRModifierSequence", "InversionRecovery") == "YES" for g in groups(ds)):
        found.append("IR")
    if ds.get("EchoPlanarPulseSequence") == "YES":
        found.append("EP")
    return tuple(found)
