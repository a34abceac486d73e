"""What an MR series shows, from its names and its timing: rules that are data, applied."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.core.errors import nearest

from .given import read_text
from .strict_yaml import LONGEST, strict_yaml

#: Contrasts of which a brain's anatomy can be seen.
ANATOMICAL = ("T1w", "T1c", "T2w", "FLAIR", "PDw")

_SECTIONS = ("certain", "text", "physics")
_RANGES = {"tr_ms": "repetition_ms", "te_ms": "echo_ms", "ti_ms": "inversion_ms", "flip_deg": "flip_deg"}  # fmt: skip
_VALUES = {"sop_class": "sop_class", "acquisition": "acquisition", "modality": "modality"}
_WORDS = ("name", "image_type", "sequence", "sequence_any", "no_sequence", "variant", "agent")
_CONDITIONS = (*_WORDS, *_RANGES, *_VALUES)


@dataclass(frozen=True)
class Guess:
    """What a series shows, how sure that is (0 to 1), and why."""

    contrast: str | None
    confidence: float = 0.0
    reason: str = ""


UNKNOWN = Guess(None, 0.0, "nothing in the header tells")


@dataclass(frozen=True)
class Evidence:
    """What a header says that may tell the contrast. Upper case but for names; times in ms."""

    names: tuple[str, ...] = ()
    image_type: frozenset[str] = frozenset()
    sequence: frozenset[str] = frozenset()
    variant: frozenset[str] = frozenset()
    repetition_ms: float | None = None
    echo_ms: float | None = None
    inversion_ms: float | None = None
    flip_deg: float | None = None
    acquisition: str = ""
    sop_class: str = ""
    modality: str = "MR"
    agent: bool = False


@dataclass(frozen=True)
class Rule:
    """One rule: a contrast, and the conditions that must all hold."""

    contrast: str
    confidence: float
    because: str
    names: tuple[re.Pattern[str], ...] = ()
    when: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, evidence: Evidence, name: str | None) -> bool:
        """Whether it fits; `name` is the one that is asked, None for all of them together."""
        if self.names:
            text = " ".join(evidence.names) if name is None else name
            if not all(p.search(text) for p in self.names):
                return False
        return all(_holds(k, v, evidence) for k, v in self.when.items())


def _holds(key: str, asked: Any, e: Evidence) -> bool:
    if key in _RANGES:
        return _in_range(asked, getattr(e, _RANGES[key]))
    if key in _VALUES:
        return getattr(e, key) in asked
    match key:
        case "image_type" | "variant":
            return bool(asked & getattr(e, key))
        case "sequence":
            return bool(asked <= e.sequence)
        case "sequence_any":
            return bool(asked & e.sequence)
        case "no_sequence":
            return not asked & e.sequence
        case _:  # agent
            return bool(asked) is e.agent


def _in_range(asked: Any, value: float | None) -> bool:
    if asked == "absent":
        return not value
    if value is None:
        return False
    low, high = asked
    return (low is None or value >= low) and (high is None or value <= high)


@dataclass(frozen=True)
class Rules:
    """The rules of each section, in the order in which they are tried."""

    certain: tuple[Rule, ...]
    text: tuple[Rule, ...]
    physics: tuple[Rule, ...]

    def judge(self, evidence: Evidence) -> Guess:
        """Say what a series shows."""
        for rule in self.certain:
            if rule.fits(evidence, None):
                return Guess(rule.contrast, rule.confidence, rule.because)
        named = next(
            (r for name in evidence.names for r in self.text if r.fits(evidence, name)), None
        )
        timed = next((r for r in self.physics if r.fits(evidence, None)), None)
        if named is None:
            if timed is None:
                return UNKNOWN
            return Guess(timed.contrast, timed.confidence, timed.because)
        if timed is None or not {named.contrast, timed.contrast} <= set(ANATOMICAL):
            return Guess(named.contrast, named.confidence, named.because)
        if timed.contrast.rstrip("wc") == named.contrast.rstrip(
            "wc"
        ):  # T1w and T1c are timed alike
            return Guess(named.contrast, 0.97, f"{named.because}, and {timed.because}")
        doubt = f"{named.because}; by its timing it could be {timed.contrast} ({timed.because})"
        return Guess(named.contrast, 0.6, doubt)


def load_rules(path: Path | None = None) -> Rules:
    """The rules that are shipped, those of a file before them.

    Raises
    ------
    InputError
        If the file is no such rules; says where.
    """
    return (
        _shipped()
        if path is None
        else _joined(_read(path.name, _text(path), strict_yaml), _shipped())
    )


@cache
def _shipped() -> Rules:
    from importlib.resources import files

    name = "contrast_rules.yaml"
    return _read(name, (files("mriprep.io") / name).read_text("utf-8"))


def _text(path: Path) -> str:
    try:
        return read_text(path, LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the rules {path.name} cannot be read ({type(error).__name__})") from None


def _joined(first: Rules, then: Rules) -> Rules:
    return Rules(first.certain + then.certain, first.text + then.text, first.physics + then.physics)


def _quick_yaml(text: str) -> tuple[None, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return None, yaml.load(text, loader)  # noqa: S506


def _read(name: str, text: str, yaml_of: Callable[[str], tuple[Any, Any]] = _quick_yaml) -> Rules:
    import yaml

    hint = "see io/contrast_rules.yaml of the package for the form"
    try:
        _, content = yaml_of(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{name} is not valid YAML: {error}", hint=hint) from None
    if not isinstance(content, dict):
        raise InputError(f"{name} must hold rules under {', '.join(_SECTIONS)}", hint=hint)
    for key in content:
        if key not in (*_SECTIONS, "patterns"):
            raise InputError(f"{name}: there is no section '{key}'", hint=nearest(key, _SECTIONS))
    parts = {}
    for section in _SECTIONS:
        listed = content.get(section) or []
        if not isinstance(listed, list):
            raise InputError(f"{name}: '{section}' must be a list of rules", hint=hint)
        parts[section] = tuple(
            _rule(r, f"{name}: rule {i} of {section}") for i, r in enumerate(listed, 1)
        )
    return Rules(**parts)


def _rule(content: Any, where: str) -> Rule:
    if not isinstance(content, dict) or not isinstance(content.get("contrast"), str):
        raise InputError(f"{where} must be a mapping with a contrast")
    confidence, when = content.get("confidence", 0.8), content.get("when") or {}
    if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise InputError(f"{where}: confidence is a number from 0 to 1, got {confidence!r}")
    if not isinstance(when, dict) or not when:
        raise InputError(f"{where} needs conditions under 'when'")
    checked: dict[str, Any] = {}
    names: tuple[re.Pattern[str], ...] = ()
    for key, value in when.items():
        if key not in _CONDITIONS:
            raise InputError(
                f"{where}: there is no condition '{key}'", hint=nearest(key, _CONDITIONS)
            )
        if key == "name":
            names = _patterns(value, where)
        elif key in _RANGES:
            checked[key] = _range(value, f"{where}: {key}")
        elif key == "agent":
            checked[key] = bool(value)
        elif not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise InputError(f"{where}: '{key}' must be a list of words, got {value!r}")
        elif key == "sop_class":
            checked[key] = frozenset(value)
        else:
            checked[key] = frozenset(v.upper() for v in value)
    reason = str(content.get("because") or "a rule")
    return Rule(content["contrast"], float(confidence), reason, names, checked)


def _patterns(value: Any, where: str) -> tuple[re.Pattern[str], ...]:
    texts = value if isinstance(value, list) else [value]
    try:
        return tuple(re.compile(t) for t in texts)
    except (re.error, TypeError) as error:
        raise InputError(f"{where}: 'name' is no regular expression: {error}") from None


def _range(value: Any, where: str) -> Any:
    if value == "absent":
        return value
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(v is None or isinstance(v, int | float) for v in value)
    ):
        raise InputError(f"{where} must be [low, high], null for no limit, or absent: {value!r}")
    return tuple(value)


def guess(
    names: Sequence[str],
    *,
    image_type: Collection[str] = (),
    sequence: Collection[str] = (),
    variant: Collection[str] = (),
    repetition_ms: float | None = None,
    echo_ms: float | None = None,
    inversion_ms: float | None = None,
    flip_deg: float | None = None,
    acquisition: str = "",
    sop_class: str = "",
    modality: str = "MR",
    contrast_agent: bool = False,
    rules: Rules | None = None,
) -> Guess:
    """Guess what an MR series shows.

    Parameters
    ----------
    names : sequence of str
        Series description, then protocol name; the first that says something counts.
    image_type : collection of str
        ImageType.
    sequence, variant : collection of str
        ScanningSequence (``SE``, ``IR``, ``GR``, ``EP``) and SequenceVariant.
    repetition_ms, echo_ms, inversion_ms : float, optional
        TR, TE and TI, in ms.
    flip_deg : float, optional
        Flip angle, degrees.
    acquisition : str
        AcquisitionContrast, which multi-frame headers have.
    sop_class, modality : str
        SOPClassUID and Modality.
    contrast_agent : bool
        Whether the header names a contrast agent.
    rules : Rules, optional
        From :func:`load_rules`; the shipped ones by default.

    Returns
    -------
    Guess
        Of ``T1w``, ``T1c`` (T1w with gadolinium), ``T2w``, ``FLAIR``, ``PDw``,
        ``T2starw``, ``SWI``, ``DWI``, ``ADC``, ``ASL``, ``perf`` (another
        perfusion), ``bold``, ``fieldmap``, ``angio``, ``map``, ``phase``,
        ``localizer``, ``derived``, ``screenshot``, what a user's rules say
        besides, or None.
    """
    evidence = Evidence(
        tuple(n.lower() for n in names if n),
        frozenset(k.upper() for k in image_type),
        frozenset(s.upper() for s in sequence),
        frozenset(v.upper() for v in variant),
        repetition_ms,
        echo_ms,
        inversion_ms,
        flip_deg,
        acquisition.upper(),
        sop_class,
        modality.upper(),
        contrast_agent,
    )
    return (rules or load_rules()).judge(evidence)
