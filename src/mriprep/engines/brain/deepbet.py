"""Brain extraction by deepbet's two networks, whose weights come in its wheel.

Fisch L et al. deepbet: Fast brain extraction of T1-weighted MRI using
convolutional neural networks. Comput Biol Med 2024.
doi:10.1016/j.compbiomed.2024.108845
"""

from __future__ import annotations

import functools
import importlib.metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError, EngineMissing, InputError, Volume
from mriprep.core.slices import arranged
from mriprep.engines import Engine
from mriprep.engines._device import run_on
from mriprep.io.given import expanded

ENGINE = Engine(
    title="deepbet: two small U-Nets for T1-weighted heads",
    packages=("deepbet", "torch"),
    licence="MIT, code and weights",
    gpu=True,
    memory_mb=700,
    seconds_per_megavoxel=0.3,
    least_seconds=3,  # the networks see one size, whatever the scan has
    contrasts=("T1w",),
)

_SMALL = (128, 128, 128)
_FULL = (256, 256, 256)
_MARGIN = 0.1


def probability(
    image: Volume,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    weights: Path | str | None = None,
) -> Volume:
    """How probably each voxel is brain.

    Parameters
    ----------
    image : Volume
        A T1-weighted head, any orientation and spacing, finite.
    device : {"auto", "cpu", "cuda"}
        Where the networks run; a GPU is taken when there is one. There they
        run in half precision, with normalisation in single precision.
    weights : Path or str, optional
        A folder with ``bbox_model.pt`` and ``model.pt``; without it, those of
        deepbet's wheel.

    Returns
    -------
    Volume
        Probability in [0, 1] on the image's grid, float32. On a CPU the same
        to the last bit whatever the number of threads.

    Raises
    ------
    EngineError
        If the networks find no brain at all, or their weights are damaged.
    EngineMissing
        If the weights are not where the wheel puts them, or there is no GPU.
    InputError
        If the folder that is given has no such weights.

    Warns
    -----
    MriprepWarning
        If the GPU's memory does not suffice and the CPU is used.
    """
    order, flip = image.grid.axes_to("RAS")
    # A copy: torch warns of arrays that may not be written to, as a volume's voxels are.
    ras = np.array(arranged(image.data, order, flip), np.float32, order="C")
    small, large = (str(_weights(name, weights)) for name in ("bbox_model", "model"))
    # The normalisation needs sums over the whole volume: there is no running in tiles.
    box, inside = run_on(device, lambda on: _run(ras, small, large, on), name="deepbet")
    result = np.zeros(image.shape, np.float32)
    arranged(result, order, flip)[box] = inside
    return image.replace(result, role="probability")


def _run(
    image: npt.NDArray[np.float32], small: str, large: str, device: str
) -> tuple[tuple[slice, ...], npt.NDArray[np.float32]]:
    """A box of the image (X, Y, Z; axes RAS), and the probability of brain in it."""
    import torch
    from torch.nn import functional

    from . import _deepbet_net as net

    def seen(part: npt.NDArray[np.float32], shape: tuple[int, ...]) -> Any:
        # By nearest neighbour, as the networks were trained.
        given = torch.from_numpy(part)[None, None]
        return functional.interpolate(given, shape, mode="nearest-exact")[0, 0]

    with torch.inference_mode():
        x = seen(image, _SMALL)
        low, high = _quantiles(x.numpy(), (0.005, 0.995))
        if not high > low:
            raise EngineError(
                "deepbet sees no contrast in this image", hint="is it a scan of a head?"
            )
        found = net.probability(_normalised(x, low, high).to(device), _network(small, device))
        box = _box((found > 0.5).cpu().numpy(), image.shape)
        x = _normalised(seen(image[box], _FULL), low, high)
        inside = net.probability(x.to(device), _network(large, device))
        # The network's grid is not the image's: linear interpolation leaves no steps at the edge.
        inside = functional.interpolate(
            inside[None, None].float(),
            tuple(s.stop - s.start for s in box),
            mode="trilinear",
            align_corners=False,
        )
        return box, inside[0, 0].cpu().numpy()


def _normalised(x: Any, low: float, high: float) -> Any:
    """Intensities as the networks were trained, in place."""
    from . import _deepbet_net as net

    x.sub_(low).div_(high - low).clamp_(0, 1)
    mean, variance = net.moments(x)
    unbiased = variance * x.numel() / (x.numel() - 1)
    if unbiased == 0:
        raise EngineError("deepbet sees no contrast in this image", hint="is it a scan of a head?")
    return x.sub_(mean).mul_(0.226 / unbiased**0.5).add_(0.449)


def _quantiles(values: npt.NDArray[np.float32], shares: tuple[float, ...]) -> list[float]:
    """Quantiles, linear between neighbours, without sorting all values."""
    flat = values.ravel()
    ranks = [share * (flat.size - 1) for share in shares]
    below = [int(r) for r in ranks]
    parted = np.partition(flat, sorted({b + d for b in below for d in (0, 1)}))
    return [
        float(parted[b]) + (r - b) * float(parted[b + 1] - parted[b])
        for r, b in zip(ranks, below, strict=True)
    ]


def _box(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The box of the largest component, with a margin, in voxels of the whole image."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count:
        sizes = np.bincount(labels.ravel())
        mask = labels == 1 + int(np.argmax(sizes[1:]))
    box = []
    for axis, n in enumerate(shape):
        profile = mask.mean(axis=tuple(a for a in range(3) if a != axis))
        rows = np.flatnonzero(profile > 0.02)
        if rows.size == 0:
            raise EngineError(
                "deepbet finds no brain in this image",
                hint="is it a head, T1-weighted? for a body use the recipe 'body'",
            )
        scale = n / mask.shape[axis]
        centre = round((rows[-1] + 1 + rows[0]) / 2 * scale)
        size = round((rows[-1] + 1 - rows[0]) * scale * (1 + 2 * _MARGIN))
        box.append(slice(max(0, int(centre - size / 2)), min(n, int(centre + size / 2))))
    return tuple(box)


@functools.cache
def _network(path: str, device: str) -> Any:
    from . import _deepbet_net as net

    return net.load(Path(path), device)


def weight_files(weights: Path | str | None = None) -> tuple[Path, Path]:
    """The files of both networks."""
    return _weights("bbox_model", weights), _weights("model", weights)


def _weights(name: str, given: Path | str | None = None) -> Path:
    """A file of deepbet's wheel, or of a folder; its package is not imported, since it loads a GUI."""
    if given is not None:
        path = expanded(given) / f"{name}.pt"
        if not path.is_file():
            raise InputError(
                f"{given} is not a folder with deepbet's weights: it has no {name}.pt",
                hint="wanted: bbox_model.pt and model.pt; without weights, those of the wheel are used",
            )
        return path
    for file in importlib.metadata.files("deepbet") or ():
        if file.name == f"{name}.pt":
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise EngineMissing(
        f"deepbet is installed, but its weights '{name}.pt' are not there",
        hint="pip install --force-reinstall --no-deps deepbet",
    )
