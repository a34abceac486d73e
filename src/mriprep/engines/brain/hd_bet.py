"""Brain extraction by HD-BET 2, a network of nnU-Net.

Isensee F et al. Automated brain extraction of multisequence MRI using
artificial neural networks. Hum Brain Mapp 2019. doi:10.1002/hbm.24750
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from mriprep import weights as files
from mriprep.core import EngineError, Volume
from mriprep.core.slices import arranged
from mriprep.engines import Engine
from mriprep.engines._device import run_on

ENGINE = Engine(
    title="HD-BET 2: an nnU-Net for heads with and without tumours; minutes on a CPU",
    packages=("nnunetv2", "torch"),
    licence="Apache-2.0 (nnU-Net); weights: see their record on Zenodo",
    gpu=True,
    memory_mb=4000,
    seconds_per_megavoxel=15.0,
    least_seconds=120,
    weights="hd-bet",
    contrasts=("T1w", "T1c", "T2w", "FLAIR"),
)


def probability(
    image: Volume,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    weights: Path | str | None = None,
    mirror: bool = False,
) -> Volume:
    """How probably each voxel is brain.

    Everything happens in this process and in memory: no file is written, no
    process started.

    Parameters
    ----------
    image : Volume
        A head, any orientation and spacing, finite.
    device : {"auto", "cpu", "cuda"}
        Where the network runs; a GPU is taken when there is one.
    weights : Path or str, optional
        A folder with ``dataset.json``, ``plans.json`` and
        ``fold_all/checkpoint_final.pth``; without it, the fetched ones.
    mirror : bool
        Average over mirrored copies: a little more exact, and eight times as
        long. HD-BET's own default, which its authors advise against on a CPU.

    Returns
    -------
    Volume
        Probability in [0, 1] on the image's grid, float32.

    Raises
    ------
    EngineMissing
        If the weights are not there, or there is no GPU.
    EngineError
        If the weights are damaged or would run code, or the image is constant.
    InputError
        If a folder is given that has no such weights.

    Warns
    -----
    MriprepWarning
        If the GPU's memory does not suffice and the CPU is used.
    """
    from . import _nnunet

    folder = files.find("hd-bet", weights)
    if float(image.data.min()) == float(image.data.max()):
        raise EngineError("HD-BET sees no contrast in this image", hint="is it a scan of a head?")
    # nnU-Net knows spacing, not orientation: it is given the axes of the heads that it has learnt from.
    order, flip = image.grid.axes_to("RAS")
    data = np.ascontiguousarray(arranged(image.data, order, flip).T, np.float32)
    spacing = [image.spacing[axis] for axis in order][::-1]

    def run(on: str) -> np.ndarray:
        return _nnunet.foreground(data, spacing, folder, device=on, mirror=mirror)

    # It works in tiles as it is: what does not fit on the GPU goes to the CPU.
    found = run_on(device, run, name="hd-bet")
    result = np.zeros(image.shape, np.float32)
    arranged(result, order, flip)[...] = np.clip(found.T, 0, 1)
    return image.replace(result, role="probability")
