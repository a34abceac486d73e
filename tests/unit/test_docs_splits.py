"""What docs/splits.md shows is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from exported import make
from mriprep.cli import cli, main
from mriprep.export.leaks import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "splits.md").read_text(encoding="utf-8")


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.M)
    return [text for kind, text in found if kind == language]


def run(line):
    with pytest.raises(SystemExit) as left:
        main(shlex.split(line, comments=True)[1:])
    return left.value.code


def test_commands_and_snippets(tmp_path, monkeypatch, capsys):
    cases = ["sub-01_ses-1", "sub-01_ses-2", *(f"sub-{n:02d}" for n in range(2, 8))]
    make(tmp_path / "out", cases, contrasts=("T1w",), labels=False)
    monkeypatch.chdir(tmp_path)
    first, second, _ = blocks("")
    assert run(first) == 0
    said = capsys.readouterr()
    assert "fold 4" in said.out
    assert "joined" in said.err
    assert run(second) == 0
    assert run(first) == 0  # the same again
    assert "the same as before" in capsys.readouterr().out
    assert run(first.replace("--seed 1", "--seed 2")) == 2
    assert "another split" in capsys.readouterr().err
    (tmp_path / "out" / "splits.tsv").unlink()
    for code in blocks("python"):
        exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})
    table = tmp_path / "out" / "splits.tsv"
    lines = table.read_text().splitlines()
    # One session moved to another fold by hand.
    row = next(n for n, line in enumerate(lines) if line.startswith("sub-01_ses-1"))
    cells = lines[row].split("\t")
    cells[2:4] = ["n/a", "test"] if cells[3] != "test" else ["0", "val"]
    table.write_text("\n".join([*lines[:row], "\t".join(cells), *lines[row + 1 :]]) + "\n")
    assert run("mriprep check-leaks out/") == 1
    assert "sub-01_ses-1" in capsys.readouterr().out


def test_kinds_and_options_are_those_there_are():
    table = re.findall(r"^\| ((?!found)[a-z ]+) \| ", PAGE, flags=re.M)
    assert tuple(table) == KINDS
    for name in ("split", "check-leaks"):
        command = cli.get_command(click.Context(cli), name)
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        lines = [x for b in blocks("") for x in b.splitlines() if f"mriprep {name} " in x]
        assert lines
        assert set(re.findall(r"--[a-z-]+", " ".join(lines))) <= options
