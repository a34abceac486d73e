"""Siemens' private header of a mosaic, built anew from numbers alone."""

from __future__ import annotations

import math
import struct
import warnings
from typing import Any

#: What the conversion of a mosaic or of diffusion needs, and how Siemens types it.
_KEPT = {
    "NumberOfImagesInMosaic": ("US", 6),
    "SliceNormalVector": ("FD", 4),
    "MosaicRefAcqTimes": ("FD", 4),
    "PhaseEncodingDirectionPositive": ("IS", 6),
    "B_value": ("IS", 6),
    "B_matrix": ("FD", 4),
    "DiffusionGradientDirection": ("FD", 4),
    "ProtocolSliceNumber": ("IS", 6),
    "SliceMeasurementDuration": ("DS", 3),
}
_MOST_VALUES = 512


def rebuilt(raw: bytes) -> bytes | None:
    """The same numbers in a block of our own; None where there are none, or it is damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel finds its own reader experimental
        from nibabel.nicom import csareader
    try:
        tags = csareader.read(raw)["tags"]
    except (ValueError, KeyError, IndexError, struct.error, TypeError, OverflowError, OSError,
            csareader.CSAReadError):  # fmt: skip
        return None
    kept = {}
    for name in _KEPT:
        numbers = _numbers(tags.get(name, {}).get("items"))
        if numbers:
            kept[name] = numbers
    if not kept:
        return None
    parts = [struct.pack("<4s4sII", b"SV10", b"\4\3\2\1", len(kept), 77)]
    for name, numbers in kept.items():
        vr, kind = _KEPT[name]
        empty = max(0, 6 - len(numbers))  # as Siemens fills its lists
        parts.append(
            struct.pack(
                "<64si4siiI",
                name.encode(),
                len(numbers),
                vr.encode(),
                kind,
                len(numbers) + empty,
                77,
            )
        )
        for number in numbers:
            integer = vr in ("US", "IS")
            text = (f"{int(number)}" if integer else f"{number:.8f}").encode() + b"\0"
            size = len(text)
            parts.append(struct.pack("<4i", size, size, 77, size))
            parts.append(text + bytes(-size % 4))
        parts += [struct.pack("<4i", 0, 0, 205, 0)] * empty
    return b"".join(parts) + bytes(4)


def _numbers(items: Any) -> list[float]:
    try:
        found = [float(i) for i in items or ()]
    except (TypeError, ValueError):
        return []
    ok = len(found) <= _MOST_VALUES and all(math.isfinite(n) for n in found)
    return found if ok else []
