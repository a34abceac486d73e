"""A case in which nothing is done; a module of its own, since child processes import it."""

from __future__ import annotations

from mriprep.cases import CaseSource
from mriprep.cohorts.job import Job, Result, Tell


def nothing(job: Job, source: CaseSource, tell: Tell) -> Result:
    """Do nothing to a case."""
    return Result(source.name, "done")
