"""What runs on a worker of Dask: it lends a child process to a batch of cases."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mriprep.cases import CaseSource

from .clusters import MEMORY
from .guard import Guard
from .job import Job, Result

#: The topic of what workers tell while a case is under way.
TOPIC = "mriprep"
#: Only cases that take longer than this are told of while they run, s.
_QUIET = 0.5

#: Guards that have nothing to do at the moment, by run.
_idle: dict[str, list[Guard]] = {}
_busy: set[Guard] = set()
_lock = threading.Lock()
#: Runs that are to end: after the cases under way, or at once.
_stopping: set[str] = set()
_killed: set[str] = set()


def do_batch(job: Job, batch: Sequence[CaseSource]) -> tuple[str, list[Result]]:
    """Do some cases one after another in one child process; the worker's address, and the results."""
    from distributed import get_worker

    if job.memory_mb is None:  # all that cases may fill of this machine
        most = get_worker().state.total_resources.get(MEMORY)
        job = replace(job, memory_mb=most)
    guard = _borrow(job)
    results = []
    name = _name()
    try:
        for source in batch:
            if job.run in _stopping or job.run in _killed:
                results.append(Result(source.name, "stopped"))
                continue
            result = guard.do(source, _Teller(source.name, name), lambda: job.run in _killed)
            results.append(result.but(worker=name))
    finally:
        with _lock:
            _busy.discard(guard)
            left = job.run in _killed
            if not left:
                _idle.setdefault(job.run, []).append(guard)
        if left:  # nobody will come for it
            guard.end()
    return str(get_worker().address), results


def stop(run: str, *, now: bool) -> None:
    """Begin no more cases of a run on this worker; if `now`, end those under way."""
    (_killed if now else _stopping).add(run)


def leave(run: str) -> None:
    """End the child processes of a run on this worker, those that are still busy too."""
    with _lock:
        _killed.add(run)  # for good: no other run has its name
        guards = _idle.pop(run, [])
    for guard in guards:
        guard.end()
    _stopping.discard(run)


def _borrow(job: Job) -> Guard:
    with _lock:
        waiting = _idle.setdefault(job.run, [])
        guard = waiting.pop() if waiting else Guard(job)
        _busy.add(guard)
    return guard


def _name() -> str:
    """Where this is: the machine's name and the worker's thread, as in ``node7/2``."""
    import socket

    number = threading.current_thread().name.rpartition("-")[2]
    return f"{socket.gethostname().split('.')[0]}/{number}"


class _Teller:
    """Passes on what a case is doing, if it takes its time."""

    def __init__(self, case: str, worker: str) -> None:
        self.case, self.worker, self.began = case, worker, time.monotonic()

    def __call__(self, step: str, number: int) -> None:
        if time.monotonic() - self.began < _QUIET and step != "read":
            return
        about: dict[str, Any] = {"who": self.worker, "case": self.case, "step": step}
        with contextlib.suppress(Exception):  # nobody to tell is no reason to stop
            from distributed import get_worker

            get_worker().log_event(TOPIC, about)


@atexit.register
def _leave_all() -> None:
    for run in list(_idle):
        leave(run)
    for guard in list(_busy):
        guard.end()
