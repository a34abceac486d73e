"""A guess of what an MR series shows, from its names and its timing."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Contrasts of which a brain's anatomy can be seen.
ANATOMICAL = ("T1w", "T1c", "T2w", "FLAIR", "PDw")


def _begins(*words: str) -> re.Pattern[str]:
    """Match any of the words where no letter or digit stands before it."""
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(words)})")


_LOCALIZER = _begins("locali[sz]er", "loc(?![a-z])", "scout", "survey", "3.?pl(?:ane)?(?![a-z])", "aahead", "plan.?scan", "smartbrain")  # fmt: skip
_PERF = _begins("p?c?asl(?![a-z])", "perf", "(?:rel)?cbf", "dsc(?![a-z])")
_DWI = _begins("dwi", "dti", "diff", "adc(?![a-z])", "tracew?(?![a-z])", "tensor", "b=?[0-9]{3,4}(?![0-9])", "hardi", "noddi")  # fmt: skip
_BOLD = _begins("bold", "fmri", "resting", "rest[0-9]*(?![a-z])", "task", "func")
# Weighted by susceptibility, flow or a field, or a map: not one of the contrasts known here.
_OTHER = re.compile(
    r"t2[ _-]*(?:\*|star|fl2d|ffe)|t[12][ _-]*(?:map|rho)|swi(?![a-z])|swan|qsm|(?<![a-z])tof(?![a-z])"
    r"|angio|(?<![a-z])mra(?![a-z])|field.?map|(?<![a-z0-9])b0(?![0-9])"
)
_FLAIR = re.compile(r"flair|dark.?fluid")
_T1 = re.compile(
    r"t1w|(?<![a-z0-9])(?:s|ce|3d)?t1(?![0-9])|mp2?rage|(?<![a-z])(?:tfl|i?r?f?spgr|bravo)(?![a-z])"
)
_T2 = re.compile(r"t2w|(?<![a-z0-9])(?:s|3d)?t2(?![0-9])")
_PD = _begins("pd(?![a-z])", "pd[ _-]?w", "proton")
_GADOLINIUM = _begins("gad", "gd(?![a-z])", "post(?![a-z])", "ce(?![a-z])", "t1c(?![a-z])", "km(?![a-z])")  # fmt: skip

# Values of AcquisitionContrast (DICOM PS3.3 C.8.13.2.1.1).
_ACQUISITION = {
    "T1": "T1w",
    "T2": "T2w",
    "PROTON_DENSITY": "PDw",
    "FLUID_ATTENUATED": "FLAIR",
    "DIFFUSION": "dwi",
    "PERFUSION": "perf",
}


def guess(
    names: Sequence[str],
    *,
    image_type: Sequence[str] = (),
    sequence: Sequence[str] = (),
    variant: Sequence[str] = (),
    repetition_ms: float | None = None,
    echo_ms: float | None = None,
    inversion_ms: float | None = None,
    acquisition: str = "",
    contrast_agent: bool = False,
) -> str | None:
    """Guess the contrast of an MR series, a BIDS suffix where there is one.

    Parameters
    ----------
    names : sequence of str
        Series description, then protocol name; the first that says something counts.
    image_type : sequence of str
        ImageType.
    sequence, variant : sequence of str
        ScanningSequence (``SE``, ``IR``, ``GR``, ``EP``) and SequenceVariant.
    repetition_ms, echo_ms, inversion_ms : float, optional
        TR, TE and TI, in ms.
    acquisition : str
        AcquisitionContrast, which multi-frame headers have.
    contrast_agent : bool
        Whether the header names a contrast agent.

    Returns
    -------
    str or None
        ``T1w``, ``T1c`` (T1w with gadolinium), ``T2w``, ``FLAIR``, ``PDw``,
        ``bold``, ``dwi``, ``perf``, ``localizer``, or None.
    """
    kinds = {k.upper() for k in image_type}
    sequences = {s.upper() for s in sequence}
    if "LOCALIZER" in kinds:
        return "localizer"
    if kinds & {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}:
        return None
    if kinds & {"ASL", "PERFUSION", "RELCBF"}:
        return "perf"
    if kinds & {"DIFFUSION", "ADC", "TRACEW", "TENSOR"}:
        return "dwi"
    for name in names:
        found = _by_name(name.lower(), echo_ms, gradient="GR" in sequences)
        if found == "T1w" and (contrast_agent or _GADOLINIUM.search(name.lower())):
            return "T1c"
        if found is not None:
            return found or None
    found = _ACQUISITION.get(acquisition.upper()) or _by_timing(
        sequences, {v.upper() for v in variant}, repetition_ms, echo_ms, inversion_ms
    )
    return "T1c" if found == "T1w" and contrast_agent else found


def _by_name(name: str, echo_ms: float | None, *, gradient: bool) -> str | None:
    """The contrast that a name tells; "" when it tells of another; None when it tells nothing."""
    for pattern, contrast in (
        (_LOCALIZER, "localizer"),
        (_OTHER, ""),
        (_PERF, "perf"),
        (_DWI, "dwi"),
        (_BOLD, "bold"),
    ):
        if pattern.search(name):
            return contrast
    if _T1.search(name):  # before FLAIR: there is an inversion-prepared "T1 FLAIR"
        return "T1w"
    if _FLAIR.search(name):
        return "FLAIR"
    t2, pd = _T2.search(name), _PD.search(name)
    if t2 and pd and echo_ms is not None:  # a double-echo series
        return "PDw" if echo_ms < 40 else "T2w"
    if t2:
        return "" if gradient else "T2w"
    return "PDw" if pd else None


def _by_timing(
    sequences: set[str], variants: set[str], tr: float | None, te: float | None, ti: float | None
) -> str | None:
    if "EP" in sequences:
        return "dwi" if "SE" in sequences else "bold"
    if "GR" in sequences:
        prepared = "IR" in sequences or "MP" in variants or (ti is not None and ti > 0)
        return "T1w" if prepared and (te is None or te < 8) else None
    if not sequences & {"SE", "IR"} or tr is None or te is None:
        return None
    if ti:
        if ti >= 1300 and tr >= 3500 and te >= 70:
            return "FLAIR"
        return "T1w" if 300 <= ti < 1300 and te < 40 else None
    if "IR" in sequences:
        return None
    if tr < 1200 and te < 35:
        return "T1w"
    if tr >= 1800:
        return "T2w" if te >= 70 else "PDw" if te < 40 else None
    return None
