"""Whether an engine runs on a GPU."""

from __future__ import annotations

import shutil
from pathlib import Path

from mriprep.core import EngineMissing

from . import installed_version


def on_gpu(device: str) -> bool:
    """Whether ``"auto"``, ``"cpu"`` or ``"cuda"`` means a GPU on this machine.

    Raises
    ------
    EngineMissing
        If a GPU is asked for and there is none.
    """
    if device == "cpu" or (device == "auto" and not _is_likely()):
        return False
    import torch

    if torch.cuda.is_available():
        return True
    if device == "cuda":
        raise EngineMissing("torch finds no GPU", hint="use device=auto, or install torch for CUDA")
    return False


def _is_likely() -> bool:
    """Whether it is worth the seconds that importing torch takes to look for a GPU."""
    version = installed_version("torch")
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi")
    return version is not None and "+cpu" not in version and bool(driver)
