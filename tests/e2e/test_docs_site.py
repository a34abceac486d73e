"""The documentation's site: it builds without a broken link, fetches nothing, and says all that the code says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click

from mriprep import declare, engines
from mriprep.cli import cli
from mriprep.recipe import presets
from mriprep.templates.catalogue import load

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_it_builds_and_fetches_nothing(tmp_path):
    site = tmp_path / "html"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, site],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in DOCS.rglob("*.md"):
        if "_build" not in page.parts:
            assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file(), page
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|img|iframe)\b[^>]*>|<link\b[^>]*>", text):
            if re.search(r'rel="(?:canonical|edit|index|search|next|prev)"', tag):
                continue
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), (page.name, tag)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", sheet.read_text("utf-8"))


def test_a_broken_link_is_an_error(tmp_path):
    (tmp_path / "conf.py").write_text("extensions = ['myst_parser']\nmyst_heading_anchors = 4\n")
    (tmp_path / "index.md").write_text("# Page\n\n[there](nowhere.md) [here](#nothing)\n")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", tmp_path, tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr


def test_the_reference_says_what_the_code_says():
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages = module.pages()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", pages["steps.md"], re.M | re.S))
    assert set(sections) == set(declare.names())
    for name, text in sections.items():
        step = declare.get(name)
        assert step.title in text
        for p in step.parameters.values():
            assert f"| `{p.name}` |" in text
        for citation in step.citations:
            assert citation.doi in text
    shrink = next(r for r in sections["n4"].splitlines() if r.startswith("| `shrink`"))
    assert [c.strip() for c in shrink.split("|")[2:5]] == ["number ≥ 1 and ≤ 16", "mm", "`1.0`"]
    assert set(re.findall(r"^## (\S+)$", pages["recipes.md"], re.M)) == set(presets())
    assert set(re.findall(r"^## (\S+)$", pages["templates.md"], re.M)) == {e.name for e in load([])}
    named = set(re.findall(r"^\| `([\w-]+)` \|", pages["engines.md"], re.M))
    assert named == {n for kind in engines.KINDS for n in engines.names(kind)}
    commands = set(re.findall(r"^## mriprep$|^### mriprep (\S+)$", pages["commands.md"], re.M))
    assert commands >= set(cli.list_commands(click.Context(cli)))


def test_what_the_site_needs_is_in_two_extras():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert {*extras["docs"], *extras["notebook"]} <= set(extras["dev"])


def test_pictures_are_small():
    pictures = list((DOCS / "images").glob("explained-*.png"))
    assert len(pictures) == 5
    assert all(p.stat().st_size < 100_000 for p in pictures)
