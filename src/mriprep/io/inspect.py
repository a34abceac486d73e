"""An image file explained in words: what it is, and what is odd about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, Role, Volume

from .blocks import read_voxels
from .header import Header, Oddity, checked
from .images import contrast_of, read_header

#: Beyond these an image is odd: longest to shortest edge of a voxel, degrees, mm.
ANISOTROPIC, OBLIQUE_DEGREES, TINY_MM, HUGE_MM = 2.0, 5.0, 0.1, 10.0

#: Volumes of a brain with what lies about it, from a fetus to a large adult, mm³.
_BRAIN_MM3 = (0.03e6, 2.3e6)

_RUNS = {
    "R": "from the patient's left to right", "L": "from the patient's right to left",
    "A": "from back to front", "P": "from front to back",
    "S": "from the feet to the head", "I": "from the head to the feet",
}  # fmt: skip
_OTHERS = ((1, 2), (0, 2), (0, 1))
_NUMBERS = {"i": "signed integers", "u": "unsigned integers", "f": "floating-point numbers"}


@dataclass(frozen=True)
class Fact:
    """One thing that a file says: its name, in words, and as plain data."""

    name: str
    text: str
    value: Any


@dataclass(frozen=True)
class Inspection:
    """What an image file is and what is odd about it.

    Parameters
    ----------
    source : str
        The file.
    readable : bool
        Whether it can be read as a volume; where not, an oddity says why.
    facts : tuple of Fact
        In the order in which one would tell them.
    oddities : tuple of Oddity
        Each with its consequence and the remedy.
    """

    source: str
    readable: bool
    facts: tuple[Fact, ...]
    oddities: tuple[Oddity, ...]

    def to_dict(self) -> dict[str, Any]:
        """The inspection as plain data."""
        return asdict(self)


def inspect_image(path: str | os.PathLike[str]) -> Inspection:
    """Explain an image file: its header in words, its values, and its oddities.

    Files that cannot be read as a volume are explained too, as far as their
    header goes. Of a 4D file the first volume's values are described.

    Parameters
    ----------
    path : path
        A single image file.

    Raises
    ------
    InputError
        If the file is missing, not an image, or too damaged to describe.
    """
    header = read_header(path)
    facts, oddities = [*_stored_facts(header)], [*header.oddities, *_stored_oddities(header)]
    grid = data = None
    try:
        grid, _ = checked(header, 0)
        data = read_voxels(header)
    except InputError as error:
        faults = header.faults or (error,)
        oddities += [
            Oddity(
                fault.message,
                "it cannot be read as a volume",
                fault.hint or "convert it again from its source",
            )
            for fault in faults
        ]
    if grid is not None:
        facts += _grid_facts(grid)
        oddities += _grid_oddities(grid)
    if grid is not None and data is not None:
        content = _content(data)
        facts += [Fact("content", content, content), *_value_facts(data)]
        oddities += _value_oddities(header, grid, data, content)
    return Inspection(str(header.path), data is not None, tuple(facts), tuple(oddities))


# -- facts --------------------------------------------------------------------------------------


def _stored_facts(header: Header) -> Iterator[Fact]:
    yield Fact("format", header.format, header.format)
    size = " x ".join(map(str, header.shape[:3]))
    series = f", {header.volumes} volumes (4D)" if header.volumes > 1 else ""
    yield Fact("size", f"{size} voxels{series}", list(header.shape))
    kind, bits = header.dtype.kind, header.dtype.itemsize * 8
    scaling = (
        f"; a value is {header.slope:g} x stored + {header.inter:g}"
        if header.is_scaled
        else "; not scaled"
    )
    text = f"{header.dtype.name}: {bits}-bit {_NUMBERS[kind]}{scaling}"
    yield Fact(
        "data type",
        text,
        {"dtype": header.dtype.name, "slope": header.slope, "inter": header.inter},
    )
    contrast = contrast_of(header.path)
    text = f"{contrast}, by the file's name" if contrast else "the file's name does not say"
    yield Fact("contrast", text, contrast)
    if header.facts:
        text = ", ".join(f"{name} {value}" for name, value in header.facts.items())
        yield Fact("header", text, dict(header.facts))


def _grid_facts(grid: Grid) -> Iterator[Fact]:
    spacing = " x ".join(f"{s:.3g}" for s in grid.spacing)
    ratio = max(grid.spacing) / min(grid.spacing)
    even = "the same in all directions" if ratio < 1.01 else f"longest to shortest {ratio:.2g}"
    yield Fact("spacing", f"{spacing} mm, {even}", list(grid.spacing))
    runs = "; ".join(f"axis {axis} runs {_RUNS[c]}" for axis, c in enumerate(grid.orientation))
    yield Fact("orientation", f"{grid.orientation}: {runs}", grid.orientation)
    angle = grid.obliquity
    text = f"turned by {angle:.1f}° against the body's axes" if angle > 0.1 else "none"
    yield Fact("obliquity", text, round(angle, 3))
    extent = np.asarray(grid.shape) * grid.spacing
    text = " x ".join(f"{e:.0f}" for e in extent)
    yield Fact("field of view", f"{text} mm", [round(float(e), 3) for e in extent])


def _value_facts(data: npt.NDArray[Any]) -> Iterator[Fact]:
    nan, infinite = (int(f(data).sum()) for f in (np.isnan, np.isinf))
    sound = data[np.isfinite(data)] if nan or infinite else data
    counts = {
        "nan": nan,
        "infinite": infinite,
        "negative": int((sound < 0).sum()),
        "zero": int((sound == 0).sum()),
    }
    low, high = (sound.min().item(), sound.max().item()) if sound.size else (None, None)
    span = "no finite value" if low is None else f"{low:g} to {high:g}"
    told = [f"{n / data.size:.1%} {name}" for name, n in counts.items() if n]
    text = "; ".join([span, *told])
    yield Fact("values", text, {"minimum": low, "maximum": high, "voxels": data.size, **counts})


def looks_like(volume: Volume) -> Role:
    """The role that a volume's voxels suggest, whatever it was read as."""
    data = volume.data
    if data.dtype.kind not in "iu" or data.size == 0:
        return Role.IMAGE
    return {"a mask": Role.MASK, "labels": Role.LABELS}.get(_content(data), Role.IMAGE)


def _content(data: npt.NDArray[Any]) -> str:
    low, high = data.min(), data.max()
    if low == 0 and high > 0 and bool(((data == 0) | (data == high)).all()):
        return "a mask"
    if data.dtype.kind in "iu" and low == 0 and high > 0:
        # Regions have one number each: neighbours are alike, which noise never is.
        alike = (data[1:] == data[:-1])[data[1:] != 0]
        if alike.size and alike.mean() > 0.7:
            return "labels"
    return "an image"


# -- oddities -----------------------------------------------------------------------------------


def _stored_oddities(header: Header) -> Iterator[Oddity]:
    if header.volumes > 1:
        yield Oddity(
            f"it holds {header.volumes} volumes",
            "mriprep works on one volume and does not guess which",
            f"choose one, from 0 to {header.volumes - 1}: `--volume 0`",
        )
    if header.facts.get("slope") == 0:
        yield Oddity(
            "the header's slope (scl_slope) is 0",
            "NIfTI takes this as 'not scaled', and so does mriprep; some software makes all values 0",
            "write the image again: mriprep sets the slope to 1",
        )


def _grid_oddities(grid: Grid) -> Iterator[Oddity]:
    if np.linalg.det(grid.direction) < 0:
        yield Oddity(
            f"its axes are left-handed ({grid.orientation})",
            "software that ignores the affine shows it mirrored",
            "nothing: mriprep follows the affine",
        )
    ratio = max(grid.spacing) / min(grid.spacing)
    if ratio > ANISOTROPIC:
        yield Oddity(
            f"its voxels are {ratio:.1f} times as long as they are wide",
            "details along the long axis are lost, whatever spacing it is resampled to",
            "where another scan of the subject is isotropic, register to that one",
        )
    if grid.obliquity > OBLIQUE_DEGREES:
        yield Oddity(
            f"it is oblique by {grid.obliquity:.1f}°",
            "array axes are not the body's axes; software that drops the angle misplaces it",
            "resample it to a template or to straight axes",
        )
    if min(grid.spacing) < TINY_MM or max(grid.spacing) > HUGE_MM:
        sizes = " x ".join(f"{s:.3g}" for s in grid.spacing)
        yield Oddity(
            f"its voxels of {sizes} mm are unusual for a scan of a person",
            "the header may be in another unit, or the spacing wrong",
            "compare with the scanner's protocol; convert it again from the DICOM files",
        )


def _value_oddities(
    header: Header, grid: Grid, data: npt.NDArray[Any], content: str
) -> Iterator[Oddity]:
    broken = int((~np.isfinite(data)).sum())
    if broken:
        yield Oddity(
            f"{broken} voxels are NaN or infinite",
            "sums and filters over them give NaN",
            "find what made them; as zeros they would count as background",
        )
    sound = data[np.isfinite(data)] if broken else data
    if not sound.size or sound.min() == sound.max():
        value = f"{sound.flat[0]:g}" if sound.size else "NaN"
        yield Oddity(
            f"every voxel is {value}", "there is nothing to see", "convert it again from its source"
        )
        return
    if content != "an image":
        return
    if header.dtype.kind in "iu":
        yield from _limits(header, data)
    if _looks_stripped(grid, data):
        yield Oddity(
            "it looks skull-stripped: all is 0 around something of a brain's size",
            "brain extraction would cut into it, and whole-head templates do not fit",
            "leave brain extraction out; use a template of the brain alone",
        )


def _limits(header: Header, data: npt.NDArray[Any]) -> Iterator[Oddity]:
    info = np.iinfo(header.dtype)
    ends = [info.max] if info.min == 0 else [info.min, info.max]
    # One voxel at the limit is what rescaling to the full range leaves; many are clipped.
    few = max(10, data.size // 100_000)
    for end in ends:
        count = int((data == np.float32(end * header.slope + header.inter)).sum())
        if count > few:
            yield Oddity(
                f"{count} voxels are at the limit of {header.dtype.name} ({end})",
                "their true values were larger: clipped, or wrapped around to the other end",
                "convert it again from its source, as float32",
            )


def _looks_stripped(grid: Grid, data: npt.NDArray[Any]) -> bool:
    inside = data != 0
    volume = float(inside.sum()) * grid.voxel_volume
    if not _BRAIN_MM3[0] < volume < _BRAIN_MM3[1] or data.min() < 0 or inside.mean() > 0.6:
        return False
    # A head goes on below the image, and the air about it is noisy; a brain is an island.
    faces = [inside.take(end, axis).mean() for axis in range(3) for end in (0, -1)]
    if max(faces) > 0.005:
        return False
    box = np.prod([np.ptp(np.flatnonzero(inside.any(other))) + 1 for other in _OTHERS])
    # Of the box about it, a brain fills about half; scattered noise does not.
    return bool(inside.sum() / box > 0.3)
