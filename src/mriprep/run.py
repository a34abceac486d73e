"""Doing what a recipe says to one case, and recording it."""

from __future__ import annotations

import time
import warnings as python_warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from . import engines, pins, snapshot
from . import plan as planning
from .core import (
    Case,
    Doubt,
    DoubtWarning,
    Grid,
    InputError,
    MriprepError,
    MriprepWarning,
    Role,
    Transform,
    Volume,
)
from .declare import NO_ENGINE, Step, keeping
from .entries import Entry
from .recipe import Recipe
from .record import Failure, StepRecord

#: Called with (step name, number of the step from 0, expected seconds) before each step, and at
#: the end with ("", number of steps, 0).
Progress = Callable[[str, int, float], None]

#: Slots of what came with a scan and only goes where it goes begin with this; their names follow.
CARRIED = "with:"

#: What `deface` removed from the image, a mask that goes where the image goes.
FACE = "face"

#: What a step finds in the image beside its mask, and goes where the image goes from there on.
FOUND = ("tissues", "tissue_csf", "tissue_gm", "tissue_wm")


@dataclass
class Outcome:
    """What a recipe made of a case.

    Parameters
    ----------
    case : Case
        What it began with.
    contrast : str
        Which of its volumes.
    recipe : Recipe
        What was asked.
    state : dict
        What there is at the end, by slot: ``image``, ``mask``, ``labels``,
        ``transform``, ``slices``; what was found, in the slots of
        :data:`FOUND`; and what else came with the scan, in slots that begin
        with :data:`CARRIED`.
    kept : dict
        By-products on the grid where they came off: ``bias_field``,
        ``template``, ``tissue_gm``, ...
    steps : list of StepRecord
        What was done.
    warnings : list of str
        What was said before the first step.
    failure : Failure or None
        Why it stopped, if it did.
    session : mapping or None
        Of one contrast among others: ``reference``, the contrast that they
        all follow, and ``contrasts``.
    native : dict of str to Volume
        What was found on the scan's own grid: ``mask``, which may have moved
        on since, and ``tissues``, where quality was measured without a step
        that finds them. Quality is measured there, where nothing is interpolated.
    given : mapping of str to Volume
        What came with the scan, as it came, by slot.
    shown : Volume or None
        What reports may show in place of the scan, where the recipe removes
        the face: the image without it; None until then.
    """

    case: Case
    contrast: str
    recipe: Recipe
    state: dict[str, Any]
    kept: dict[str, Any] = field(default_factory=dict)
    steps: list[StepRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: Failure | None = None
    error: Exception | None = None
    session: Mapping[str, Any] | None = None
    shown: Volume | None = None
    native: dict[str, Volume] = field(default_factory=dict)
    given: Mapping[str, Volume] = field(default_factory=dict)

    @property
    def image(self) -> Volume:
        """The image as it is now."""
        volume: Volume = self.state["image"]
        return volume

    @property
    def all_warnings(self) -> list[str]:
        """Every warning, in order, each once."""
        return list(dict.fromkeys([*self.warnings, *(w for s in self.steps for w in s.warnings)]))

    @property
    def doubts(self) -> list[str]:
        """Those warnings that say: look before you use this."""
        return [w for w in self.all_warnings if isinstance(w, Doubt)]


def execute(
    recipe: Recipe,
    case: Case,
    *,
    contrast: str | None = None,
    mask: Volume | None = None,
    labels: Volume | None = None,
    progress: Progress | None = None,
    said: Sequence[str] = (),
) -> Outcome:
    """Do what a recipe says to one contrast of a case.

    A failing step ends the run and is told in the outcome, with all that was
    done before it.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    case : Case
        What to do it to; not changed.
    contrast : str, optional
        Which volume; the case's reference by default.
    mask, labels : Volume, optional
        Given with the scan, on any grid of its world; they go where it goes.
    progress : callable, optional
        Told of each step.
    said : sequence of str
        Warnings of reading the case, for the record.

    Raises
    ------
    RecipeError, EngineMissing, InputError
        If the plan cannot work; nothing has been done then.
    """
    contrast = contrast or case.reference
    image = case[contrast]
    state: dict[str, Any] = {"image": image}
    for slot, volume, role in (("mask", mask, Role.MASK), ("labels", labels, Role.LABELS)):
        if volume is not None:
            same_place(volume, image, slot)
            state[slot] = volume.replace(role=role)
    with listening() as said_planning:
        pins.tell_contrasts([contrast], recipe.pins)
        recipe = recipe.informed(case.facts, contrast)
        planned = planning.make(recipe, {k: v.grid for k, v in state.items()})
    pins.check(recipe.entries, recipe.pins)
    given = {slot: volume for slot, volume in state.items() if slot != "image"}
    outcome = Outcome(case, contrast, recipe, state, warnings=[*said, *said_planning], given=given)
    entries = [e for e in recipe.entries if e.step.name != "convert"]
    for number, (entry, expected) in enumerate(zip(entries, planned.steps, strict=True)):
        if progress:
            progress(entry.step.name, number, expected.seconds)
        try:
            outcome.steps.append(do_step(entry, outcome, expected))
        except Exception as error:  # a failure is a value: told with its step, kept with the rest
            if not isinstance(error, MriprepError):
                error.add_note(f"in step '{entry.step.name}' of recipe '{recipe.name}'")
            outcome.failure = Failure.of(error, entry.step.name)
            outcome.error = error
            break
    else:
        bring_companions(state)
    if progress:
        progress("", len(outcome.steps), 0.0)
    return outcome


def bring_companions(state: dict[str, Any]) -> None:
    """Put what came with the image on its grid, where it is not there yet."""
    state.update({slot: _here(state, slot) for slot in _companions(state)})


def _companions(state: Mapping[str, Any]) -> list[str]:
    """The slots of the volumes that geometry steps carry along with the image."""
    goes_along = ("mask", "labels", FACE, *FOUND)
    return [slot for slot in state if slot in goes_along or slot.startswith(CARRIED)]


def do_step(entry: Entry, outcome: Outcome, expected: planning.PlannedStep) -> StepRecord:
    """Do one step to an outcome's state, which changes, and say what was done."""
    step, state = entry.step, outcome.state
    before: Volume = state["image"]
    point = _point(outcome)
    shot_before = snapshot.take(before, point, mask=_mask_of(state))
    began = time.perf_counter()
    with listening() as said, keeping() as kept:
        arguments = _arguments(entry, state)
        result = step.function(**arguments)
    _store(entry, outcome, result, kept)
    _remember(outcome)
    seconds = time.perf_counter() - began
    after: Volume = state["image"]
    pulled = arguments.get("to") if step.name == "resample" else None
    if isinstance(pulled, Transform):
        point = pulled.inverse()(point)
    overlay = _overlay(step, outcome)
    shot_after = snapshot.take(after, point, mask=_mask_of(state), overlay=overlay)
    if FACE in kept:  # reports are shared: what was removed is not shown in them
        shot_before = shot_after
        outcome.shown = after
        outcome.steps[:] = [replace(s, snapshots={}) for s in outcome.steps]
    engine, version = _engine(step, expected, kept)
    words = {**expected.parameters, **_words(step, state), "engine": engine}
    return StepRecord(
        name=step.name,
        title=step.title,
        parameters=dict(entry.parameters),
        engine=engine,
        engine_version=version,
        makes=step.slot(result),
        before=before.grid,
        after=after.grid,
        seconds=seconds,
        warnings=tuple(said),
        facts={k: v for k, v in kept.items() if not isinstance(v, Volume)},
        methods=step.sentence({k: _word(v) for k, v in words.items()})
        if engine != NO_ENGINE
        else "",
        citations=tuple(c for c in step.citations if c.counts(engine, words.get("method"))),
        snapshots={
            "before": shot_before,
            "after": shot_after,
        },
        pulled=pulled if isinstance(pulled, Transform) else None,
    )


def _arguments(entry: Entry, state: Mapping[str, Any]) -> dict[str, Any]:
    """What the step's function is called with: slots of the state, and parameters."""
    arguments = dict(entry.parameters)
    for wanted in entry.step.inputs:
        if wanted.name not in arguments and wanted.slot in state:
            arguments[wanted.name] = _here(state, wanted.slot)
    return arguments


def _here(state: Mapping[str, Any], slot: str) -> Any:
    """What a slot holds; mask and labels on the image's grid."""
    held, image = state[slot], state["image"]
    if slot not in _companions(state) or held.grid.matches(image.grid):
        return held
    return _follow(held, None, image.grid, {})


def on_image(state: Mapping[str, Any], slot: str) -> Any:
    """What a slot holds, on the image's grid; None where it holds nothing."""
    return _here(state, slot) if slot in state else None


def _store(entry: Entry, outcome: Outcome, result: Any, kept: Mapping[str, Any]) -> None:
    step, state = entry.step, outcome.state
    for name, product in kept.items():
        if name in ("mask", "labels", FACE, *FOUND):
            state[name] = product
        if isinstance(product, Volume) and name not in ("mask", "labels", FACE):
            outcome.kept[name] = product
    if step.each:
        through = _arguments(entry, state).get("to")
        for slot in _companions(state):
            # What lies on another grid than the image waits there for `resample`, or the end: so
            # that it is interpolated once.
            if step.name == "resample" or state[slot].grid.matches(state["image"].grid):
                state[slot] = _follow(state[slot], through, result.grid, entry.parameters)
    state[step.slot(result)] = result


def _remember(outcome: Outcome) -> None:
    """Keep the mask as it is on the scan's own grid, before it moves on."""
    mask = outcome.state.get("mask")
    if mask is not None and mask.grid.matches(outcome.case[outcome.contrast].grid):
        outcome.native["mask"] = mask


def _follow(volume: Volume, through: Any, grid: Grid, parameters: Mapping[str, Any]) -> Volume:
    """A companion brought to where the image went; copied voxel by voxel where that can be."""
    from .steps.resample import resample

    how = {k: v for k, v in parameters.items() if k in ("labels", "antialias")}
    to = through if isinstance(through, Transform) else None
    return resample(volume, to, grid, **how)


def _overlay(step: Step, outcome: Outcome) -> Volume | None:
    """What to lay over the picture of a step: the field it found, the template it went to."""
    image = outcome.image
    if step.kind == "bias" and "bias_field" in outcome.kept:
        field_volume: Volume = outcome.kept["bias_field"]
        return field_volume if field_volume.grid.matches(image.grid) else None
    if step.makes == "tissues":
        found: Volume = outcome.state["tissues"]
        return found
    template = outcome.kept.get("template")
    if step.name == "resample" and template is not None:
        from .steps.resample import resample

        with listening():  # what is odd about a template was said when it was read
            on_image: Volume = resample(template, None, image.grid)
        return on_image
    return None


def _engine(
    step: Step, expected: planning.PlannedStep, kept: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """The engine that was used in the end, where that is another than the one it began with."""
    told = kept.get(step.kind or "")
    used = told.get("engine") if isinstance(told, Mapping) else None
    if used is None or used == expected.engine or step.kind is None:
        return expected.engine, expected.engine_version
    known = used in engines.names(step.kind)
    return used, engines.describe(step.kind, used).version if known else None


def _words(step: Step, state: Mapping[str, Any]) -> dict[str, Any]:
    transform = state.get("transform")
    if step.name == "register" and isinstance(transform, Transform):
        return {"template": transform.reference_name}
    return {}


def _word(value: Any) -> Any:
    """A parameter as it reads in a sentence: a range as "0 to 1", sizes as "1 x 1 x 1"."""
    if not isinstance(value, tuple):
        return value
    return (" to " if len(value) == 2 else " x ").join(f"{v:g}" for v in value)


def _mask_of(state: Mapping[str, Any]) -> Volume | None:
    return _here(state, "mask") if "mask" in state else None


def _point(outcome: Outcome) -> npt.NDArray[np.float64]:
    """Where the pictures of the next step are taken: through the brain where it is known."""
    mask = _mask_of(outcome.state)
    return snapshot.middle(mask if mask is not None else outcome.image)


def same_place(volume: Volume, image: Volume, slot: str) -> None:
    """Refuse companions that lie nowhere near the image."""
    low = np.maximum(volume.grid.corners.min(0), image.grid.corners.min(0))
    high = np.minimum(volume.grid.corners.max(0), image.grid.corners.max(0))
    if (low >= high).any():
        raise InputError(
            f"the {slot} and the image do not overlap anywhere in the world: {volume.grid} centred"
            f" at {volume.grid.center.round(1).tolist()} mm, {image.grid} at"
            f" {image.grid.center.round(1).tolist()} mm",
            hint=f"is it the {slot} of this scan? `mriprep inspect` shows where each lies",
        )


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what mriprep warns of; other libraries' warnings go their usual way."""
    said: list[str] = []
    with python_warnings.catch_warnings(record=True) as caught:
        python_warnings.simplefilter("always", MriprepWarning)
        yield said
    for w in caught:
        if issubclass(w.category, MriprepWarning):
            text = str(w.message)
            said.append(Doubt(text) if issubclass(w.category, DoubtWarning) else text)
        else:
            python_warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
