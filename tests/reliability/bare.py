"""Run commands where something is missing: python bare.py WITHOUT FOLDER COMMANDS (JSON: a list of lists).

WITHOUT is words of ``user`` (no entry in the system's list of users, as in a container under a number
of its own), ``network`` (a connection is an error) and ``folder`` (the working folder was removed).
What a command prints beside its exit code is shown where that is not 0.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn


def no_user(*asked: Any) -> NoReturn:
    """As the system says it."""
    raise KeyError(f"uid not found: {asked[0]}")


def no_network(self: socket.socket, address: Any) -> NoReturn:
    """Fail at once, and be seen: whoever falls back in silence asked all the same."""
    if self.family == socket.AF_UNIX:
        raise ConnectionRefusedError
    sys.stderr.write(f"CONNECTION to {address}\n")
    os._exit(77)


def main(without: list[str], folder: Path, commands: list[list[str]]) -> None:
    """Run them in this process, one after the other."""
    if "user" in without:
        pwd.getpwuid = pwd.getpwnam = no_user
    if "network" in without:
        socket.socket.connect = no_network  # type: ignore[method-assign]
        socket.socket.connect_ex = no_network  # type: ignore[method-assign]
    if "folder" in without:
        gone = folder / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
    from mriprep.cli import main as mriprep

    for command in commands:
        try:
            # As the system hands words over where it knows no more than ASCII.
            mriprep([os.fsdecode(word.encode("utf-8")) for word in command])
        except SystemExit as end:
            if end.code:
                sys.exit(f"{command[0]} ended with {end.code}")


if __name__ == "__main__":
    main(sys.argv[1].split(), Path(sys.argv[2]), json.loads(sys.argv[3]))
