"""JSON sidecars and tables of diffusion: what is known to be a number or a word of the trade."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection
from typing import Any

from mriprep.core import InputError
from mriprep.io.strict_json import strict_json

from . import words
from .allowed import OPTIONS, keywords
from .pixels import Unfit
from .values import cleaned

#: Keys of BIDS and of dcm2niix beside those that are DICOM's own.
_BIDS = frozenset(
    """
    BIDSVersion DatasetType ConversionSoftware PhaseEncodingDirection SliceEncodingDirection
    SliceTiming EffectiveEchoSpacing TotalReadoutTime EstimatedEffectiveEchoSpacing
    EstimatedTotalReadoutTime DwellTime PartialFourier ReconMatrixPE BaseResolution
    AcquisitionMatrixPE PhaseResolution ShimSetting TxRefAmp RefLinesPE PhaseOversampling
    ParallelReductionFactorInPlane BandwidthPerPixelPhaseEncode PhaseEncodingAxis
    ImageOrientationPatientDICOM EchoTime1 EchoTime2 EchoNumber RepetitionTimeExcitation
    RepetitionTimePreparation MultibandAccelerationFactor NumberOfVolumesDiscardedByScanner
    DelayTime VolumeTiming SkullStripped MTState SpoilingState ArterialSpinLabelingType
    PostLabelingDelay LabelingDuration BackgroundSuppression M0Type
    NonlinearGradientCorrection RawImage InversionTime FlipAngle WaterFatShift
    PhilipsRescaleSlope PhilipsRescaleIntercept PhilipsScaleSlope
    UsePhilipsFloatNotDisplayScaling TaskName Units CoilCombinationMethod
    """.split()  # noqa: SIM905 - too many for quotes
)
_WORDS = {
    "ConversionSoftware": r"dcm2niix|dicom2nifti|heudiconv",
    "BIDSVersion": r"v?\d+\.\d+\.\d+(-rc\d)?",
    "DatasetType": r"raw|derivative",
    "PhaseEncodingDirection": r"[ijk]-?",
    "SliceEncodingDirection": r"[ijk]-?",
    "PhaseEncodingAxis": r"[ijk]",
    "TaskName": r"rest|restingstate",
    "Units": r"s|ms|Hz|rad|rad/s|arbitrary|T|mm|mm2/s",
    "ArterialSpinLabelingType": r"P?C?ASL",
    "M0Type": r"Separate|Included|Estimate|Absent",
}
_DEVICE = {"ManufacturersModelName": "ManufacturerModelName"}
_LARGEST = 64 * 2**20


def clean_json(
    text: bytes, options: frozenset[str], known: Collection[str]
) -> tuple[dict[str, Any], Counter[str], Counter[str]]:
    """The keys and values that stay, and the names of what was kept and removed.

    Raises
    ------
    Unfit
        If it is no JSON object.
    """

    def refuse(reason: str) -> Exception:
        return InputError(reason)

    if len(text) > _LARGEST:
        raise Unfit("it is too large for a sidecar")
    try:
        data = strict_json(text.removeprefix(b"\xef\xbb\xbf"), refuse)
    except InputError:
        raise Unfit("it is not JSON, or says one thing twice") from None
    if not isinstance(data, dict):
        raise Unfit("it is not a sidecar: no keys")
    # Dates in sidecars have many forms, and a sidecar does not say whose they are.
    dates = set(OPTIONS["dates"].split())
    allowed = {k for k in keywords(options) if k not in dates and not k.endswith("UID")} | _BIDS
    if "device" in options:
        allowed |= set(_DEVICE)
    kept: dict[str, Any] = {}
    stayed: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    for key, value in data.items():
        new = _value(key, value, known) if key in allowed else None
        if new is None:
            removed[key if key in allowed else "keys that are not on the list"] += 1
        else:
            kept[key] = new
            stayed[key] += 1
    return kept, stayed, removed


def _value(key: str, value: Any, known: Collection[str]) -> Any:
    if value is None:
        return None
    if isinstance(value, (bool, int, float)):
        if not math.isfinite(value):
            return None
        return min(value, 90) if key == "PatientAge" else value
    if isinstance(value, list):
        if all(isinstance(v, str) for v in value):
            return _text(key, value, known)
        return value if _all_numbers(value, 3) else None
    return _text(key, value, known) if isinstance(value, str) else None


def _text(key: str, value: Any, known: Collection[str]) -> Any:
    if key in _WORDS:
        return value if isinstance(value, str) and re.fullmatch(_WORDS[key], value) else None
    from .keyed import Keyed

    keyword = _DEVICE.get(key, key)
    vr = _vr(keyword)
    if vr == "AS":
        return cleaned(keyword, "AS", value, Keyed(bytes(16)), "", known)
    if vr in ("LO", "SH"):
        return cleaned(keyword, vr, value, Keyed(bytes(16)), "", known)
    several = value if isinstance(value, list) else re.split(r"([_\\ ])", value)
    terms = [v for v in several if v not in ("_", "\\", " ", "")]
    if not terms or any(v.upper() not in words.TERMS for v in terms):
        if isinstance(value, list):
            return _value_terms(terms)
        return None
    return value


def _value_terms(terms: list[str]) -> list[str] | None:
    new = [t if t.upper() in words.TERMS else "OTHER" for t in terms]
    return None if all(t == "OTHER" for t in new) else new


def _vr(keyword: str) -> str:
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    return "" if tag is None else str(dictionary_VR(tag))


def _all_numbers(value: list[Any], depth: int) -> bool:
    return depth > 0 and all(
        _all_numbers(v, depth - 1)
        if isinstance(v, list)
        else isinstance(v, (int, float)) and math.isfinite(v)
        for v in value
    )


def clean_gradients(text: bytes) -> str:
    """A table of b values or directions, number by number.

    Raises
    ------
    Unfit
        If there is anything but numbers in it.
    """
    try:
        rows = [[float(v) for v in line.split()] for line in text.decode("ascii").splitlines()]
    except ValueError:
        raise Unfit("there is something else than numbers in it") from None
    rows = [row for row in rows if row]
    if not rows or not all(math.isfinite(v) for row in rows for v in row):
        raise Unfit("there is something else than numbers in it")
    return "\n".join(" ".join(f"{v:.10g}" for v in row) for row in rows) + "\n"
