"""Cohorts with real processes: what one case, worker, disk or run suffers, the others do not."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from cohort_faults import RECIPE, faulty, scans, slow

from mriprep.cohorts.clusters import Where
from mriprep.cohorts.job import Options
from mriprep.cohorts.run import Limits, Silent, run_cohort
from mriprep.core import OutputError

HERE = Path(__file__).parent
NAMES = [f"{i:02d}" for i in range(1, 7)]


def run(cases, out, **how):
    how = {"where": Where(jobs=2), "options": Options(report=False), **how}
    return run_cohort(RECIPE, cases, out, **how)


def rows(summary):
    return {r["case"].removeprefix("sub-"): r for r in summary.cases()}


def images(out: Path) -> dict[str, bytes]:
    """Every image below a folder, unpacked."""
    found = sorted(out.rglob("*.nii.gz"))
    return {p.relative_to(out).as_posix(): gzip.decompress(p.read_bytes()) for p in found}


def half_written(out: Path) -> list[Path]:
    return [p for p in out.rglob(".*") if ".part-" in p.name or p.name.startswith(".slices-")]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Path:
    """The outputs of a run to which nothing happened."""
    folder = tmp_path_factory.mktemp("quiet")
    done = run(scans(folder / "in", NAMES), folder / "out")
    assert done.exit_code == 0, list(done.cases())
    assert len(images(folder / "out")) == len(NAMES)
    return folder / "out"


def wait(until, seconds=60.0):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


# -- cases ------------------------------------------------------------------------------------


def test_a_case_that_dies_dies_alone(tmp_path):
    subjects = ["01", "segfault", "eat", "raise", "leave", "die", "02"]
    limits = Limits(memory_mb=900)
    done = run(scans(tmp_path / "in", subjects), tmp_path / "out", limits=limits, work=faulty)
    found = rows(done)
    assert {s: found[s]["status"] for s in subjects} == {
        "01": "done", "segfault": "failed", "eat": "failed", "raise": "failed", "leave": "failed",
        "die": "done", "02": "done",
    }  # fmt: skip
    assert done.exit_code == 3
    assert "SIGSEGV" in found["segfault"]["reason"]
    assert "cohort_faults.py" in found["segfault"]["reason"]  # where it happened
    assert "900 MB" in found["eat"]["reason"]
    assert found["eat"]["memory_mb"] > 900
    assert "ValueError: this one is not right" in found["raise"]["reason"]
    assert "exit code 7" in found["leave"]["reason"]
    assert all(found[s]["hint"] for s in ("segfault", "eat", "raise", "leave"))
    # What the machine is to blame for is tried once more, what the scan is to blame for is not.
    tried = {s: found[s]["attempts"] for s in subjects}
    assert tried == {"01": 1, "02": 1, "segfault": 1, "eat": 2, "raise": 1, "leave": 1, "die": 2}
    assert len(images(tmp_path / "out")) == 3
    logs = {p.stem: p.read_text() for p in (done.folder / "logs").iterdir()}
    assert "SIGSEGV" in logs["sub-segfault"]
    assert "zscore" in logs["sub-01"]
    table = (done.folder / "cases.tsv").read_text().splitlines()
    assert len(table) == 1 + len(subjects)
    assert {len(line.split("\t")) for line in table} == {11}


def test_a_case_that_hangs_is_ended(tmp_path):
    cases = scans(tmp_path / "in", ["hang", *(f"nothing{i}" for i in range(20))])
    done = run(cases, tmp_path / "out", limits=Limits(timeout=2), work=faulty)
    assert dict(done.counts) == {"done": 20, "failed": 1}
    hung = rows(done)["hang"]
    assert "2 s" in hung["reason"]
    assert "--case-timeout" in hung["hint"]
    assert hung["attempts"] == 1
    assert 2 <= hung["seconds"] < 10


def test_cases_wait_for_memory(tmp_path):
    cases, ends = scans(tmp_path / "in", ["01", "02", "03"]), {}
    for memory_mb in (100_000, 500):  # a case is expected to take 350 and some
        where = Where(jobs=3, memory_mb=memory_mb)
        done = run(cases, tmp_path / "out", where=where, work=slow, force=True)
        assert done.exit_code == 0
        times = sorted(datetime.fromisoformat(r["time"]) for r in done.cases())
        ends[memory_mb] = (times[-1] - times[0]).total_seconds()
    assert ends[500] > 1.4  # one after the other, and each takes 0.7 s
    assert ends[500] > ends[100_000]


def test_nothing_listens_on_this_machine(tmp_path):
    seen = []

    class Watch(Silent):
        def ended(self, result):
            seen.append(listening())

    def listening():
        here = psutil.Process().net_connections()
        return [c.laddr for c in here if c.status == psutil.CONN_LISTEN]

    before = listening()
    run(scans(tmp_path / "in", ["nothing"]), tmp_path / "out", work=faulty, watch=Watch())
    assert seen == [before]


# -- workers and runs -------------------------------------------------------------------------


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers on loopback: its address, and the workers' processes."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    scheduler = started("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
                        "--port", port, "--no-dashboard")  # fmt: skip
    workers = [
        started("-m", "distributed.cli.dask_worker", address, "--nthreads", 1, "--no-nanny",
                "--host", "127.0.0.1", "--no-dashboard", "--local-directory", tmp_path)
        for _ in range(2)
    ]  # fmt: skip
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def test_a_worker_that_is_killed_takes_no_case_with_it(cluster, quiet, tmp_path):
    address, workers = cluster
    out, results = tmp_path / "out", []
    cases = scans(tmp_path / "in", NAMES)

    def go():
        results.append(run(cases, out, where=Where(scheduler=address), work=slow))

    thread = threading.Thread(target=go)
    thread.start()
    wait(lambda: len(list((out / "runs" / "done").glob("*.json"))) >= 2)
    workers[0].kill()
    thread.join(120)
    (done,) = results
    assert done.exit_code == 0, list(done.cases())
    assert sum(done.counts.values()) == len(NAMES)
    assert images(out) == images(quiet)
    assert half_written(out) == []


def children_of(run_id: int) -> list[psutil.Process]:
    """Child processes that a run has, or has left behind."""
    found = []
    for process in psutil.process_iter():
        try:
            if f"-{run_id}-" in " ".join(process.cmdline()[-1:]):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_run_that_is_killed_goes_on(quiet, tmp_path):
    out, cases = tmp_path / "out", scans(tmp_path / "in", NAMES)
    process = started(HERE / "cohort_script.py", tmp_path / "in", out, *NAMES)
    notes = out / "runs" / "done"
    wait(lambda: len(list(notes.glob("*.json"))) >= 2)
    assert children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait(lambda: not children_of(process.pid), 10)
    kept = len(list(notes.glob("*.json")))
    assert 2 <= kept < len(NAMES)
    # What such a run may leave at its worst: half a file, and one that is whole.
    left = next(n for n in NAMES if not (notes / f"sub-{n}.json").exists())
    torn = out / f"sub-{left}/anat/.sub-{left}_desc-preproc_T1w.part-0123456789ab.nii.gz"
    torn.parent.mkdir(parents=True, exist_ok=True)
    torn.write_bytes(b"\x1f\x8b")
    done = run(cases, out)
    assert dict(done.counts) == {"skipped": kept, "done": len(NAMES) - kept}
    assert done.exit_code == 0
    assert images(out) == images(quiet)
    assert half_written(out) == []


def test_ctrl_c_ends_what_is_under_way_and_the_next_run_goes_on(quiet, tmp_path):
    out = tmp_path / "out"
    process = started(HERE / "cohort_script.py", tmp_path / "in", out, *NAMES)
    wait(lambda: list((out / "runs" / "done").glob("*.json")))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    ended = {p.name for p in (out / "runs" / "done").glob("*.json")}
    assert 0 < len(ended) < len(NAMES)
    assert set(images(out)) == {
        f"{n[:-5]}/anat/{n[:-5]}_desc-preproc_T1w.nii.gz" for n in ended
    }  # what was begun was ended
    assert half_written(out) == []
    (folder,) = (p for p in (out / "runs").iterdir() if p.name != "done")
    last = json.loads((folder / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "end"
    assert last["stopped"] is True
    assert (folder / "cases.tsv").is_file()
    assert run(scans(tmp_path / "in", NAMES), out).exit_code == 0
    assert images(out) == images(quiet)


def test_ctrl_c_twice_ends_at_once(tmp_path):
    subjects = [f"{i:02d}" for i in range(40)]
    process = started(HERE / "cohort_script.py", tmp_path / "in", tmp_path / "out", *subjects)
    wait(lambda: list((tmp_path / "out" / "runs" / "done").glob("*.json")))
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert half_written(tmp_path / "out") == []


def test_no_workers_and_a_wish_to_stop(tmp_path, cluster):
    address, workers = cluster
    for worker in workers:
        worker.kill()
        worker.wait()
    noted = []

    class Watch(Silent):
        def note(self, text):
            noted.append(text)
            if text == "waiting for workers":
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    done = run(scans(tmp_path / "in", ["01", "02"]), tmp_path / "out",
               where=Where(scheduler=address), watch=Watch())  # fmt: skip
    assert done.exit_code == 130
    assert noted.count("waiting for workers") == 1
    assert {r["status"] for r in done.cases()} <= {"stopped"}


SBATCH = """#!/bin/bash
cp "$1" {folder}/job.sh
cp "$1" {folder}/job-$$.sh
setsid bash {folder}/job-$$.sh > {folder}/job.log 2>&1 < /dev/null &
echo "Submitted batch job $!"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the stand-in for SLURM needs Linux")
def test_a_batch_system(quiet, tmp_path, monkeypatch):
    """SLURM's commands are stood in for by scripts; all else is real."""
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", "#!/bin/bash\nkill -- -$1\n")):
        script = tmp_path / "bin" / name
        script.write_text(text.format(folder=tmp_path))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    options = {"cores": 4, "memory": "4GB", "interface": "lo", "jobs": 1,
               "local_directory": str(tmp_path)}  # fmt: skip
    out = tmp_path / "out"
    where = Where(cluster="slurm", cluster_options=options, threads=2)
    done = run(scans(tmp_path / "in", NAMES), out, where=where)
    assert done.exit_code == 0, list(done.cases())
    assert images(out) == images(quiet)
    assert "--cpus-per-task=4" in (tmp_path / "job.sh").read_text()
    begun = json.loads((done.folder / "events.jsonl").read_text().splitlines()[0])
    assert (begun["event"], begun["threads"]) == ("begin", 2)
    assert len({r["worker"] for r in done.cases()}) <= 2  # 4 cores, 2 threads a case


# -- disks ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root on Linux")
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_the_run_and_leaves_nothing_torn(small_disk, quiet, tmp_path):
    out, cases = small_disk / "out", scans(tmp_path / "in", NAMES)
    filler = small_disk / "filler"
    free = os.statvfs(small_disk)
    filler.write_bytes(b"0" * (free.f_bavail * free.f_bsize - 70_000))
    done = run(cases, out)
    assert done.exit_code in (1, 3)
    assert done.why is not None
    assert "No space left" in done.why
    assert half_written(out) == []
    whole = images(out)  # all that have a final name can be unpacked
    assert len(whole) < len(NAMES)
    assert whole == {k: v for k, v in images(quiet).items() if k in whole}
    for line in (done.folder / "events.jsonl").read_text().splitlines():
        json.loads(line)
    filler.unlink()
    again = run(cases, out)
    assert again.exit_code == 0
    assert again.counts["skipped"] == done.good
    assert images(out) == images(quiet)


def test_an_output_that_cannot_be_written_to(small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="cannot be written to: Read-only file system"):
        run(scans(tmp_path / "in", NAMES), small_disk / "out")
