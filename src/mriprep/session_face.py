"""One face for all contrasts of a session: found where the brain is found best, carried to the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .core import Volume
from .core.grid import FloatArray
from .declare import keep
from .entries import Entry
from .run import Outcome, on_image
from .session_brain import best


class SharedFace:
    """Where the head lies, by the contrast that shows it best; looked for once.

    Parameters
    ----------
    reference : str
        The contrast that the others follow.
    outcomes : mapping of str to Outcome
        All contrasts.
    """

    def __init__(self, reference: str, outcomes: Mapping[str, Outcome]) -> None:
        self.reference, self.outcomes = reference, outcomes
        self.found: tuple[str, bool, Any] | None = None

    def entry(self, entry: Entry, contrast: str) -> Entry:
        """The step for one contrast: the same region of the head, on the contrast's own grid."""

        def removed(
            image: Volume,
            mask: Volume | None = None,
            face: Volume | None = None,
            *,
            contrast: str | None = None,
            here: str = contrast,
            **how: Any,
        ) -> Volume:
            from .steps.deface import as_it_is, remove

            # The reference comes first: a second `deface` of a recipe looks anew.
            if self.found is None or here == self.reference:
                self.found = self._looked_for(entry)
            where, stripped, place = self.found
            keep(face_from=where)
            if stripped:
                return as_it_is(image)
            way = self._to(here) @ np.linalg.inv(self._to(where))
            done: Volume = remove(image, place.moved(way), **how)
            return done

        return replace(entry, step=replace(entry.step, function=removed))

    def _looked_for(self, entry: Entry) -> tuple[str, bool, Any]:
        from .steps.deface import find

        contrast = best(entry, self.reference, self.outcomes)
        state = self.outcomes[contrast].state
        stripped, place = find(state["image"], on_image(state, "mask"), contrast)
        return contrast, stripped, place

    def _to(self, contrast: str) -> FloatArray:
        """Reference mm to a contrast's mm, (4, 4), as its image is now."""
        outcome = self.outcomes[contrast]
        together = any(s.name == "resample" for s in outcome.steps)
        if contrast == self.reference or together:
            return np.eye(4)
        return np.asarray(outcome.state["to_reference"].matrix)
