"""What was done to a volume's grid, step by step, and the way back along it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from .errors import GeometryError, InputError
from .grid import FloatArray, Grid
from .transform import Transform

#: Where a corner may lie by the composed chain and by the record's own word for it (mm).
_SAME_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Link:
    """One step that changed the grid.

    Parameters
    ----------
    step : str
        Its name.
    before, after : Grid
        The volume's grid before and after it.
    matrix : (4, 4) array
        Points of the world after (mm, RAS+) to the world before. The
        identity for a crop, pad or flip: no voxel moves in the world.
    """

    step: str
    before: Grid
    after: Grid
    matrix: FloatArray


@dataclass(frozen=True, eq=False)
class Chain:
    """All steps from a native grid to the final one.

    Parameters
    ----------
    native : Grid
        Where it began: the scan as it was read.
    native_name, final_name : str
        Names of the two worlds: a contrast, a template.
    links : tuple of Link
        The steps, first to last; each begins where the one before ended.

    Raises
    ------
    GeometryError
        If a step does not begin where the one before it ended.
    """

    native: Grid
    native_name: str = "native"
    final_name: str = "native"
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        here = self.native
        for link in self.links:
            if not link.before.matches(here):
                raise GeometryError(
                    f"the record is not whole: '{link.step}' began on {link.before}, the step"
                    f" before it ended on {here}",
                    hint="take the record as mriprep wrote it, or run the recipe again",
                )
            here = link.after

    @property
    def final(self) -> Grid:
        """Where it ended: the grid of the preprocessed image."""
        return self.links[-1].after if self.links else self.native

    @property
    def to_native(self) -> Transform:
        """Points of the final world to the native world; knows both grids."""
        matrix: FloatArray = reduce(np.matmul, (link.matrix for link in self.links), np.eye(4))
        return Transform(matrix, self.final, self.native, self.final_name, self.native_name)

    @property
    def moved(self) -> bool:
        """Whether the final world is another than the native one."""
        return not np.array_equal(self.to_native.matrix, np.eye(4))

    def until(self, grid: Grid) -> Chain:
        """The chain up to the last time that the volume lay on `grid`.

        Raises
        ------
        GeometryError
            If it never did.
        """
        links = list(self.links)
        while links and not links[-1].after.matches(grid):
            links.pop()
        part = Chain(self.native, self.native_name, self.final_name, tuple(links))
        if not part.final.matches(grid):
            raise GeometryError(f"the volume never lay on this grid: {grid}")
        return part

    def summary(self) -> dict[str, Any]:
        """The chain in short, as plain data, for who has no mriprep at hand."""
        return {
            "native": self.native_name,
            "final": self.final_name,
            "steps": [link.step for link in self.links],
            "final_to_native_ras_mm": self.to_native.matrix.tolist(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Chain:
        """The chain that the record of a run tells of.

        Parameters
        ----------
        record : mapping
            What :func:`mriprep.run_record.record` makes, or the JSON beside
            any output of a run.

        Raises
        ------
        InputError
            If the record is another one, or of a run that failed.
        GeometryError
            If its steps do not follow each other.
        """
        if record.get("failure"):
            raise InputError(
                f"this is the record of a run that stopped at"
                f" '{dict(record['failure']).get('step')}': there is nothing to come back from",
                hint="give the record beside the preprocessed image",
            )
        try:
            told = record["chain"]
            links = [_link(step) for step in record["steps"]]
            chain = cls(
                Grid.from_dict(record["input"]["grid"]),
                str(told["native"]),
                str(told["final"]),
                tuple(link for link in links if link is not None),
            )
            matrix = Transform(told["final_to_native_ras_mm"])
        except GeometryError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"the record does not say how to get back: {type(error).__name__} {error}",
                hint="give the JSON beside a preprocessed image that `mriprep run` wrote; older"
                " versions wrote none that will do: run the recipe again",
            ) from None
        if matrix.distance(chain.to_native, chain.final.corners) > _SAME_MM:
            raise GeometryError(
                "the record contradicts itself: its steps do not lead to its transform",
                hint="take the record as mriprep wrote it, or run the recipe again",
            )
        return chain


def _link(step: Mapping[str, Any]) -> Link | None:
    """The link of a step's record; None where the grid stayed as it was."""
    before, after = Grid.from_dict(step["grid_before"]), Grid.from_dict(step["grid_after"])
    told = step.get("after_to_before_ras_mm")
    if told is None and before == after:
        return None
    matrix = np.eye(4) if told is None else np.asarray(told, dtype=np.float64)
    return Link(str(step["step"]), before, after, Transform(matrix).matrix)
