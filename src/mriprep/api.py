"""What ``import mriprep`` offers beyond the steps: reading, writing, recipes and their results."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from . import plan as planning
from . import recipe as recipes
from .core import Case, Grid, InputError, Transform, Volume
from .intake import as_case
from .io.atomic import writable_folder
from .recipe import Recipe
from .run import Outcome, Progress, execute, listening
from .session import SessionOutcome, execute_session, plan_session, states_of
from .session_plan import SessionPlan, pick, session_of


def write(result: Volume | Transform, path: str | Path) -> Path:
    """Write a volume (NIfTI, NRRD, MetaImage) or a transform (ITK's .tfm, .txt, .mat)."""
    if isinstance(result, Transform):
        from .io.transforms import write_transform

        return write_transform(result, Path(path))
    if isinstance(result, Volume):
        from .io.images import write_image

        return write_image(result, Path(path))
    raise InputError(
        f"only volumes and transforms can be written, got {type(result).__name__}",
        hint="slices are written by a recipe, or by `mriprep slices`",
    )


def read_transform(path: str | Path, *, reference: Volume | Grid | None = None) -> Transform:
    """Read a rigid or affine transform in one of ITK's formats; `reference` tells it its grid."""
    from .io.transforms import read_transform as read_itk

    found = read_itk(Path(path))
    grid = reference.grid if isinstance(reference, Volume) else reference
    if grid is None:
        return found
    return Transform(found.matrix, grid, found.moving, found.reference_name, found.moving_name)


def bias_field(lattice: Volume, *, like: Volume | Grid) -> Volume:
    """Evaluate a bias field that was kept as a lattice, on any grid.

    ``image / bias_field(lattice, like=image)`` corrects, and the corrected
    image times the same field is the scan again.

    Parameters
    ----------
    lattice : Volume
        Control points of the log field, as a run writes them
        (``..._desc-biaslattice_....nii.gz``).
    like : Volume or Grid
        Where the field is wanted: the scan itself, or another one in the same
        world. Outside the field of view that the field was estimated on, it
        keeps the value of the nearest edge.

    Returns
    -------
    Volume
        The multiplicative field, float32, at every voxel of `like`.

    Raises
    ------
    InputError
        If it is no lattice: the field itself, for instance, or a scan.
    """
    grid = like if isinstance(like, Grid) else like.grid
    if lattice.grid.matches(grid):
        # Control points lie beyond the field of view, so a lattice never is on a scan's grid.
        raise InputError(
            "this volume lies on the scan's own grid: it is a field or an image, not a lattice",
            hint="give the file named ..._desc-biaslattice_....nii.gz; a field is divided by as it is",
        )
    if min(lattice.shape) < 4 or not np.isfinite(lattice.data).all():
        raise InputError(
            f"a lattice has at least four finite control points along each axis, got {lattice}",
            hint="give the file named ..._desc-biaslattice_....nii.gz",
        )
    from .kernels import spline

    return Volume(np.exp(spline.evaluate(lattice, grid)), grid)


@dataclass(frozen=True)
class Run:
    """The result of a recipe on a case.

    Parameters
    ----------
    outcome : Outcome
        Everything that was made and done.
    """

    outcome: Outcome

    @property
    def image(self) -> Volume:
        """The preprocessed image."""
        return self.outcome.image

    @property
    def mask(self) -> Volume | None:
        """The mask, where the recipe made one."""
        return self.outcome.state.get("mask")

    @property
    def labels(self) -> Volume | None:
        """The labels that were given, where the image is now."""
        return self.outcome.state.get("labels")

    @property
    def tissues(self) -> Volume | None:
        """Labels 1 CSF, 2 grey and 3 white matter where the image is now, where the recipe finds them."""
        return self.outcome.state.get("tissues")

    @property
    def transform(self) -> Transform | None:
        """Template mm to scan mm, where the recipe registers."""
        return self.outcome.state.get("transform")

    @property
    def slices(self) -> Any:
        """The slices, where the recipe cuts some."""
        return self.outcome.state.get("slices")

    @property
    def record(self) -> dict[str, Any]:
        """What was done, as plain data."""
        from .run_record import record

        return record(self.outcome)

    @functools.cached_property
    def quality(self) -> Mapping[str, Any]:
        """What is measured of the image, the verdict and why; takes some seconds when first asked."""
        from .qc.quality import assess

        return assess(self.outcome)

    def restore(self, prediction: Any, **how: Any) -> Volume | tuple[Volume, ...]:
        """Bring a network's output back to the scan's own grid: :func:`mriprep.restore`, which see."""
        from .back import restore

        return restore(prediction, self, **how)

    def write(self, folder: str | Path, *, quality: bool = True) -> list[Path]:
        """Write all results under BIDS derivatives' names, each with its record; the files.

        And the image's quality, unless that is not wanted: it takes some
        seconds to measure.
        """
        from .derivatives import write as write_results

        out = writable_folder(folder)
        files = write_results(self.outcome, out)
        return [*files, self._write_quality(out)] if quality else files

    def _write_quality(self, folder: Path) -> Path:
        from .qc.quality import write_quality

        return write_quality(self.quality, self.outcome, folder)

    def report(self, path: str | Path) -> Path:
        """Write the report with the verdict, one self-contained HTML page."""
        from .qc.report import write_report

        return write_report(
            self.outcome, Path(path), version=version("mriprep"), quality=self.quality
        )


@dataclass(frozen=True)
class SessionRun(Run):
    """The result of a recipe on a session: the reference's run, and ``run["T2w"]`` of the others.

    Parameters
    ----------
    session : SessionOutcome
        Everything that was made and done, by contrast.
    """

    session: SessionOutcome

    @property
    def reference(self) -> str:
        """The contrast that the others follow."""
        return self.session.reference

    @property
    def contrasts(self) -> tuple[str, ...]:
        """All contrasts, the reference first."""
        return tuple(self.session.outcomes)

    @functools.cached_property
    def _runs(self) -> dict[str, Run]:
        return {contrast: Run(outcome) for contrast, outcome in self.session.outcomes.items()}

    def __getitem__(self, contrast: str) -> Run:
        self.session.case[contrast]  # says which there are
        return self._runs[contrast]

    def write(self, folder: str | Path, *, quality: bool = True) -> list[Path]:
        """Write the results of all contrasts, each with its record and quality; the files."""
        return [f for c in self.contrasts for f in self[c].write(folder, quality=quality)]

    def report(self, path: str | Path) -> Path:
        """Write the session's report into a folder, with a page for each contrast; the first page."""
        from .qc.session_report import write_session_report

        return write_session_report(
            self.session,
            writable_folder(path),
            version=version("mriprep"),
            qualities={c: self[c].quality for c in self.contrasts},
        )


@dataclass(frozen=True)
class Pipeline:
    """A recipe, ready to be called on cases: ``pipeline(case) -> Run``."""

    recipe: Recipe

    def __call__(
        self,
        scan: Case | Volume | str | Path | Sequence[str | Path],
        *,
        contrast: str | None = None,
        reference: str | None = None,
        mask: Volume | Mapping[str, Volume] | None = None,
        labels: Volume | Mapping[str, Volume] | None = None,
        progress: Progress | None = None,
    ) -> Run:
        """Do what the recipe says; of a recipe for sessions, the result is a :class:`SessionRun`.

        Parameters
        ----------
        scan : Case, Volume, path or sequence of paths
            What to work on; paths are read first. Several are the contrasts
            of a session.
        contrast : str, optional
            Which volume of a case; its reference by default, or all of a
            session.
        reference : str, optional
            In a session, the contrast that the others are laid upon; T1c,
            else T1w, else the finest by default.
        mask, labels : Volume, or mapping of str to Volume, optional
            Given with the scan; they go where it goes. In a session they are
            the reference's, or given by contrast.
        progress : callable, optional
            Told of each step.

        Raises
        ------
        MriprepError
            If a step fails; the step is named in a note.
        """
        if self.recipe.session is not None:
            return self._of_session(scan, contrast, reference, mask, labels, progress)
        one = scan if isinstance(scan, Case | Volume | str | Path) else _only_one(scan, self.recipe)
        if reference is not None or isinstance(mask, Mapping) or isinstance(labels, Mapping):
            session_of(self.recipe)
        with listening() as said:
            case = as_case(one)
        outcome = execute(
            self.recipe,
            case,
            contrast=contrast,
            mask=mask if isinstance(mask, Volume) else None,
            labels=labels if isinstance(labels, Volume) else None,
            progress=progress,
            said=said,
        )
        if outcome.error is not None:
            raise outcome.error
        return Run(outcome)

    def _of_session(
        self,
        scan: Case | Volume | str | Path | Sequence[str | Path],
        contrast: str | None,
        reference: str | None,
        mask: Volume | Mapping[str, Volume] | None,
        labels: Volume | Mapping[str, Volume] | None,
        progress: Progress | None,
    ) -> SessionRun:
        from .intake_session import joined, read_session

        given: dict[str, dict[str, Volume]] = {}
        told: dict[str, dict[str, Volume]] = {}
        with listening() as said:
            if isinstance(scan, Case | Volume):
                case = as_case(scan)
            else:
                case, given = read_session(scan)
        if contrast is not None:
            case = Case(case.name, {contrast: case[contrast]}, case.facts)
        chosen = pick(case, reference)
        for role, volumes in (("mask", mask), ("labels", labels)):
            for c, v in (
                {chosen: volumes} if isinstance(volumes, Volume) else volumes or {}
            ).items():
                told.setdefault(c, {})[role] = v
        given = joined(told, given, case)
        done = execute_session(
            self.recipe, case, reference=chosen, given=given, progress=progress, said=said
        )
        if done.error is not None:
            raise done.error
        return SessionRun(done.main, done)

    def plan(self, scan: Case | Volume) -> planning.Plan | SessionPlan:
        """What would run, without running it."""
        case = as_case(scan)
        if self.recipe.session is not None:
            chosen = pick(case)
            return plan_session(self.recipe, case, chosen, states_of(case, chosen, {}))[1]
        recipe = self.recipe.informed(case.facts, case.reference)
        return planning.make(recipe, {"image": case[case.reference].grid})

    def set(self, **settings: Any) -> Pipeline:
        """A copy with parameters set, by ``step__parameter``: ``pipeline.set(n4__shrink=2)``."""
        return Pipeline(
            self.recipe.with_settings({k.replace("__", ".", 1): v for k, v in settings.items()})
        )

    def __repr__(self) -> str:
        steps = ", ".join(e.step.name for e in self.recipe.entries)
        return f"<Recipe {self.recipe.name}: {steps}>"


def _only_one(scans: Sequence[str | Path], recipe: Recipe) -> str | Path:
    if len(scans) != 1:
        session_of(recipe)
    return scans[0]


def recipe(spec: str | Path | Mapping[str, Any]) -> Pipeline:
    """Load a recipe: a preset's name, a YAML file, or the same as a mapping.

    >>> recipe("adult-t1")
    <Recipe adult-t1: skullstrip, n4, register, resample, zscore, apply_mask, slices>
    """
    return Pipeline(recipes.load(spec))
