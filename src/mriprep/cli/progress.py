"""Progress on stderr: a bar with the time left in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from mriprep.run import Progress

#: Until a step ends, its share of the bar fills up to this part of it.
_MOST = 0.95


def say_if_first() -> None:
    """Say why the first run on a machine takes longer."""
    from mriprep.kernels import compiled

    if not compiled():
        click.echo("compiling the kernels for this machine, once: some ten seconds more", err=True)


@contextmanager
def watching(steps: list[tuple[str, float]]) -> Iterator[Progress]:
    """A listener for :func:`mriprep.run.execute` that shows how far it is.

    Parameters
    ----------
    steps : list of (name, expected seconds)
        From the plan.
    """
    say_if_first()
    if not sys.stderr.isatty():
        yield _lines(len(steps))
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    total = sum(s for _, s in steps)
    bar = Bar(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("reading", total=total)
        now = {"done": 0.0, "expected": 0.0, "since": time.monotonic()}
        over = threading.Event()

        def creep() -> None:
            while not over.wait(0.2):
                elapsed = time.monotonic() - now["since"]
                bar.update(task, completed=now["done"] + min(elapsed, _MOST * now["expected"]))

        def listen(name: str, number: int, seconds: float) -> None:
            now.update(
                done=sum(s for _, s in steps[:number]), expected=seconds, since=time.monotonic()
            )
            bar.update(task, completed=now["done"], description=name or "writing")

        thread = threading.Thread(target=creep, daemon=True)
        thread.start()
        try:
            yield listen
        finally:
            over.set()
            thread.join()


def _lines(count: int) -> Progress:
    running, since = "", time.monotonic()

    def listen(name: str, number: int, _: float) -> None:
        nonlocal running, since
        now = time.monotonic()
        if running:
            click.echo(f"[{number}/{count}] {running}: {now - since:.1f} s", err=True)
        running, since = name, now

    return listen


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner with the time passed, in a terminal, for a step whose length is not known."""
    say_if_first()
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(what), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        yield
