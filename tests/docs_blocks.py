"""Runs the code blocks of a page of the docs, one after the other, as a reader would.

A block of ``python`` runs in the page's one namespace. In a block of ``console`` each
line after ``$`` is a command of mriprep, which must end well; lines below it must
be in what it prints (``...`` stands for anything). A comment before a block says what else it is::

    <!-- file: recipe.yaml -->      what is saved under that name
    <!-- no-run: needs SLURM -->    what is not run, and why
    <!-- exit: 4 -->                commands that end with another exit code
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(
    r"^(?:<!-- (?P<key>file|no-run|exit): (?P<value>.+?) -->\n)?"
    r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
#: What is shown, and neither run nor saved.
SHOWN = ("text",)


@dataclass(frozen=True)
class Block:
    """A block of code on a page; `key` and `value` are what the comment before it says."""

    language: str
    code: str
    line: int
    key: str = ""
    value: str = ""


def blocks(text: str) -> list[Block]:
    """The blocks of a page, in order."""
    return [
        Block(
            m["language"], m["code"], text.count("\n", 0, m.start("code")) + 1,
            m["key"] or "", m["value"] or "",
        )
        for m in _BLOCK.finditer(text)
        if not m["language"].startswith("{")  # a directive of the site
    ]  # fmt: skip


def commands(code: str) -> list[tuple[list[str], list[str]]]:
    """The commands of a console's block, each with the lines that it prints."""
    found: list[tuple[list[str], list[str]]] = []
    for line in code.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((shlex.split(line[2:], comments=True), []))
        elif line.strip():
            assert found, f"a console's block begins with '$ ', not with {line!r}"
            found[-1][1].append(line.strip())
    return found


def printed(expected: list[str], output: str) -> str | None:
    """The first line of what is expected that the output lacks."""
    found = [" ".join(line.split()) for line in output.splitlines()]
    for line in expected:
        words = " ".join(line.split())
        pattern = ".*".join(re.escape(part) for part in words.split("..."))
        if not any(re.search(pattern, f) for f in found):
            return line
    return None


def run_page(page: Path, main: Callable[[list[str]], Any], read: Callable[[], str]) -> int:
    """Run a page in the current folder; gives how many blocks ran or were saved.

    `main` is the command line; `read` gives what was printed since it was asked last.
    """
    namespace: dict[str, Any] = {"__name__": "page"}
    done = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        where = f"{page.name}:{block.line}"
        if block.key == "no-run":
            continue
        if block.key == "file":
            path = Path(block.value)
            assert not path.is_absolute()
            assert ".." not in path.parts
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            # Lines are counted as on the page, for whoever reads a traceback.
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)
        elif block.language == "console":
            _console(block, where, main, read)
        else:
            assert block.language in SHOWN, f"{where}: neither run nor saved: {block.language!r}"
            continue
        done += 1
    return done


def _console(
    block: Block, where: str, main: Callable[[list[str]], Any], read: Callable[[], str]
) -> None:
    wanted = int(block.value) if block.key == "exit" else 0
    for words, expected in commands(block.code):
        assert words[0] == "mriprep", f"{where}: not a command of mriprep: {words[0]}"
        read()
        code: Any = 0
        try:
            main(words[1:])
        except SystemExit as left:
            code = left.code or 0
        output = read()
        assert code == wanted, f"{where}: {shlex.join(words)} ended with {code}:\n{output}"
        lacking = printed(expected, output)
        assert lacking is None, f"{where}: not printed: {lacking!r}; but\n{output}"
