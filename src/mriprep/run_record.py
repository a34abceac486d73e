"""The record of a run, or of a step alone: all that was done, as plain data that others may read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .core import Case, Transform, Volume
from .core.chain import Chain, Link
from .declare import Step
from .engines import describe
from .io.given import expanded
from .io.hashes import file_hash
from .recipe import Recipe
from .record import FITTED, methods_text, named, public, references, voxel_hash
from .run import Outcome


def record(outcome: Outcome) -> dict[str, Any]:
    """The whole record of a run as plain data; no dates of the scan, no names, no paths."""
    source = outcome.case[outcome.contrast]
    content = {
        "case": outcome.case.name,
        "contrast": outcome.contrast,
        "GeneratedBy": [{"Name": "mriprep", "Version": version("mriprep")}],
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": _recipe(outcome.recipe),
        **({"session": dict(outcome.session)} if outcome.session else {}),
        "facts": dict(outcome.case.facts),
        "input": {**volume_facts(source), **_source_facts(source)},
        **({"given": _given(outcome)} if outcome.given else {}),
        "steps": [s.to_dict() for s in outcome.steps],
        **_states(s.facts for s in outcome.steps),
        "chain": chain(outcome).summary(),
        "seconds": round(sum(s.seconds for s in outcome.steps), 2),
        "warnings": outcome.all_warnings,
        "doubts": outcome.doubts,
        "failure": outcome.failure.to_dict() if outcome.failure else None,
        "methods": methods_text(tuple(outcome.steps), version("mriprep")),
        "references": [
            {"key": c.key, "text": c.text, "doi": c.doi} for c in references(tuple(outcome.steps))
        ],
    }
    plain: dict[str, Any] = public(content, folders_of(outcome))
    return plain


def folders_of(outcome: Outcome) -> list[Path]:
    """The folders that a run knows of, which no record names."""
    source = outcome.case[outcome.contrast].meta.get("source")
    return _folders_of([source, *(v for s in outcome.steps for v in s.parameters.values())])


def _recipe(recipe: Recipe) -> dict[str, Any]:
    """The recipe that was followed, and what of it the case told (``open``: what it said before)."""
    part = recipe.session
    return {
        "name": recipe.name,
        "title": recipe.title,
        "steps": [{e.step.name: named(e.parameters)} for e in recipe.entries],
        "open": recipe.left_open(),
        "files": [
            f"{i}.{k}"
            for i, e in enumerate(recipe.entries)
            for k in ("template", "state", "weights")
            if (v := e.parameters.get(k)) and isinstance(v, str) and expanded(v).exists()
        ],
        **(
            {
                "session": {
                    "register": named(part.register.parameters),
                    "estimate_on": [{e.step.name: named(e.parameters)} for e in part.estimate_on],
                    **({"shape": list(part.shape)} if part.shape else {}),
                }
            }
            if part
            else {}
        ),
    }


def _given(outcome: Outcome) -> dict[str, Any]:
    """What came with the scan, by slot."""
    return {
        slot: {"role": v.role.value, **volume_facts(v), **_source_facts(v)}
        for slot, v in outcome.given.items()
    }


def chain(outcome: Outcome) -> Chain:
    """How the image got from its native grid to where it is now."""
    links, name = [], outcome.contrast
    for s in outcome.steps:
        if s.pulled is not None or s.before != s.after:
            links.append(Link(s.name, s.before, s.after, (s.pulled or Transform.identity()).matrix))
        if s.pulled is not None:
            name = s.pulled.reference_name
    native = outcome.case[outcome.contrast].grid
    return Chain(native, outcome.contrast, name, tuple(links))


def step_record(
    step: Step,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    result: Any,
    path: Path,
    about_run: Mapping[str, Any],
) -> Path | None:
    """Write the record of a step that was called alone beside its output; None for slices."""
    from .io.atomic import write_json

    facts: dict[str, Any] = {}
    if isinstance(result, Case):
        facts = {"contrast": result.reference, **result.facts}
        result = result[result.reference]
    if not isinstance(result, Volume | Transform):
        return None
    engine = step.engine(parameters)
    about = {
        **facts,
        "GeneratedBy": [{"Name": "mriprep", "Version": version("mriprep")}],
        "step": step.name,
        "parameters": named(parameters),
        "engine": engine,
        "engine_version": describe(step.kind, engine).version if step.kind and engine else None,
        "inputs": {
            k: {**volume_facts(v), **_source_facts(v)} if isinstance(v, Volume) else str(v)
            for k, v in inputs.items()
        },
        "output": {
            "file": path.name,  # others of its stem may lie beside it
            **(
                volume_facts(result)
                if isinstance(result, Volume)
                else {"matrix_ras": result.matrix.tolist(), **grids_of(result)}
            ),
        },
        **about_run,
        "facts": {k: v for k, v in about_run["facts"].items() if k != FITTED},
        **_states([about_run["facts"]]),
        "references": [{"key": c.key, "text": c.text, "doi": c.doi} for c in step.citations],
    }
    files = [i.meta.get("source") for i in inputs.values() if isinstance(i, Volume)]
    folders = _folders_of([*files, *parameters.values(), *inputs.values()])
    return write_json(public(about, folders), sidecar_path(path))


def _states(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The fitted states that were used, each with the cases that it was fitted on."""
    found = [f[FITTED].told() for f in facts if FITTED in f]
    return {"states": found} if found else {}


def sidecar_path(path: Path) -> Path:
    """The JSON beside an output."""
    return path.with_name(re.sub(r"\.(nii\.gz|[A-Za-z0-9]+)$", "", path.name) + ".json")


def _folders_of(values: Iterable[Any]) -> list[Path]:
    """The folders of those values that are paths."""
    paths = (Path(v) for v in values if isinstance(v, str | Path) and str(v))
    return [p.parent for p in paths if p.is_absolute()]


def volume_facts(volume: Volume) -> dict[str, Any]:
    """A volume's hash, type and grid."""
    return {
        "voxels_sha256": voxel_hash(volume),
        "dtype": str(volume.data.dtype),
        "grid": volume.grid.to_dict(),
    }


def _source_facts(volume: Volume) -> dict[str, Any]:
    source = volume.meta.get("source")
    path = Path(str(source)) if source else None
    if path is None or not path.is_file():
        return {}
    return {"file": path.name, "file_sha256": file_hash(path)}


def grids_of(transform: Transform) -> dict[str, Any]:
    """The grids between which a transform was estimated."""
    return {
        "reference_grid": transform.reference.to_dict() if transform.reference else None,
        "moving_grid": transform.moving.to_dict() if transform.moving else None,
    }
