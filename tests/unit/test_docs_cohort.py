"""What docs/cohort.md says is so: commands, options, exit codes, the example of a cluster's options."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click

from mriprep.cli import cli
from mriprep.cohorts import run
from mriprep.cohorts.clusters import read_options
from mriprep.core import Doubt

PAGE = (Path(__file__).parents[2] / "docs" / "cohort.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.M)


def test_options_and_commands_are_there():
    context = click.Context(cli)
    known: dict[str, set[str]] = {}
    for line in PAGE.splitlines():
        match = re.search(r"mriprep (run|bids) .*", line)
        if match:
            command = cli.get_command(context, match[1])
            options = {o for p in command.params for o in getattr(p, "opts", [])}
            options |= {o for p in command.params for o in getattr(p, "secondary_opts", [])}
            used = set(
                re.findall(r"(?<![\w-])--?[a-z][\w-]*", match[0].split("#")[0].split("`")[0])
            )
            assert used <= options, line
            known.setdefault(match[1], set()).update(used)
    assert {"--jobs", "--cluster", "--scheduler"} <= known["run"]
    everything = {o for p in cli.get_command(context, "run").params for o in p.opts}
    for option in re.findall(r"`(--[a-z-]+)`", PAGE.partition("## As a BIDS-App")[0]):
        assert option in everything


def test_exit_codes():
    told = {int(n) for n in re.findall(r"^\| (\d+) \|", PAGE, flags=re.M)}
    assert told == {run.ALL, run.NONE, 2, run.PARTIAL, Doubt.exit_code, run.INTERRUPTED}


def test_examples(tmp_path):
    (options,) = blocks("yaml")
    path = tmp_path / "slurm.yaml"
    path.write_text(options)
    assert read_options(path)["jobs"] == 20
    (python,) = blocks("python")
    ast.parse(python)
