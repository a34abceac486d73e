"""The pictures of one image's page: made once, and ahead of the page where time allows."""

from __future__ import annotations

from mriprep.core import Transform
from mriprep.core.slices import Slices
from mriprep.run import Outcome

from . import spec
from .comparison import Comparison, compare
from .views import MAKERS, Look, Sheet

#: What a quality's measuring may yet find.
_LATER = ("tissues",)


class Drawing:
    """The pictures of an outcome.

    Parameters
    ----------
    outcome : Outcome
        A run, finished or stopped.
    """

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.look = Look(outcome)
        self._parts: dict[str, Comparison | Sheet | None] = {}
        self._steps: dict[int, Comparison | None] = {}

    def ahead(self) -> Drawing:
        """Make all pictures that need nothing but what the run itself left; the drawing.

        It may go on beside :func:`.quality.assess`.
        """
        for part in spec.parts():
            if not {part.shows, *part.needs} & set(_LATER) and all(map(self.look.has, part.needs)):
                self.part(part.shows)
        for index in range(len(self.outcome.steps)):
            self.step(index)
        return self

    def part(self, shows: str) -> Comparison | Sheet | None:
        """What a section of the page shows; None where that is no picture."""
        if shows not in self._parts:
            self._parts[shows] = MAKERS[shows](self.look) if shows in MAKERS else None
        return self._parts[shows]

    def step(self, index: int) -> Comparison | None:
        """A step's pictures before and after; None for what moves or cuts the image."""
        if index not in self._steps:
            self._steps[index] = self._compared(index)
        return self._steps[index]

    def _compared(self, index: int) -> Comparison | None:
        outcome, record = self.outcome, self.outcome.steps[index]
        if record.makes == "transform" and isinstance(moved_by(outcome), Transform):
            return None
        if record.makes == "slices" and isinstance(outcome.state.get("slices"), Slices):
            return None
        declared = {e.step.name: e.step for e in outcome.recipe.entries}.get(record.name)
        moves = declared.each if declared else not record.before.matches(record.after)
        return compare(record, f"s{index + 1}", moves)


def moved_by(outcome: Outcome) -> object:
    """The transform that a page tells of: of a session, all but one contrast have one to the reference alone."""
    return outcome.state.get("to_reference", outcome.state.get("transform"))
