"""What docs/inference.md shows is so: its commands and snippets run, one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

import mriprep as mp
from mriprep.cli import cli, main
from mriprep.core import Volume

PAGE = (Path(__file__).parents[2] / "docs" / "inference.md").read_text(encoding="utf-8")
RECIPE = """
name: mine
steps:
  - background: {output: mask}
  - resample: {spacing: 1.5}
  - nyul: {state: "nyul_{contrast}.json"}
"""


def scan(seed):
    data = np.random.default_rng(seed).normal(20, 2, (20, 18, 14))
    data[4:16, 3:15, 2:12] += 200
    return Volume(np.maximum(data, 0).astype(np.float32), np.diag([1.0, 1.25, 2, 1]))


def test_commands_and_snippets_run_in_their_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for n in (1, 2):
        mp.write(scan(n), f"scans/sub-0{n}/anat/sub-0{n}_T1w.nii.gz")
    mp.write(scan(9), "new/sub-09_T1w.nii.gz")
    mp.fit("nyul", sorted(Path("scans").rglob("*.nii.gz"))).write("nyul_T1w.json")
    Path("recipe.yaml").write_text(RECIPE)
    commands, names = [], {"__name__": "snippet"}
    for language, code in re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.DOTALL | re.M):
        if language == "python":
            exec(compile(code, "docs/inference.md", "exec"), names)
            continue
        for line in code.splitlines():
            with pytest.raises(SystemExit) as left:
                main(shlex.split(line)[1:])
            assert left.value.code == 0, (line, capsys.readouterr())
            commands.append(line.split()[1])
    assert commands == ["run", "freeze", "run", "verify"]
    assert mp.read("native_mask.nii.gz").shape == (20, 18, 14)
    assert "sub-02" in capsys.readouterr().out


def test_options_are_there():
    found = {
        o
        for name in ("freeze", "verify", "run")
        for p in cli.get_command(click.Context(cli), name).params
        for o in (*p.opts, *p.secondary_opts)
    }
    assert set(re.findall(r"(?<!-)(--[a-z][a-z-]+)", PAGE)) <= found
