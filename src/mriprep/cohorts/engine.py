"""Handing cases to workers, a few at a time, and writing down what became of them."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from mriprep.cases import CaseSource
from mriprep.core import MriprepError, OutputError

from . import clusters, resume, worker
from .clock import Clock, release
from .estimate import Estimate
from .job import Job, Result, failed
from .ledger import Ledger
from .log import CaseLog
from .work import skipped

#: Cases that are shorter than this go in batches that take about as long, s: handing one over
#: costs some milliseconds.
_BATCH_S = 0.25
_BATCH = 32
#: How often it is looked after workers that came and went, s.
_LOOK_S = 5.0
#: How long a scheduler may be out of reach, s.
_PATIENCE_S = 60.0
#: How long workers may take to end what is under way when it is to stop at once, s.
_GRACE_S = 10.0


class Watch(Protocol):
    """Shows how far a run is."""

    def begin(self, total: int | None, slots: int | None) -> None:
        """Told once: how many cases there are, and how many at once, where that is known yet."""

    def doing(self, worker: str, case: str, step: str) -> None:
        """Told what a worker is at."""

    def ended(self, result: Result) -> None:
        """Told of each case."""

    def note(self, text: str) -> None:
        """Told what else there is to say."""


@dataclass
class _Batch:
    """Cases that are under way together."""

    sources: list[CaseSource]
    attempt: int = 1
    need_mb: float = 0.0
    #: The worker on which the first attempt failed.
    avoid: str | None = None


@dataclass
class Stop:
    """Whether, and how, a run is to end early."""

    asked: int = 0
    why: str | None = None
    told: int = 0
    since: float = 0.0


@dataclass
class Engine:
    """Does the cases of a run on a cluster.

    Parameters
    ----------
    job : Job
        What to do.
    ledger : Ledger
        Where it is written down.
    watch : Watch
        Who shows it.
    estimate : Estimate
        Expects memory.
    client : distributed.Client
        Connected to the cluster; needed once there is something to do.
    """

    job: Job
    ledger: Ledger
    watch: Watch
    estimate: Estimate
    client: Any = None
    stop: Stop = field(default_factory=Stop)
    clock: Clock = field(default_factory=Clock)
    workers: clusters.Workers = field(default_factory=clusters.Workers)
    waiting: bool = False
    slots: int = 1
    typical_s: float | None = None

    def run(self, sources: Iterable[CaseSource]) -> None:
        """Do all cases; those that fail are written down like those that do not."""
        self.ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.under_way: dict[Any, _Batch] = {}
        self.number = 0
        self.looked = 0.0
        self.lost_since: float | None = None
        left = iter(sources)
        self.client.subscribe_topic(worker.TOPIC, self._told)
        exhausted = False
        while True:
            self._look()
            while not exhausted and not self.stop.asked and self._room():
                exhausted = self._hand_over(left)
            if not self.under_way and (exhausted or self.stop.asked):
                break
            self._collect()
            if self._given_up():
                break
        self.client.unsubscribe_topic(worker.TOPIC)
        with suppress(Exception):  # workers that are gone have left already
            self.client.run(worker.leave, self.job.run)

    def _room(self) -> bool:
        short = self.typical_s is not None and self.typical_s < 2.0
        return len(self.under_way) < self.slots * (2 if short else 1)

    def _hand_over(self, left: Iterator[CaseSource]) -> bool:
        """Hand over the next batch; whether there are no more."""
        size = 1
        if self.typical_s is not None:
            size = int(min(_BATCH, max(1.0, _BATCH_S / max(self.typical_s, 1e-4))))
        batch: list[CaseSource] = []
        for source in left:
            batch.append(source)
            if len(batch) == size:
                break
        if batch:
            need = max(self.estimate.of(s) for s in batch)
            self._submit(_Batch(batch, need_mb=need))
        return len(batch) < size

    def _submit(self, batch: _Batch) -> None:
        self.number += 1
        how: dict[str, Any] = {}
        if batch.need_mb and self.workers.memory_mb:
            # What is expected to take more than there is has a worker for itself.
            how["resources"] = {clusters.MEMORY: min(batch.need_mb, self.workers.memory_mb)}
        others = [a for a in self.workers.addresses if a != batch.avoid]
        if batch.avoid and others:
            how.update(workers=others, allow_other_workers=True)
        future = self.client.submit(
            worker.do_batch,
            self.job,
            batch.sources,
            key=f"{self.job.run}-{self.number}",
            pure=False,
            **how,
        )
        self.under_way[future] = batch
        future.add_done_callback(self.ended.put)

    def _collect(self) -> None:
        """Take in what has ended, if anything does within a moment."""
        try:
            futures = [self.ended.get(timeout=0.2)]
        except queue.Empty:
            return
        with suppress(queue.Empty):
            while True:
                futures.append(self.ended.get_nowait())
        for future in futures:
            batch = self.under_way.pop(future)
            try:
                address, results = future.result(timeout=_PATIENCE_S)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                address, results = None, self._lost(error, batch)
            for source, result in zip(batch.sources, results, strict=True):
                self._take(source, result, batch, address)
            future.release()

    def _take(self, source: CaseSource, result: Result, batch: _Batch, address: str | None) -> None:
        """Write down what became of a case, or try it once more."""
        result = result.but(attempts=batch.attempt)
        machine = result.status == "failed" and result.cause == "machine"
        if machine and batch.attempt == 1 and not self.stop.asked:
            self._event("retry", case=result.case, reason=result.reason, worker=result.worker)
            self.watch.note(f"{result.case}: {result.reason}; it is tried once more")
            # Memory is what it mostly lacks: the second time it shares the machine with fewer.
            again = _Batch([source], 2, 2 * batch.need_mb, avoid=address)
            self._submit(again)
            return
        if result.cause == "output":
            self._end_early(result.reason or "nothing can be written")
        if result.good and result.status != "skipped":
            before = self.typical_s
            each = result.seconds
            self.typical_s = each if before is None else 0.8 * before + 0.2 * each
            if result.memory_mb:
                self.estimate.learn(source, result.memory_mb)
        self.write(result)

    def write(self, result: Result) -> None:
        """Write down what became of a case, and show it."""
        log = self.ledger.folder / "logs" / f"{result.case}.log"
        if result.status == "failed" and not log.exists():  # its process could not write one
            CaseLog(log).end(result)
        try:
            self.ledger.result(result)
        except OutputError as error:
            self._end_early(error.message)
        self.watch.ended(result)

    def _event(self, kind: str, **about: Any) -> None:
        try:
            self.ledger.event(kind, **about)
        except OutputError as error:
            self._end_early(error.message)

    def _end_early(self, why: str) -> None:
        """Begin no more cases."""
        if self.stop.why is None:
            self.stop.why = why
            self.watch.note(f"stopping: {why}")
        self.stop.asked = max(self.stop.asked, 1)

    def _lost(self, error: BaseException, batch: _Batch) -> list[Result]:
        """What to say of a batch whose workers were lost, or that Dask did not bring back."""
        if self.stop.asked > 1:
            return [Result(s.name, "stopped") for s in batch.sources]
        what = "the workers that had it were lost"
        if type(error).__name__ != "KilledWorker":
            what = f"its worker reported {type(error).__name__}: {error}"
        return [
            failed(
                s.name,
                what,
                cause="machine",
                code="worker",
                hint="look at the logs of the workers; then run the same again",
            )
            for s in batch.sources
        ]

    def _look(self) -> None:
        """See which workers there are, and pass on a wish to stop."""
        if self.stop.asked > self.stop.told:
            self.stop.told, self.stop.since = self.stop.asked, time.monotonic()
            if self.stop.why is None or self.stop.asked > 1:
                self._say_stopping()
            with suppress(Exception):
                self.client.run(worker.stop, self.job.run, now=self.stop.asked > 1)
        if self.clock.was_set():
            release(self.client)
        if time.monotonic() - self.looked < _LOOK_S:
            return
        self.looked = time.monotonic()
        try:
            self.workers = clusters.workers_of(self.client)
            self.lost_since = None
        except (OSError, TimeoutError, ValueError) as error:
            self.lost_since = self.lost_since or time.monotonic()
            if time.monotonic() - self.lost_since > _PATIENCE_S:
                raise MriprepError(
                    f"the scheduler is out of reach: {error}",
                    hint="run the same again when it is back: what is done is kept",
                ) from None
            return
        if not self.workers.threads and not self.waiting:
            self.watch.note("waiting for workers")
        self.waiting = not self.workers.threads
        self.slots = max(1, self.workers.threads)

    def _given_up(self) -> bool:
        """Whether to wait no longer for what is under way: it is to stop, and nobody answers."""
        if not self.stop.asked:
            return False
        over = time.monotonic() - self.stop.since > _GRACE_S
        if self.workers.threads and not (self.stop.asked > 1 and over):
            return False
        for future, batch in self.under_way.items():
            with suppress(Exception):
                future.cancel()
            for source in batch.sources:
                self.write(Result(source.name, "stopped"))
        self.under_way.clear()
        return True

    def _say_stopping(self) -> None:
        if self.stop.asked == 1:
            waiting = sum(len(b.sources) for b in self.under_way.values())
            self.watch.note(f"stopping when {waiting} under way are done; once more: at once")
        else:
            self.watch.note("stopping at once")

    def _told(self, event: Any) -> None:
        _, about = event
        if isinstance(about, dict) and {"who", "case", "step"} <= set(about):
            self.watch.doing(about["who"], about["case"], about["step"])


def to_do(job: Job, sources: Iterable[CaseSource], engine: Engine) -> Iterator[CaseSource]:
    """The cases that are not done already, until it is to stop; the others are written down."""
    for source in sources:
        if engine.stop.asked:
            return
        note = None if job.force else resume.is_done(job, source, content=False)
        if note is None:
            yield source
        else:
            engine.write(skipped(job, source, note))


@contextmanager
def heeding_signals(stop: Stop) -> Iterator[None]:
    """Turn Ctrl-C into a wish to stop; a batch system's request, into one to stop at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(number: int, _: Any) -> None:
        stop.asked = max(stop.asked + 1, 2 if number == signal.SIGTERM else 1)
        if stop.asked > 2:
            raise KeyboardInterrupt

    before = {s: signal.signal(s, interrupted) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
