"""Whether a series can become a volume: as it is, mended, or not; and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from .dicom_geometry import FEWEST_SLICES
from .dicom_series import Series

#: More than this part of the slices, or this many in a row, are too many to fill in.
MOST_MISSING = 0.05
MOST_MISSING_IN_A_ROW = 2

#: What dcm2niix decodes: native, RLE, JPEG, JPEG-LS, JPEG 2000.
_DECODED = {
    "", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5",
    *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91)),
}  # fmt: skip
_ANOTHER = "choose another with --series"


@dataclass(frozen=True)
class Verdict:
    """What can be made of a series.

    Parameters
    ----------
    kind : {"good", "repair", "refuse"}
        Taken as it is; mended when it is read; cannot be one volume.
    why : str
        What is wrong and, of a repair, what is done about it; empty where nothing is.
    hint : str
        What to do about a refusal.
    small : bool
        Refused only for having too few slices to be of use.
    """

    kind: Literal["good", "repair", "refuse"]
    why: str = ""
    hint: str = ""
    small: bool = False


def judge(series: Series) -> Verdict:
    """Say whether a series can become one greyscale volume, from its headers alone."""
    said = "; ".join(series.problems)
    if "not an image" in series.problems:
        return Verdict("refuse", "it is not an image", _ANOTHER)
    if any(p.startswith("colour") for p in series.problems):
        return Verdict(
            "refuse",
            f"it is a colour picture: {said}",
            "it is made from another series; choose that one with --series",
        )
    if series.contrast == "screenshot":
        return Verdict("refuse", "it is a picture of a screen", _ANOTHER)
    if series.slices == 0:
        return Verdict("refuse", said, "fetch the series again from the scanner or the archive")
    if needed := undecoded(series.syntax):
        return Verdict("refuse", *needed)
    if series.volumes > 1:
        return Verdict(
            "refuse",
            f"it is not one volume: {said or f'{series.volumes} volumes'}",
            "mriprep works on single 3D volumes; choose an anatomical series with --series",
        )
    if _too_many_missing(series):
        return Verdict(
            "refuse",
            f"it is incomplete: {said}",
            "fetch the series again from the scanner or the archive;"
            f" at most {MOST_MISSING:.0%} and {MOST_MISSING_IN_A_ROW} in a row are filled in",
        )
    if series.slices < FEWEST_SLICES:
        return Verdict("refuse", said or f"too few slices: {series.slices}", _ANOTHER, small=True)
    mended = _mended(series)
    if mended:
        return Verdict("repair", f"{said}: {', '.join(mended)}")
    return Verdict("good", said)


def _too_many_missing(series: Series) -> bool:
    length = len(series.missing) + series.slices
    runs = "".join("x" if i in series.missing else " " for i in range(length)).split()
    longest = max(map(len, runs), default=0)
    # What is cut off at an end is missing as well, though no gap shows it.
    gone = max(len(series.missing), series.lost)
    return gone > MOST_MISSING * length or longest > MOST_MISSING_IN_A_ROW


def _mended(series: Series) -> list[str]:
    """What is done about the problems of a series."""
    done = []
    if series.missing:
        done.append("filled in from the neighbours")
    if series.tilted:
        done.append("sheared back into a volume")
    elif not series.even and series.grid is None and "irregular" in " ".join(series.problems):
        done.append("resampled to even spacing by the converter")
    if series.lost:
        done.append("the files that are cut off are left out")
    return done


@cache
def undecoded(syntax: str) -> tuple[str, str] | None:
    """Why the pixels of a transfer syntax cannot be decoded here, and what to do; None if they can."""
    if syntax in _DECODED:
        return None
    from pydicom.uid import UID

    name = UID(syntax).name
    try:
        from pydicom.pixels import get_decoder

        needed = get_decoder(UID(syntax)).missing_dependencies
    except NotImplementedError:
        return (
            f"its transfer syntax ({name}) is not one of images that can be decoded",
            "export the series again, uncompressed",
        )
    if not get_decoder(UID(syntax)).is_available:
        packages = " or ".join(dict.fromkeys(n.rpartition("requires ")[2] for n in needed))
        return (
            f"its pixels are compressed ({name}) and no decoder is installed: {packages}",
            "install one of the packages and take --dicom-engine dicom2nifti, or export the series"
            " again, uncompressed",
        )
    return None
