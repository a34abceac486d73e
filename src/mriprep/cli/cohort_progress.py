"""Progress of many cases: a line a worker in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

#: The pace is measured over this many of the last cases.
_LAST = 200


@contextmanager
def shown() -> Iterator[Any]:
    """Something that shows how far a run is, on stderr."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.live import Live

    bars = Bars()
    with Live(get_renderable=bars.render, console=Console(stderr=True), transient=True,
              refresh_per_second=4) as live:  # fmt: skip
        bars.console = live.console
        yield bars


class Pace:
    """How many cases an hour, and how long it will take yet."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.counts: Counter[str] = Counter()
        self.times: deque[float] = deque(maxlen=_LAST)
        self.began = time.monotonic()

    def count(self, status: str) -> None:
        """Take in that a case has ended."""
        self.counts[status] += 1
        if status != "skipped":
            self.times.append(time.monotonic())

    @property
    def ended(self) -> int:
        """Cases that have ended."""
        return sum(self.counts.values())

    @property
    def an_hour(self) -> float | None:
        """Cases an hour, those not counted that needed no doing."""
        if not self.times:
            return None
        worked = sum(n for s, n in self.counts.items() if s != "skipped")
        since = self.began if worked <= _LAST else self.times[0]
        number = worked if worked <= _LAST else len(self.times) - 1
        return 3600 * number / max(time.monotonic() - since, 1e-3)

    def words(self) -> str:
        """As it is read: ``103 cases an hour, 2 h 10 min left``."""
        pace = self.an_hour
        if pace is None:
            return ""
        text = f"{pace:,.0f} case{'s' if round(pace) != 1 else ''} an hour"
        if self.total is not None and self.total > self.ended:
            text += f", {_duration(3600 * (self.total - self.ended) / pace)} left"
        return text


class Lines:
    """Plain lines, for logs: one for each case, so that none has to be guessed."""

    def __init__(self) -> None:
        self.pace = Pace()

    def begin(self, total: int | None, slots: int | None) -> None:
        """Say how many there are."""
        self.pace.total = total
        many = "the cases" if total is None else f"{total} case{'s' if total != 1 else ''}"
        click.echo(f"{many}, {slots} at once" if slots else many, err=True)

    def doing(self, worker: str, case: str, step: str) -> None:
        """Nothing: a log has no use for what is under way."""

    def ended(self, result: Any) -> None:
        """Say that a case has ended."""
        self.pace.count(result.status)
        total = "" if self.pace.total is None else f"/{self.pace.total}"
        what = f"{result.case} {result.status}"
        if result.status in ("done", "doubtful"):
            what += f" in {result.seconds:.1f} s"
        if result.reason:
            what += f": {result.reason}"
        words = self.pace.words()
        click.echo(f"[{self.pace.ended}{total}] {what}{f' ({words})' if words else ''}", err=True)

    def note(self, text: str) -> None:
        """Say it."""
        click.echo(text, err=True)


class Bars:
    """A bar for all, and a line for each worker."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.at: dict[str, tuple[str, str, float]] = {}
        self.console: Any = None

    def begin(self, total: int | None, slots: int | None) -> None:
        """Take in how many there are."""
        self.pace.total = total

    def doing(self, worker: str, case: str, step: str) -> None:
        """Show it in the worker's line."""
        known = self.at.get(worker)
        since = known[2] if known and known[0] == case else time.monotonic()
        self.at[worker] = (case, step, since)

    def ended(self, result: Any) -> None:
        """Clear its line; say what failed or is doubtful."""
        self.pace.count(result.status)
        self.at.pop(result.worker, None)
        if result.status in ("failed", "doubtful"):
            self.note(f"{result.case} {result.status}: {result.reason}")

    def note(self, text: str) -> None:
        """Say it above the bar."""
        if self.console is not None:
            self.console.print(text, markup=False, highlight=False)

    def render(self) -> Any:
        """What there is to see now."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        counts = ", ".join(f"{n} {s}" for s, n in self.pace.counts.items())
        head = Table.grid(padding=(0, 1))
        total = "" if self.pace.total is None else f"/{self.pace.total}"
        bar = ProgressBar(total=self.pace.total, completed=self.pace.ended, width=30)
        head.add_row(bar, Text(f"{self.pace.ended}{total}"), Text(self.pace.words()), Text(counts))
        lines = Table.grid(padding=(0, 1))
        now = time.monotonic()
        for worker, (case, step, since) in sorted(self.at.copy().items()):
            lines.add_row(Text(f"  {worker}"), Text(case), Text(step), Text(f"{now - since:.0f} s"))
        return Group(head, lines)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
