"""Every command that README and docs show is one: its name, its options, its choices, how many arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from mriprep.cli import cli
from mriprep.cli.bids import spread

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: A command made on the page itself: how to write a step.
MADE_THERE = {"add-a-step.md"}


def shown(page: Path) -> list[str]:
    """The lines of mriprep's commands in the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:console|bash|sh)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for b in blocks for line in b.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?mriprep ", line)]


LINES = [
    pytest.param(line, id=f"{page.name}: {line[:60]}")
    for page in PAGES
    if page.name not in MADE_THERE
    for line in shown(page)
]


def check(words: list[str]) -> None:
    """Parse as click would, files aside."""
    # A command keeps the names of its help: they must be the ones that it has.
    context, command = click.Context(cli, info_name="mriprep", **cli.context_settings), cli
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    if context.info_name == "bids":  # it takes several labels after one name
        words = spread(words)
    given, left, _ = command.make_parser(context).parse_args(words)
    assert not left, f"left over: {left}"
    for parameter in command.params:
        value = given.get(parameter.name)
        there = isinstance(value, str) or (isinstance(value, tuple | list) and any(value))
        if isinstance(parameter, click.Argument):
            assert there or not parameter.required, f"{parameter.human_readable_name} is missing"
        elif isinstance(parameter.type, click.Choice) and there:
            for one in value if parameter.multiple else [value]:
                parameter.type.convert(one, parameter, context)


@pytest.mark.parametrize("line", LINES)
def test_it_is_a_command(line: str) -> None:
    words = shlex.split(line, comments=True)
    cut = next((n for n, w in enumerate(words) if w in ("|", ">", "&&", ";")), len(words))
    check(words[1:cut])


def test_there_are_some() -> None:
    assert len(LINES) > 100


@pytest.mark.parametrize(
    "words",
    [
        "nosuch a b", "n4 a b --nosuch 1", "n4", "n4 a b c", "recipes --nosuch",
        "skullstrip a b --engine nosuch", "templates nosuch",
    ],
)  # fmt: skip
def test_what_is_none_is_seen(words: str) -> None:
    with pytest.raises((click.ClickException, AssertionError)):
        check(words.split())
