"""The switch that keeps this process, and those that it starts, off the network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

#: The environment variable that switches the network off, with the value 1.
OFFLINE = "MRIPREP_OFFLINE"


def is_offline() -> bool:
    """Whether the network is switched off for this process."""
    return os.environ.get(OFFLINE) == "1"


@contextlib.contextmanager
def staying_offline(wanted: bool = True) -> Iterator[None]:
    """Switch the network off inside, for child processes too."""
    before = os.environ.get(OFFLINE)
    if wanted:
        os.environ[OFFLINE] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(OFFLINE, None)
        else:
            os.environ[OFFLINE] = before
