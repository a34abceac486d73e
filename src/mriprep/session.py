"""Doing what a recipe says to all contrasts of a session: one reference, the others laid upon it.

Every contrast has its own :class:`~mriprep.run.Outcome`, with its own steps,
chain and record. They go through the recipe side by side: what is known of
the reference (its brain mask, its way to the template, the final grid) is
handed to the others through the transform that lays each upon it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import pins
from . import session_brain as brain
from . import session_checks as checks
from . import session_plan as planning
from .core import Case, MriprepError, MriprepWarning, Role, Transform, Volume
from .entries import Entry, SessionPart
from .recipe import Recipe
from .record import Failure, StepRecord
from .run import CARRIED, Outcome, Progress, bring_companions, do_step, listening, same_place
from .session_face import SharedFace
from .session_plan import Task

#: Volumes that came with the scans: by contrast, then ``mask``, ``labels`` or a name of their own.
Given = Mapping[str, Mapping[str, Volume]]


@dataclass
class SessionOutcome:
    """What a recipe made of a session.

    Parameters
    ----------
    case : Case
        What it began with.
    recipe : Recipe
        What was asked.
    reference : str
        The contrast that the others follow.
    outcomes : dict of str to Outcome
        One a contrast, the reference first.
    failure : Failure or None
        Why it stopped, if it did; nothing is whole then.
    """

    case: Case
    recipe: Recipe
    reference: str
    outcomes: dict[str, Outcome]
    failure: Failure | None = None
    error: Exception | None = None

    @property
    def main(self) -> Outcome:
        """The reference's outcome."""
        return self.outcomes[self.reference]

    @property
    def seconds(self) -> float:
        """How long all steps took."""
        return sum(s.seconds for o in self.outcomes.values() for s in o.steps)

    @property
    def all_warnings(self) -> list[str]:
        """Every warning, those of the whole session first, others with their contrast."""
        said = list(dict.fromkeys(w for o in self.outcomes.values() for w in o.warnings))
        for contrast, outcome in self.outcomes.items():
            its_own = [w for w in outcome.all_warnings if w not in outcome.warnings]
            said += [type(w)(f"{contrast}: {w}") for w in its_own]
        return said


def execute_session(
    recipe: Recipe,
    case: Case,
    *,
    reference: str | None = None,
    given: Given | None = None,
    progress: Progress | None = None,
    said: Sequence[str] = (),
) -> SessionOutcome:
    """Do what a recipe says to every contrast of a session.

    Parameters
    ----------
    recipe : Recipe
        What to do; it says ``session:``.
    case : Case
        Its contrasts; any may be missing. Not changed.
    reference : str, optional
        The contrast that the others follow; see :func:`.session_plan.pick`.
    given : mapping, optional
        Masks and labels that came with the scans, by contrast. The
        reference's ``mask`` is taken as the brain, and none is looked for;
        everything else goes where its scan goes.
    progress : callable, optional
        Told of each step.
    said : sequence of str
        Warnings of reading the session, for the record.

    Raises
    ------
    RecipeError, EngineMissing, InputError
        If it cannot work; nothing has been done then.
    """
    with listening() as noticed:
        chosen = planning.pick(case, reference)
        states = states_of(case, chosen, given or {})
        recipe, plan = plan_session(recipe, case, chosen, states)
    about = {"reference": chosen, "contrasts": list(plan.contrasts)}
    pins.check(recipe.entries, recipe.pins)
    done = SessionOutcome(
        case,
        recipe,
        chosen,
        {
            c: Outcome(
                case,
                c,
                recipe,
                states[c],
                warnings=[*said, *noticed],
                session=about,
                given={k: v for k, v in states[c].items() if k != "image"},
            )
            for c in plan.contrasts
        },
    )
    session = _Session(done, planning.session_of(recipe))
    for number, task in enumerate(plan.tasks):
        if progress:
            progress(task.name, number, task.expected.seconds)
        try:
            session.do(task)
        except Exception as error:  # a failure is a value: told with its step, kept with the rest
            if not isinstance(error, MriprepError):
                error.add_note(f"in '{task.name}' of recipe '{recipe.name}'")
            done.failure, done.error = Failure.of(error, task.name), error
            failed = done.outcomes[task.contrast]
            failed.failure, failed.error = Failure.of(error, task.entry.step.name), error
            break
    else:
        for outcome in done.outcomes.values():
            bring_companions(outcome.state)
    if progress:
        progress("", len(plan.tasks), 0.0)
    return done


def plan_session(
    recipe: Recipe, case: Case, reference: str, states: Mapping[str, Mapping[str, Any]]
) -> tuple[Recipe, planning.SessionPlan]:
    """The recipe informed of the case, and its plan; all that can be wrong before is told."""
    checks.flat(case)
    checks.placed(case, reference)
    pins.tell_contrasts(states, recipe.pins)
    recipe = recipe.informed(case.facts, reference)
    slots = ("image", "mask", "labels")
    grids = {c: {k: s[k].grid for k in slots if k in s} for c, s in states.items()}
    if "mask" in grids[reference] and any(e.step.name == "skullstrip" for e in recipe.entries):
        recipe = recipe.without(["skullstrip"])
        warnings.warn(
            f"the mask that was given with {reference} is taken as the brain; none is looked for",
            MriprepWarning,
            stacklevel=2,
        )
    plan = planning.make(recipe, grids, reference)
    checks.template(recipe, plan.main, reference)
    checks.network(recipe, reference, case)
    return recipe, plan


def states_of(case: Case, reference: str, given: Given) -> dict[str, dict[str, Any]]:
    """What there is of each contrast to begin with, the reference first.

    Raises
    ------
    InputError
        If something is given with a contrast that is not there, or lies
        nowhere near it.
    """
    for contrast in given:
        case[contrast]  # says which there are
    states: dict[str, dict[str, Any]] = {}
    for contrast in (reference, *(c for c in case if c != reference)):
        image = case[contrast]
        state: dict[str, Any] = {"image": image}
        for name, volume in given.get(contrast, {}).items():
            same_place(volume, image, name)
            role = Role(name) if name in ("mask", "labels") else volume.role
            # The brain is the reference's; another contrast's mask goes where that goes.
            slot = name if name != "mask" or contrast == reference else f"{CARRIED}{contrast}"
            state[slot if slot in ("mask", "labels") else _carried(slot)] = volume.replace(
                role=role
            )
        states[contrast] = state
    return states


def _carried(name: str) -> str:
    return name if name.startswith(CARRIED) else CARRIED + name


class _Session:
    """What the contrasts know of each other while the steps are done."""

    def __init__(self, done: SessionOutcome, part: SessionPart) -> None:
        self.outcomes, self.part = done.outcomes, part
        self.main, self.reference = done.main, done.reference
        self.others = [o for c, o in done.outcomes.items() if c != done.reference]
        #: What registrations are estimated on, where that is not the image itself.
        self.copies: dict[str, Volume] = {}
        self.face = SharedFace(done.reference, done.outcomes)

    def do(self, task: Task) -> None:
        """Do one thing to one contrast."""
        outcome = self.outcomes[task.contrast]
        match task.kind:
            case "copy":
                record = self._copy(task, outcome)
            case "lay":
                record = self._lay(task, outcome)
            case "resample":
                record = self._resample(task, outcome)
            case "follow":
                record = self._follow(task, outcome)
            case _:
                record = self._step(task, outcome)
        outcome.steps.append(record)

    def _copy(self, task: Task, outcome: Outcome) -> StepRecord:
        """A step for the copy that registrations are estimated on; the image stays as it is."""
        image = self.copies.get(task.contrast, outcome.image)
        scratch = replace(outcome, state={"image": image}, kept={})
        record = do_step(task.entry, scratch, task.expected)
        self.copies[task.contrast] = scratch.image
        sentence = record.methods.rstrip(".")
        return replace(
            record,
            title=f"{record.title.rstrip('.')}, on a copy that registrations are estimated on.",
            facts={**record.facts, "on_a_copy": True},
            methods=f"{sentence} on copies from which registrations were estimated."
            if sentence
            else "",
        )

    def _lay(self, task: Task, outcome: Outcome) -> StepRecord:
        """Register a contrast to the reference."""
        fixed = self.copies.get(self.reference, self.main.image)
        moving = self.copies.get(task.contrast, outcome.image)
        scratch = replace(outcome, state={"image": moving, "reference": fixed}, kept={})
        record = do_step(task.entry, scratch, task.expected)
        found: Transform = scratch.state["transform"]
        laid = Transform(
            found.matrix,
            self.main.image.grid,
            outcome.image.grid,
            self.reference,
            task.contrast,
            found.meta,
        )
        outcome.state["transform"] = outcome.state["to_reference"] = laid
        stretch, said = checks.same_head(
            moving, fixed, laid, self.part.register.parameters["device"]
        )
        if "mask" in self.main.state:
            self._share_mask(outcome)
        shown = {k: v for k, v in record.parameters.items() if k in planning.OF_REFERENCE}
        return replace(
            record,
            title=f"Registration to {self.reference}, the reference of the session.",
            parameters={"to": self.reference, **shown},
            warnings=(*record.warnings, *([said] if said else ())),
            facts={**record.facts, "stretch_to_fit": round(stretch, 4)}
            if np.isfinite(stretch)
            else record.facts,
            methods=f"{task.contrast} was registered to {self.reference} of the same session"
            f" ({shown.get('model')}, {record.engine_version or record.engine}).",
        )

    def _step(self, task: Task, outcome: Outcome) -> StepRecord:
        """A step of the recipe; what it finds in the reference is handed to the others."""
        state, entry = outcome.state, task.entry
        if entry.step.name == "deface":
            entry = self.face.entry(entry, task.contrast)
        if outcome is not self.main:
            return do_step(entry, outcome, task.expected)
        mask = state.get("mask")
        if entry.step.name == "register":
            record = self._register(task)
            for other in self.others:
                other.state["transform"] = other.state["to_reference"] @ state["transform"]
            return record
        if entry.step.kind == "brain":
            entry = self._where_best(entry)
        record = do_step(entry, outcome, task.expected)
        if not entry.step.each and state.get("mask") is not mask:
            for other in self.others:
                self._share_mask(other)
        return record

    def _where_best(self, entry: Entry) -> Entry:
        """A step that finds the brain, in the contrast where it is found best."""
        contrast = brain.best(entry, self.reference, self.outcomes)
        if contrast == self.reference:
            return entry
        other = self.outcomes[contrast]
        together = any(s.name == "resample" for s in other.steps)
        laid = None if together else other.state["to_reference"]
        return brain.carried(entry, contrast, other.image, laid)

    def _register(self, task: Task) -> StepRecord:
        """The reference to the template, from its copy where there is one."""
        state = dict(self.main.state)
        if self.reference in self.copies:
            state["image"] = self.copies[self.reference]
        scratch = replace(self.main, state=state)
        record = do_step(task.entry, scratch, task.expected)
        found: Transform = state["transform"]
        self.main.state["transform"] = replace(
            found, moving=self.main.image.grid, moving_name=self.reference
        )
        return record

    def _resample(self, task: Task, outcome: Outcome) -> StepRecord:
        """One interpolation, from a contrast's own grid to the reference's final one."""
        final = self.main.image.grid
        original: Volume = self.main.state["image"]
        resampled = self.main.steps[-1] if self.main.steps else None
        way: Transform = outcome.state["transform"]
        if resampled is not None and resampled.parameters.get("to") == "native":
            outcome.state["transform"] = outcome.state["to_reference"]
        function = task.entry.step.function

        def onto(image: Volume, to: Transform, on: Any = None, **how: Any) -> Any:
            return function(image, to, final, **{**how, "spacing": None})

        outcome.kept["template"] = original  # its edges are laid over the picture
        record = do_step(_with(task.entry, onto), outcome, task.expected)
        outcome.state["transform"] = way
        if "mask" in self.main.state:
            outcome.state["mask"] = self.main.state["mask"]
        return record

    def _follow(self, task: Task, outcome: Outcome) -> StepRecord:
        """A step of geometry once all lie on one grid: what the reference did, voxel by voxel."""
        from .steps.resample import resample

        final = self.main.image.grid

        def after(image: Volume, *_: Any, **__: Any) -> Any:
            return resample(image, None, final)

        record = do_step(_with(task.entry, after), outcome, task.expected)
        if "mask" in self.main.state:
            outcome.state["mask"] = self.main.state["mask"]
        return record

    def _share_mask(self, other: Outcome) -> None:
        """The reference's mask where another contrast is now."""
        from .steps.resample import resample

        mask: Volume = self.main.state["mask"]
        if any(s.name == "resample" for s in other.steps):
            other.state["mask"] = mask
            return
        # Only for what is measured on this contrast's own grid: what is written is the reference's.
        laid: Transform = other.state["to_reference"]
        other.state["mask"] = resample(mask, laid.inverse(), other.image.grid)


def _with(entry: Entry, function: Any) -> Entry:
    """The same step done by another function."""
    return replace(entry, step=replace(entry.step, function=function))
