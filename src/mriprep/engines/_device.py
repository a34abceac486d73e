"""Whether an engine runs on a GPU, on how many threads, and what happens where memory does not suffice."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mriprep.core import EngineError, EngineMissing, MriprepWarning

from . import installed_version

T = TypeVar("T")


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


def run_on(device: str, run: Callable[[str], T], *, name: str) -> T:
    """Run a network on a GPU where one is meant and its memory suffices, else on the CPU.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        What is asked for.
    run : callable
        Takes ``"cuda"`` or ``"cpu"``; leaves its inputs as they are. torch's threads are
        set while it runs (:func:`torch_threads`).
    name : str
        The engine, for messages.

    Returns
    -------
    object
        What the function gives.

    Raises
    ------
    EngineMissing
        If a GPU is asked for and there is none.
    EngineError
        If the CPU's memory does not suffice either.

    Warns
    -----
    MriprepWarning
        If the GPU's memory does not suffice.
    """
    attempts = [("on the CPU", lambda: run("cpu"))]
    if on_gpu(device):
        attempts.insert(0, ("on the GPU", lambda: run("cuda")))
    with torch_threads():
        return run_with_fallback(attempts, name=name, stacklevel=4)


def run_with_fallback(
    attempts: Sequence[tuple[str, Callable[[], T]]], *, name: str, stacklevel: int = 2
) -> T:
    """The first of some ways to compute the same thing for which the memory suffices.

    Parameters
    ----------
    attempts : sequence of (str, callable)
        From the one that needs most memory to the one that needs least: what
        a way is called (``"on the GPU"``, ``"on the GPU in tiles"``, ``"on the
        CPU"``), and a function that goes it. It must leave its inputs as they
        are, since the next may need them.
    name : str
        The engine, for messages.
    stacklevel : int
        As of :func:`warnings.warn`, from this function on.

    Returns
    -------
    object
        What the function gives.

    Raises
    ------
    EngineError
        If the last one too runs out of memory.

    Warns
    -----
    MriprepWarning
        For each that runs out of memory; says what is done instead.
    """
    for number, (where, run) in enumerate(attempts, 1):
        try:
            return run()
        except (MemoryError, RuntimeError) as error:
            if not _is_memory(error):
                raise
        # Out of the handler: what the failed attempt held can be freed now.
        _free_gpu()
        if number < len(attempts):
            warnings.warn(
                f"{name}: there is not enough memory to run {where}; it is run"
                f" {attempts[number][0]} instead",
                MriprepWarning,
                stacklevel=stacklevel,
            )
    raise EngineError(
        f"{name}: there is not enough memory, not even to run {attempts[-1][0]}",
        hint="end other programs, or take a machine with more memory or another engine",
    )


@contextlib.contextmanager
def torch_threads() -> Iterator[int]:
    """Let torch use the cores that this process may use, and put its threads back afterwards.

    torch counts the machine's cores; a container or a scheduler may grant
    fewer, and more threads than cores are slower than one thread. A smaller
    number that is set already (``OMP_NUM_THREADS``, ``torch.set_num_threads``)
    is kept.
    """
    import torch

    before = torch.get_num_threads()
    now = max(1, min(before, usable_cores()))
    torch.set_num_threads(now)
    try:
        yield now
    finally:
        torch.set_num_threads(before)


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its control group."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # not Linux
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()[:2]
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no control group, or "max"
        return cores


def _is_memory(error: Exception) -> bool:
    """Whether this is a lack of memory; torch raises plain RuntimeErrors for some."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error)
    return any(s in said for s in ("out of memory", "can't allocate memory", "ALLOC_FAILED"))


def _free_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _is_likely() -> bool:
    """Whether it is worth the seconds that importing torch takes to look for a GPU."""
    version = installed_version("torch")
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi")
    return version is not None and "+cpu" not in version and bool(driver)
