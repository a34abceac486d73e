"""What a recipe would do to the contrasts of a session, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import declare
from . import plan as planning
from .core import Case, Grid, InputError, RecipeError
from .core.case import PREFERRED_CONTRASTS
from .core.errors import nearest
from .entries import Entry, SessionPart, checked_entry
from .plan import Plan, PlannedStep
from .recipe import Recipe

#: The reference, where there is one of these; what has a contrast agent shows most.
REFERENCES = ("T1c", "T1w")

#: The parameters of `register` that say how it registers to the reference.
OF_REFERENCE = ("engine", "model", "device")

#: By contrast: the grids of ``image``, and of ``mask`` and ``labels`` where they are given.
Grids = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Task:
    """One thing to do to one contrast.

    Parameters
    ----------
    contrast : str
        To which.
    kind : {"copy", "lay", "step", "resample", "follow"}
        A step on the copy that registrations are estimated on; laying upon
        the reference; a step of the recipe; its one interpolation; a step of
        geometry that goes by the reference, since all lie on its grid.
    entry : Entry
        The step.
    expected : PlannedStep
        Its plan.
    """

    contrast: str
    kind: str
    entry: Entry
    expected: PlannedStep

    @property
    def name(self) -> str:
        """What is said of it."""
        return f"{self.contrast} {self.entry.step.name}"


@dataclass(frozen=True)
class SessionPlan:
    """What would run.

    Parameters
    ----------
    reference : str
        The contrast that the others follow.
    contrasts : tuple of str
        All, the reference first.
    tasks : tuple of Task
        In order.
    main : Plan
        The reference's own plan, without what comes before its steps.
    """

    reference: str
    contrasts: tuple[str, ...]
    tasks: tuple[Task, ...]
    main: Plan

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """What is expected of each task, in order."""
        return tuple(t.expected for t in self.tasks)

    @property
    def seconds(self) -> float:
        """Expected time, s."""
        return sum(s.seconds for s in self.steps)

    @property
    def memory_mb(self) -> float:
        """Expected peak memory, MB: the largest step, and the other contrasts that wait."""
        images = {t.contrast: t.expected.after for t in self.tasks if t.expected.after}
        waiting = sum(4e-6 * _size(g) for g in images.values())
        return max(s.memory_mb for s in self.steps) + waiting

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "recipe": self.main.recipe,
            "device": self.main.device,
            "reference": self.reference,
            "contrasts": list(self.contrasts),
            "memory_mb": round(self.memory_mb),
            "seconds": round(self.seconds, 1),
            "steps": [
                {"contrast": t.contrast, "kind": t.kind, **t.expected.to_dict()} for t in self.tasks
            ],
        }


def pick(case: Case | Mapping[str, Any], wanted: str | None = None) -> str:
    """The contrast that the others are laid upon: T1c, else T1w, else the finest; or as told.

    Raises
    ------
    InputError
        If the one that is told is not there.
    """
    if wanted is not None:
        if wanted not in case:
            raise InputError(
                f"the session has no {wanted} to be the reference", hint=nearest(wanted, case)
            )
        return wanted
    for contrast in REFERENCES:
        if contrast in case:
            return contrast
    usual = {c: i for i, c in enumerate(PREFERRED_CONTRASTS)}
    grids: dict[str, Grid] = {}
    for contrast, image in case.items():
        grids[contrast] = image if isinstance(image, Grid) else image.grid
    return min(grids, key=lambda c: (round(grids[c].voxel_volume, 3), usual.get(c, len(usual))))


def session_of(recipe: Recipe) -> SessionPart:
    """How a recipe takes sessions.

    Raises
    ------
    RecipeError
        If it takes one contrast only.
    """
    if recipe.session is None:
        raise RecipeError(
            f"the recipe '{recipe.name}' takes one contrast, not a session of several",
            hint="take --recipe multimodal or brats, say which contrast with --contrast, or add"
            " 'session: {}' to a recipe of yours",
        )
    return recipe.session


def make(recipe: Recipe, grids: Grids, reference: str) -> SessionPlan:
    """Plan a session.

    Parameters
    ----------
    recipe : Recipe
        With a part for sessions; informed of the case.
    grids : mapping
        By contrast: ``image``, and ``mask`` and ``labels`` where given.
    reference : str
        The contrast that the others follow.

    Raises
    ------
    RecipeError, EngineMissing, InputError
        As :func:`mriprep.plan.make`.
    """
    part = session_of(recipe)
    order = (reference, *(c for c in grids if c != reference))
    main = planning.make(recipe, grids[reference])
    entries = [e for e in recipe.entries if e.step.name != "convert"]
    tasks = _preparations(part, {c: grids[c]["image"] for c in order}, recipe)
    plans = {reference: iter(zip(entries, main.steps, strict=True))}
    theirs = [
        _of_others(e, s, following)
        for e, s, following in zip(entries, main.steps, _after_resample(entries), strict=True)
    ]
    for contrast in order[1:]:
        here = {**grids[contrast], "mask": grids[contrast]["image"]}
        listed = tuple(e for _, e in theirs if e is not None)
        planned = planning.make(replace(recipe, entries=listed), here) if listed else None
        plans[contrast] = iter(zip(listed, planned.steps if planned else (), strict=True))
    for kind, entry in theirs:
        mine, expected = next(plans[reference])
        tasks.append(Task(reference, "step", mine, expected))
        for contrast in order[1:]:
            if entry is None:
                continue
            its, expected = next(plans[contrast])
            if kind != "compose":
                tasks.append(Task(contrast, kind, its, expected))
    return SessionPlan(reference, order, tuple(tasks), main)


def _preparations(part: SessionPart, images: Mapping[str, Any], recipe: Recipe) -> list[Task]:
    """Copies to estimate registrations on, and laying the others upon the reference."""
    registers = any(e.step.name == "register" for e in recipe.entries)
    tasks = []
    if part.estimate_on and (registers or len(images) > 1):
        for contrast, grid in images.items():
            planned = planning.make(replace(recipe, entries=part.estimate_on), {"image": grid})
            steps = zip(part.estimate_on, planned.steps, strict=True)
            tasks += [Task(contrast, "copy", e, s) for e, s in steps]
    reference, *others = images
    for contrast in others:
        here = {"image": images[contrast], "reference": images[reference]}
        planned = planning.make(replace(recipe, entries=(part.register,)), here)
        shown = {k: v for k, v in part.register.parameters.items() if k in OF_REFERENCE}
        step = replace(planned.steps[0], parameters={"to": reference, **shown}, template=None)
        tasks.append(Task(contrast, "lay", part.register, step))
    return tasks


def _after_resample(entries: list[Entry]) -> list[bool]:
    """Whether all contrasts lie on one grid when a step comes."""
    names = [e.step.name for e in entries]
    return ["resample" in names[:i] for i in range(len(names))]


def _of_others(entry: Entry, planned: PlannedStep, together: bool) -> tuple[str, Entry | None]:
    """What a step of the recipe is to the contrasts that follow the reference.

    Mask and tissues are the reference's, and so none are made; the way to the
    template is composed.
    """
    if entry.step.name == "register":
        return "compose", entry
    if entry.step.name == "resample":
        parameters = {k: v for k, v in entry.parameters.items() if k != "to"}
        return "resample", replace(entry, parameters=parameters)
    if planned.makes in ("mask", "tissues"):
        return "share", None
    if entry.step.name == "skullstrip":  # asked for the image with the brain alone
        return "step", checked_entry(declare.get("apply_mask"), {}, entry.where)
    if entry.step.each and together:
        return "follow", entry
    return "step", entry


def _size(grid: Grid) -> int:
    i, j, k = grid.shape
    return i * j * k
