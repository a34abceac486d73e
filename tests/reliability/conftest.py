"""Cases are counted; what hangs is ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import tally

#: No test may wait longer, s: a pipe that is opened waits for ever.
LONGEST = 7200 if tally.LONG else 240


def _hangs(number: int, frame: object) -> None:
    pytest.fail(f"it hung for more than {LONGEST} s")


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Note how many cases a test tried, for the line at the end."""
    before = tally.count()
    alarm = getattr(signal, "SIGALRM", None)
    if alarm is not None:
        signal.signal(alarm, _hangs)
        signal.alarm(LONGEST)
    yield
    if alarm is not None:
        signal.alarm(0)
    request.node.user_properties.append(("hostile cases", tally.count() - before))
