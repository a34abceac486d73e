"""One log a case: what was done, how long it took, what was said, why it stopped."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

from mriprep.io.atomic import write_text
from mriprep.record import public
from mriprep.run import Outcome

from .job import Result


class CaseLog:
    """Collects what there is to say of a case and writes it at the end.

    What libraries print is not in it, nor is any header, nor are folders:
    names of patients are found in all of these.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []

    def steps(self, outcomes: Iterable[Outcome]) -> None:
        """Say what was done to each contrast."""
        for outcome in outcomes:
            self.lines.append(f"{outcome.contrast}: recipe {outcome.recipe.name}")
            for step in outcome.steps:
                engine = f" ({step.engine_version or step.engine})" if step.engine else ""
                self.lines.append(f"  {step.name}{engine}: {step.seconds:.2f} s, {step.after}")
            self.lines += [f"  warning: {w}" for w in outcome.all_warnings]

    def error(self, error: BaseException) -> None:
        """Say where an error came from."""
        self.lines += "".join(traceback.format_exception(error)).rstrip().splitlines()

    def end(self, result: Result) -> None:
        """Write it, if anything can be written; the ledger tells what became of the case anyhow."""
        from contextlib import suppress

        from mriprep.core import OutputError

        end = f"{result.status}"
        if result.reason:
            where = f" at {result.step or 'start'}" if not result.good else ""
            end += f"{where}: {result.reason}"
        self.lines.append(end)
        if result.hint:
            self.lines.append(f"hint: {result.hint}")
        with suppress(OutputError):
            write_text("\n".join(public(self.lines)) + "\n", self.path)
