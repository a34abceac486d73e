"""What docs/deidentify.md shows is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest

from mriprep.cli import cli, main
from mriprep.core import Volume
from mriprep.deid.allowed import OPTIONS
from mriprep.phantom import write_dicom

PAGE = (Path(__file__).parents[2] / "docs" / "deidentify.md").read_text(encoding="utf-8")


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.M)
    return [text for kind, text in found if kind == language]


def run(line):
    with pytest.raises(SystemExit) as left:
        main(shlex.split(line)[1:])
    return left.value.code


def test_commands_and_snippets(tmp_path, monkeypatch, capsys):
    image = Volume(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.diag([2.0, 2, 2, 1]))
    facts = {"contrast": "T1w", "age_years": 10, "seed": 1}
    write_dicom(SimpleNamespace(image=image, grid=image.grid, facts=facts), tmp_path / "dump")
    (tmp_path / "secret.bin").write_bytes(bytes(range(32)))
    monkeypatch.chdir(tmp_path)
    for block in blocks(""):
        for line in block.splitlines():
            assert run(line) == 0, line
    assert "wrote 8 DICOM, of 1 subject\n" in capsys.readouterr().out
    first, second = (
        sorted(str(p.relative_to(f)) for p in Path(f).rglob("*")) for f in ("first", "second")
    )
    assert first == second
    (tmp_path / "participants.tsv").write_text("participant_id\tgroup\nsub-PHANTOM1\tone\n")
    for code in blocks("python"):
        exec(compile(code, "docs/deidentify.md", "exec"), {"__name__": "snippet"})
    told = re.search(r"^8 \[\]\n(sub-[a-z]{10}) PHANTOM1$", capsys.readouterr().out, flags=re.M)
    table = (tmp_path / "mapped" / "participants.tsv").read_text()
    assert table == f"participant_id\tgroup\n{told[1]}\tone\n"
    assert (tmp_path / "mapped" / told[1]).is_dir()


def test_what_is_held_back_is_said_without_names(tmp_path, monkeypatch, capsys):
    image = Volume(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.diag([2.0, 2, 2, 1]))
    facts = {"contrast": "T1w", "age_years": 10, "seed": 1}
    write_dicom(SimpleNamespace(image=image, grid=image.grid, facts=facts), tmp_path / "dump")
    (tmp_path / "dump" / "Muster.txt").write_text("Muster")
    monkeypatch.setenv("MRIPREP_MAP_PASSPHRASE", "correct horse battery")
    monkeypatch.chdir(tmp_path)
    assert run("mriprep deidentify dump out --held held.tsv --map key.map") == 3
    said = capsys.readouterr()
    assert "Muster" not in said.out + said.err
    assert "held back: 1 file: " in said.err
    assert (tmp_path / "held.tsv").read_text().splitlines()[1].startswith("Muster.txt\t")
    assert run("mriprep deidentify dump out") == 2  # it is there already
    assert run("mriprep deidentify nowhere new") == 2


def test_options_are_those_there_are():
    table = re.findall(r"^\| `(\w+)` \| ", PAGE, flags=re.M)
    assert set(table) >= set(OPTIONS)
    command = cli.get_command(click.Context(cli), "deidentify")
    options = {o for p in command.params for o in p.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z]+", PAGE)) <= options
