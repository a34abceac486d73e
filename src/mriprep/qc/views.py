"""What the sections of a case's page show: pictures of the scan, the result, masks and tissues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mriprep.core import Role, Transform, Volume
from mriprep.run import Outcome
from mriprep.run_record import chain
from mriprep.snapshot import PLANES, Histogram, Snapshot, middle, take

from . import figures
from .comparison import Comparison
from .figures import Tile, Window
from .slicing import Frame, pulled_view, window_of

#: Labels of tissues, in the order of their lines.
TISSUES = {"csf": (1, "fluid"), "gm": (2, "grey matter"), "wm": (3, "white matter")}


@dataclass(frozen=True)
class Sheet:
    """Many small slices, a row or more for each plane, and lines upon them that can be switched.

    Parameters
    ----------
    ident : str
        Names its switches.
    what : str
        For who cannot see them.
    tiles : tuple of tuple of Tile
        The slices of each plane.
    lines : tuple of (str, str)
        Class and name of each kind of line.
    said : str
        What the greys mean, or what there is to know.
    """

    ident: str
    what: str
    tiles: tuple[tuple[Tile, ...], ...]
    lines: tuple[tuple[str, str], ...] = ()
    said: str = ""


@dataclass(frozen=True)
class Look:
    """An outcome as its page looks at it."""

    outcome: Outcome

    def has(self, what: str) -> bool:
        """Whether something that a section needs is there: an image that is finished, a mask, ..."""
        return {
            "finished": lambda: self.outcome.failure is None and bool(self.outcome.steps),
            "mask": lambda: self.mask is not None,
            "tissues": lambda: self.tissues is not None,
            "template": lambda: self.overlaid is not None,
        }[what]()

    @property
    def native(self) -> Volume:
        """The scan as it was read; without its face where the recipe removes that."""
        scan = self.outcome.case[self.outcome.contrast]
        if all(e.step.name != "deface" for e in self.outcome.recipe.entries):
            return scan
        if self.outcome.shown is None:  # the run stopped before: nothing of the head is shown
            return scan.replace(np.zeros(scan.shape, np.uint8))
        return self.outcome.shown

    @cached_property
    def to_native(self) -> Transform:
        """Points of the result to points of the scan, mm."""
        steps = self.outcome.steps
        pulled = [n for n, s in enumerate(steps) if s.pulled is not None]
        removed = [n for n, s in enumerate(steps) if s.name == "deface"]
        if (
            pulled and removed and removed[-1] > pulled[-1]
        ):  # what is shown lies where the result is
            return Transform.identity()
        return chain(self.outcome).to_native

    @cached_property
    def mask(self) -> Volume | None:
        """The mask, if it is one of anything."""
        found = self.outcome.state.get("mask")
        return found if isinstance(found, Volume) and np.any(found.data) else None

    @cached_property
    def tissues(self) -> Volume | None:
        """The labels of tissues, if there are any."""
        found = self.outcome.state.get("tissues", self.outcome.native.get("tissues"))
        return found if isinstance(found, Volume) and np.any(found.data) else None

    @cached_property
    def window(self) -> Window:
        """The intensities of the scan to show its brain by: fat may be too bright for that."""
        whole = window_of(self.native)
        if self.mask is None:
            return whole
        index = np.argwhere(np.asarray(self.mask.data) > 0)
        index = index[:: max(1, len(index) // 100_000)]
        points = self.to_native(self.mask.grid.to_world(index))
        at = np.round(self.native.grid.to_index(points)).astype(int)
        at = at[((at >= 0) & (at < self.native.shape)).all(1)]
        values = np.nan_to_num(np.asarray(self.native.data)[tuple(at.T)].astype(np.float64))
        if values.size < 100 or values.max() <= values.min():
            return whole
        high = 1.2 * float(np.percentile(values, 99))
        return (whole[0], high) if high > whole[0] else whole

    @cached_property
    def overlaid(self) -> Snapshot | None:
        """The picture that has the template upon it."""
        shots = [
            s.snapshots["after"]
            for s in self.outcome.steps
            if s.before != s.after and "after" in s.snapshots
        ]
        return next((s for s in reversed(shots) if s.overlay is not None), None)

    def into(self, volume: Volume, made_by: str | None = None) -> Transform | None:
        """Where points of the result's world lie in a volume's: None if it is the same world.

        A volume that no later step brought along lies where it was when it
        was made: before the image was pulled, in the world of the scan.
        """
        if volume.grid.matches(self.outcome.image.grid) and made_by is not None:
            return None
        steps = self.outcome.steps
        pulled = [n for n, s in enumerate(steps) if s.pulled is not None]
        made = [n for n, s in enumerate(steps) if s.makes == made_by]
        after = bool(made) and (not pulled or made[-1] > pulled[-1])
        return None if after or not pulled else self.to_native

    @cached_property
    def box(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Two corners (mm) of what is worth showing of the result: the mask, or what is bright."""
        volume = self.mask if self.mask is not None else self.outcome.image
        data = np.nan_to_num(np.asarray(volume.data, dtype=np.float32))
        inside = data > (0.5 if volume.role is Role.MASK else data.mean())
        if not inside.any():
            inside = np.ones_like(inside)
        # A stray voxel does not count: a thousandth on either side is left out.
        ends = []
        for axis in range(3):
            share = np.cumsum(inside.sum(axis=tuple(a for a in range(3) if a != axis)))
            at = np.searchsorted(share, (0.001 * share[-1], 0.999 * share[-1]))
            ends.append(at)
        corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T
        world = volume.grid.to_world(corners.astype(np.float64))
        return world.min(0), world.max(0)


# -- tiles ------------------------------------------------------------------------------------


def _chosen(frame: Frame, numbers: Mapping[str, int], inset: float) -> list[tuple[str, float]]:
    return [(p, float(at)) for p, n in numbers.items() for at in frame.positions(p, n, inset)]


def _sheet_tiles(
    frame: Frame,
    chosen: list[tuple[str, float]],
    image: Volume,
    to: Transform | None,
    window: Window,
    lines: Mapping[str, tuple[Volume, Transform | None, int]],
) -> tuple[tuple[Tile, ...], ...]:
    shown: dict[str, list[Tile]] = {}
    image = image.replace(np.asarray(image.data, np.float32))  # once, not for each slice
    for plane, at in chosen:
        paths = []
        for kind, (labels, through, label) in lines.items():
            inside = frame.cut(labels, plane, at, through, order=0) == label
            paths.append((kind, figures.outline(inside.astype(np.float32), (0.5,), shortest=10)))
        pixels = frame.cut(image, plane, at, to)
        drawn = tuple(p for p in paths if p[1])
        shown.setdefault(plane, []).append(figures.tile(pixels, window, plane, at, drawn))
    return tuple(tuple(row) for row in shown.values())


# -- the sections -----------------------------------------------------------------------------


def result(look: Look) -> Comparison:
    """The scan as it came, laid where the result is, and the result; the scan alone at a failure."""
    outcome, image = look.outcome, look.outcome.image
    shots = [s.snapshots["after"] for s in outcome.steps if "after" in s.snapshots]
    if not shots:
        only = take(look.native, middle(look.native))
        return Comparison("result-of", "the scan", figures.pictures(only, only.window))
    after = take(image, shots[-1].image.point, mask=look.mask if _on(look.mask, image) else None)
    before = replace(
        after,
        image=pulled_view(look.native, look.to_native, image.grid, after.image.point),
        window=window_of(look.native),
    )
    shown = figures.pictures(after, after.window)
    if _alike(before, after):
        return Comparison("result-of", "the scan", shown, mask_shown=False)
    return Comparison(
        "result-of",
        "the whole run",
        after=shown,
        before=figures.pictures(before, before.window),
        mask_shown=False,
        names=("Scan", "Result"),
    )


def mosaic(look: Look) -> Sheet:
    """Axial slices through the whole result."""
    frame = Frame.around(*look.box, margin=4)
    chosen = _chosen(frame, {"axial": 24}, inset=9)
    image = look.outcome.image
    tiles = _sheet_tiles(frame, chosen, image, None, take(image, image.grid.center).window, {})
    return Sheet("mosaic-of", "the result", tiles)


def brain(look: Look) -> Sheet:
    """The mask's outline on the scan."""
    assert look.mask is not None
    frame = Frame.around(*look.box, margin=16)
    chosen = _chosen(frame, dict.fromkeys(PLANES, 8), inset=22)
    lines = {"mask": (look.mask, None, 1)}
    tiles = _sheet_tiles(frame, chosen, look.native, look.to_native, look.window, lines)
    return Sheet("brain-of", "the scan with the mask's outline", tiles, (("mask", "mask outline"),))


def tissues(look: Look) -> Sheet:
    """Outlines of the tissues on the scan."""
    assert look.tissues is not None
    frame = Frame.around(*look.box, margin=4)
    chosen = _chosen(frame, dict.fromkeys(PLANES, 8), inset=16)
    to = look.into(look.tissues, "tissues")
    lines = {kind: (look.tissues, to, label) for kind, (label, _) in TISSUES.items()}
    tiles = _sheet_tiles(frame, chosen, look.native, look.to_native, look.window, lines)
    names = tuple((kind, name) for kind, (_, name) in TISSUES.items())
    return Sheet("tissues-of", "the scan with outlines of tissues", tiles, names)


def template(look: Look) -> Comparison:
    """The template and the result in the same planes, the template's edges upon both."""
    shot = look.overlaid
    assert shot is not None
    assert shot.overlay is not None
    values = np.concatenate([p.ravel() for p in shot.overlay.planes.values()])
    low, high = np.percentile(values, (1, 99.5))
    window = float(low), float(high) if high > low else float(low) + 1.0
    after = figures.pictures(shot, shot.window, edges=True)
    before = figures.pictures(replace(shot, image=shot.overlay), window, edges=True)
    return Comparison(
        "template-of",
        "the registration",
        after=tuple(replace(p, mask="") for p in after),
        before=tuple(replace(p, mask="") for p in before),
        names=("Template", "Image"),
    )


def background(look: Look) -> Sheet:
    """The air around the head, made bright."""
    volume = look.native
    corners = volume.grid.corners
    frame = Frame.around(corners.min(0), corners.max(0), margin=0)
    chosen = _chosen(frame, {"axial": 8, "coronal": 4, "sagittal": 4}, inset=10)
    white, said = _air(volume)
    return Sheet(
        "background-of",
        "the air around the head",
        _sheet_tiles(frame, chosen, volume, None, (0.0, white), {}),
        said=said,
    )


#: What makes the content of a section, by the name that ``case_page.yaml`` gives it.
MAKERS: Mapping[str, Callable[[Look], Comparison | Sheet]] = {
    "result": result,
    "mosaic": mosaic,
    "brain": brain,
    "tissues": tissues,
    "template": template,
    "background": background,
}


def _air(volume: Volume) -> tuple[float, str]:
    """The intensity to show as white so that the noise of air is seen, and what that means."""
    from mriprep.kernels.otsu import otsu

    data = np.asarray(volume.data).ravel()
    sample = data[:: max(1, data.size // 400_000)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    top = float(np.percentile(sample, 99.5)) if sample.size else 1.0
    if sample.size == 0 or sample.max() <= sample.min():
        return 1.0, "The scan is constant."
    surface = otsu(np.minimum(sample, top).astype(np.float32))
    # The darker half of what is not head: tissue with little signal is not in it.
    dark = sample[(sample > 0) & (sample < surface)]
    zeros = float((sample == 0).mean())
    if dark.size < 100 or zeros > 0.3:
        return max(0.1 * top, 1e-6), (
            f"{zeros:.0%} of the voxels are exactly zero: the air was blanked before the scan came"
            " here, so that its noise says nothing."
        )
    white = 4.0 * float(np.percentile(dark, 50))
    white = min(max(white, 0.01 * top), top)
    return white, f"White is {white / top:.0%} of the brightest tissue."


def _on(mask: Volume | None, image: Volume) -> bool:
    return mask is not None and mask.grid.matches(image.grid)


def _alike(before: Snapshot, after: Snapshot) -> bool:
    return all(
        p.shape == after.image.planes[n].shape and np.allclose(p, after.image.planes[n], rtol=1e-4)
        for n, p in before.image.planes.items()
    )


__all__ = ["MAKERS", "Histogram", "Look", "Sheet"]
