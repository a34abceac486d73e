"""Keeping one child process: handing it cases, watching it, ending it, starting another."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mriprep.cases import CaseSource

from . import machine
from .child import out_of_memory
from .job import Job, Result, Tell, failed

#: How often a child is looked at while it works, s.
_LOOK = 0.1
#: A child that holds more than this part of what it may, when it has nothing to do, is replaced.
_FULL = 0.5
#: Private folders of children: this and the number of the process that keeps them. The machine is
#: part of it, since folders may be shared among machines and numbers of processes are not.
_FOLDER = f"mriprep-{re.sub('[^A-Za-z0-9]', '', socket.gethostname())}-"

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from mriprep.cohorts.child import main;"
    " main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])"
)


class Guard:
    """Keeps one child process for a job, and does cases in it.

    Parameters
    ----------
    job : Job
        What is to be done.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.child: subprocess.Popen[bytes] | None = None
        self.folder: Path | None = None

    def do(self, source: CaseSource, tell: Tell, stopped: Callable[[], bool]) -> Result:
        """Do one case; whatever it does to its process is a result.

        Parameters
        ----------
        source : CaseSource
            The case.
        tell : callable
            Told of each step.
        stopped : callable
            Asked ten times a second whether to end it at once.
        """
        began = time.monotonic()
        self._ready()
        most = 0.0
        try:
            self.channel.send(("case", source))
            while True:
                if self.channel.poll(_LOOK):
                    kind, content = self.channel.recv()
                    if kind == "result":
                        result: Result = content.but(memory_mb=max(content.memory_mb, most))
                        break
                    tell(*content)
                    continue
                held = self._held_mb()
                most = max(most, held)
                if (early := self._overstepped(source, began, held, stopped)) is not None:
                    self.end()
                    return early.but(seconds=time.monotonic() - began, memory_mb=most)
        except (EOFError, OSError):
            result = self._died(source).but(seconds=time.monotonic() - began, memory_mb=most)
            self.end()
            return result
        if self.job.memory_mb and self._held_mb() > _FULL * self.job.memory_mb:
            self.end()
        return result

    def end(self) -> None:
        """End the child and all that it started, and remove its folder."""
        child, self.child = self.child, None
        if child is not None:
            with contextlib.suppress(OSError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            self.channel.close()
            os.close(self.lifeline)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _ready(self) -> None:
        """Have a child that waits for a case."""
        if self.child is not None and self.child.poll() is None:
            return
        self.end()
        base = self.job.scratch or tempfile.gettempdir()
        tidy(Path(base))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=base))
        self.channel, theirs = multiprocessing.Pipe()
        lifeline, self.lifeline = os.pipe()
        crash = self.folder / "crash.txt"
        arguments = [json.dumps(sys.path), str(theirs.fileno()), str(lifeline), str(crash)]
        self.child = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), lifeline),
            env={**os.environ, **machine.environment(self.job.threads), "TMPDIR": str(self.folder)},
            start_new_session=True,  # neither Ctrl-C nor what a case starts reaches beyond it
        )
        theirs.close()
        os.close(lifeline)
        import psutil

        self.process = psutil.Process(self.child.pid)
        with contextlib.suppress(OSError):
            self.channel.send(("job", self.job))

    def _held_mb(self) -> float:
        import psutil

        with contextlib.suppress(psutil.Error):
            return float(self.process.memory_info().rss) / 1e6
        return 0.0

    def _overstepped(
        self, source: CaseSource, began: float, held: float, stopped: Callable[[], bool]
    ) -> Result | None:
        """Why a case is to be ended now, if it is."""
        job = self.job
        if stopped():
            return Result(source.name, "stopped")
        if job.timeout and time.monotonic() - began > job.timeout:
            return failed(
                source.name,
                f"it took longer than the {job.timeout:g} s that a case may take",
                code="timeout",
                hint="raise --case-timeout, or look at the scan with `mriprep inspect`",
            )
        if job.memory_mb and held > job.memory_mb:
            return out_of_memory(source.name, job.memory_mb)
        return None

    def _died(self, source: CaseSource) -> Result:
        """What to say of a case whose process is gone."""
        assert self.child is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(5)
        code = self.child.returncode
        where = self._last_words()
        if code is None or code >= 0:
            return failed(
                source.name,
                f"its process ended by itself with exit code {code}{where}",
                code="exit",
                hint="an engine ended the process: try another engine of that step",
            )
        name = signal.Signals(-code).name
        if -code in (signal.SIGKILL, signal.SIGTERM, signal.SIGIO):
            return failed(
                source.name,
                f"its process was killed ({name}): by hand, or because memory ran out",
                cause="machine",
                code="killed",
                hint="was memory short? fewer --jobs, or --memory; then run the same again",
            )
        return failed(
            source.name,
            f"its process crashed ({name}){where}",
            code="crash",
            hint="an engine crashed on this scan: try another engine of that step, or leave the"
            " case out",
        )

    def _last_words(self) -> str:
        """Where in the program the child was when it crashed."""
        if self.folder is None:
            return ""
        with contextlib.suppress(OSError):
            text = (self.folder / "crash.txt").read_text("utf-8", "replace")
            lines = text[max(text.find("Current thread"), 0) :].splitlines()
            frames = [line.strip() for line in lines if line.lstrip().startswith("File ")]
            calls = []
            for frame in frames[:3]:
                file, _, function = frame.rpartition(" in ")
                calls.append(f"{function} of {Path(file.split(chr(34))[1]).name}")
            if calls:
                return f", in {', called by '.join(calls)}"
        return ""


def tidy(base: Path) -> None:
    """Remove the folders of children whose keeper is gone: of runs that were killed."""
    import psutil

    for folder in base.glob(f"{_FOLDER}[0-9]*-*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        with contextlib.suppress(OSError):
            ours = pid.isdigit() and folder.stat().st_uid == os.getuid()
            if ours and not psutil.pid_exists(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)
