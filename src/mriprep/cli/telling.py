"""Warnings and doubts on the command line."""

from __future__ import annotations

from collections.abc import Sequence

import click

from mriprep.core import Doubt


def doubted(doubts: Sequence[str]) -> int:
    """The exit code of a run that is done; says so where somebody must look."""
    if not doubts:
        return 0
    click.secho("doubtful: ", fg="red", nl=False, err=True)
    click.echo("all is written, but look before you use it", err=True)
    return Doubt.exit_code


def told(warnings: Sequence[str]) -> None:
    """Print warnings."""
    for warning in warnings:
        doubtful = isinstance(warning, Doubt)
        click.secho("doubtful: " if doubtful else "note: ", fg="red" if doubtful else "yellow",
                    nl=False, err=True)  # fmt: skip
        click.echo(warning, err=True)
