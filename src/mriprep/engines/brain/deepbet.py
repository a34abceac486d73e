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

from mriprep.core import EngineError, EngineMissing, Volume
from mriprep.engines import Engine

ENGINE = Engine(
    title="deepbet: two small U-Nets for T1-weighted heads",
    packages=("deepbet", "torch"),
    licence="MIT, code and weights",
    gpu=True,
    memory_mb=1300,
    seconds_per_megavoxel=0.6,
)

_SMALL = (128, 128, 128)
_FULL = (256, 256, 256)
_MARGIN = 0.1


def probability(image: Volume, *, device: Literal["auto", "cpu", "cuda"] = "auto") -> Volume:
    """How probably each voxel is brain.

    Parameters
    ----------
    image : Volume
        A T1-weighted head, any orientation and spacing, finite.
    device : {"auto", "cpu", "cuda"}
        Where the networks run; a GPU is taken when there is one.

    Returns
    -------
    Volume
        Probability in [0, 1] on the image's grid, float32.

    Raises
    ------
    EngineError
        If the networks find no brain at all.
    EngineMissing
        If the weights are not where the wheel puts them.
    """
    import torch

    on = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if device == "cuda" and on == "cpu":
        raise EngineMissing("torch finds no GPU", hint="use device=auto, or install torch for CUDA")
    order, flip = image.grid.axes_to("RAS")
    axes = tuple(a for a, f in enumerate(flip) if f)
    ras = np.flip(np.transpose(image.data, order), axes).astype(np.float32)
    with torch.inference_mode():
        result = _run(torch.from_numpy(ras).to(on), on)
    native = np.transpose(np.flip(result, axes), np.argsort(order))
    return image.replace(np.ascontiguousarray(native), role="probability")


def _run(image: Any, device: str) -> npt.NDArray[np.float32]:
    import torch
    from torch.nn import functional

    small = functional.interpolate(image[None, None], _SMALL, mode="nearest-exact")[0, 0]
    low, high = torch.quantile(small, 0.005), torch.quantile(small, 0.995)
    if not high > low:
        raise EngineError("deepbet sees no contrast in this image", hint="is it a scan of a head?")
    found = _network("bbox_model", device)(_normalise(small, low, high)[None, None])[0, 1]
    box = _box((found > 0.5).cpu().numpy(), tuple(image.shape))
    part = functional.interpolate(image[box][None, None], _FULL, mode="nearest-exact")
    inside = _network("model", device)(_normalise(part, low, high))[:, 1:2]
    # The network's grid is not the image's: linear interpolation leaves no steps at the edge.
    shape = tuple(s.stop - s.start for s in box)
    inside = functional.interpolate(inside, shape, mode="trilinear", align_corners=False)
    result = np.zeros(tuple(image.shape), np.float32)
    result[box] = inside[0, 0].float().cpu().numpy()
    return result


def _normalise(x: Any, low: Any, high: Any) -> Any:
    x = ((x - low) / (high - low)).clamp(0, 1)
    return 0.226 * (x - x.mean()) / x.std() + 0.449


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
def _network(name: str, device: str) -> Any:
    import torch

    return torch.jit.load(str(_weights(name)), map_location=device).eval()


def _weights(name: str) -> Path:
    """A file of deepbet's wheel; its package is not imported, since it loads a GUI."""
    for file in importlib.metadata.files("deepbet") or ():
        if file.name == f"{name}.pt":
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise EngineMissing(
        f"deepbet is installed, but its weights '{name}.pt' are not there",
        hint="pip install --force-reinstall --no-deps deepbet",
    )
