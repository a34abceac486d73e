"""Many cases: what two jobs gain over one, and what the machinery itself costs.

    python benchmarks/cohort.py overhead                   # 20,000 cases in which nothing is done
    python benchmarks/cohort.py overhead --cases 2000
    python benchmarks/cohort.py jobs FOLDER                # real scans, jobs 1 and 2, a thread each
    python benchmarks/cohort.py jobs FOLDER --cases 4 --recipe body

`jobs` takes a folder of subjects with images named by contrast (or a BIDS dataset, or a table) and
wants a quiet machine of two cores or more: it compares wall times. Each number of jobs is run
once before it is measured, on the first case, so that compiling and reading from disk do not count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from _cohort_nothing import nothing

from mriprep.cases import CaseSource, list_cases
from mriprep.cohorts.clusters import Where
from mriprep.cohorts.job import Options, Result
from mriprep.cohorts.run import Silent, run_cohort
from mriprep.recipe import load


class Memory(Silent):
    """Measures the memory of this process, where scheduler and client are, while cases end."""

    def __init__(self, every: int) -> None:
        self.every, self.count, self.process = every, 0, psutil.Process()
        self.seen: list[tuple[int, float]] = []

    def ended(self, result: Result) -> None:
        self.count += 1
        if self.count % self.every == 0:
            self.seen.append((self.count, self.process.memory_info().rss / 1e6))


class Children(threading.Thread):
    """Measures the most memory of all child processes together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.over = 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.5):
            held = 0.0
            for child in psutil.Process().children(recursive=True):
                try:
                    held += child.memory_info().rss / 1e6
                except psutil.Error:
                    continue
            self.most = max(self.most, held)


def numbered(count: int) -> Iterator[CaseSource]:
    """Cases made as they are asked for, so that a list of them is not measured as well."""
    for i in range(count):
        yield CaseSource(f"sub-{i:06d}", f"{i:06d}")


def overhead(count: int, jobs: int) -> int:
    watch, children = Memory(max(count // 10, 1)), Children()
    children.start()
    with tempfile.TemporaryDirectory() as out:
        began, used = time.perf_counter(), time.process_time()
        done = run_cohort(
            load({"steps": ["zscore"]}), numbered(count), Path(out),
            where=Where(jobs=jobs), watch=watch, work=nothing,
        )  # fmt: skip
        wall, used = time.perf_counter() - began, time.process_time() - used
        rows = sum(1 for _ in (done.folder / "cases.tsv").open()) - 1
    children.over.set()
    print(f"{count} cases, {jobs} at once: {dict(done.counts)}, {rows} rows in the table")
    print(f"{1000 * wall / count:.2f} ms a case (processor time of this process: "
          f"{1000 * used / count:.2f} ms)")  # fmt: skip
    print("memory of client and scheduler, MB, after that many cases:")
    print("  " + ", ".join(f"{n}: {mb:.0f}" for n, mb in watch.seen))
    print(f"memory of the child processes together, at most: {children.most:.0f} MB")
    settled = [mb for n, mb in watch.seen if n > count // 5]
    return int(1000 * wall / count > 5 or max(settled) - settled[0] > 20)


def pace(recipe: str, cases: list[CaseSource], jobs: int) -> float:
    """Cases an hour with so many jobs, a thread each."""
    where = Where(jobs=jobs, threads=1)
    with tempfile.TemporaryDirectory() as out:
        for few in (cases[:jobs], cases):  # the first to warm the disk and the compiler's cache
            began = time.perf_counter()
            done = run_cohort(
                load(recipe), few, Path(out), options=Options(report=False), where=where, force=True
            )
            seconds = time.perf_counter() - began
        if done.good < len(cases):
            sys.exit(f"not all went well: {dict(done.counts)}: {next(done.cases())['reason']}")
        peak = max(row["memory_mb"] for row in done.cases())
    print(f"jobs {jobs}: {seconds:.1f} s, {3600 * len(cases) / seconds:.0f} cases an hour,"
          f" at most {peak:.0f} MB a case")  # fmt: skip
    return 3600 * len(cases) / seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "jobs"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--recipe", default="multimodal")
    given = parser.parse_args()
    if given.what == "overhead":
        return overhead(given.cases or 20_000, given.jobs)
    if given.folder is None:
        parser.error("jobs needs a folder of scans")
    cases = list_cases(given.folder)[: given.cases]
    print(f"{len(cases)} cases, recipe {given.recipe}, a thread each")
    one, many = pace(given.recipe, cases, 1), pace(given.recipe, cases, given.jobs)
    print(f"{given.jobs} jobs do {many / one:.2f} times the cases of one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
