"""What a machine has: cores, memory; and how much of it each case is given."""

from __future__ import annotations

import os
from pathlib import Path

#: Environment variables by which libraries are told how many threads to use. They are read when a
#: library is loaded, so they are set before a child process starts.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

#: Of the memory that is free at the start, the part that cases may fill.
SHARE = 0.9


def cores() -> int:
    """Cores that this process may use: those of its job on a cluster, of its container, or all."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _quota(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, min(there or 1, quota or there or 1))


def memory_mb() -> float:
    """Memory that is free now, within the limit of the job or container, MB."""
    from mriprep.io.memory import free_bytes

    return free_bytes() / 1e6


def environment(threads: int) -> dict[str, str]:
    """The variables that give every library this many threads."""
    return {name: str(threads) for name in THREAD_VARIABLES}


def _quota(file: Path) -> int | None:
    """Whole cores of a container's limit: ``"150000 100000"`` is 1."""
    try:
        most, period = file.read_text("ascii").split()
        return max(1, int(most) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
