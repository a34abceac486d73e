"""Every benchmark's short form, one after the other, and one table of them: docs/benchmarks.md.

    MRIPREP_TEST_DATA=... python benchmarks/all.py [--only guide_chain bias] [--write docs/benchmarks.md]

Each runs in a process of its own. Its seconds by step are read from what it prints; seconds on the clock, of all
processors and the most memory of the whole process are the system's. Benchmarks of real scans are left out, and
said to be, where MRIPREP_TEST_DATA is not set. A benchmark that fails is told in the table; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
DATA = "MRIPREP_TEST_DATA"


class Row(NamedTuple):
    """A line of the table: seconds of another tool and of mriprep's, their ratio, megabytes."""

    what: str
    other: str = ""
    ours: str = ""
    ratio: str = ""
    megabytes: str = ""


def chain(said: str) -> Iterator[Row]:
    """Rows of guide_chain.py: columns of a fixed width, a column empty where a step is not there."""
    names: list[str] = []
    for line in said.splitlines():
        cells = [line[a : a + 12].strip() for a in range(18, max(len(line) - 9, 18), 12)]
        if line.startswith("step "):
            names = [cell.removesuffix(", s") for cell in cells]
        elif names and line.strip():
            others = [f"{v} {n}" for n, v in zip(names[:-1], cells, strict=False) if v]
            yield Row(line[:18].strip(), ", ".join(others), cells[-1], line[-9:].strip())


def engines(said: str) -> Iterator[Row]:
    """Rows of bias.py: seconds of the clock, ratio of processor seconds, memory beyond the input."""
    rows = re.findall(
        r"^ +\S+ (\S+) +([\d.]+) +[\d.]+ +([\d.]+)(?: +\S+ +[\d.]+)? +(\d+) +[\d.]+$", said, re.M
    )
    for name, seconds, ratio, megabytes in rows:
        ours = name in ("native", "lapgm")
        yield Row(
            name, "" if ours else seconds, seconds if ours else "", "" if ours else ratio, megabytes
        )


class Benchmark(NamedTuple):
    """A benchmark with the arguments of its short form, and what reads rows from what it prints."""

    name: str
    arguments: str = ""
    real: bool = False  # wants MRIPREP_TEST_DATA
    rows: Callable[[str], Iterator[Row]] | None = None


BENCHMARKS = (
    Benchmark("guide_chain", "--short", rows=chain),
    Benchmark("bias", "--short", rows=engines),
    Benchmark("bias_truth", "--quick --spacing 4 --shrink 4 --engines SimpleITK native"),
    Benchmark("registration", "--short", real=True),
    Benchmark("registration_trust", "--pairs 1", real=True),
    Benchmark("brain", "--phantoms-only --spacing 3 --engines deepbet --names phantom-2y"),
    Benchmark("brain_trust", "--scans 1", real=True),
    Benchmark("deface", "--contrasts T1w --spacing 3"),
    Benchmark("tissues", "--spacing 2 --short --contrasts T1w"),
    Benchmark("filters"),
    Benchmark("normalisers", "--spacing 4"),
    Benchmark("gates", "--phantoms-only --spacing 3 --scans 1 --kinds motion ghost"),
    Benchmark("round_trip", "--subjects 1", real=True),
    Benchmark("patches", "--cases 1 --patches 5"),
    Benchmark("scan", "--rounds 1"),
    Benchmark("cohort", "overhead --cases 500"),
)


class Ran(NamedTuple):
    """How a benchmark ended, what it printed, and what the system says of it."""

    code: int
    said: str
    seconds: float
    processor: float
    megabytes: float


def run(benchmark: Benchmark) -> Ran:
    """Run one in a process of its own, to its end."""
    command = [sys.executable, str(HERE / f"{benchmark.name}.py"), *benchmark.arguments.split()]
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=HERE.parent)
        _, status, usage = os.wait4(process.pid, 0)  # with its children's
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    most = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Ran(process.returncode, said, seconds, usage.ru_utime + usage.ru_stime, most)


def lines(benchmark: Benchmark, ran: Ran | None) -> list[str]:
    """The lines of the table that are a benchmark's: the whole process, and its steps."""
    command = f"`{benchmark.name}.py {benchmark.arguments}`".replace(" `", "`")
    if ran is None:
        return [f"| {command} | not run: needs `{DATA}` | | | | |"]
    note = "whole process" if ran.code == 0 else f"**ended with {ran.code}**"
    note += f", {ran.processor:.1f} s of all processors"
    rows = benchmark.rows(ran.said) if benchmark.rows else ()
    first = f"| {command} | {note} | | {ran.seconds:.1f} | | {ran.megabytes:.0f} |"
    return [first, *("| | " + " | ".join(row) + " |" for row in rows)]


def page(done: list[tuple[Benchmark, Ran | None]]) -> str:
    """The table, with what it was made with above it and what was printed below."""
    machine = f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    parts = [
        # No table of contents has it: it is there once it was made.
        "---\norphan: true\n---\n\n# All benchmarks, short\n\nMade by `make bench`, which is:\n\n```text\n"
        f"{DATA}=... python benchmarks/all.py --write docs/benchmarks.md\n```\n",
        f"On {machine}. The short forms are small on purpose (images of 2 to 4 mm): they show that every benchmark runs, and"
        " what takes time there. Figures at full size are on the pages of each part. On a machine that others use, only ratios"
        " mean something. Memory is the whole process's; of bias fields' engines, what each takes beyond its input.\n",
        "| benchmark | step or engine | other, s | mriprep, s | other / mriprep | memory, MB |\n"
        "|---|---|---|---|---|---|\n"
        + "\n".join(line for benchmark, ran in done for line in lines(benchmark, ran))
        + "\n",
        "## What each printed\n",
    ]
    for benchmark, ran in done:
        if ran is not None:
            said = ran.said.strip().replace(os.environ.get(DATA, "\0"), f"${DATA}")
            said = said.replace(str(HERE.parent), ".").replace("```", "'''")
            parts.append(f"### {benchmark.name}\n\n```text\n{said}\n```\n")
    return "\n".join(parts)


def main() -> None:
    names = [b.name for b in BENCHMARKS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    done: list[tuple[Benchmark, Ran | None]] = []
    for benchmark in BENCHMARKS:
        if benchmark.name in given.only:
            ran = None if benchmark.real and DATA not in os.environ else run(benchmark)
            done.append((benchmark, ran))
            print("\n".join(lines(benchmark, ran)), flush=True)
            if ran is not None and ran.code:
                print(ran.said, flush=True)
    if given.write:
        given.write.write_text(page(done), encoding="utf-8")
    sys.exit(any(ran is not None and ran.code for _, ran in done))


if __name__ == "__main__":
    main()
