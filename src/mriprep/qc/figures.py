"""Pictures of a report: planes as data URIs, outlines and histograms as paths of SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mriprep.core.slices import Slices, display_axes
from mriprep.snapshot import PLANES, Histogram, Plane, Snapshot, View

#: What lies at the left, right, top and bottom of a picture, as :class:`View` shows it.
SIDES = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
#: Longest side of a picture, pixels; they are shown at 220 to 260, twice that on fine screens.
LONGEST = 384
#: Of a field that multiplies intensities: below 1, 1, above 1.
FIELD_COLOURS = ("#2166ac", "#67a9cf", "#f7f7f7", "#ef8a62", "#b2182b")
#: Between CSF and grey matter, and grey and white matter, in labels of tissues.
TISSUES = (1.5, 2.5)
#: Steps of a path per pixel: its numbers are whole, which keeps it short.
_FINE = 4
_QUALITY = 82


@dataclass(frozen=True)
class Picture:
    """One plane, ready for a page.

    Parameters
    ----------
    plane : str
        ``axial``, ``coronal``, ``sagittal``.
    src : str
        The image as a data URI.
    width, height : int
        In square pixels: its shape is the anatomy's, whatever the voxels'.
    sides : tuple of str
        Letters at the left, right, top and bottom.
    position : str
        Where the plane lies, as ``"z 12 mm"``.
    scale : str
        Scale of SVG that brings the outlines' coordinates to pixels.
    mask, edges : str
        Outline of the mask and edges of the template: data of SVG paths, or empty.
    """

    plane: str
    src: str
    width: int
    height: int
    sides: tuple[str, str, str, str]
    position: str
    scale: str
    mask: str = ""
    edges: str = ""

    @property
    def shape(self) -> float:
        """Width over height of the place that it gets; extreme ones are shown with margins."""
        return min(max(self.width / self.height, 0.45), 2.6)

    @property
    def margins(self) -> bool:
        """Whether it does not fill its place."""
        return self.shape != self.width / self.height


@dataclass(frozen=True)
class Tile:
    """One small slice of a contact sheet.

    Parameters
    ----------
    src : str
        The image as a data URI.
    width, height : int
        In pixels.
    label : str
        Where it lies.
    lines : tuple of (str, str)
        Outlines upon it: a class of lines, and the data of an SVG path in
        quarters of a pixel.
    """

    src: str
    width: int
    height: int
    label: str
    lines: tuple[tuple[str, str], ...] = ()


Window = tuple[float, float]


def pictures(
    shot: Snapshot, window: Window, *, edges: bool = False, levels: tuple[float, ...] | None = None
) -> tuple[Picture, ...]:
    """The three planes of a snapshot in grey, with its mask's outline.

    Parameters
    ----------
    shot : Snapshot
        What to show.
    window : (float, float)
        The intensities that are black and white.
    edges : bool
        Whether the overlay is an image whose edges are to be drawn.
    levels : tuple of float, optional
        Where in the overlay edges are, for labels; found in it otherwise.
    """
    smooth = _smooth if levels is None else np.asarray
    if levels is None:
        levels = _levels(shot.overlay) if edges and shot.overlay is not None else ()
    shown = []
    for name in PLANES:
        plane = shot.image.planes[name]
        mask = edge = ""
        if shot.mask is not None:
            mask = outline(shot.mask.planes[name], (0.5,))
        if levels and shot.overlay is not None:
            edge = outline(smooth(shot.overlay.planes[name]), levels, shortest=16)
        shown.append(_picture(shot.image, name, _grey(plane, window), mask, edge))
    return tuple(shown)


def field_pictures(shot: Snapshot) -> tuple[tuple[Picture, ...], float]:
    """The three planes of a multiplicative field in colour, and the factor at the scale's end.

    The field is shown relative to its median where it matters, in the mask or
    else where the image is bright: its overall factor means nothing.
    """
    if shot.overlay is None:
        raise ValueError("the snapshot holds no field")
    masks = shot.mask.planes if shot.mask is not None else {}
    dark = shot.window[0] + (shot.window[1] - shot.window[0]) / 10
    logs = {n: np.log(np.maximum(p, 1e-6)) for n, p in shot.overlay.planes.items()}
    bright = {n: masks[n] > 0 if n in masks else shot.image.planes[n] > dark for n in logs}
    inside = np.concatenate([p[bright[n]] for n, p in logs.items()])
    middle = float(np.median(inside)) if inside.size else 0.0
    limit = float(np.percentile(np.abs(inside - middle), 99)) if inside.size else 0.0
    limit = max(limit, 0.02)
    table = _colour_table()
    shown = []
    for name, plane in logs.items():
        index = np.clip(((plane - middle) / limit + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
        pixels, mask = table[index], ""
        if name in masks:
            mask = outline(masks[name], (0.5,))
            outside = masks[name] == 0  # extrapolated: pale
            pixels[outside] = pixels[outside] // 4 + 185
        shown.append(_picture(shot.overlay, name, pixels, mask, ""))
    return tuple(shown), float(np.exp(limit))


def tiles(slices: Slices, most: int = 24, side: int = 110) -> tuple[Tile, ...]:
    """A contact sheet: slices evenly chosen among those there are, from low to high."""
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(most, len(slices))).round().astype(int))
    _, rows, columns = display_axes(slices.grid, slices.plane)[0]
    aspect = slices.grid.spacing[rows] / slices.grid.spacing[columns]
    letter = "xyz"[PLANES[slices.plane]]
    shown = []
    for n in chosen:
        size = _size(slices.stack[n].shape, aspect, side)
        src = _uri(_grey(slices.stack[n], slices.window), size)
        shown.append(Tile(src, *size, f"{letter} {_mm(slices.positions[n])}"))
    return tuple(shown)


def tile(
    pixels: Plane,
    window: Window,
    plane: str,
    at: float,
    lines: tuple[tuple[str, str], ...] = (),
) -> Tile:
    """A slice (H, W) of square pixels as a tile that says where it lies (mm along its axis)."""
    height, width = pixels.shape
    src = _uri(_grey(pixels, window), (width, height))
    return Tile(src, width, height, f"{'xyz'[PLANES[plane]]} {_mm(at)}", lines)


def outline(plane: Plane, levels: Sequence[float], *, shortest: float = 0) -> str:
    """Where a plane crosses the levels, as the data of an SVG path.

    Parameters
    ----------
    plane : (H, W) array
        A mask (level 0.5) or an image.
    levels : sequence of float
        The values to follow.
    shortest : float
        Lines shorter than this are left out, pixels.

    Returns
    -------
    str
        In quarters of a pixel from the picture's upper left corner: the
        centre of pixel (row 0, column 0) is at (2, 2).
    """
    import contourpy

    if np.nanmax(plane, initial=-np.inf) <= min(levels, default=0):
        return ""
    # A border of the lowest value closes what the picture's edge cuts.
    padded = np.pad(np.nan_to_num(plane), 1, constant_values=float(np.nanmin(plane, initial=0)))
    generator = contourpy.contour_generator(z=padded)
    lines: list[npt.NDArray[np.float64]] = [
        np.asarray(line) for level in levels for line in generator.lines(level)
    ]
    return "".join(
        _path(np.round((line - 0.5) * _FINE).astype(int))
        for line in lines
        if np.abs(np.diff(line, axis=0)).sum() >= shortest
    )


def bars(histogram: Histogram, window: Window, top: float, size: tuple[int, int]) -> str:
    """A histogram as a filled SVG path in a box (width, height) over a range of values."""
    width, height = size
    x = (histogram.edges - window[0]) / (window[1] - window[0]) * width
    y = height * (1 - np.minimum(density(histogram) / top, 1))
    steps = "".join(
        f"L{a:.1f} {h:.1f}L{b:.1f} {h:.1f}" for a, b, h in zip(x[:-1], x[1:], y, strict=True)
    )
    return f"M{x[0]:.1f} {height}{steps}L{x[-1]:.1f} {height}Z"


def density(histogram: Histogram) -> npt.NDArray[np.float64]:
    """Share of the voxels per unit of intensity, in each bin."""
    total = max(int(histogram.counts.sum()), 1)
    shares: npt.NDArray[np.float64] = histogram.counts / total / np.diff(histogram.edges)
    return shares


# -- pixels -----------------------------------------------------------------------------------


def _picture(
    view: View, name: str, pixels: npt.NDArray[np.uint8], mask: str, edges: str
) -> Picture:
    rows, columns = pixels.shape[:2]
    width, height = _size((rows, columns), view.aspect[name], LONGEST)
    axis = PLANES[name]
    return Picture(
        plane=name,
        src=_uri(pixels, (width, height)),
        width=width,
        height=height,
        sides=SIDES[name],
        position=f"{'xyz'[axis]} {_mm(view.point[axis])}",
        scale=f"{width / columns / _FINE:.5g} {height / rows / _FINE:.5g}",
        mask=mask,
        edges=edges,
    )


def _size(shape: Sequence[int], aspect: float, longest: int) -> tuple[int, int]:
    """Width and height in square pixels, of the finer spacing unless that is too large."""
    rows, columns = shape
    width, height = (columns, rows * aspect) if aspect > 1 else (columns / aspect, float(rows))
    shrink = min(longest / max(width, height), 1)
    return max(round(width * shrink), 1), max(round(height * shrink), 1)


def _grey(plane: Plane, window: Window) -> npt.NDArray[np.uint8]:
    low, high = window
    scaled = (np.nan_to_num(plane, nan=low) - low) * (255 / (high - low))
    pixels: npt.NDArray[np.uint8] = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    return pixels


def _colour_table() -> npt.NDArray[np.uint8]:
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in FIELD_COLOURS])
    at = np.linspace(0, 255, len(anchors))
    columns = [np.interp(np.arange(256), at, anchors[:, i]) for i in range(3)]
    return np.stack(columns, axis=1).round().astype(np.uint8)


def _uri(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> str:
    from PIL import Image

    image = Image.fromarray(pixels)
    if image.size != size:
        # A box is the mean of what it covers, and where it enlarges shows voxels as they are.
        image = image.resize(size, Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _mm(value: float) -> str:
    return f"{value:+.0f} mm".replace("-", "−").replace("+0 ", "0 ").replace("−0 ", "0 ")


# -- lines ------------------------------------------------------------------------------------


def _path(points: npt.NDArray[np.int_]) -> str:
    """A polyline of whole numbers as relative moves, without the points that lie on a line."""
    steps = np.diff(points, axis=0)
    steps = steps[(steps != 0).any(axis=1)]
    if len(steps) == 0:
        return ""
    cross = steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]
    ahead = (steps[:-1] * steps[1:]).sum(axis=1) > 0
    starts = np.flatnonzero(np.concatenate([[True], (cross != 0) | ~ahead]))
    merged = np.add.reduceat(steps, starts, axis=0)
    closed = "z" if np.array_equal(points[0], points[-1]) else ""
    moves = " ".join(f"{x} {y}" for x, y in merged.tolist())
    return f"M{points[0, 0]} {points[0, 1]}l{moves}{closed}"


def _smooth(plane: Plane) -> Plane:
    from scipy import ndimage

    smoothed: Plane = ndimage.gaussian_filter(np.nan_to_num(plane), 1.0)
    return smoothed


def _levels(template: View) -> tuple[float, ...]:
    """Two values that part a template: from its background, and its tissues from each other."""
    from mriprep.kernels.otsu import otsu

    values = np.concatenate([_smooth(p).ravel() for p in template.planes.values()])
    if values.max() <= values.min():
        return ()
    values = np.minimum(values, np.percentile(values, 99.5))
    surface = otsu(values)
    inside = values[values > surface]
    if inside.size == 0 or inside.max() <= inside.min():
        return (surface,)
    return (surface, otsu(inside))
