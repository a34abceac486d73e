"""What the command line says of many cases: progress, pace, and what came of them."""

from __future__ import annotations

import pytest

from mriprep.cli.bids import spread
from mriprep.cli.cohort import told
from mriprep.cli.cohort_progress import Lines, Pace
from mriprep.cohorts.job import Result, failed
from mriprep.cohorts.ledger import Ledger
from mriprep.cohorts.run import Summary
from mriprep.qc.cohort import Overview


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["in", "out", "participant", "--participant_label", "01", "02", "-w", "w"],
         ["in", "out", "participant", "--participant-label", "01", "--participant-label", "02", "-w", "w"]),
        (["--participant-label=01", "in", "out"], ["--participant-label=01", "in", "out"]),
        (["--session-label", "a", "b", "--n_cpus", "2"],
         ["--session-label", "a", "--session-label", "b", "--n-cpus", "2"]),
        (["--nprocs", "2", "in"], ["--nprocs", "2", "in"]),
    ],
)  # fmt: skip
def test_labels_of_bids_apps(given, meant):
    assert spread(given) == meant


def test_pace(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pace = Pace()
    pace.total = 100
    assert pace.words() == ""
    for _ in range(10):
        pace.count("skipped")
    for _ in range(10):
        now[0] += 36
        pace.count("done")
    assert pace.an_hour == pytest.approx(100)
    assert pace.words() == "100 cases an hour, 48 min left"


def test_plain_lines(capsys):
    lines = Lines()
    lines.begin(3, 2)
    lines.ended(Result("sub-1", "done", 3.0))
    lines.ended(Result("sub-2", "doubtful", 3.0, reason="the mask is large"))
    lines.ended(failed("sub-3", "torn"))
    said = capsys.readouterr().err
    assert "3 cases, 2 at once" in said
    assert "[1/3] sub-1 done in 3.0 s" in said
    assert "[2/3] sub-2 doubtful in 3.0 s: the mask is large" in said
    assert "[3/3] sub-3 failed: torn" in said


@pytest.mark.parametrize(
    ("counts", "total", "said"),
    [
        ({"done": 2}, 3, "3 cases: 2 done, 1 not begun"),
        ({"done": 1}, 1, "1 case: 1 done"),
        ({"done": 2}, None, "2 cases: 2 done"),
    ],
)
def test_the_summary_counts_what_was_not_begun(counts, total, said, tmp_path, capsys):
    summary = Summary(tmp_path, counts, stopped=total == 3, total=total)
    told(summary)
    assert said in capsys.readouterr().out.splitlines()


def test_the_summary_says_which_images_do_not_pass(tmp_path, capsys):
    looked = [(f"sub-{n:02d}", "T1w", "look") for n in range(12)]
    overview = Overview(
        tmp_path / "index.html",
        (),
        {"pass": 7, "look": 12, "fail": 1},
        flagged=(("sub-40", "FLAIR", "fail"), *looked),
    )
    told(Summary(tmp_path, {"done": 20}, total=20, overview=overview))
    assert capsys.readouterr().out.splitlines() == [
        "20 cases: 20 done",
        f"ledger: {tmp_path}",
        "20 images: 1 fail, 12 look, 7 pass",
        "  fail: sub-40 FLAIR",
        f"  look: {', '.join(f'sub-{n:02d} T1w' for n in range(10))} and 2 more",
        f"all images: {tmp_path / 'index.html'}",
    ]


def test_the_summary_says_what_is_doubtful(tmp_path, capsys):
    ledger = Ledger(tmp_path / "run", {})
    ledger.result(Result("sub-1", "doubtful", reason="the mask is large"))
    ledger.close()
    assert told(Summary(ledger.folder, ledger.counts, total=1)) == 4
    assert "sub-1: the mask is large; look before you use it" in capsys.readouterr().err
