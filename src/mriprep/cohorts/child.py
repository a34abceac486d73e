"""A process that does one case after another, and may die of one without harm to others.

Its parent is a :class:`~mriprep.cohorts.guard.Guard`. Nothing that a case
prints is kept: libraries print what headers hold, names of patients among it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .job import Job, Result, failed


def main(channel: int, lifeline: int, crash: str) -> None:
    """Do what comes in until there is no more.

    Parameters
    ----------
    channel : int
        File descriptor of the connection to the parent.
    lifeline : int
        File descriptor whose other end the parent alone holds open.
    crash : str
        Where the interpreter writes what it was doing when it dies.
    """
    _die_with_parent(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # When the machine runs out of memory, the kernel shall take a case and not the user's shell.
        Path("/proc/self/oom_score_adj").write_text("800", "ascii")
    # Only the interpreter writes into it; it must stay open as long as the process lives.
    faulthandler.enable(open(crash, "w", encoding="utf-8"))  # noqa: SIM115
    warnings.simplefilter("ignore")
    connection = Connection(channel)
    job: Job | None = None
    while True:
        try:
            kind, content = connection.recv()
        except (EOFError, OSError):
            return
        if kind == "job":
            job = content
            continue
        assert job is not None

        def tell(step: str, number: int) -> None:
            connection.send(("step", (step, number)))

        connection.send(("result", _done(job, content, tell)))


def _done(job: Job, source: Any, tell: Any) -> Result:
    began = time.perf_counter()
    _forget_peak()
    try:
        result = job.work(job, source, tell)
    except MemoryError:
        result = out_of_memory(source.name)
    except Exception as error:  # whatever it is, it is told of this case alone
        from mriprep.record import Failure, public

        why = Failure.of(error, "")
        result = failed(source.name, public(why.message), code=why.code, hint=why.hint)
    return result.but(seconds=time.perf_counter() - began, memory_mb=_peak_mb())


def out_of_memory(case: str, limit_mb: float | None = None) -> Result:
    """A case that wanted more memory than there is, or than it may take."""
    allowed = f"more than the {limit_mb:.0f} MB that it may take" if limit_mb else "it"
    return failed(
        case,
        f"not enough memory: the case wanted {allowed}" if limit_mb else "not enough memory",
        cause="machine",
        code="memory",
        hint="run it on a machine with more memory, with fewer --jobs, or with a higher"
        " --case-memory; `mriprep plan` says what is expected",
    )


def _die_with_parent(lifeline: int) -> None:
    """End this process when its parent is gone, even if it was killed, and even in mid-computation."""
    if sys.platform == "linux":
        import fcntl

        # When the other end closes, the kernel sends SIGIO, whose default is to end the process:
        # that needs no interpreter, which may be deep inside a library.
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)

    def watch() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _forget_peak() -> None:
    """Begin to measure the most memory anew (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def _peak_mb() -> float:
    """Most memory held since it was last forgotten, MB; elsewhere than on Linux, ever."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM"):
                return float(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
