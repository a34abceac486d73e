"""The command line: ``mriprep run``, every step as a command, and ways to look before and after."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import click

from mriprep import declare
from mriprep.core import MriprepError, MriprepWarning
from mriprep.core.errors import OF_PATHS

_PIPELINES = {
    "run": "mriprep.cli.pipeline:run",
    "plan": "mriprep.cli.pipeline:plan",
    "bids": "mriprep.cli.bids:bids",
    "fit": "mriprep.cli.fit:fit",
    "recipes": "mriprep.cli.pipeline:recipes",
    "demo": "mriprep.cli.demo:demo",
}
_BACK = {
    "restore": "mriprep.cli.back:restore",
    "apply": "mriprep.cli.back:apply",
}
_DATA_SETS = {
    "split": "mriprep.cli.split:split",
    "check-leaks": "mriprep.cli.check_leaks:check_leaks",
    "export": "mriprep.cli.export:export",
    "deidentify": "mriprep.cli.deidentify:deidentify",
    "freeze": "mriprep.cli.freeze:freeze",
    "verify": "mriprep.cli.verify:verify",
}
_LOOKING = {
    "report": "mriprep.cli.report:report",
    "view": "mriprep.cli.view:view",
    "scan": "mriprep.cli.scan:scan",
    "inspect": "mriprep.cli.look:inspect",
    "steps": "mriprep.cli.look:steps",
    "templates": "mriprep.cli.templates:templates",
    "fetch": "mriprep.cli.fetch:fetch",
    "doctor": "mriprep.cli.look:doctor",
}


class _Commands(click.Group):
    """Commands by name, loaded when they are called; steps are made from their declarations."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_PIPELINES, *_DATA_SETS, *_BACK, *_LOOKING, *declare.names()]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        where = {**_PIPELINES, **_DATA_SETS, **_BACK, **_LOOKING}.get(name)
        if where:
            import importlib

            module, _, attribute = where.partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        if name in declare.names():
            from .step_commands import command_of

            return command_of(declare.get(name))
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.list_commands(ctx):
            from mriprep.core.errors import nearest

            raise click.UsageError(
                f"there is no command '{args[0]}'; {nearest(args[0], self.list_commands(ctx))}", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, Sequence[str]] = {
            "Pipelines": list(_PIPELINES),
            "Data sets": list(_DATA_SETS),
            "The way back": list(_BACK),
            "Looking": list(_LOOKING),
            "Steps (each also an entry of recipes, and a function of the Python package)": list(
                declare.names()
            ),
        }
        for title, names in sections.items():
            rows = []
            for name in names:
                command = self.get_command(ctx, name)
                rows.append((name, command.get_short_help_str(70) if command else ""))
            with formatter.section(title):
                formatter.write_dl(rows)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"mriprep {version('mriprep')}")
        ctx.exit()


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Say the version and leave.",
)  # fmt: skip
def cli() -> None:
    """From a scan to arrays that a network can be trained on.

    \b
      mriprep demo                                  a tour on a digital head
      mriprep inspect scan.nii.gz                   what is in a file, and what is odd about it
      mriprep scan dump/                            the series of a dump of DICOM, and which to take
      mriprep run scan.nii.gz out/                  preprocess it (recipe adult-t1)
      mriprep run dicom/ out/ --recipe guide --template head.nii.gz
      mriprep n4 scan.nii.gz corrected.nii.gz       one step alone

    Add --debug to any command to see where an error came from. Exit codes:
    0 all good, 1 processing or writing failed, 2 the input, the place of the output or the
    command was not right, 3 partly done, 4 all is written, and something of it is doubtful: look before you use it,
    130 stopped.
    """  # noqa: D301


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors end in plain words on stderr and an exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or os.environ.get("MRIPREP_DEBUG") == "1"
    given = [a for a in given if a != "--debug"]
    if not faulthandler.is_enabled():
        with contextlib.suppress(OSError, ValueError, AttributeError):  # there is no stderr
            faulthandler.enable()  # where a library in C crashes, it is said in which call
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            if not debug:
                # Libraries talk to their own developers; what matters to a user is a MriprepWarning.
                warnings.simplefilter("ignore")
            warnings.simplefilter("always", MriprepWarning)
            status = cli.main(given, prog_name="mriprep", standalone_mode=False, obj=debug)
        sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; nothing half-written was left behind", err=True)
        sys.exit(130)
    except MriprepError as error:
        if debug:
            traceback.print_exc()
        _say(error.message, error.hint)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # it did not come to its end
        sys.exit(1)
    except OSError as error:
        if debug:
            traceback.print_exc()
        from mriprep.io.given import shown

        about = shown(str(error.filename)) if error.filename else "the system"
        _say(f"{about}: {error.strerror or error}", "check the path, the permissions and the disk")
        sys.exit(2 if error.errno in OF_PATHS else 1)
    except (
        Exception
    ) as error:  # the last door: a fault of ours is told in words, not as a traceback
        if debug:
            traceback.print_exc()
        _say(
            f"{type(error).__name__}: {error}",
            "this is a fault of mriprep: run again with --debug and report what it prints",
        )
        sys.exit(1)


def _say(message: str, hint: str | None) -> None:
    click.secho("error: ", fg="red", nl=False, err=True)
    click.echo(message, err=True)
    if hint:
        click.secho("hint: ", fg="cyan", nl=False, err=True)
        click.echo(hint, err=True)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if issubclass(category, MriprepWarning):
        click.secho("note: ", fg="yellow", nl=False, err=True)
    click.echo(str(message), err=True)
