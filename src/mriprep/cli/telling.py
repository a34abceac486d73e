"""Warnings and doubts on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from mriprep.core import Doubt

#: What the contrast of a scan is called that nothing tells of.
UNKNOWN = "image"


def doubted(doubts: Sequence[str]) -> int:
    """The exit code of a run that is done; says so where somebody must look."""
    if not doubts:
        return 0
    click.secho("doubtful: ", fg="red", nl=False, err=True)
    click.echo("all is written, but look before you use it", err=True)
    return Doubt.exit_code


def judged(qualities: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the verdict on each image, and why."""
    colours = {"pass": "green", "look": "yellow", "fail": "red"}
    for contrast, quality in qualities.items():
        verdict = quality["verdict"]
        click.echo(f"quality of {contrast}: ", nl=False)
        click.secho(verdict, fg=colours[verdict])
        for reason in quality["reasons"]:
            click.echo(f"  {reason['says']}")
        if contrast == UNKNOWN:
            click.echo(
                "  what contrast it has is not known: name the file ..._T1w.nii.gz, or as it is"
            )


def told(warnings: Sequence[str]) -> None:
    """Print warnings."""
    for warning in warnings:
        doubtful = isinstance(warning, Doubt)
        click.secho("doubtful: " if doubtful else "note: ", fg="red" if doubtful else "yellow",
                    nl=False, err=True)  # fmt: skip
        click.echo(warning, err=True)
