"""Power cuts: a run that is killed at any moment goes on, and gives what an undisturbed one gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tally

HERE = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked for it")
@pytest.mark.parametrize(("how", "few", "many"), [("run", 12, 200), ("cohort", 1, 20)])
def test_nothing_is_lost(how, few, many, tmp_path):
    trials = many if tally.LONG else few
    said = subprocess.run(
        [sys.executable, HERE / "power_cut.py", how, str(trials), "1", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout.splitlines()[-1])
    assert told["lost"] == []
    assert told["trials"] == trials
    if trials > 10:
        assert told["cut"] > trials / 4, "most were cut when all was done"
    tally.case(trials)


def test_two_runs_into_one_output(tmp_path):
    """No locks: both do the cases, both write whole files, and both write the same."""
    import power_cut

    power_cut.scans(tmp_path / "in", 2)
    (tmp_path / "cheap.yaml").write_text(power_cut.RECIPE)

    def start(out: str) -> subprocess.Popen[bytes]:
        call = "import sys; from pathlib import Path; from power_cut import cohort;"
        call += "sys.exit(cohort(Path(sys.argv[1]), Path(sys.argv[2])))"
        return subprocess.Popen(
            [sys.executable, "-c", call, str(tmp_path), str(tmp_path / out)],
            cwd=HERE,
            stdout=subprocess.DEVNULL,
        )

    runs = [start("both"), start("both"), start("alone")]
    assert [r.wait() for r in runs] == [0, 0, 0]
    assert power_cut.written(tmp_path / "both") == power_cut.written(tmp_path / "alone")
    tally.case()
