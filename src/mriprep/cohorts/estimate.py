"""How much memory a case will take, from its plan; corrected by what cases took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mriprep import plan as planning
from mriprep.cases import CaseSource, ImageSource
from mriprep.core import EngineMissing, Grid, MriprepError, RecipeError
from mriprep.recipe import Recipe
from mriprep.run import listening
from mriprep.session_plan import make as make_session
from mriprep.session_plan import pick

#: Of a case whose headers do not tell, MB.
_UNKNOWN_MB = 2000.0


class Estimate:
    """Expects the memory of cases.

    Parameters
    ----------
    recipe : Recipe
        What is done to each.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.known: dict[Any, float] = {}
        #: What cases took of what was expected, at the most.
        self.factor = 1.0

    def of(self, source: CaseSource) -> float:
        """Expected memory of a case, MB."""
        return self.factor * self.planned(source)

    def planned(self, source: CaseSource) -> float:
        """What the plan of a case says, MB; nothing of a case without images."""
        if not source.images:
            return 0.0
        grids: dict[str, Grid] = {}
        for image in source.images:
            grid = _grid(image)
            if image.role == "image" and grid is not None:
                grids.setdefault(image.contrast or "image", grid)
        if not grids:
            return _UNKNOWN_MB
        shapes = tuple(sorted((c, g.shape, tuple(g.spacing)) for c, g in grids.items()))
        if shapes not in self.known:
            self.known[shapes] = self._plan(grids, source)
        return self.known[shapes]

    def learn(self, source: CaseSource, took_mb: float) -> None:
        """Correct what is expected: cases may take more than their plans say."""
        planned = self.planned(source)
        if planned:
            self.factor = max(self.factor, min(took_mb / planned, 4.0))

    def check(self, source: CaseSource) -> None:
        """Refuse a recipe that cannot work, before anything is done.

        Raises
        ------
        RecipeError, EngineMissing
            As :func:`mriprep.plan.make`.
        """
        grids = {i.contrast or "image": _grid(i) for i in source.images if i.role == "image"}
        known = {c: g for c, g in grids.items() if g is not None}
        if known or self.recipe.session is None:
            try:
                self._made(known or {"image": None}, source)
            except (RecipeError, EngineMissing):
                raise
            except MriprepError:  # something about this case, which it will tell itself
                return

    def _plan(self, grids: Mapping[str, Grid], source: CaseSource) -> float:
        try:
            return float(self._made(grids, source).memory_mb)
        except MriprepError:  # the case itself will tell
            return _UNKNOWN_MB

    def _made(self, grids: Mapping[str, Any], source: CaseSource) -> Any:
        from mriprep.core.age import parse_age, with_age

        facts = dict(source.facts)
        if source.age:
            facts = with_age(facts, parse_age(source.age, "the list of cases"))
        with listening():
            if self.recipe.session is not None:
                reference = pick(grids)
                known = self.recipe.informed(facts, reference)
                every = {c: {"image": g, **_given(source, c, g)} for c, g in grids.items()}
                return make_session(known, every, reference)
            contrast = next(iter(grids))
            known = self.recipe.informed(facts, contrast)
            grid = grids[contrast]
            return planning.make(known, {"image": grid, **_given(source, contrast, grid)})


def _given(source: CaseSource, contrast: str, grid: Any) -> dict[str, Any]:
    """The mask and labels that come with an image; those that name no contrast may be any's."""
    return {
        i.role: grid for i in source.images if i.role != "image" and i.contrast in (None, contrast)
    }


def _grid(image: ImageSource) -> Grid | None:
    """The grid of an image file; None of DICOM, which may lie in hundreds of files."""
    from mriprep.intake import is_image
    from mriprep.io.images import read_grid

    if not is_image(image.path):
        return None
    try:
        return read_grid(Path(image.path), volume=image.volume)
    except (MriprepError, OSError):
        return None
