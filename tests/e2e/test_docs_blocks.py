"""Every block of code in the tutorials and how-tos runs, each page in a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs_blocks import blocks, commands, printed, run_page
from mriprep.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(p for folder in ("tutorials", "howto") for p in (DOCS / folder).glob("*.md"))
PAGES = [p for p in PAGES if blocks(p.read_text(encoding="utf-8"))]
NEEDS_SCANS = {"dataset"}  # test_docs_dataset.py runs it, where there are scans
RUN = [
    p
    for p in PAGES
    if p.stem not in NEEDS_SCANS
    and any(b.key != "no-run" for b in blocks(p.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("page", RUN, ids=lambda p: p.stem)
def test_a_page_runs(page, tmp_path, monkeypatch, capsys, pages_steps):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRIPREP_OFFLINE", "1")

    def read() -> str:
        said = capsys.readouterr()
        return said.out + said.err

    pages_steps(tmp_path)
    assert run_page(page, main, read)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_is_not_run_says_why(page):
    text = page.read_text(encoding="utf-8")
    opened = [f for f in re.findall(r"^```.*", text, flags=re.M)[::2] if not f.startswith("```{")]
    assert len(opened) == len(blocks(text))
    for block in blocks(text):
        if block.key == "no-run":
            assert len(block.value.split()) >= 3, f"{page.name}:{block.line}"


def test_the_runner_finds_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"

    def run(text: str, code: int = 0, output: str = "") -> int:
        page.write_text(text)

        def command(_: list[str]) -> None:
            raise SystemExit(code)

        return run_page(page, command, lambda: output)

    assert run("```python\nx = 1\n```\n\nwords\n\n```python\nassert x == 1\n```\n") == 2
    assert run("<!-- file: a/b.yaml -->\n```yaml\nx: 1\n```\n") == 1
    assert (tmp_path / "a" / "b.yaml").read_text() == "x: 1\n"
    assert run("```console\n$ mriprep x\nsaid 7 ... words\n```\n", output="said  7 of 9 words") == 1
    assert run("<!-- exit: 4 -->\n```console\n$ mriprep x\n```\n", code=4) == 1
    for text, code in (
        ("```python\nassert False\n```\n", 0),
        ("```console\n$ mriprep x\n```\n", 1),
        ("```console\n$ mriprep x\nsaid\n```\n", 0),
        ("```console\n$ rm x\n```\n", 0),
        ("```yaml\nx: 1\n```\n", 0),
        ("<!-- file: ../x -->\n```yaml\nx: 1\n```\n", 0),
    ):
        with pytest.raises(AssertionError):
            run(text, code)
    assert printed(["a ... c"], "a b c") is None
    assert commands("$ mriprep a \\\n  b  # why\nout\n") == [(["mriprep", "a", "b"], ["out"])]
