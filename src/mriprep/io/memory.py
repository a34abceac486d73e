"""Memory that is free, and whether what a file claims fits into it."""

from __future__ import annotations

from pathlib import Path

from mriprep.core import InputError

#: What takes less is not asked about, bytes.
ALWAYS = 256 * 2**20

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> float:
    """Memory that is free now, within the limit of the job or container."""
    import psutil

    free = float(psutil.virtual_memory().available)
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        most, now = _number(limit), _number(used)
        if most is not None and now is not None:
            free = min(free, max(most - now, 0.0))
    return free


def memory_fault(path: Path, needed: int) -> InputError | None:
    """Why a file cannot be held in memory, or None; nothing of it is read for that.

    Parameters
    ----------
    path : Path
        The file.
    needed : int
        Bytes that reading it takes, by its header.
    """
    if needed <= ALWAYS:
        return None
    free = free_bytes()
    if needed <= free:
        return None
    return InputError(
        f"{path} takes {needed / 1e9:.1f} GB of memory by its header, and {free / 1e9:.1f} GB are free",
        hint="close other programs, use a machine with more memory, or check that the header's"
        " sizes are right",
    )


def _number(name: str) -> float | None:
    try:
        return float((_CGROUP / name).read_text("ascii"))
    except (OSError, ValueError):  # "max" is no number: no limit
        return None
