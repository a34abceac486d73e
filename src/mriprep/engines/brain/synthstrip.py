"""Brain extraction by SynthStrip: a U-Net for any contrast that predicts a distance to the surface.

Hoopes A et al. SynthStrip: skull-stripping for any brain image. NeuroImage
2022. doi:10.1016/j.neuroimage.2022.119474
"""

from __future__ import annotations

import functools
import pickle
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mriprep import weights as catalogue
from mriprep.core import EngineError, Volume
from mriprep.engines import Engine
from mriprep.engines._device import run_on

from . import _conform

ENGINE = Engine(
    title="SynthStrip: a U-Net trained on synthetic contrasts, any contrast",
    packages=("torch",),
    licence="Apache-2.0 (our code); weights: MIT or CC BY 4.0, at your choice",
    gpu=True,
    memory_mb=5000,
    seconds_per_megavoxel=6,
    least_seconds=45,
    weights="synthstrip",
)

#: As published: sizes are multiples of 64 voxels, within these; the brightest percent is cut.
_MULTIPLE, _LEAST, _MOST, _BRIGHTEST = 64, 192, 320, 99
#: The distance from the brain's surface up to which voxels belong to the mask, mm; as published.
BORDER = 1.0
#: How fast the probability falls with the distance, mm.
_WIDTH = 0.5
#: The distance where nothing is known, mm.
_FAR = 100.0
#: A checkpoint has 10 MB of weights, and three times that with the state of its training.
_LARGEST = 2**30

Floats = npt.NDArray[np.float32]


def probability(
    image: Volume,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    weights: Path | str | None = None,
) -> Volume:
    """How probably each voxel is brain.

    The network gives the signed distance d to the brain's surface (mm,
    negative inside). The published tool's mask is d < 1 mm. Here that is
    ``1 / (1 + exp((d - 1 mm) / 0.5 mm))``: exactly 0.5 at that border, falling
    with the distance. It ranks voxels; it is no calibrated probability.

    Parameters
    ----------
    image : Volume
        A head, of any contrast, orientation and spacing, finite.
    device : {"auto", "cpu", "cuda"}
        Where the network runs; a GPU is taken when there is one.
    weights : Path or str, optional
        A checkpoint (``synthstrip.1.pt``) or its folder; by default where
        ``mriprep fetch synthstrip`` puts it.

    Returns
    -------
    Volume
        Probability in [0, 1] on the image's grid, float32.

    Raises
    ------
    EngineError
        If there is no contrast in the image, or the checkpoint is damaged, of
        another network, or holds more than weights.
    EngineMissing
        If the weights are not on this machine, or there is no GPU.

    Warns
    -----
    MriprepWarning
        If the GPU's memory does not suffice and the CPU is used, or the
        weights are not the published ones.
    """
    from mriprep.kernels import sample

    path = catalogue.find("synthstrip", weights).resolve()
    state = _state(path, path.stat().st_mtime_ns)
    values, grid = _prepared(image)
    distance = run_on(device, lambda on: _run(values, state, on), name="synthstrip")
    matrix = (np.linalg.inv(grid.affine) @ image.affine)[:3]
    native = sample.linear(distance - np.float32(_FAR), matrix, image.shape) + _FAR
    steps = np.clip((native - BORDER) / _WIDTH, -50, 50)
    return image.replace(np.float32(1) / (1 + np.exp(steps)), role="probability")


def _prepared(image: Volume) -> tuple[Floats, Any]:
    """The head as the network knows it, (X, Y, Z) in [0, 1], and its grid."""
    grid = _conform.grid_of(image.grid, "LIA")
    values = _conform.onto(image, grid)
    bounds = []
    for axis in range(3):
        rows = np.flatnonzero(values.any(axis=tuple(a for a in range(3) if a != axis)))
        if rows.size == 0:
            raise EngineError(
                "synthstrip sees no contrast in this image", hint="is it a scan of a head?"
            )
        bounds.append((int(rows[0]), int(rows[-1]) + 1))
    shape = [min(max(-(-(b - a) // _MULTIPLE) * _MULTIPLE, _LEAST), _MOST) for a, b in bounds]
    start = [a + ((b - a) - n) // 2 for (a, b), n in zip(bounds, shape, strict=True)]
    window = np.zeros(shape, np.float32)
    inner, outer = [], []
    for s, n, (a, b) in zip(start, shape, bounds, strict=True):
        first, last = max(s, a), min(s + n, b)
        inner.append(slice(first - s, last - s))
        outer.append(slice(first, last))
    window[tuple(inner)] = values[tuple(outer)]
    brightest = float(np.percentile(window, _BRIGHTEST))
    if not brightest > 0:  # a small bright thing in much darkness
        brightest = float(window.max())
    return np.clip(window / np.float32(brightest), 0, 1), grid.window(start, shape)


def _run(values: Floats, state: dict[str, Any], device: str) -> Floats:
    """The distance to the brain's surface, mm, (X, Y, Z)."""
    import torch

    from ._strip_net import StripNet

    network = StripNet()
    network.load_state_dict(state)
    network = network.to(device, memory_format=torch.channels_last_3d).eval()
    with torch.inference_mode():
        x = torch.from_numpy(values)[None, None].to(device)
        distance = network(x)[0, 0].cpu().numpy()
    return np.asarray(distance, np.float32)


@functools.lru_cache(maxsize=2)
def _state(path: Path, changed: int) -> dict[str, Any]:
    """The weights of a checkpoint, which may hold tensors and plain values alone."""
    import torch

    from ._strip_net import StripNet

    hint = "`mriprep fetch synthstrip` fetches the published file anew"
    try:
        _small(path)
        # Only tensors are read: a pickle that would run code is refused.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        state = dict(checkpoint["model_state_dict"])
    except pickle.UnpicklingError as error:
        raise EngineError(
            f"{path.name} is damaged, or holds more than weights: it is not loaded", hint=hint
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError,
            AttributeError, MemoryError, zipfile.BadZipFile) as error:  # fmt: skip
        raise EngineError(
            f"{path.name} is not a checkpoint of SynthStrip, or it is damaged"
            f" ({type(error).__name__})",
            hint=hint,
        ) from error
    wanted = StripNet().state_dict()
    for name, tensor in wanted.items():
        got = state.get(name)
        if not isinstance(got, torch.Tensor) or got.shape != tensor.shape:
            raise EngineError(
                f"{path.name} is of another network than SynthStrip's: '{name}' should be"
                f" {tuple(tensor.shape)}, and is {tuple(getattr(got, 'shape', ())) or 'missing'}",
                hint=hint,
            )
        if not torch.isfinite(got).all():
            raise EngineError(f"{path.name} is damaged: '{name}' holds NaN or infinity", hint=hint)
    return {name: state[name].float() for name in wanted}


def _small(path: Path) -> None:
    """Refuse what would unpack to more than any such checkpoint holds."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(m.file_size for m in archive.infolist()))
    if size > _LARGEST:
        raise ValueError(f"{size} bytes")
