"""A run of its own process, for tests that kill it: python cohort_script.py SCANS OUT SUBJECT..."""

from __future__ import annotations

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
    sys.exit(done.exit_code)
