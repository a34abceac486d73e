"""The weights of networks: which there are, where they are on this machine, fetching them.

None ships with mriprep, and none is fetched unless somebody asks for it.
"""

from __future__ import annotations

from .catalogue import Entry, File, describe, names
from .fetch import fetch
from .find import VARIABLE, facts, find, home, is_here, whence

__all__ = [
    "VARIABLE",
    "Entry",
    "File",
    "describe",
    "facts",
    "fetch",
    "find",
    "home",
    "is_here",
    "names",
    "whence",
]
