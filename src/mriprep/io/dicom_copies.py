"""Images that were sent twice: other identifiers, the same pixels."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from .dicom_headers import Header, unreadable

#: An image is there at most so many times; more are volumes over time, and are not compared.
MOST_COPIES = 3


def without_copies(group: list[Header]) -> tuple[list[Header], int]:
    """The images of a series without those whose pixels are there already, and how many were.

    Only images at one position are compared, and only where there are two or
    three: a time series is not read.
    """
    places: dict[tuple[float, ...], list[Header]] = defaultdict(list)
    for h in group:
        if h.positions is None or len(h.positions) != 1 or h.mosaic:
            return group, 0
        places[tuple(np.round(h.positions[0], 2))].append(h)
    repeated = [same for same in places.values() if len(same) > 1]
    if not repeated or max(map(len, repeated)) > MOST_COPIES:
        return group, 0
    copies = set()
    for same in repeated:
        known: set[bytes] = set()
        for h in sorted(same, key=lambda h: (h.instance or 0, h.uid)):
            digest = _pixels(h.path)
            if digest is None:
                continue
            if digest in known:
                copies.add(h.uid)
            known.add(digest)
    return [h for h in group if h.uid not in copies], len(copies)


def _pixels(path: Path) -> bytes | None:
    """A digest of a file's pixels; None if they cannot be had, as from an archive."""
    import pydicom

    try:
        pixels = pydicom.dcmread(path, specific_tags=["PixelData"]).get("PixelData")
    except unreadable():
        return None
    return hashlib.blake2b(pixels, digest_size=16).digest() if pixels else None
