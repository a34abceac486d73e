"""Brain extraction by MindGrab: a chain of dilated convolutions, for any contrast.

Fani A et al. MindGrab for BrainChop: fast and accurate skull stripping for
command line and browser. arXiv 2025. doi:10.48550/arXiv.2506.11860
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from mriprep import weights as catalogue
from mriprep.core import EngineError, Volume
from mriprep.engines import Engine
from mriprep.engines._device import run_on

from . import _conform
from ._tfjs import Floats, Layer, read

ENGINE = Engine(
    title="MindGrab: dilated convolutions, 146 thousand parameters, any contrast",
    packages=("torch",),
    licence="MIT, code and weights",
    gpu=True,
    memory_mb=1500,
    seconds_per_megavoxel=6,
    least_seconds=100,
    weights="mindgrab",
)

#: The publisher runs it on 256 voxels of 1 mm each way, axes as FreeSurfer's.
_ORIENTATION, _SPACING, _VOXELS = "LIA", 1.0, 256**3
#: Intensities between these quantiles are brought to [0, 1].
_QUANTILES = (0.02, 0.98)
#: What is brighter belongs to the head's box, which has this margin (voxels).
_HEAD, _MARGIN = 0.2, 6
#: Slices that are convolved at a time, which bounds the memory.
_SLAB = 32
_EPSILON = 1e-5


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
        A head, of any contrast, orientation and spacing, finite.
    device : {"auto", "cpu", "cuda"}
        Where the network runs; a GPU is taken when there is one.
    weights : Path or str, optional
        A folder with ``model.json`` and ``model.bin``; by default where
        ``mriprep fetch mindgrab`` puts them.

    Returns
    -------
    Volume
        Probability in [0, 1] on the image's grid, float32.

    Raises
    ------
    EngineError
        If there is no head in the image, or the weights are damaged.
    EngineMissing
        If the weights are not on this machine, or there is no GPU.

    Warns
    -----
    MriprepWarning
        If the GPU's memory does not suffice and the CPU is used, or the
        weights are not the published ones.
    """
    layers = _network(catalogue.find("mindgrab", weights))
    grid = _conform.grid_of(image.grid, _ORIENTATION, _SPACING)
    values = _scaled(_conform.onto(image, grid))
    box = _conform.head_box(values, _HEAD, _MARGIN, "mindgrab")
    inside = np.ascontiguousarray(values[box])
    # Normalisation over the volume forbids tiles.
    found = run_on(device, lambda on: _run(inside, layers, on), name="mindgrab")
    values[...] = 0
    values[box] = found
    return _conform.back(values, grid, image)


def _scaled(values: Floats) -> Floats:
    low, high = np.quantile(values, _QUANTILES)
    if not high > low:
        raise EngineError("mindgrab sees no contrast in this image", hint="is it a scan of a head?")
    scaled: Floats = (values - np.float32(low)) / np.float32(high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def _network(folder: Path) -> tuple[Layer, ...]:
    layers = read(folder / "model.json")
    if layers[0].kernel.shape[1] != 1 or layers[-1].kernel.shape[0] != 2:
        raise EngineError("model.json is not a network that tells brain from the rest of one image")
    return layers


def _run(values: Floats, layers: tuple[Layer, ...], device: str) -> Floats:
    """The network on the head's box, (X, Y, Z).

    Every channel is normalised over the volume. The network was made on whole
    volumes of 256 voxels each way: what lies beyond the box counts there as
    background, whose constant answer is known without computing it voxel by voxel.
    """
    import torch

    with torch.inference_mode():
        x = torch.from_numpy(values)[None, None].to(device)
        outside = np.zeros(1)
        for layer in layers:
            x, outside = _layer(x, layer, outside)
        found = torch.sigmoid(x[0, 1] - x[0, 0]).cpu().numpy()
    return np.asarray(found, np.float32)


def _layer(x: Any, layer: Layer, outside: Any) -> tuple[Any, Any]:
    import torch
    from torch.nn import functional

    kernel = torch.from_numpy(layer.kernel).to(x.device)
    outside = layer.kernel.sum((2, 3, 4), dtype=np.float64) @ outside
    bias = 0.0 if layer.bias is None else layer.bias.astype(np.float64)
    x = _convolved(x, kernel, layer.dilation)
    scale, shift = np.ones_like(outside), np.zeros_like(outside) + bias
    if layer.normalised:
        mean, variance = _moments(x, outside)
        scale = 1 / np.sqrt(variance + _EPSILON)
        shift = -mean * scale  # a bias before makes no difference
    if layer.scale is not None and layer.shift is not None:
        scale, shift = scale * layer.scale, shift * layer.scale + layer.shift
    outside = outside * scale + shift
    by = torch.from_numpy(scale.astype(np.float32)).to(x.device)
    plus = torch.from_numpy(shift.astype(np.float32)).to(x.device)
    linear = layer.activation == "linear"
    activation = torch.nn.Identity() if linear else getattr(functional, layer.activation)
    for part in _rows(x).split(2**16):  # so much stays in a processor's cache
        torch.addcmul(plus, part, by, out=part)
        if not linear:
            part.copy_(activation(part))
    return x, activation(torch.from_numpy(outside)).numpy()


def _rows(x: Any) -> Any:
    """The voxels of (1, C, X, Y, Z), channels last in memory, as (N, C); a view."""
    return x.permute(0, 2, 3, 4, 1).reshape(-1, x.shape[1])


def _moments(x: Any, outside: Any) -> tuple[Any, Any]:
    """Mean and variance of each channel over the box and the background around it."""
    from mriprep.kernels import channels

    rows = _rows(x)
    count = rows.shape[0]
    if x.is_cuda:
        import torch

        variance, mean = (v.double().cpu().numpy() for v in torch.var_mean(rows, 0, correction=0))
        sums, squares = count * mean, count * (variance + mean**2)
    else:
        sums, squares = channels.sums(rows.numpy())
    beyond = max(_VOXELS - count, 0)
    mean = (sums + beyond * outside) / (count + beyond)
    variance = (squares + beyond * outside**2) / (count + beyond) - mean**2
    return mean, np.maximum(variance, 0)


def _convolved(x: Any, kernel: Any, dilation: int) -> Any:
    """A convolution of (1, C, X, Y, Z) that keeps its size, a slab at a time and in place.

    The whole result beside the whole input would be a gigabyte; slabs write
    over what no later one reads, keeping the margin that the next one does.
    """
    import torch
    from torch.nn import functional

    n, reach = x.shape[2], dilation * (kernel.shape[2] // 2)
    last = torch.channels_last_3d
    kernel = kernel.contiguous(memory_format=last)
    same = kernel.shape[0] == kernel.shape[1]
    out = x if same else torch.empty(
        (1, kernel.shape[0], *x.shape[2:]), device=x.device, memory_format=last
    )  # fmt: skip
    before = torch.zeros_like(x[:, :, :reach])
    for start in range(0, n, _SLAB):
        stop = min(start + _SLAB, n)
        after = x[:, :, stop : stop + reach]
        padded = functional.pad(after, (0, 0, 0, 0, 0, reach - after.shape[2]))
        block = torch.cat((before, x[:, :, start:stop], padded), 2).contiguous(memory_format=last)
        if reach:
            before = block[:, :, block.shape[2] - 2 * reach : block.shape[2] - reach].clone()
        out[:, :, start:stop] = functional.conv3d(
            block, kernel, padding=(0, reach, reach), dilation=dilation
        )
    return out
