"""The image that is measured, and what several metrics need of it, made once and when asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft

from mriprep.core import GeometryError, Grid, InputError, Transform, Volume
from mriprep.core.slices import arranged
from mriprep.kernels.binary import eroded
from mriprep.kernels.extent import bounds
from mriprep.kernels.sample import linear

from . import masks
from .declared import Unmeasured, told
from .formulas import Summary, fwhm, summary

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]
TISSUES = ("csf", "gm", "wm")

#: Less air than this says nothing, voxels.
_LEAST_AIR = 1000
#: The white matter's median after scaling, as MRIQC scales.
WHITE = 1000.0


@dataclass(frozen=True, eq=False)
class Measurable:
    """An image and what is known of it, all on the image's own grid.

    Parameters
    ----------
    image : Volume
        As the scanner gave it: native grid, intensities as stored.
    corrected : Volume
        The same without its bias field.
    brain : Volume
        Mask of the brain.
    tissues : mapping of str to Volume
        Probabilities of ``csf``, ``gm`` and ``wm``.
    bias : Volume or None
        The multiplicative bias field that was removed.
    pose : Transform or None
        Template mm to scan mm; None where there is no template.
    contrast : str
        ``T1w``, ``T2w``, ``FLAIR``, ``T1c``, ``PDw``, ...
    facts : mapping
        Header facts.
    template : Volume or None
        The template's head or brain, in its own world, for the check of sides.
    template_tissues : mapping of str to Volume
        The template's probabilities of ``csf``, ``gm`` and ``wm``, those that there are.
    """

    image: Volume
    corrected: Volume
    brain: Volume
    tissues: Mapping[str, Volume]
    bias: Volume | None = None
    pose: Transform | None = None
    contrast: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    template: Volume | None = None
    template_tissues: Mapping[str, Volume] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        missing = [t for t in TISSUES if t not in self.tissues]
        if missing:
            raise InputError(
                f"tissues lack {', '.join(missing)}; got {', '.join(self.tissues) or 'none'}",
                hint="give the probabilities of csf, gm and wm",
            )
        others = {"corrected": self.corrected, "brain": self.brain, **self.tissues}
        if self.bias is not None:
            others["bias"] = self.bias
        for name, volume in others.items():
            if not volume.grid.matches(self.image.grid):
                raise GeometryError(
                    f"'{name}' lies on another grid than the image: {volume.grid}; {self.image.grid}",
                    hint="resample it to the image first",
                )


class Expected(NamedTuple):
    """Probabilities that a template gives, in a box of the scene; 0 beyond it."""

    box: Box
    chances: Floats


class Scene:
    """A :class:`Measurable` with axes to the right, front and top, as MRIQC turns it; masks and scales.

    Nothing is interpolated: axes are permuted and flipped, an oblique image
    stays oblique. What is not a finite number counts as 0, as in MRIQC.
    """

    def __init__(self, what: Measurable) -> None:
        self.what = what
        self.grid: Grid = what.image.grid.reoriented("RAS")
        self._order, self._flip = what.image.grid.axes_to("RAS")
        self.spacing = self.grid.spacing
        self.contrast = what.contrast

    def _array(self, volume: Volume) -> npt.NDArray[Any]:
        return arranged(volume.data, self._order, self._flip)

    def _floats(self, volume: Volume) -> Floats:
        out = np.ascontiguousarray(self._array(volume), dtype=np.float32)
        if volume.data.dtype.kind == "f" and not np.isfinite(out).all():
            out = np.where(np.isfinite(out), out, np.float32(0))
        return out

    @cached_property
    def stored_axis(self) -> int:
        """Which of the turned axes was the file's third: along which slices are stacked."""
        return self._order.index(2)

    @cached_property
    def raw(self) -> Floats:
        """The image as the scanner gave it, (X, Y, Z)."""
        return self._floats(self.what.image)

    @cached_property
    def corrected(self) -> Floats:
        """Without its bias field, as given."""
        return self._floats(self.what.corrected)

    @cached_property
    def brain(self) -> Mask:
        """The brain's mask."""
        mask = np.ascontiguousarray(self._array(self.what.brain)) > 0
        if mask.sum() < 1000:
            raise Unmeasured(f"the brain mask has {int(mask.sum())} voxels")
        return mask

    @cached_property
    def tissue(self) -> Mapping[str, Floats]:
        """Probabilities of csf, gm and wm."""
        return {t: np.clip(self._floats(self.what.tissues[t]), 0, 1) for t in TISSUES}

    @cached_property
    def bias(self) -> Floats:
        """The bias field."""
        if self.what.bias is None:
            raise Unmeasured("there is no bias field")
        return self._floats(self.what.bias)

    @cached_property
    def box(self) -> Box:
        """The brain's bounding box."""
        return bounds(self.brain)

    @cached_property
    def white(self) -> float:
        """Median of the white matter in the corrected image, MRIQC's way: sure voxels off the edge."""
        sure = np.zeros(self.grid.shape, bool)
        sure[self.box] = self.tissue["wm"][self.box] >= 0.9
        inner = eroded(sure[self.box])
        for mask in (inner, sure[self.box], self.tissue["wm"][self.box] > 0.5):
            if mask.any():
                level = float(np.median(self.corrected[self.box][mask]))
                if level > 0:
                    return level
        raise Unmeasured("no voxel is white matter, or its intensity is not positive")

    @cached_property
    def scaled(self) -> Floats:
        """Without its bias field, the white matter's median 1000, nothing below 0."""
        return np.maximum(self.corrected, 0) * np.float32(WHITE / self.white)

    @cached_property
    def edges(self) -> Mask:
        """Strong edges, and the brain."""
        return masks.edges(
            np.maximum(self.corrected, 0), self.brain, self.tissue["wm"], self.spacing
        )

    @cached_property
    def head(self) -> Mask:
        """The head's mask."""
        return masks.head(self.edges, self.brain)

    @cached_property
    def hat(self) -> Mask:
        """Air above the plane through glabella and inion."""
        return masks.hat(self.head, self.brain, self.grid, self.what.pose)

    @cached_property
    def whole_head(self) -> Mask:
        """The head where it goes on beyond the image, on all sides but below."""
        return masks.head(self.edges, self.brain, whole=True)

    @cached_property
    def outside(self) -> Mask:
        """Air above the plane through glabella and inion, about the whole head."""
        return masks.hat(self.whole_head, self.brain, self.grid, self.what.pose)

    @cached_property
    def artifacts(self) -> Mask:
        """What shines in the hat."""
        return masks.artifacts(self.raw, self.hat, self.head)

    @cached_property
    def air(self) -> Mask:
        """The hat without artefacts."""
        return self.hat & ~self.artifacts

    def shown(self, air: Mask, what: str) -> Mask:
        """Some of the air, if there is enough and most is not 0: then `what` was not cut off."""
        empty = float((self.raw[_enough(air)] <= 0).mean())
        if empty > 0.5:
            raise Unmeasured(f"{empty:.0%} of the air is 0: {what} cut off")
        return air

    @cached_property
    def empty(self) -> Mask:
        """Empty voxels that a rotation or a mask left."""
        return masks.rotation(self.raw)

    @cached_property
    def brain_level(self) -> float:
        """Median of the image within the brain, as the scanner gave it."""
        level = float(np.median(self.raw[self.brain]))
        if level <= 0:
            raise Unmeasured("half the brain's voxels are not positive")
        return level

    @cached_property
    def summaries(self) -> Mapping[str, Summary | str]:
        """Statistics of the air without artefacts (``bg``) and of each tissue, or why there are none."""
        air = self.air

        def of(name: str) -> Summary:
            if name == "bg":
                return summary(self.scaled, _enough(air))
            return summary(self.scaled[self.box], self.tissue[name][self.box])

        return {name: told(of, name) for name in ("bg", *TISSUES)}

    @cached_property
    def power(self) -> Floats:
        """Squared magnitude of the image's spectrum, (X, Y, Z // 2 + 1): the last axis is half of it."""
        spectrum = scipy.fft.rfftn(self.raw, workers=1)
        power: Floats = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        return power

    @cached_property
    def smoothness(self) -> tuple[float, float, float]:
        """FWHM of the image within the brain along each axis, voxels; NaN where it cannot be told."""
        return fwhm(self.raw[self.box], self.brain[self.box])

    @cached_property
    def expected(self) -> Mapping[str, Expected]:
        """The template's probabilities of the tissues that it has, where they are not 0.

        Raises
        ------
        Unmeasured
            If there is no transform from a template.
        """
        pose = self.what.pose
        if pose is None:
            raise Unmeasured("there is no transform from a template")
        found = {}
        for name, volume in self.what.template_tissues.items():
            part = _support(volume)
            chances = np.clip(np.nan_to_num(part.floats()), 0, 1)
            to_scan = np.linalg.inv(self.grid.affine) @ pose.matrix @ part.grid.affine
            box = _reached(chances.shape, to_scan, self.grid.shape)
            matrix = np.asarray(np.linalg.inv(to_scan), np.float64)
            matrix[:3, 3] += matrix[:3, :3] @ [s.start for s in box]
            x, y, z = (s.stop - s.start for s in box)
            found[name] = Expected(box, linear(chances, matrix[:3], (x, y, z)))
        return found


def _support(volume: Volume) -> Volume:
    """What of a map is not 0, with a voxel of 0 about it where there is one."""
    there = np.asarray(volume.data) > 0
    if not there.any():
        return volume
    box = tuple(
        slice(max(s.start - 1, 0), min(s.stop + 1, n))
        for s, n in zip(bounds(there), there.shape, strict=True)
    )
    data = np.asarray(volume.data)[box]
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [s.start for s in box]
    return Volume(data, Grid(data.shape, affine), volume.role)


def _reached(
    shape: tuple[int, ...], to: npt.NDArray[np.float64], there: tuple[int, int, int]
) -> Box:
    """The box of an array's indices `there` that an array of `shape`, mapped by `to`, may cover."""
    ends = [(-1, n) for n in shape]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
    index = to[:3, :3] @ corners + to[:3, 3:]
    low = np.clip(np.floor(index.min(1)).astype(int), 0, there)
    high = np.clip(np.ceil(index.max(1)).astype(int) + 1, low, there)
    a, b, c = (slice(int(u), int(v)) for u, v in zip(low, high, strict=True))
    return a, b, c


def _enough(air: Mask) -> Mask:
    count = int(air.sum())
    if count < _LEAST_AIR:
        raise Unmeasured(f"{count} voxels of air lie above the head's base")
    return air
