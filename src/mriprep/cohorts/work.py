"""Doing one case of a cohort, in a child process: read, run, write, note."""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mriprep.cases import CaseSource
from mriprep.core import InputError
from mriprep.record import Failure, public, scores_of
from mriprep.run import Outcome, execute, listening
from mriprep.run_record import sidecar_path
from mriprep.session import SessionOutcome, execute_session

from . import resume
from .child import out_of_memory
from .job import Job, Result, Tell, failed
from .log import CaseLog

#: What the system says when nothing more can be written at all, whatever the case.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
#: What it says when the machine, not the scan, is at fault.
_MACHINE = (errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def do(job: Job, source: CaseSource, tell: Tell) -> Result:
    """Do what a recipe says to one case, write what it made, and note that it is done.

    A case that is done already, by its content, is left as it is.
    """
    from mriprep.io.offline import staying_offline

    if not job.force and (note := resume.is_done(job, source, content=True)) is not None:
        return skipped(job, source, note)
    log = CaseLog(Path(job.output) / "runs" / job.run / "logs" / f"{source.name}.log")
    try:
        resume.forget(job, source)
        resume.sweep(job, source)
        with staying_offline(job.options.offline):
            result = _whole(job, source, tell, log)
    except Exception as error:  # a failure is a value, of this case alone
        result = _failure(source.name, Failure.of(error, "read"), error)
        log.error(error)
    log.end(result)
    return result


def skipped(job: Job, source: CaseSource, note: Mapping[str, Any]) -> Result:
    """A case that is not done again."""
    # A worker that was lost after it had done a case had no time to say so.
    ours = note.get("run") == job.run
    return Result(
        source.name,
        str(note.get("status", "done")) if ours else "skipped",
        warnings=tuple(note.get("warnings", ())),
        scores=dict(note.get("scores", {})),
        reason=note.get("reason") if ours else None,
    )


def cause_of(error: BaseException) -> str:
    """What is to blame for an error: the scan, the machine, or an output that takes no more."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return "output"
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno in _MACHINE):
            return "machine"
        if isinstance(seen, RuntimeError) and "out of memory" in str(seen):  # a GPU's
            return "machine"
        seen = seen.__cause__ or seen.__context__
    return "scan"


def _whole(job: Job, source: CaseSource, tell: Tell, log: CaseLog) -> Result:
    from mriprep.cases import open_session
    from mriprep.intake import with_given_age
    from mriprep.qc.outputs import (
        write_all,
    )  # loads numba, which a case that fails at once needs not

    recipe = _recipe(job)
    before = resume.quick(source) if _there(source) else ""
    tell("read", 0)
    with listening() as said:
        case, given = open_session(source, dicom_engine=job.options.dicom_engine)
        case = with_given_age(case, job.options.age)

    def progress(name: str, number: int, _: float) -> None:
        tell(name or "write", number + 1)

    done: Outcome | SessionOutcome
    if recipe.session is not None:
        done = execute_session(
            recipe,
            case,
            reference=job.options.reference,
            given=given,
            progress=progress,
            said=said,
        )
        outcomes = list(done.outcomes.values())
    else:
        contrast = job.options.contrast or case.reference
        own = given.get(contrast, {})
        done = execute(
            recipe,
            case,
            contrast=contrast,
            mask=own.get("mask"),
            labels=own.get("labels"),
            progress=progress,
            said=said,
        )
        outcomes = [done]
    log.steps(outcomes)
    about = {"warnings": tuple(public(list(done.all_warnings))), "scores": scores(outcomes)}
    options = job.options
    made = write_all(done, Path(job.output), report=options.report, quality=options.quality)
    if done.failure is not None:
        assert done.error is not None
        log.error(done.error)
        return _failure(source.name, done.failure, done.error).but(**about)
    outputs = [*made.results, *_sidecars(made.results), *made.quality_files]
    doubts = [d for o in outcomes for d in o.doubts]
    reason = "; ".join(public(doubts)) or None
    result = Result(source.name, "doubtful" if doubts else "done", reason=reason, **about)  # type: ignore[arg-type]
    resume.note_done(
        job,
        source,
        before,
        outputs,
        {"status": result.status, "reason": reason, "recipe": recipe.name, **about},
        pages=made.pages,
    )
    return result


def scores(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """The numbers by which a case is judged, by contrast: every step's score, and volumes, ml."""
    found: dict[str, float] = {}
    for o in outcomes:
        volumes = {k: round(v, 4) for s in o.steps for k, v in s.facts.items() if k.endswith("_ml")}
        found |= {f"{o.contrast}_{k}": v for k, v in {**scores_of(o.steps), **volumes}.items()}
    return found


@functools.lru_cache(maxsize=2)
def _recipe_of(text: str) -> Any:
    import json

    from mriprep.recipe import load

    return load(json.loads(text))


def _recipe(job: Job) -> Any:
    import json

    return _recipe_of(json.dumps(job.recipe))


def _sidecars(files: Iterable[Path]) -> list[Path]:
    beside = dict.fromkeys(sidecar_path(f) for f in files)
    return [p for p in beside if p.is_file()]


def _there(source: CaseSource) -> bool:
    return all(Path(i.path).exists() for i in source.images)


def _failure(case: str, why: Failure, error: BaseException) -> Result:
    cause = cause_of(error)
    if isinstance(error, MemoryError):
        return out_of_memory(case)
    hint = why.hint
    if cause == "output":
        hint = "make room or give another folder, then run the same again: what is done is kept"
    elif isinstance(error, InputError) and hint is None:
        hint = "`mriprep inspect` says what is in the file"
    return failed(
        case, public(why.message), cause=cause, step=why.step, code=why.code, hint=public(hint)
    )
