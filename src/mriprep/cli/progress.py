"""Progress on stderr: a bar with the time left in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from mriprep.run import Progress

#: Until a step ends, its share of the bar fills up to this part of it.
_MOST = 0.95
#: A single step of which more seconds are expected says so.
_LONG = 10.0


def say_if_first() -> None:
    """Say why the first run on a machine takes longer."""
    from mriprep.kernels import compiled

    if not compiled():
        click.echo("compiling the kernels for this machine, once: a minute or two more", err=True)


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
def working(what: str, seconds: float | None = None, engine: str | None = None) -> Iterator[None]:
    """While a single step works: in a terminal a bar, or a spinner where its length is not known.

    Elsewhere a plain line, if it takes long.

    Parameters
    ----------
    what : str
        The step.
    seconds : float, optional
        Expected.
    engine : str, optional
        What does the work.
    """
    long = seconds is not None and seconds >= _LONG
    if seconds is not None and long and sys.stderr.isatty():
        with watching([(what, seconds)]) as listen:
            listen(what, 0, seconds)
            yield
        return
    say_if_first()
    if not sys.stderr.isatty():
        if seconds is not None and long:
            click.echo(f"{engine or what} runs on the CPU: this takes {_about(seconds)}", err=True)
        yield
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(what), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(what, total=None)
        yield


def _about(seconds: float) -> str:
    if seconds < 8:
        return "a few seconds"
    if seconds < 40:
        return "some ten seconds"
    return "about a minute" if seconds < 80 else "some minutes"


@contextmanager
def counting() -> Iterator[Callable[[str, int, int], None]]:
    """A listener for work on many cases: told what is begun, its number, how many there are.

    In a terminal a bar; elsewhere a plain line at every tenth of the way.
    """
    if not sys.stderr.isatty():
        yield _tenths()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def listen(what: str, number: int, total: int) -> None:
            bar.update(task, completed=number - 1, total=total, description=what)

        yield listen


def _tenths() -> Callable[[str, int, int], None]:
    last = time.monotonic()

    def listen(what: str, number: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        # What is over in a moment needs no lines.
        if number % max(1, total // 10) == 0 and now - last > _LONG:
            click.echo(f"[{number}/{total}] {what}", err=True)
            last = now

    return listen
