"""``inspect``, ``steps`` and ``doctor``."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import click

from mriprep import declare

_FILE = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_HELP, short_help="Explain a file's header, and what is odd in it.")
@click.argument("source", type=_FILE, metavar="IN")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def inspect(source: Path, as_json: bool) -> int:
    """Explain an image's header in words, and what is odd about it.

    IN is an image, or a folder or zip of DICOM, whose series are listed.
    """
    from mriprep.intake import is_image

    if not is_image(source):
        return _inspect_dicom(source, as_json)
    from mriprep.io.inspect import inspect_image

    found = inspect_image(source)
    if as_json:
        _print_json(found.to_dict())
        return 0 if found.readable else 2
    click.secho(source.name, bold=True)
    for fact in found.facts:
        click.echo(f"  {fact.name + ':':<16} {fact.text}")
    if not found.oddities:
        click.secho("nothing odd was found", fg="green")
    for odd in found.oddities:
        click.secho(f"odd: {odd.what}", fg="yellow")
        click.echo(f"  what it means: {odd.consequence}")
        click.echo(f"  what to do:    {odd.remedy}")
    return 0 if found.readable else 2


def _inspect_dicom(source: Path, as_json: bool) -> int:
    from mriprep.io.dicom import scan

    from .misplaced import for_dicom

    with for_dicom(source, "inspect"):
        found = scan(source)
    if as_json:
        _print_json(
            [
                {
                    "series": s.key,
                    "description": s.description,
                    "contrast": s.contrast,
                    "grid": s.grid.to_dict() if s.grid else None,
                    "slices": s.slices,
                    "volumes": s.volumes,
                    "usable": s.usable,
                    "problems": list(s.problems),
                    "facts": s.facts,
                }
                for s in found
            ]
        )
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{source.name}: {len(found)} series", title_justify="left")
    for column in ("series", "description", "contrast", "geometry", "what is odd"):
        table.add_column(column)
    for s in found:
        size = str(s.grid) if s.grid else f"{s.columns}x{s.rows}, {s.slices} slices"
        odd = "; ".join(s.problems) or ("" if s.usable else "not a volume")
        table.add_row(s.key, s.description, s.contrast or "?", size, odd)
    Console().print(table)
    return 0


@click.command(context_settings=_HELP, short_help="List the steps that recipes are made of.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, parameters included.")
def steps(as_json: bool) -> None:
    """List the steps; `mriprep STEP --help` tells all about one."""
    declared = [declare.get(name) for name in declare.names()]
    if as_json:
        _print_json({s.name: s.schema() for s in declared})
        return
    for s in declared:
        click.secho(f"{s.name}", bold=True, nl=False)
        needs = ", ".join(
            i.slot + ("?" if i.optional else "") for i in s.inputs if i.slot in declare.SLOTS
        )
        click.echo(f"  ({needs}) -> {s.makes}\n    {s.title}")
        for p in s.parameters.values():
            default = "needed" if p.required else f"{p.default}"
            click.echo(f"    {p.name}: {default}{f' {p.unit}' if p.unit else ''}")


@click.command(context_settings=_HELP, short_help="Say what is installed, and how to get the rest.")
def doctor() -> int:
    """Say what is installed: engines, weights, templates, GPU; and how to get what is missing.

    Exit codes: 0 where all that the defaults need is here, whatever optional engines and
    weights are not; 1 where something is missing that the defaults need.
    """
    from importlib.metadata import version

    from mriprep import engines, weights
    from mriprep.io.offline import OFFLINE, is_offline
    from mriprep.templates import BUNDLED, templateflow_home

    cores = os.cpu_count() or 1
    click.echo(f"mriprep {version('mriprep')}, Python {platform.python_version()},"
               f" {platform.system()} {platform.machine()}, {cores} cores")  # fmt: skip
    wanted = _wanted()
    complete = True
    for kind in engines.KINDS:
        click.secho(f"\n{kind} engines", bold=True)
        for name in engines.names(kind):
            engine = engines.describe(kind, name)
            good, state = state_of(kind, name)
            complete &= good or (kind, name) not in wanted
            if good:
                mark = click.style("ok", fg="green")
            elif (kind, name) in wanted:
                mark = click.style("missing", fg="red")
            else:
                mark = click.style("optional", fg="yellow")
            click.echo(f"  {name:<12} {mark:<16} {engine.title}")
            click.echo(f"  {'':<12} {state}; licence {engine.licence}")
    click.secho("\ndevice", bold=True)
    click.echo(f"  {_device()}")
    click.secho("\nweights", bold=True)
    click.echo(f"  folder: {weights.home()} ({weights.whence()})")
    for name in weights.names():
        state = "here" if weights.is_here(name) else f"not here: mriprep fetch {name}"
        click.echo(f"  {name:<12} {state}; licence {weights.describe(name).licence}")
    click.secho("\ntemplates", bold=True)
    click.echo(f"  {BUNDLED[0]}: shipped with nilearn, needs no network")
    home = templateflow_home()
    there = sorted(p.name.removeprefix("tpl-") for p in home.glob("tpl-*")) if home.is_dir() else []
    click.echo(f"  TemplateFlow's folder: {home} ({', '.join(there) or 'empty'})")
    if is_offline():
        click.echo(f"  {OFFLINE}=1: nothing is fetched")
    return 0 if complete else 1


def _wanted() -> set[tuple[str, str]]:
    """The engines that steps begin with by default on a T1-weighted scan: kind and name."""
    from mriprep.steps._brain import T1W_ORDER

    steps = [s for s in map(declare.get, declare.names()) if s.kind]
    chosen = {(str(s.kind), str(s.parameters["engine"].default)) for s in steps}
    return {(kind, T1W_ORDER[0] if name == "auto" else name) for kind, name in chosen}


def state_of(kind: str, name: str) -> tuple[bool, str]:
    """Whether an engine works here, and its version or what to do."""
    from mriprep import engines, weights

    engine = engines.describe(kind, name)
    if engine.missing:
        return False, f"pip install {' '.join(engine.missing)}"
    if engine.weights is not None and not weights.is_here(engine.weights):
        return False, f"its weights are not here, whole: mriprep fetch {engine.weights}"
    return True, engine.version or ""


def _device() -> str:
    from mriprep.engines import installed_version

    if installed_version("torch") is None:
        return "CPU (torch is not installed: pip install torch)"
    import torch

    if torch.cuda.is_available():
        return f"GPU: {torch.cuda.get_device_name(0)}, torch {torch.__version__}"
    return f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__} finds no GPU"


def _print_json(data: object) -> None:
    import json

    json.dump(data, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
