"""Clocks that jump, within a run and between runs: nothing is redone, lost or taken for older than it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import power_cut
import pytest
import tally

import mriprep as mp
from mriprep.cases import list_cases
from mriprep.cohorts import clusters, ledger
from mriprep.cohorts.clusters import Where
from mriprep.cohorts.job import Options, Result
from mriprep.cohorts.report import failures
from mriprep.cohorts.run import run_cohort
from mriprep.recipe import load
from mriprep.viewer.images import find
from viewer_scene import GRID

HERE = Path(__file__).parent
CALL = """
import sys
from pathlib import Path
from mriprep.cases import list_cases
from mriprep.cohorts.clusters import Where
from mriprep.cohorts.job import Options
from mriprep.cohorts.run import run_cohort
from mriprep.recipe import load
recipe, options = load({"name": "cheap", "steps": ["zscore"]}), Options(report=False, quality=False)
done = run_cohort(recipe, list_cases(Path(sys.argv[1])), Path(sys.argv[2]), options=options, where=Where(jobs=1))
sys.exit(done.exit_code)
"""


@pytest.mark.skipif(os.name == "nt", reason="processes are started otherwise there")
def test_within_a_run(tmp_path):
    """Decades forward and back, all the time, in the run and in its workers: the same files come out."""
    power_cut.scans(tmp_path / "in", 1)
    path = os.environ.get("PYTHONPATH", "")
    for out, before in (("quiet", ""), ("jumps", str(HERE / "jumping"))):
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p for p in (before, path, str(HERE)) if p),
        }
        said = subprocess.run(
            [sys.executable, "-c", CALL, tmp_path / "in", tmp_path / out],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
    found = power_cut.written(tmp_path / "jumps")
    assert found == power_cut.written(tmp_path / "quiet")
    events = next((tmp_path / "jumps" / "runs").glob("*/events.jsonl")).read_text().splitlines()
    years = {json.loads(line)["time"][:4] for line in events}
    assert len(years) > 1, "the clock did not jump"
    tally.case()


class Clock(datetime):
    """A clock that stands."""

    at = datetime(2090, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz=None):
        return cls.at


@pytest.mark.parametrize(
    ("first", "then", "left"), [("failed", "done", []), ("done", "failed", ["sub-1"])]
)
@pytest.mark.parametrize("year", [1971, 2026, 2090, 9999])
def test_between_runs(tmp_path, monkeypatch, first, then, left, year):
    """What the last run says counts, and not the one whose clock was ahead."""
    monkeypatch.setattr(ledger, "datetime", Clock)
    names = []
    for status, when in ((first, 2090), (then, year)):
        monkeypatch.setattr(Clock, "at", datetime(when, 1, 1, tzinfo=UTC))
        names.append(ledger.new_run(tmp_path / "runs"))
        book = ledger.Ledger(tmp_path / "runs" / names[-1], {})
        book.result(Result("sub-1", status, reason="why"))
        book.close()
    assert names == sorted(names)
    assert [f.case for f in failures(tmp_path)[0]] == left
    tally.case()


def test_a_run_from_the_end_of_time(tmp_path):
    (tmp_path / "runs" / "99991231T235959999999-aaaaaa").mkdir(parents=True)
    (tmp_path / "runs" / "T-").mkdir()
    assert ledger.new_run(tmp_path / "runs")
    tally.case()


def test_resumption(tmp_path):
    """What is done stays done, whatever times its files have; a scan that was replaced is done again."""
    power_cut.scans(tmp_path / "in", 2)
    recipe, out = load({"name": "cheap", "steps": ["zscore"]}), tmp_path / "out"

    def counts() -> dict[str, int]:
        cases = list_cases(tmp_path / "in")
        options = Options(report=False, quality=False)
        done = run_cohort(recipe, cases, out, options=options, where=Where(jobs=2))
        assert done.exit_code == 0
        return dict(done.counts)

    def images() -> dict[str, int]:
        return {p.name: p.stat().st_ino for p in out.rglob("*.nii.gz")}

    assert counts() == {"done": 2}
    before = images()
    for folder, when in ((out, 0), (out, 4_000_000_000)):  # 1970, 2096
        for path in folder.rglob("*"):
            os.utime(path, (when, when))
        assert counts() == {"skipped": 2}
        assert images() == before
        tally.case()
    scan = tmp_path / "in" / "sub-00" / "anat" / "sub-00_T1w.nii.gz"
    size, times = scan.stat().st_size, scan.stat()
    content = bytearray(scan.read_bytes())
    volume = mp.read(scan)
    for number in range(50):  # other voxels that pack to as many bytes
        data = volume.data.copy()
        data[0, 0, number % data.shape[2]] += 1 + number
        mp.write(mp.Volume(data, volume.grid), scan)
        if scan.stat().st_size == size:
            break
    assert scan.read_bytes() != content
    os.utime(scan, ns=(times.st_atime_ns, times.st_mtime_ns))  # as rsync --times leaves it
    assert counts() == {"done": 1, "skipped": 1}
    tally.case()


def test_which_image_is_shown(tmp_path):
    """Of two recipes' images the one that was judged, though the other's file claims to be newer."""
    anat = tmp_path / "sub-01" / "anat"
    for name, when in (("old", 4_000_000_000), ("new", 0)):
        image = mp.write(
            mp.Volume(power_cut.np.ones(GRID.shape, "f4"), GRID),
            anat / f"sub-01_space-{name}_desc-preproc_T1w.nii.gz",
        )
        image.with_name(image.name.replace(".nii.gz", ".json")).write_text(
            json.dumps({"recipe": {"name": name}})
        )
        os.utime(image, (when, when))
    about = {
        "schema": 1,
        "case": "sub-01",
        "contrast": "T1w",
        "recipe": "new",
        "verdict": "pass",
        "metrics": {"cjv": 1.0},
    }
    (anat / "sub-01_T1w_quality.json").write_text(json.dumps(about))
    assert [i.image.space for i in find(tmp_path)] == ["new"]
    tally.case()


def test_a_clock_that_is_set_back_holds_no_message(monkeypatch):
    """Dask bundles messages until a time of the system's clock; set back by an hour, they would lie that long."""
    from mriprep.cohorts import clock

    with clusters.connected(Where(jobs=1), 1) as client:
        assert client.submit(int, "1").result(timeout=20) == 1
        client.scheduler_comm.next_deadline = clock.time.time() + 3600
        held = client.submit(int, "2", pure=False)
        with pytest.raises(TimeoutError):
            held.result(timeout=1)
        clock.release(client)
        assert held.result(timeout=20) == 2
    seen = clock.Clock()
    assert not seen.was_set()
    real = clock.time.time
    monkeypatch.setattr(clock.time, "time", lambda: real() - 3600)
    assert seen.was_set()
    assert not seen.was_set()
    tally.case()
