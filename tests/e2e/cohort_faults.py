"""What the tests of cohorts do to their cases: each fault is named by the subject that has it."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

from command_line import image

import mriprep as mp
from mriprep.cases import CaseSource, ImageSource
from mriprep.cohorts.job import Job, Result, Tell
from mriprep.cohorts.work import do
from mriprep.recipe import load

RECIPE = load({"name": "cheap", "steps": ["reorient", "zscore"]})


def faulty(job: Job, source: CaseSource, tell: Tell) -> Result:
    """Do a case, unless its name says what shall happen to it."""
    match source.subject.rstrip("0123456789"):
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            time.sleep(600)
        case "eat":
            eaten = []
            while True:
                eaten.append(bytearray(os.urandom(1000) * 20_000))
                time.sleep(0.02)
        case "leave":
            os._exit(7)
        case "raise":
            raise ValueError("this one is not right")
        case "die":  # once; the second time it is well
            mark = Path(job.output).parent / f"{source.name}-was-here"
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), 9)
        case "nothing":
            return Result(source.name, "done")
    return do(job, source, tell)


def slow(job: Job, source: CaseSource, tell: Tell) -> Result:
    """Do a case, but not before a moment has passed."""
    time.sleep(0.7)
    return do(job, source, tell)


def scans(folder: Path, subjects: list[str]) -> list[CaseSource]:
    """Small scans, no two alike, and the cases that they are."""
    cases = []
    for i, subject in enumerate(subjects):
        path = folder / f"sub-{subject}" / "anat" / f"sub-{subject}_T1w.nii.gz"
        if not path.exists():
            path.parent.mkdir(parents=True)
            mp.write(image(i), path)
        cases.append(CaseSource(f"sub-{subject}", subject, None, (ImageSource("T1w", str(path)),)))
    return cases
