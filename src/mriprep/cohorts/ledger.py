"""What became of every case: JSON lines while a run is under way, a table at its end.

``runs/<run>/run.json`` says what was asked, ``events.jsonl`` what happened,
one line each, ``cases.tsv`` what became of each case.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mriprep.core import OutputError
from mriprep.core.errors import unwritable
from mriprep.io.atomic import atomic_path, write_json

from .job import Result

#: The columns of ``cases.tsv`` before those of the scores.
COLUMNS = (
    "case", "status", "seconds", "memory_mb", "attempts", "step", "code", "reason", "hint",
    "warnings", "worker",
)  # fmt: skip


def new_run(runs: Path | None = None) -> str:
    """A name for a run: its time (UTC), and something that no other run has.

    Parameters
    ----------
    runs : Path, optional
        Where the runs before lie. Runs are in order by name, whatever the
        clock says: where one of them is later than now, the time is a
        microsecond after it.
    """
    # Microseconds: runs that follow each other within a second are in order by name too.
    now = datetime.now(UTC).replace(tzinfo=None)
    before = [n for p in (runs.glob("*T*-*") if runs else ()) if (n := _time_of(p.name))]
    if before and (last := max(before)) >= now:
        with contextlib.suppress(OverflowError):  # a name from the end of time
            now = last + timedelta(microseconds=1)
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"


def _time_of(run: str) -> datetime | None:
    try:
        return datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%S%f")
    except ValueError:
        return None


class Ledger:
    """Writes down what happens in a run.

    Parameters
    ----------
    folder : Path
        ``OUT/runs/<run>``; made if it is not there.

    Raises
    ------
    OutputError
        If it cannot be made.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        write_json(about, folder / "run.json")
        self.events = folder / "events.jsonl"
        try:
            self.file = self.events.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(error)(f"cannot write {self.events}: {error.strerror}") from None

    def event(self, kind: str, **about: Any) -> None:
        """Write down that something happened.

        Raises
        ------
        OutputError
            If it cannot be written; no half of a line is left then.
        """
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": when, "event": kind, **about}, ensure_ascii=False) + "\n"
        data, start = line.encode(), os.fstat(self.file.fileno()).st_size
        try:
            if self.file.write(data) != len(data):
                raise OSError(28, "No space left on device")
        except OSError as error:
            with contextlib.suppress(OSError):
                self.file.truncate(start)
            raise OutputError(
                f"cannot write {self.events}: {error.strerror}",
                hint="make room, then run the same again: what is done is kept",
            ) from None

    def result(self, result: Result) -> None:
        """Write down what became of a case.

        Raises
        ------
        OutputError
            As :meth:`event`.
        """
        self.counts[result.status] += 1
        self.event("case", **result.to_dict())

    def close(self, **about: Any) -> Path:
        """Write down the end, and the table of cases; its path.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        try:
            self.event("end", **about, counts=dict(self.counts))
        finally:
            self.file.close()
        return write_cases(self.folder)


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """What became of each case of a run, by name; read one at a time."""
    events = folder / "events.jsonl"
    if events.exists() and not events.is_file():
        raise OSError(errno.EINVAL, "it is no ordinary file", str(events))
    with contextlib.suppress(FileNotFoundError), events.open("rb") as file:
        places: dict[str, int] = {}
        place = 0
        for line in file:
            if line.endswith(b"\n") and b'"event": "case"' in line[:80]:
                places[str(json.loads(line)["case"])] = place
            place += len(line)
        for name in sorted(places):
            file.seek(places[name])
            yield json.loads(file.readline())


def write_cases(folder: Path) -> Path:
    """Write ``cases.tsv`` from the events of a run."""
    scores = list(dict.fromkeys(name for row in rows(folder) for name in row["scores"]))
    path = folder / "cases.tsv"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = tsv(file)
        table.writerow([*COLUMNS, *scores])
        for row in rows(folder):
            plain = {**row, "warnings": "; ".join(row["warnings"])}
            values = [plain[c] for c in COLUMNS] + [row["scores"].get(s) for s in scores]
            table.writerow(["n/a" if v in (None, "") else cell(v) for v in values])
    return path


def tsv(file: io.TextIOBase) -> Any:
    """A writer of tab-separated values as BIDS wants them."""
    return csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar=None, quotechar=None)  # fmt: skip


def cell(value: Any) -> str:
    """A value in one cell: no tab, no line break."""
    return " ".join(str(value).split())
