"""Cut the power of a small run at random moments, and go on: python power_cut.py HOW TRIALS SEED FOLDER.

HOW is ``cohort`` (four cases, two at a time, each in a process of its own) or ``run`` (one case).
The program is loaded once and forked for each trial, so that the moments fall into the run, not into
the loading. Prints how many trials there were, how many were cut in the middle, and what was lost.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

import mriprep as mp
from mriprep.cli import main as command
from mriprep.cohorts.clusters import Where
from mriprep.cohorts.job import Options
from mriprep.cohorts.run import run_cohort
from mriprep.core import Grid, Volume
from mriprep.recipe import load

RECIPE = "name: cheap\nsteps: [reorient, zscore]\n"


def scans(folder: Path, count: int) -> None:
    """Small scans, no two alike."""
    grid = Grid((40, 36, 32), np.diag([-1.0, 1.5, 2.0, 1.0]))
    for i in range(count):
        data = np.random.default_rng(i).integers(0, 40, grid.shape).astype(np.int16)
        data[8:32, 6:30, 5:27] += 200
        mp.write(Volume(data, grid), folder / f"sub-{i:02d}" / "anat" / f"sub-{i:02d}_T1w.nii.gz")


def cohort(folder: Path, out: Path) -> int:
    """Four cases."""
    from mriprep.cases import list_cases

    cases = list_cases(folder / "in")
    where = Where(jobs=2)
    recipe = load(folder / "cheap.yaml")
    return run_cohort(recipe, cases, out, options=Options(report=False), where=where).exit_code


def one(folder: Path, out: Path) -> int:
    """One case, by the command."""
    scan = folder / "in" / "sub-00" / "anat" / "sub-00_T1w.nii.gz"
    try:
        command(["run", str(scan), str(out), "--recipe", str(folder / "cheap.yaml"), "--no-report"])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def loaded(work: Callable[[Path, Path], int], folder: Path) -> int:
    """Do it, and note which modules it loaded."""
    code = work(folder, folder / "warm")
    (folder / "modules.txt").write_text("\n".join(m for m in sys.modules if m != "__main__"))
    return code


def begun(work: Callable[[], int]) -> int:
    """Do something in a fork of this process."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setsid()
        silent = os.open(os.devnull, os.O_RDWR)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        code = work()
    finally:
        os._exit(code)


def cut(pid: int) -> bool:
    """Kill a process and all that it started; whether it was still there."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        process.suspend()
        for part in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                part.kill()
        process.kill()
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def written(out: Path) -> dict[str, bytes]:
    """What a run left, but for its own diary: images by their voxels, all else by name."""
    found = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = path.relative_to(out).as_posix()
        if name.startswith("runs/") and not name.startswith("runs/done/"):
            continue
        data = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else b""
        found[name] = data
        if name.endswith(".json"):
            json.loads(path.read_text("utf-8"))
    return found


def main(how: str, trials: int, seed: int, folder: Path) -> None:
    """Cut and go on, so many times."""
    work = {"cohort": cohort, "run": one}[how]
    scans(folder / "in", 4)
    (folder / "cheap.yaml").write_text(RECIPE)
    _, status = os.waitpid(begun(lambda: loaded(work, folder)), 0)  # fills caches
    assert status == 0, f"the first run ended with {status}"
    for name in (folder / "modules.txt").read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    began = time.monotonic()
    _, status = os.waitpid(begun(lambda: work(folder, folder / "quiet")), 0)
    lasts = time.monotonic() - began
    assert status == 0, f"the quiet run ended with {status}"
    wanted = written(folder / "quiet")
    assert any(n.endswith(".nii.gz") for n in wanted), wanted
    moments = random.Random(seed)
    cuts, lost = 0, []
    for trial in range(trials):
        out = folder / f"out-{trial}"
        pid = begun(lambda o=out: work(folder, o))
        moment = moments.uniform(0, lasts)
        time.sleep(moment)
        cuts += cut(pid)
        _, status = os.waitpid(begun(lambda o=out: work(folder, o)), 0)
        found = written(out)
        if status or found != wanted:
            differ = sorted(n for n in found.keys() | wanted if found.get(n) != wanted.get(n))
            lost.append({"trial": trial, "moment": moment, "status": status, "differ": differ})
        shutil.rmtree(out)
    print(json.dumps({"trials": trials, "cut": cuts, "seconds": round(lasts, 2), "lost": lost}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
