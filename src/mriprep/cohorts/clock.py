"""A system's clock that is set while a run is under way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

#: A difference that is more than drift, s.
_STEP_S = 0.5


class Clock:
    """Sees whether the system's clock was set."""

    def __init__(self) -> None:
        self.ahead = time.time() - time.monotonic()

    def was_set(self) -> bool:
        """Whether it was set since this was asked last."""
        before, self.ahead = self.ahead, time.time() - time.monotonic()
        return abs(self.ahead - before) > _STEP_S


def release(client: Any) -> None:
    """Let a Dask client, and a scheduler and workers in this process, send what they hold back.

    Dask bundles messages for some milliseconds, by the system's clock: where
    that is set back meanwhile, they would lie until it is that late again.
    """
    streams = [s for s in _streams(client) if getattr(s, "next_deadline", None) is not None]

    def wake() -> None:
        for stream in streams:
            stream.next_deadline = None
            stream.waker.set()

    if streams:
        client.loop.add_callback(wake)


def _streams(client: Any) -> Iterator[Any]:
    yield getattr(client, "scheduler_comm", None)
    cluster = getattr(client, "cluster", None)
    scheduler = getattr(cluster, "scheduler", None)
    for kept in ("client_comms", "stream_comms"):
        yield from list(getattr(scheduler, kept, {}).values())
    for worker in list(getattr(cluster, "workers", {}).values()):
        yield getattr(worker, "batched_stream", None)
