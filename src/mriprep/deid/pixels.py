"""The pixels of a DICOM image: its voxels and nothing else, and whether text is burned into them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: Sizes of a letter, pixels, and how many in a row make a line of text.
_LOW, _HIGH, _WIDE, _LETTERS = 5, 64, 64, 4
#: Grey values that are looked at besides the brightest.
_FREQUENT = 3
#: How far a letter's grey value is from what is around it, as a share of the picture's range.
_CONTRAST = 0.25
#: Pictures of fewer grey values than this are noise.
_DARK = 8


class Unfit(ValueError):
    """The pixels cannot be vouched for; says why, without any value of the file."""


def only_voxels(ds: Any) -> npt.NDArray[Any]:
    """The stored voxels of a greyscale image, ``(frames, rows, columns)``, little-endian.

    Compressed pixels are unpacked, since a compressed stream has room for
    comments. Bits outside the voxels, where old files keep overlays, are
    cleared. Bytes after the last voxel are left out.

    Raises
    ------
    Unfit
        If they are no greyscale image, cut off or cannot be decoded.
    """
    from pydicom.pixels import pixel_array
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    rows, columns, bits, stored, high = (
        int(ds.get(k) or 0) for k in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit")
    )
    frames = int(ds.get("NumberOfFrames") or 1)
    if int(ds.get("SamplesPerPixel") or 1) != 1 or "MONOCHROME" not in str(
        ds.get("PhotometricInterpretation") or "MONOCHROME2"
    ):
        raise Unfit("a colour picture, which is no scan")
    if "PixelData" not in ds or not rows or not columns:
        raise Unfit("it holds no image")
    if bits not in (8, 16, 32) or not 0 < stored <= bits or high != stored - 1:
        raise Unfit("its voxels are packed in a way that is not known")
    signed = bool(ds.get("PixelRepresentation"))
    kind = np.dtype(f"<{'i' if signed else 'u'}{bits // 8}")
    syntax = ds.file_meta.get("TransferSyntaxUID")
    shape = (frames, rows, columns)
    if syntax in (None, ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        size = rows * columns * frames * kind.itemsize
        raw = bytes(ds.PixelData)[:size]
        if len(raw) < size:
            raise Unfit("it is cut off: voxels are missing")
        voxels = np.frombuffer(raw, kind).reshape(shape)
    else:
        voxels = np.asarray(pixel_array(ds, raw=True)).reshape(shape).astype(kind)
    return _without_spare_bits(voxels, stored, overlays=_has_overlay(ds))


def _has_overlay(ds: Any) -> bool:
    return any(0x6000 <= tag.group <= 0x60FF for tag in ds.keys())  # noqa: SIM118 - values stay unread


def _without_spare_bits(
    voxels: npt.NDArray[Any], stored: int, *, overlays: bool
) -> npt.NDArray[Any]:
    spare = voxels.dtype.itemsize * 8 - stored
    if not spare:
        return voxels
    clean: npt.NDArray[Any]
    if voxels.dtype.kind == "i":
        clean = np.right_shift(np.left_shift(voxels, spare), spare)
    else:
        clean = voxels & voxels.dtype.type((1 << stored) - 1)
    if not overlays and not np.array_equal(clean, voxels):
        raise Unfit("there is something in bits of its pixels that are not the voxels'")
    return clean


def has_text(picture: npt.NDArray[Any]) -> bool:
    """Whether a picture ``(rows, columns)`` seems to have text burned into it.

    Looks for rows of at least four small shapes of one and the same grey
    value, as text that is drawn into an image has and tissue has not. Text
    that was smoothed, that is handwritten or that is part of a photograph is
    not found.
    """
    from scipy import ndimage

    span = float(picture.max()) - float(picture.min())
    if 1 < span < _DARK:
        return False  # the edge of a head, where noise has a handful of grey values
    low, high = (float(v) for v in np.percentile(picture, (1, 99.5)))
    least = _CONTRAST * max(high - low, float(picture.max()) - high, 1.0)
    for value in _drawn(picture):
        mask = picture == value
        if not 4 * _LETTERS <= mask.sum() <= mask.size // 4 * 3:
            continue
        # Soonest: what is right of such pixels differs from them, as it does from ink.
        beside = picture[:, 1:][mask[:, :-1] & ~mask[:, 1:]]
        if not beside.size or np.median(np.abs(beside.astype(float) - float(value))) < least:
            continue
        labels, _ = ndimage.label(mask, np.ones((3, 3)))
        areas = np.bincount(labels.ravel())
        letters = []
        for n, box in enumerate(ndimage.find_objects(labels), 1):
            height, width = (s.stop - s.start for s in box)
            if areas[n] < 6 or not (_LOW <= height <= _HIGH and width <= _WIDE):
                continue
            # Strokes fill a part of their box; a line or a blot is no letter, but an I may be one.
            if not (0.15 <= areas[n] / (height * width) <= 0.8 or width <= 3):
                continue
            around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
            ground = picture[around][labels[around] != n]
            if ground.size and abs(float(np.median(ground)) - float(value)) >= least:
                letters.append((box[0].start, height, box[1].start, width))
        if _in_a_row(letters):
            return True
    return False


def _drawn(picture: npt.NDArray[Any]) -> list[Any]:
    """Grey values in which text may be drawn: the ends, and those that are oddly frequent."""
    from scipy import ndimage

    values, counts = np.unique(picture, return_counts=True)
    if len(values) < 2:
        return []
    low = values[0]
    # Of tissue and noise, neighbouring grey values are about as frequent; of ink, one is.
    excess = counts - ndimage.median_filter(counts, 15)
    frequent = values[np.argsort(excess, kind="stable")[::-1]]
    chosen = [values[-1], *[v for v in frequent[: _FREQUENT + 1] if v != low][:_FREQUENT], low]
    return list(dict.fromkeys(chosen))


def _in_a_row(letters: list[tuple[int, int, int, int]]) -> bool:
    """Whether enough shapes of a like height stand beside each other."""
    for top, height, _, _ in letters:
        line = sorted(
            (left, width)
            for t, h, left, width in letters
            if 0.6 * height <= h <= 1.7 * height and abs((t + h) - (top + height)) <= height / 4
        )
        run, end = 0, None
        for left, width in line:
            run = run + 1 if end is not None and left - end <= 1.5 * height else 1
            end = left + width
            if run >= _LETTERS:
                return True
    return False
