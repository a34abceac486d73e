"""The quality of an image: what was measured of it, the verdict, and why."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import GeometryError, MriprepError, Transform, Volume
from mriprep.derivatives import image_name, subject_folder
from mriprep.record import public, scores_of
from mriprep.run import Outcome, listening
from mriprep.run_record import chain, folders_of

from . import words
from .gates import Reason, judge, verdict_of
from .metrics import Measurable, Measured, measure
from .metrics.scene import TISSUES

#: Version of the layout of what :func:`assess` returns.
SCHEMA = 1
#: Bins of its histograms.
BINS = 64
#: Less brain than this is no brain to measure, ml.
_LEAST_ML = 50.0
#: Contrasts that tissues are known of.
_KNOWN = ("T1w", "T1c", "T2w", "FLAIR", "PDw")


def assess(outcome: Outcome, *, report: str | None = None) -> dict[str, Any]:
    """Measure and judge what a run made of one image.

    Metrics are those of the scan as it came, on its own grid, where nothing
    is interpolated; the brain mask, bias field and template pose are the run's.

    Parameters
    ----------
    outcome : Outcome
        A run, finished or stopped.
    report : str, optional
        File name of the case's page.

    Returns
    -------
    dict
        Plain data: ``verdict`` (pass, look, fail), ``reasons``, ``scores``,
        ``metrics`` (None where not measured), ``missing`` (why not),
        ``facts``, ``warnings``, ``histograms``.
    """
    began = time.perf_counter()
    told = _told(outcome)
    found = Measured({}, {})
    histograms: dict[str, Any] = {}
    if outcome.failure is None:
        with listening():  # what it would say was said by the steps
            found = _measured(outcome)
            histograms = _histograms(outcome)
    known_scores = scores_of(outcome.steps)
    reasons = list(_reasons(outcome, told, known_scores, found))
    return {
        "schema": SCHEMA,
        "case": outcome.case.name,
        "contrast": outcome.contrast,
        "recipe": outcome.recipe.name,
        "mriprep": version("mriprep"),
        "verdict": verdict_of(reasons),
        "reasons": reasons,
        "scores": known_scores,
        "metrics": {name: _number(value) for name, value in found.values.items()},
        "missing": dict(found.missing),
        "facts": told["facts"],
        "warnings": told["warnings"],
        "seconds": round(time.perf_counter() - began, 2),
        "histograms": histograms,
        "report": report,
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    """What others may read of facts, warnings and a failure."""
    failure = outcome.failure
    facts = {k: v for k, v in outcome.case.facts.items() if k in (*words.FACTS, "site")}
    says = (
        None
        if failure is None
        else {"says": failure.message, "hint": failure.hint, "step": failure.step}
    )
    plain: dict[str, Any] = public(
        {"facts": facts, "warnings": outcome.all_warnings, "failure": says}, folders_of(outcome)
    )
    return plain


def _reasons(
    outcome: Outcome, told: Mapping[str, Any], known: Mapping[str, float], found: Measured
) -> Iterator[Reason]:
    if told["failure"] is not None:
        yield {
            **told["failure"],
            "code": "failed",
            "level": "fail",
            "picture": told["failure"]["step"],
        }
        return
    tesla = outcome.case.facts.get("MagneticFieldStrength")
    values = {**found.values, **{f"{name}_score": score for name, score in known.items()}}
    yield from judge(
        values,
        outcome.contrast,
        tesla if isinstance(tesla, int | float) else None,
        missing=found.missing,
    )
    for step in outcome.steps:
        for text in step.warnings:
            if text in outcome.doubts:
                yield {"code": f"doubt-{step.name}", "level": "look", "says": public(str(text)),
                       "picture": step.name}  # fmt: skip


# -- what is measured -------------------------------------------------------------------------


def _measured(outcome: Outcome) -> Measured:
    scan = outcome.case[outcome.contrast]
    brain = _brain(outcome)
    if brain is None:
        return Measured({}, {"all": "there is no brain mask: metrics are defined in brains"})
    if float(brain.data.sum()) * scan.grid.voxel_volume / 1000 < _LEAST_ML:
        return Measured({}, {"all": "the brain mask holds next to nothing"})
    image = scan.replace(np.nan_to_num(scan.floats(), posinf=0.0, neginf=0.0))
    pose = _pose(outcome)
    try:
        corrected, field = _corrected(outcome, image, brain)
        tissues = _tissues(outcome, corrected, brain, pose)
    except MriprepError as error:
        return Measured({}, {"all": public(error.message)})
    return measure(
        Measurable(
            image=image,
            corrected=corrected,
            brain=brain,
            tissues=tissues,
            bias=field,
            pose=pose,
            contrast=outcome.contrast,
            facts=outcome.case.facts,
            template=None if pose is None else outcome.kept.get("template"),
            template_tissues=_maps() if _to_mni(pose) else {},
        )
    )


def _brain(outcome: Outcome) -> Volume | None:
    """The brain mask on the scan's own grid."""
    if "mask" in outcome.native:
        return outcome.native["mask"]
    mask = outcome.state.get("mask")
    if not isinstance(mask, Volume):
        return None
    from mriprep.steps.resample import resample

    way = chain(outcome)
    try:
        return resample(mask, way.until(mask.grid).to_native.inverse(), way.native)
    except GeometryError:  # the mask lies where this image never was
        return None


def _corrected(outcome: Outcome, image: Volume, brain: Volume) -> tuple[Volume, Volume | None]:
    """The scan without its bias field, and the field: the run's, or one found for this."""
    field = outcome.kept.get("bias_field")
    if isinstance(field, Volume) and field.grid.matches(image.grid):
        return image.replace(image.data / field.data), field
    from mriprep.declare import keeping
    from mriprep.steps.n4 import n4

    with keeping() as kept:
        corrected = n4(image, brain)
    return corrected, kept.get("bias_field")


def _tissues(
    outcome: Outcome, corrected: Volume, brain: Volume, pose: Transform | None
) -> dict[str, Volume]:
    """Probabilities on the scan's own grid: the run's, or found for this."""
    known = [outcome.kept.get(f"tissue_{name}") for name in TISSUES]
    found = [v for v in known if v is not None and v.grid.matches(corrected.grid)]
    if len(found) < len(TISSUES):
        from mriprep.declare import keeping
        from mriprep.steps.tissues import tissues

        contrast: Any = outcome.contrast if outcome.contrast in _KNOWN else "auto"
        with keeping() as kept:
            outcome.native["tissues"] = tissues(
                corrected, brain, pose if _to_mni(pose) else None, contrast=contrast
            )
        found = [kept[f"tissue_{name}"] for name in TISSUES]
    return dict(zip(TISSUES, found, strict=True))


def _maps() -> dict[str, Volume]:
    from mriprep.templates.maps import tissue_maps

    return tissue_maps()


def _to_mni(pose: Transform | None) -> bool:
    """Whether the maps of tissues that are shipped lie where the template lies."""
    from mriprep.templates.maps import WORLD

    return pose is not None and pose.reference_name.startswith(WORLD)


def _pose(outcome: Outcome) -> Transform | None:
    """Template mm to scan mm, where the run went to a template."""
    way = outcome.state.get("transform")
    if not isinstance(way, Transform) or way.reference_name in outcome.case:
        return None
    return way


def _histograms(outcome: Outcome) -> dict[str, Any]:
    scan = outcome.case[outcome.contrast]
    mask = outcome.state.get("mask")
    final = (
        mask.data if isinstance(mask, Volume) and mask.grid.matches(outcome.image.grid) else None
    )
    brain = outcome.native.get("mask")
    return {
        "before": _histogram(scan.data, None if brain is None else brain.data),
        "after": _histogram(outcome.image.data, final),
    }


def _histogram(data: npt.NDArray[Any], inside: npt.NDArray[Any] | None) -> dict[str, Any] | None:
    values = data[inside] if inside is not None else data[data != 0]
    values = values[np.isfinite(values)]
    if values.size == 0:
        return None
    low, high = np.percentile(values, (0.1, 99.9))
    if low == high:
        return None
    counts, _ = np.histogram(values, BINS, (low, high))
    return {"low": float(low), "high": float(high), "counts": counts.tolist()}


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")


def quality_path(outcome: Outcome, folder: Path) -> Path:
    """Where the quality of an image is written, below the outputs' folder."""
    return subject_folder(outcome, folder) / "anat" / f"{image_name(outcome)}_quality.json"


def write_quality(quality: Mapping[str, Any], outcome: Outcome, folder: Path) -> Path:
    """Write the quality of an image, whole or not at all; its path.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from mriprep.io.atomic import write_json

    return write_json(quality, quality_path(outcome, folder))
