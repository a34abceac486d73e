"""What a recipe would do to a case, known from headers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import engines, weights
from .core import EngineMissing, Grid, MriprepError, RecipeError, Transform
from .declare import Step
from .entries import Entry
from .recipe import Recipe

#: What Python, numpy and the libraries of a run weigh before any voxel is read, MB.
_BASE_MB = 350.0
#: Steps' volumes are float32 at most.
_BYTES = 4


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan.

    Parameters
    ----------
    name : str
        The step.
    parameters : mapping
        Resolved.
    engine, engine_version : str or None
        Where the step has engines.
    before, after : Grid or None
        The image's grid; None after a step whose result depends on voxels.
    makes : str
        The slot that it fills.
    memory_mb, seconds : float
        Expected, on two cores.
    template : str or None
        The template that a registration goes to: which one an age has chosen.
    """

    name: str
    parameters: Mapping[str, Any]
    engine: str | None
    engine_version: str | None
    before: Grid | None
    after: Grid | None
    makes: str
    memory_mb: float
    seconds: float
    template: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "step": self.name,
            "parameters": dict(self.parameters),
            "engine": self.engine,
            "engine_version": self.engine_version,
            "makes": self.makes,
            "template": self.template,
            "grid_before": self.before.to_dict() if self.before else None,
            "grid_after": self.after.to_dict() if self.after else None,
            "memory_mb": round(self.memory_mb),
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Plan:
    """What would run.

    Parameters
    ----------
    recipe : str
        Name of the recipe.
    steps : tuple of PlannedStep
        In order.
    device : str
        ``"cpu"`` or the GPU that engines would use.
    """

    recipe: str
    steps: tuple[PlannedStep, ...]
    device: str = "cpu"

    @property
    def memory_mb(self) -> float:
        """Expected peak memory, MB."""
        return max(s.memory_mb for s in self.steps)

    @property
    def seconds(self) -> float:
        """Expected time, s."""
        return sum(s.seconds for s in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "recipe": self.recipe,
            "device": self.device,
            "memory_mb": round(self.memory_mb),
            "seconds": round(self.seconds, 1),
            "steps": [s.to_dict() for s in self.steps],
        }


def make(recipe: Recipe, grids: Mapping[str, Grid | None], *, device: str = "cpu") -> Plan:
    """Plan a recipe.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    grids : mapping
        The grids of what there is to begin with: ``image``, and ``mask`` and
        ``labels`` where they are given. None where only voxels will tell.
    device : str
        What to say of the device.

    Raises
    ------
    RecipeError
        If a step lacks its input, or an image would be interpolated twice.
    EngineMissing
        If an engine, or the weights that it needs, are not installed.
    InputError
        If a template cannot be found.
    """
    state: dict[str, Any] = dict(grids)
    planned: list[PlannedStep] = []
    interpolated_by: str | None = None
    for entry in recipe.entries:
        step = entry.step
        if step.name == "convert":
            continue  # reading the case does it
        _check_inputs(entry, state)
        version = _check_engine(step, entry.parameters)
        if step.name == "resample":
            if interpolated_by:
                raise RecipeError(
                    f"{entry.where}: the image would be interpolated twice, by"
                    f" '{interpolated_by}' and by 'resample'",
                    hint="one resample does it all: put register before it; it composes the"
                    " transforms",
                )
            interpolated_by = step.name
        if step.name == "register" and interpolated_by:
            raise RecipeError(
                f"{entry.where}: 'register' stands after 'resample', so that its transform would"
                " need a second interpolation",
                hint="put register before resample",
            )
        before = state.get("image")
        after = _after(entry, state)
        planned.append(
            PlannedStep(
                name=step.name,
                parameters=entry.parameters,
                engine=step.engine(entry.parameters),
                engine_version=version,
                before=before,
                after=state.get("image"),
                makes=after,
                memory_mb=_memory(step, entry.parameters, state, before),
                seconds=expected_seconds(step, entry.parameters, before),
                template=_template(step, state),
            )
        )
    return Plan(recipe.name, tuple(planned), device)


def _check_inputs(entry: Entry, state: Mapping[str, Any]) -> None:
    for wanted in entry.step.inputs:
        if not wanted.optional and wanted.slot not in state:
            makers = {"mask": "skullstrip", "transform": "register"}
            maker = makers.get(wanted.slot)
            raise RecipeError(
                f"{entry.where}: '{entry.step.name}' needs a {wanted.slot}, and no step before it"
                " makes one",
                hint=f"put {maker} before it, or give one with --{wanted.slot}" if maker else None,
            )
    if (
        entry.step.name == "register"
        and entry.parameters["template"] == ""
        and "reference" not in state
    ):
        raise RecipeError(
            f"{entry.where}: this recipe registers to an atlas of yours, and none was given",
            hint="--template atlas.nii.gz (Python: .set(register__template=...)); for brats SRI24's"
            " T1 head, 240x240x155 voxels of 1 mm",
        )


def _check_engine(step: Step, parameters: Mapping[str, Any]) -> str | None:
    name = step.engine(parameters)
    if name is None or step.kind is None:
        return None
    engine = engines.describe(step.kind, name)
    if engine.missing:
        raise EngineMissing(
            f"'{step.name}' needs the {step.kind} engine '{name}', and {', '.join(engine.missing)}"
            " is not installed",
            hint=f"pip install {' '.join(engine.missing)}; `mriprep doctor` shows what is there",
        )
    if engine.weights is not None:
        weights.find(engine.weights, parameters.get("weights"))
    return engine.version


def _after(entry: Entry, state: dict[str, Any]) -> str:
    """Update what there will be after a step; the slot that it fills."""
    step, parameters = entry.step, entry.parameters
    makes = step.makes
    if parameters.get("output") in ("mask", "image"):
        makes = parameters["output"]
        if step.makes == "mask":  # handed on beside the image
            state["mask"] = state["image"]
    if step.plan is not None:
        inputs = {i.name: state.get(i.slot) for i in step.inputs}
        # Where a transform leads is known even when what it starts from (a crop) is not yet.
        known = (
            isinstance(state.get("image"), Grid)
            or makes == "transform"
            or _leads(inputs, parameters)
        )
        try:
            result = step.plan(inputs, parameters) if known else None
        except MriprepError as error:
            error.message = f"{entry.where}: {error.message}" if entry.where else error.message
            raise
    else:
        result = state.get("image")
    if step.each:
        for slot in ("image", "mask", "labels", "tissues"):
            if slot in state:
                state[slot] = result
    else:
        state[makes] = result
    return makes


def _template(step: Step, state: Mapping[str, Any]) -> str | None:
    transform = state.get("transform")
    if step.makes != "transform" or not isinstance(transform, Transform):
        return None
    return transform.reference_name


def _leads(inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    to = parameters.get("to") or inputs.get("to")
    return isinstance(to, Transform) and to.reference is not None


def _memory(
    step: Step, parameters: Mapping[str, Any], state: Mapping[str, Any], before: Any
) -> float:
    grids = [g for g in (*state.values(), before) if isinstance(g, Grid)]
    voxels = [float(np.prod(g.shape)) for g in grids] or [0.0]
    reference = [
        float(np.prod(t.reference.shape))
        for t in state.values()
        if isinstance(t, Transform) and t.reference is not None
    ]
    held = sum(voxels) * _BYTES
    working = max(voxels + reference) * step.bytes_per_voxel
    name = step.engine(parameters)
    extra = engines.describe(step.kind, name).memory_mb if step.kind and name else 0.0
    return _BASE_MB + (held + working) / 1e6 + extra


def expected_seconds(step: Step, parameters: Mapping[str, Any], before: Grid | None) -> float:
    """How long a step takes on a CPU, roughly; `before` is its image's grid, where that is known."""
    name = step.engine(parameters)
    rate, least = step.seconds_per_megavoxel, 0.0
    if step.kind and name:
        engine = engines.describe(step.kind, name)
        rate, least = engine.seconds_per_megavoxel, engine.least_seconds
    if "shrink" in parameters and before:  # engines state their rate at full resolution
        rate /= float(np.prod([max(parameters["shrink"] / g, 1) for g in before.spacing]))
    megavoxels = float(np.prod(before.shape)) / 1e6 if before else 8.0
    return max(rate * megavoxels, least) + 0.05
