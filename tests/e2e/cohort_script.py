"""A run of its own process, for tests that kill it: python cohort_script.py SCANS OUT SUBJECT..."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from cohort_faults import RECIPE, scans, slow

from mriprep.cohorts.clusters import Where
from mriprep.cohorts.job import Options
from mriprep.cohorts.run import run_cohort

if __name__ == "__main__":
    folder, out, *subjects = sys.argv[1:]
    done = run_cohort(
        RECIPE,
        scans(Path(folder), subjects),
        Path(out),
        options=Options(report=False),
        where=Where(jobs=2),
        work=slow,
    )
    # A second Ctrl-C may come when the run has just ended: the exit code is told all the same.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(done.exit_code)
