"""What docs/viewer.md says is so: options, keys, columns, endings, the example."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mriprep import ratings
from mriprep.cli import cli
from mriprep.viewer.files import TYPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "viewer.md").read_text(encoding="utf-8")


def test_options_are_there():
    command = cli.get_command(click.Context(cli), "view")
    options = {o for p in command.params for o in p.opts}
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", PAGE)) <= options
    assert options - {"folder"} <= set(re.findall(r"--[a-z-]+", PAGE))


def test_keys_are_those_of_the_page():
    source = (ROOT / "web" / "src" / "main.ts").read_text(encoding="utf-8")
    known = {
        k for keys in re.findall(r"keys: \[(.*?)\]", source) for k in re.findall(r'"(.+?)"', keys)
    }
    table = PAGE.partition("| key |")[2].partition("\n\n")[0]
    said = set(re.findall(r"`(.)`", table))
    arrows = {"↓": "ArrowDown", "→": "ArrowRight", "↑": "ArrowUp", "←": "ArrowLeft"}
    assert {arrows.get(k, k) for k in said} | {"PageUp", "PageDown"} == known


def test_files_and_columns():
    assert ", ".join(f"`{e}`" for e in list(TYPES)[:-1]) in PAGE
    assert "\t".join(ratings.COLUMNS) in PAGE


def test_the_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for rater in ("one", "two"):
        ratings.append(tmp_path / "out", ratings.Rating("sub-01", "T1w", "fail", rater=rater))
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.M)
    names: dict = {}
    exec(example, names)
    expected = eval(re.search(r"# (\{.*\})", example)[1], {"Consensus": ratings.Consensus})
    assert names["together"] == expected
    row = re.search(r"^sub-01\tT1w.*$", PAGE, re.M)[0]
    (tmp_path / "ratings.tsv").write_text("\t".join(ratings.COLUMNS) + "\n" + row + "\n")
    assert ratings.read(tmp_path)[0].note == "ringing in the\nfrontal lobe"
