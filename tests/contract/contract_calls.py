"""Calling any step by its declaration alone: what it is given, what a plan says, what it makes."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
from contract_scene import COVERING, DTYPES, ORIENTATIONS, SPACINGS, Scene, head_scene, scene

import mriprep as mp
from mriprep import declare, plan
from mriprep.core import Case, Grid, Transform, Volume
from mriprep.declare import Step
from mriprep.phantom import head, template, template_brain
from mriprep.phantom.dicom import write_dicom

#: What a parameter without a default is given, and what makes a slow step quick. A step that is
#: not named here is called with its defaults.
EXAMPLES: dict[str, dict[str, Any]] = {
    "pad": {"shape": (70, 74, 78)},
    "n4": {"iterations": 10},
    "window": {"limits": (0, 200)},
    "combat": {"state": "state.json", "site": "A"},
    "nyul": {"state": "state.json"},
    "ravel": {"state": "state.json"},
}

#: Kinds of engines that know heads only.
_HEADS = ("brain", "registration")


def knows_heads_only(step: Step) -> bool:
    """Whether a step means nothing to anything but a head."""
    return step.kind in _HEADS or step.makes == "tissues" or step.name == "deface"


STEPS = declare.names()
QUICK = tuple(
    n for n in STEPS if declare.get(n).kind is None and not knows_heads_only(declare.get(n))
)
ON_IMAGES = tuple(n for n in STEPS if declare.get(n).inputs[0].slot == "image")

Where = tuple[str, str, str]


def wheres(name: str) -> list[Where]:
    """Orientations, spacings and types of voxels that a step is tried on."""
    if name in QUICK:
        return [(o, s, d) for o in ORIENTATIONS for s in SPACINGS for d in DTYPES]
    return list(COVERING)


def seen(step: Step, where: Where) -> Scene:
    """The scene that a step works on."""
    whole = knows_heads_only(step) or step.kind == "dicom"
    return (head_scene if whole else scene)(*where)


@functools.cache
def folder() -> Path:
    """Where files lie that steps read; removed at the end."""
    holder = tempfile.TemporaryDirectory(prefix="mriprep-contract-")
    folder.holder = holder  # type: ignore[attr-defined]
    return Path(holder.name)


@functools.cache
def template_file() -> Path:
    """The digital head's template, as a file, with its brain mask beside."""
    path = folder() / "tpl-phantom_T1w.nii.gz"
    mp.write(template(spacing=4), path)
    mp.write(template_brain(spacing=4), folder() / "tpl-phantom_desc-brain_mask.nii.gz")
    return path


@functools.cache
def state_file(name: str, where: Where) -> Path:
    """A state fitted on variants of the scene that a step works on, as a file."""
    truth = scene(*where)
    rng = np.random.default_rng(3)
    values = truth.image.floats()
    images = [
        truth.image.replace(gain * values + rng.normal(0, 2, values.shape).astype(np.float32))
        for gain in (0.9, 1.0, 1.1, 1.2)
    ]
    facts = [{"site": site} for site in "ABAB"]
    how = {"covariates": "none"} if name == "combat" else {}
    state = mp.fit(name, images, [truth.mask] * 4, facts=facts, **how)
    return state.write(folder() / f"{name}-{'-'.join(where)}.json")


@functools.cache
def dicom_folder(where: Where) -> tuple[Path, Scene]:
    """A DICOM series, and what it shows."""
    orientation, spacing, _ = where
    grid = head_scene(orientation, spacing, "int16").image.grid.with_spacing((6, 6, 8))
    scan = head(grid=grid, rotation=(4, -3, 6), dtype="int16", labels=False, seed=2)
    path = write_dicom(scan, folder() / f"{orientation}-{spacing}")
    return path, Scene(scan.image, scan.brain, scan.brain.replace(role="labels"), scan.pose)


@dataclass
class Call:
    """A step, what it is called with, and what is true about that."""

    step: Step
    inputs: dict[str, Any]
    parameters: dict[str, Any]
    scene: Scene
    changed: bool = False

    def __call__(self, **parameters: Any) -> Any:
        """The result; warnings of mriprep are none of the contract's business."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(self.step.name)(**self.inputs, **{**self.parameters, **parameters})

    def on(self, volume: Volume) -> Call:
        """The same on another image."""
        return replace(self, inputs={**self.inputs, self.step.inputs[0].name: volume})

    def planned(self) -> Grid | Transform | None:
        """What a plan says that will be made."""
        grids = {k: v.grid for k, v in self.inputs.items() if isinstance(v, Volume)}
        given = self.step.validate(self.parameters)
        if self.step.plan is None:
            return grids[self.step.inputs[0].name]
        return self.step.plan(grids, given)

    def recipe(self) -> dict[str, Any]:
        """A recipe of this step alone."""
        return {"name": "alone", "steps": [{self.step.name: dict(self.parameters) or None}]}


def function(name: str) -> Any:
    """The step as it is called."""
    return getattr(importlib.import_module(f"mriprep.steps.{name}"), name)


def call_of(name: str, where: Where, *, full: bool = True) -> Call:
    """A step with what it needs, and, `full`, with every mask and labels that it can take."""
    step = declare.get(name)
    if step.inputs[0].slot == "source":
        path, truth = dicom_folder(where)
        return Call(step, {step.inputs[0].name: path}, dict(EXAMPLES.get(name, {})), truth)
    truth = seen(step, where)
    slots = {"image": truth.image, "mask": truth.mask, "labels": truth.labels}
    inputs = {
        i.name: slots[i.slot] for i in step.inputs if i.slot in slots and (full or not i.optional)
    }
    parameters = dict(EXAMPLES.get(name, {}))
    if "template" in step.parameters:
        parameters["template"] = str(template_file())
    if "state" in step.parameters:
        parameters["state"] = str(state_file(name, where))
    return Call(step, inputs, parameters, truth)


@functools.cache
def made(name: str, where: Where, full: bool = True) -> tuple[Call, Any]:
    """A call and its result, computed once; the call says whether its inputs were changed."""
    call = call_of(name, where, full=full)
    before = frozen(call.inputs)
    result = call()
    call.changed = frozen(call.inputs) != before
    return call, result


def volumes_of(result: Any) -> list[Volume]:
    """The volumes of a result."""
    if isinstance(result, Case):
        return list(result.values())
    return [result] if isinstance(result, Volume) else []


def numbers_of(result: Any) -> list[np.ndarray]:
    """All numbers of a result, for comparison."""
    if isinstance(result, Transform):
        return [result.matrix]
    if isinstance(result, Volume | Case):
        return [a for v in volumes_of(result) for a in (v.data, v.affine)]
    extra = [] if result.labels is None else [result.labels]
    return [result.stack, np.array(result.indices), np.array(result.window), *extra]


def same(a: Any, b: Any) -> bool:
    """Whether two results are the same to the bit."""
    return all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(numbers_of(a), numbers_of(b), strict=True)
    )


def frozen(inputs: dict[str, Any]) -> dict[str, Any]:
    """A copy of inputs, to be compared with later."""
    return {
        k: (v.data.tobytes(), v.data.dtype, v.affine.tobytes(), v.role, copy.deepcopy(dict(v.meta)))
        if isinstance(v, Volume)
        else v
        for k, v in inputs.items()
    }


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Let native kernels and networks run on so many threads."""
    import torch

    before = numba.get_num_threads(), torch.get_num_threads()
    numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(number)
    try:
        yield
    finally:
        numba.set_num_threads(before[0])
        torch.set_num_threads(before[1])


def planned_by_recipe(call: Call) -> plan.Plan:
    """The plan of a recipe of one step."""
    from mriprep.recipe import load

    grids = {
        i.slot: call.inputs[i.name].grid
        for i in call.step.inputs
        if isinstance(call.inputs.get(i.name), Volume)
    }
    return plan.make(load(call.recipe()), grids)
