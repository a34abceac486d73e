"""Pages of the reference, written from the code that they are about: ``python docs/generated.py``.

Steps, recipes, templates, engines and commands are declared once, in the
package. What is said of them here comes from there, whenever the site is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from mriprep import declare
from mriprep.cli import cli
from mriprep.declare import Parameter, Step
from mriprep.engines import KINDS, describe
from mriprep.engines import names as engines_of
from mriprep.recipe import preset_text, presets
from mriprep.templates.catalogue import load

BANNER = "<!-- Written by docs/generated.py from the code: edit there. -->\n\n"


def pages() -> dict[str, str]:
    """All pages by file name, in Markdown."""
    return {
        "steps.md": steps(),
        "recipes.md": recipes(),
        "templates.md": templates(),
        "engines.md": engines(),
        "commands.md": commands(),
    }


def write(folder: Path) -> None:
    """Write those pages that are not there or say something else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != BANNER + text:
            page.write_text(BANNER + text, encoding="utf-8")


# -- steps ------------------------------------------------------------------------------------


def steps() -> str:
    """Every step: what it takes, its parameters with range and unit, its papers."""
    head = (
        "# Steps\n\nEach is a function (`mriprep.NAME`), a command (`mriprep NAME IN OUT`) and an entry of recipes"
        " (`- NAME: {parameter: value}`). In Python, what it takes is positional, parameters are by keyword.\n\n"
    )
    return head + "\n".join(_step(declare.get(name)) for name in declare.names())


def _step(step: Step) -> str:
    given = [i.name if not i.optional else f"{i.name}=None" for i in step.inputs]
    options = [
        p.name if p.required else f"{p.name}={p.default!r}" for p in step.parameters.values()
    ]
    call = ", ".join([*given, *(["*"] if options else []), *options])
    parts = [
        f"## {step.name}\n",
        f"{step.title}\n",
        f"```python\nmriprep.{step.name}({call})\n```\n",
        prose(step.description) + "\n",
        "| takes | | |\n|---|---|---|\n"
        + "\n".join(
            f"| `{i.name}` | {cell(_slot(i.slot, i.optional, i.words))} | {cell(i.doc)} |"
            for i in step.inputs
        )
        + "\n",
    ]
    if step.parameters:
        rows = "\n".join(_parameter(p) for p in step.parameters.values())
        parts.append(f"| parameter | accepts | unit | default | |\n|---|---|---|---|---|\n{rows}\n")
    parts.append(
        f"Makes: {step.makes}."
        + (" In a recipe it is done to every volume there is." if step.each else "")
        + "\n"
    )
    if step.citations:
        parts.append(
            "\n".join(
                f"- {c.text} [doi:{c.doi}](https://doi.org/{c.doi})"
                + (f" (engine `{c.engine}`)" if c.engine else "")
                for c in step.citations
            )
            + "\n"
        )
    return "\n".join(parts)


def _slot(slot: str, optional: bool, words: Iterable[str]) -> str:
    kind = slot + "".join(f", or `{w}`" for w in words)
    return kind + (" (may be left out)" if optional else "")


def _parameter(p: Parameter) -> str:
    default = "needed" if p.required else f"`{p.default!r}`"
    accepted = accepts(p.schema())
    return f"| `{p.name}` | {cell(accepted)} | {cell(p.unit)} | {cell(default)} | {cell(p.doc)} |"


def accepts(schema: dict[str, Any]) -> str:
    """What a JSON Schema accepts, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(accepts(s) for s in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{v}`" for v in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        places = schema.get("prefixItems")
        if places:
            return "(" + ", ".join(accepts(s) for s in places) + ")"
        return f"list of {accepts(schema.get('items', {}))}"
    kind = {
        "integer": "whole number", "number": "number", "boolean": "yes or no", "string": "text",
        "null": "nothing", "object": "mapping",
    }.get(schema.get("type", ""), "any")  # fmt: skip
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<")
        )
        if key in schema
    ]  # fmt: skip
    return " ".join([kind, " and ".join(bounds)]).strip()


# -- recipes, templates, engines ---------------------------------------------------------------


def recipes() -> str:
    """Every preset as the YAML that it is."""
    head = (
        "# Recipes\n\nThe presets, as `mriprep recipes NAME` prints them: save one, change it, and hand it to"
        " `mriprep run --recipe mine.yaml`. What steps and parameters there are: [steps](steps.md).\n\n"
    )
    parts = []
    for name in presets():
        text = preset_text(name)
        parts.append(f"## {name}\n\n```yaml\n{text.strip()}\n```\n")
    return head + "\n".join(parts)


def templates() -> str:
    """The catalogue: ages, contrasts, terms."""
    head = (
        "# Templates\n\nThe catalogue that ships, in order of preference. How an age chooses among them, and how to"
        " add your own: [templates by age](../templates.md). `mriprep templates list` says which are on a machine.\n\n"
    )
    parts = []
    for e in load([]):
        rows = "\n".join(f"| {cell(c.name or 'all')} | {e.span(c)} |" for c in e.cohorts)
        named = f" Also named, with others: `{e.part_of}`." if e.part_of else ""
        parts.append(
            f"## {e.name}\n\n{e.title}.{named}\n\n"
            f"- contrasts: {', '.join(e.contrasts)}\n- source: {e.source}\n- terms: {e.licence}\n"
            f"- reference: {linked(e.citation)}\n\n| cohort | ages |\n|---|---|\n{rows}\n"
        )
    return head + "\n".join(parts)


def engines() -> str:
    """Engines by kind, with what each needs."""
    head = (
        "# Engines\n\nWhat does the work of a step, where there is a choice: `--engine NAME`, or `engine` in Python and in"
        " recipes. `mriprep doctor` says which are there on a machine.\n\n"
    )
    parts = []
    for kind in KINDS:
        rows = "\n".join(
            f"| `{name}` | {cell(e.title)} | {cell(', '.join(e.packages))} | {cell(e.licence)} |"
            f" {'yes' if e.gpu else 'no'} | {e.weights or ''} |"
            for name, e in ((n, describe(kind, n)) for n in engines_of(kind))
        )
        parts.append(
            f"## {kind}\n\n| engine | | needs | licence | GPU | weights |\n|---|---|---|---|---|---|\n{rows}\n"
        )
    return head + "\n".join(parts)


# -- commands -----------------------------------------------------------------------------------


def commands() -> str:
    """What ``--help`` of every command prints."""
    context = click.Context(
        cli, info_name="mriprep", terminal_width=100, max_content_width=100, **cli.context_settings
    )
    parts = ["# Commands\n\nWhat `mriprep COMMAND --help` prints.\n", _help(cli, context, 2)]
    return "\n".join(parts)


def _help(command: click.Command, context: click.Context, level: int) -> str:
    text = command.get_help(context).rstrip()
    parts = [f"{'#' * level} {context.command_path}\n\n```text\n{text}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                inner = click.Context(
                    child, info_name=name, parent=context, terminal_width=100, max_content_width=100
                )
                parts.append(_help(child, inner, level + (level < 3)))
    return "\n".join(parts)


# -- words --------------------------------------------------------------------------------------


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return re.sub(r"\s+", " ", plain(text)).replace("|", "\\|").strip()


def plain(text: str) -> str:
    """Docstrings' markup as Markdown's: double backticks and roles become code."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def prose(text: str) -> str:
    """A docstring's paragraphs; lines that are set in stay as they are."""
    return plain(text).replace("*,", "\\*,")


def linked(text: str) -> str:
    """A reference whose DOI can be followed."""
    return re.sub(r"doi:(\S+?)(?=\.?(\s|$))", r"[doi:\1](<https://doi.org/\1>)", text)


if __name__ == "__main__":
    write(Path(__file__).parent / "reference")
