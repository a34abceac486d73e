"""Numbers, grids and transforms in words, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mriprep.core import Grid, Transform
from mriprep.declare import Step

#: Facts of a header that may be on the page, nothing else of it: label, unit, factor.
FACTS = {
    "Modality": ("modality", "", 1),
    "MagneticFieldStrength": ("field strength", "T", 1),
    "Manufacturer": ("scanner", "", 1),
    "ManufacturersModelName": ("model", "", 1),
    "RepetitionTime": ("TR", "ms", 1000),
    "EchoTime": ("TE", "ms", 1000),
    "InversionTime": ("TI", "ms", 1000),
    "FlipAngle": ("flip angle", "°", 1),
    "SliceThickness": ("slice thickness", "mm", 1),
    "MRAcquisitionType": ("acquisition", "", 1),
    "ScanningSequence": ("sequence", "", 1),
    "SequenceVariant": ("variant", "", 1),
    "age": ("age", "years", 1),
    "age_group": ("age", "", 1),
    "sex": ("sex", "", 1),
}
_SEX = {"F": "female", "M": "male", "O": "other"}
#: By-products of steps that have a better name than their own.
_PRODUCTS = {
    "brain_volume_ml": ("brain volume", "ml"),
    "nmi_before": ("normalised mutual information before", ""),
    "nmi_after": ("normalised mutual information after", ""),
    "nmi_turned": ("and at its best wide turn", ""),
}
_UNITS = {"ml": "ml", "mm": "mm", "deg": "°", "s": "s", "percent": "%"}


def duration(seconds: float) -> str:
    """A time as somebody would say it: ``0.03 s``, ``2.7 s``, ``21 s``, ``2 min 5 s``."""
    if seconds < 0.005:
        return "under 0.01 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 0.095 else f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """``no warnings``, ``1 warning``, ``2 warnings``."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def grid(g: Grid) -> str:
    """A grid in a sentence."""
    size = " × ".join(map(str, g.shape))
    spacing = [f"{s:.3g}" for s in g.spacing]
    voxels = f"{spacing[0]} mm" if len(set(spacing)) == 1 else f"{' × '.join(spacing)} mm"
    oblique = f", oblique by {g.obliquity:.1f}°" if g.obliquity > 0.1 else ""
    return f"{size} voxels of {voxels}, {g.orientation}{oblique}"


def facts(header: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is known of a scan, label and value, of those facts that may be shown."""
    rows = []
    for name, (label, unit, factor) in FACTS.items():
        value = header.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = value * factor
        text = _SEX.get(str(value).upper(), plain(value)) if name == "sex" else plain(value)
        rows.append((label, with_unit(text, unit)))
    return rows


def products(facts_of_step: Mapping[str, Any]) -> list[tuple[str, str]]:
    """By-products of a step, label and value; those within others each for itself."""
    rows = []
    for name, value in facts_of_step.items():
        if name == "brain" and isinstance(value, Mapping):
            rows.append(("brain", brain(value)))
        elif isinstance(value, Mapping):
            rows += products(value)
        if isinstance(value, Mapping):
            continue
        stem, _, suffix = name.rpartition("_")
        label, unit = _PRODUCTS.get(
            name, (stem, _UNITS[suffix]) if stem and suffix in _UNITS else (name, "")
        )
        rows.append((label.replace("_", " "), with_unit(plain(value), unit)))
    return rows


def brain(found: Mapping[str, Any]) -> str:
    """What brain extraction found, short: engine, score, what was tried; the measures are on record."""
    told = [f"engine {found['engine']}"]
    if "score" in found:
        wanted = f" ({found['wanted']:g} is wanted)" if "wanted" in found else ""
        told.append(f"score {found['score']:.2f}{wanted}")
    if "input" in found:
        told.append(f"input: {found['input']}")
    if "agreement" in found:
        told.append(f"overlap of the engines' masks {found['agreement']:.2f}")
    text = ", ".join(told)
    tried = [
        f"{name} {score if isinstance(score, str) else f'{score:.2f}'}"
        for name, score in found.get("tried", {}).items()
    ]
    return f"{text}; tried: {', '.join(tried)}" if tried else text


def parameters(values: Mapping[str, Any], step: Step | None) -> list[tuple[str, str, str]]:
    """Name, value with its unit, and meaning of a step's parameters."""
    declared = step.parameters if step else {}
    rows = []
    for name, value in values.items():
        p = declared.get(name)
        text = with_unit(plain(value), p.unit if p and value is not None else "")
        rows.append((name, text, p.doc if p else ""))
    return rows


def movement(transform: Transform) -> list[tuple[str, str]]:
    """A transform as label and value: how it turns, shifts and stretches."""
    rows = [
        ("maps", f"points of {transform.reference_name} to points of the scan"),
        ("rotation", f"{transform.angle:.1f}°"),
    ]
    middle = transform.reference.center if transform.reference else np.zeros(3)
    shift = transform(middle) - middle
    where = "at the template's middle" if transform.reference else "at the origin"
    sides = (("left", "right"), ("back", "front"), ("down", "up"))
    parts = [f"{abs(d):.1f} {names[int(d > 0)]}" for d, names in zip(shift, sides, strict=True)]
    rows.append(
        ("translation", f"{np.linalg.norm(shift):.1f} mm {where} ({', '.join(parts)})"),
    )
    if transform.is_rigid:
        rows.append(("scale", "none (rigid)"))
    else:
        smallest, middle_scale, largest = sorted(transform.scales)
        rows.append(("scale", f"{smallest:.3f}, {middle_scale:.3f}, {largest:.3f} along its axes"))
    return rows


def verdict(record: Mapping[str, Any]) -> str:
    """The page's first sentence, from the record of a run."""
    if failure := record["failure"]:
        return f"Stopped at {failure['step']}: {failure['message']}"
    steps, warnings = len(record["steps"]), len(record["warnings"])
    time = duration(record["seconds"])
    done = f"{count(steps, 'step')} in {time}, {count(warnings, 'warning')}"
    if record.get("doubts"):
        return f"Doubtful: look at the pictures before you use this ({done})"
    return f"Finished: {done}"


def plain(value: Any) -> str:
    """A value as text: numbers short, lists with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(plain(v) for v in value)
    return str(value)


def with_unit(text: str, unit: str) -> str:
    """A number with its unit; no space before a degree."""
    return f"{text}{'' if unit in ('', '°') else ' '}{unit}"
