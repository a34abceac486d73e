"""What docs/exports.md shows is so: its commands write, its snippets read what they wrote."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from exported import make, split
from mriprep.cli import cli, main
from mriprep.export import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
SECTION = r"^## (.+?)\n(.*?)(?=^## |\Z)"
FOLDS = [("sub-01", 0), ("sub-02", 1), ("sub-03", 1), ("sub-04", None)]


def blocks(language: str, text: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.M)


SECTIONS = dict(re.findall(SECTION, PAGE, flags=re.DOTALL | re.M))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with out/, and what the page's commands made of it."""
    home = tmp_path_factory.mktemp("home")
    split(make(home / "out", [c for c, _ in FOLDS], values=(0, 1, 2)), FOLDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for title, text in SECTIONS.items():
            for line in "".join(blocks("", text)).splitlines():
                if line.startswith("mriprep export"):
                    with pytest.raises(SystemExit) as left:
                        main(shlex.split(line)[1:])
                    assert left.value.code == 0, (title, line)
    return home


#: MONAI takes long to load: its snippet runs beside MONAI's other tests (tests/interop).
ELSEWHERE = ("MONAI",)
TITLES = [t for t, text in SECTIONS.items() if blocks("python", text) and t not in ELSEWHERE]


@pytest.mark.parametrize("title", TITLES)
def test_snippets_run(home, title, monkeypatch):
    monkeypatch.chdir(home)
    for code in blocks("python", SECTIONS[title]):
        exec(compile(code, title, "exec"), {"__name__": "snippet"})


def test_every_format_has_a_section_with_a_command():
    commands = re.findall(r"^mriprep export .*--to (\w+)", PAGE, flags=re.M)
    assert set(commands) == set(FORMATS)
    table = re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \| (.*?)\|$", PAGE, flags=re.M)
    assert {n: (link == "yes", bool(needs.strip())) for n, link, needs in table} == {
        n: (f.links, f.needs is not None) for n, f in FORMATS.items()
    }


def test_options_are_there():
    command = cli.get_command(click.Context(cli), "export")
    options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    named = set(re.findall(r"`(--[a-z-]+)[ `]", PAGE)) - {"--to"}
    assert named <= options
    assert {"--all", "--exclude-failed", "--fold", "--labels", "--link"} <= named
