"""What is to be done to every case of a cohort, and what became of one: plain data that travels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mriprep.cases import CaseSource

#: Told of a step and its number while a case is being done.
Tell = Callable[[str, int], None]

#: Good ends of a case.
GOOD = ("done", "doubtful", "skipped")


@dataclass(frozen=True)
class Options:
    """What `mriprep run` takes beyond the recipe, as far as it holds for every case.

    Parameters
    ----------
    contrast, reference : str or None
        As for one case.
    age : str or None
        Given for all.
    dicom_engine : str
        What converts DICOM.
    offline : bool
        Templates must be there.
    report : bool
        Whether a report is written for each case.
    quality : bool
        Whether the quality of each image is measured.
    """

    contrast: str | None = None
    reference: str | None = None
    age: str | None = None
    dicom_engine: str = "dcm2niix"
    offline: bool = False
    report: bool = True
    quality: bool = True


@dataclass(frozen=True)
class Job:
    """What is to be done to every case.

    Parameters
    ----------
    run : str
        Name of this run.
    recipe : mapping
        The recipe as plain data, settings applied.
    output : str
        The folder that all is written to.
    key : str
        Hash of recipe, options and versions: what outputs depend on beside
        their inputs.
    options : Options
        The rest of the command.
    timeout : float or None
        Seconds that a case may take.
    memory_mb : float or None
        Memory that a case may take before it is stopped, MB.
    threads : int
        Threads of every library in a child process.
    scratch : str or None
        Where temporary files go; the system's folder by default.
    force : bool
        Whether cases that are done are done again.
    work : callable
        Does one case: ``work(job, source, tell) -> Result``. A module's
        function, since child processes import it.
    """

    run: str
    recipe: Mapping[str, Any]
    output: str
    key: str
    options: Options
    work: Callable[[Job, CaseSource, Tell], Result]
    timeout: float | None = None
    memory_mb: float | None = None
    threads: int = 1
    scratch: str | None = None
    force: bool = False


@dataclass(frozen=True)
class Result:
    """What became of a case.

    Parameters
    ----------
    case : str
        Its name.
    status : {"done", "doubtful", "failed", "skipped", "stopped"}
        Doubtful: all is written and somebody must look. Stopped: it was
        under way, or waiting, when the run was stopped.
    seconds : float
        How long it took.
    memory_mb : float
        Most memory its process held, MB.
    warnings : tuple of str
        What was said.
    scores : mapping
        Numbers that tell good from bad, by name.
    step, code, hint : str or None
        Of a failure.
    reason : str or None
        Why it failed, or what is doubtful.
    cause : {"scan", "machine", "output"} or None
        Of a failure: what is to blame. The machine: it is tried once more.
        The output: nothing can be written, the run stops.
    attempts : int
        How often it was tried.
    worker : str
        Who did it.
    """

    case: str
    status: str
    seconds: float = 0.0
    memory_mb: float = 0.0
    warnings: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    step: str | None = None
    code: str | None = None
    reason: str | None = None
    hint: str | None = None
    cause: str | None = None
    attempts: int = 1
    worker: str = ""

    @property
    def good(self) -> bool:
        """Whether its outputs are there."""
        return self.status in GOOD

    def but(self, **changes: Any) -> Result:
        """A copy with some things changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        about = asdict(self)
        return {**about, "seconds": round(self.seconds, 3), "memory_mb": round(self.memory_mb, 1)}


def failed(case: str, reason: str, *, cause: str = "scan", **about: Any) -> Result:
    """A case that did not come to its end."""
    return Result(case, "failed", reason=reason, cause=cause, **about)
