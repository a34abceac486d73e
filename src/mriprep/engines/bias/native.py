"""N4 on a regular grid, where its B-spline fit separates by axis.

Tustison NJ et al. N4ITK: improved N3 bias correction. IEEE Trans Med Imaging
2010. doi:10.1109/TMI.2010.2046908. The field is fitted as by Lee S, Wolberg G,
Shin SY. Scattered data interpolation with multilevel B-splines. IEEE Trans
Vis Comput Graph 1997. doi:10.1109/2945.620490

ITK fits scattered points, each with its 64 weights. Voxels lie on a regular
grid, where every sum of that fit is a product of sums along the axes; what is
left for each voxel is a histogram and a look-up.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import Volume
from mriprep.engines import Engine
from mriprep.engines._device import on_gpu
from mriprep.kernels.extent import extent

ENGINE = Engine(
    title="N4 on a regular grid: the same method, its spline fit separated by axis",
    packages=(),
    licence="Apache-2.0",
    gpu=True,
    memory_mb=0,
    seconds_per_megavoxel=0.3,
    least_seconds=1,
)

#: Bins of the histogram, as in ITK.
BINS = 200

Doubles = npt.NDArray[np.float64]


def field(
    image: Volume,
    mask: Volume,
    *,
    levels: int,
    iterations: int,
    shrink: float,
    fwhm: float,
    noise: float,
    convergence: float,
    spline_distance: float | None = None,
    weights: Volume | None = None,
    device: Literal["auto", "cpu", "cuda"] = "cpu",
) -> tuple[Volume, Volume]:
    """Estimate the multiplicative bias field.

    Parameters
    ----------
    image : Volume
        Finite voxels; those of the mask positive.
    mask : Volume
        Where the field is estimated, on the image's grid.
    levels, iterations : int
        Resolution levels of the B-spline field, and iterations on each.
    shrink : float
        Voxel size at which the field is estimated, mm.
    fwhm, noise, convergence : float
        As in SimpleITK.
    spline_distance : float, optional
        Spacing of the first level's mesh, mm; one element without it.
    weights : Volume, optional
        Confidence in each voxel, on the image's grid.
    device : {"auto", "cpu", "cuda"}
        numba on a CPU, torch on a GPU.

    Returns
    -------
    field : Volume
        At every voxel of the image, float32; the corrected image is the
        image divided by it.
    lattice : Volume
        Control points of the log field, from which it can be had on any grid
        (:func:`mriprep.kernels.spline.evaluate`).
    """
    from mriprep.kernels import spline

    steps = [
        max(1, min(int(shrink / s + 1e-3), n // 4))
        for s, n in zip(image.spacing, image.shape, strict=True)
    ]
    offsets = [(f - 1) // 2 for f in steps]
    coarse = tuple(slice(o, None, f) for o, f in zip(offsets, steps, strict=True))
    inside = mask.data[coarse]
    box = tuple(extent(inside, axis) for axis in range(3))
    inside = inside[box]
    values = np.log(image.data[coarse][box][inside], dtype=np.float32)
    confidence = None if weights is None else weights.floats()[coarse][box][inside]
    voxels = _voxels(values, inside, confidence, device)
    positions = [
        (np.arange(b.start, b.stop) * f + o).astype(np.float64)
        for b, f, o in zip(box, steps, offsets, strict=True)
    ]
    mesh = _first_mesh(image, spline_distance)
    total = np.zeros([m + 3 for m in mesh])
    low, high = voxels.range()
    for level in range(levels):
        if level:
            total = spline.refined(total)
            mesh = tuple(2 * m for m in mesh)
        axes = [
            spline.basis(p * (m / max(n - 1, 1)), m)
            for p, n, m in zip(positions, image.shape, mesh, strict=True)
        ]
        density = voxels.density(axes)
        usable = density > 1e-12 * density.max()
        for _ in range(iterations):
            slope = (high - low) / (BINS - 1)
            if slope <= 0:
                break
            counts = voxels.histogram(low, 1 / slope, BINS)
            table = expected(counts, low, slope, fwhm, noise)
            fit = voxels.fit(table, low, 1 / slope, axes)
            update = np.divide(fit, density, out=np.zeros_like(fit), where=usable)
            total += update
            low, high, variation = voxels.subtract(update, axes)
            if variation <= convergence:
                break
    a, b, c = mesh
    lattice = Volume(total.astype(np.float32), spline.control_grid(image.grid, (a, b, c)))
    return image.replace(np.exp(spline.evaluate(lattice, image.grid))), lattice


def expected(counts: Doubles, low: float, slope: float, fwhm: float, noise: float) -> Doubles:
    """What each bin's intensity would most likely be without the field, (BINS,).

    The histogram is sharpened by a Wiener filter that undoes a Gaussian of
    the field's width; from the sharpened one, the expectation is taken.
    """
    size = 2 ** (int(np.ceil(np.log2(BINS))) + 1)
    offset = (size - BINS) // 2
    padded = np.zeros(size)
    padded[offset : offset + BINS] = counts
    bins = np.arange(size)
    distance = np.minimum(bins, size - bins) * slope / fwhm
    gaussian = 2 * np.sqrt(np.log(2) / np.pi) * slope / fwhm * np.exp(-4 * np.log(2) * distance**2)
    blur = np.fft.fft(gaussian)
    wiener = (np.conj(blur) / (np.abs(blur) ** 2 + noise)).real
    sharp = np.maximum(np.fft.ifft(np.fft.fft(padded) * wiener).real, 0)
    centres = low + (bins - offset) * slope
    above = np.fft.ifft(np.fft.fft(centres * sharp) * blur).real
    below = np.fft.ifft(np.fft.fft(sharp) * blur).real
    table = np.divide(above, below, out=np.zeros(size), where=below != 0)
    return np.asarray(table[offset : offset + BINS])


def _voxels(
    values: npt.NDArray[np.float32],
    inside: npt.NDArray[np.bool_],
    confidence: npt.NDArray[np.float32] | None,
    device: str,
) -> Any:
    if on_gpu(device):
        from mriprep.kernels import bias_torch

        return bias_torch.Voxels(values, inside, confidence, "cuda")
    from mriprep.kernels import bias

    return bias.Voxels(values, inside, confidence)


def _first_mesh(image: Volume, spline_distance: float | None) -> tuple[int, ...]:
    if spline_distance is None:
        return (1, 1, 1)
    extents = [(n - 1) * s for n, s in zip(image.shape, image.spacing, strict=True)]
    return tuple(max(1, round(e / spline_distance)) for e in extents)
