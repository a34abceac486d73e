"""A clock that jumps, for every Python process whose path begins with this folder.

Every second (in the long form six times as often) it is up to twenty years ahead, or back.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

_time, _monotonic, _real = time.time, time.monotonic, datetime.datetime
_YEAR = 31_557_600.0
_OFTEN = 0.15 if os.environ.get("MRIPREP_RELIABILITY") == "long" else 1.0


def jumping() -> float:
    """The time that this moment happens to have."""
    return _time() + _YEAR * (int(_monotonic() / _OFTEN) * 17 % 40 - 20)


class _Kind(type):
    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, _real)


class Jumping(_real, metaclass=_Kind):
    """A datetime whose now is :func:`jumping`."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """The time that this moment happens to have."""
        return _real.fromtimestamp(jumping(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        """As :meth:`now`."""
        return _real.fromtimestamp(jumping(), datetime.UTC).replace(tzinfo=None)


time.time = jumping
time.time_ns = lambda: int(jumping() * 1e9)
datetime.datetime = Jumping  # type: ignore[misc]
