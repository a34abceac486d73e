"""``deidentify``: scans without what tells whose they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

_PATH = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_HELP, short_help="Scans without names, by DICOM's basic profile.")
@click.argument("source", type=_PATH, metavar="IN")
@click.argument("output", type=_PATH, metavar="OUT")
@click.option("--keep", multiple=True, type=click.Choice(["dates", "device", "characteristics", "voxels"]),
              help="Keep more than the basic profile does: dates, moved back by a secret number of"
              " days for each subject; the scanner's model, serial number and software; sex, age"
              " (90 for all above 89), weight and size; images with something like text in their voxels,"
              " after you have looked at them. May be given several times.")  # fmt: skip
@click.option("--secret", type=_PATH, metavar="FILE", help="16 bytes or more, of which codes, UIDs"
              " and shifts of dates are made: the same file gives the same ones, as for scans that"
              " come later. Without it they are random. Keep it as safe as the scans.")  # fmt: skip
@click.option("--names", type=_PATH, metavar="FILE.txt", help="More names and numbers of people, one"
              " a line, that must not be in any text.")  # fmt: skip
@click.option("--map", "key_map", type=_PATH, metavar="FILE", help="Keep whose code is whose, and"
              " which file is which, encrypted with a passphrase (the environment variable"
              " MRIPREP_MAP_PASSPHRASE, or asked for in a terminal). Not kept by default.")  # fmt: skip
@click.option("--held", "held_list", type=_PATH, metavar="FILE.tsv", help="List the files that were"
              " held back, by their own names, and why. Keep it apart from OUT.")  # fmt: skip
def deidentify(
    source: Path,
    output: Path,
    keep: tuple[str, ...],
    secret: Path | None,
    names: Path | None,
    key_map: Path | None,
    held_list: Path | None,
) -> int:
    """Copy the scans in the folder or zip IN to OUT, without what tells whose they are.

    \b
      mriprep deidentify dump/ shared/
      mriprep deidentify dump/ shared/ --keep dates --keep characteristics --secret secret.bin
      mriprep deidentify bids/ shared/ --map key.map

    DICOM by the basic profile of PS3.15 Annex E, NIfTI, JSON sidecars, gradient tables, and all
    their names. Only what is known to be harmless is kept. Series with text in their pixels,
    pictures of screens, reports and whatever cannot be read are held back, not copied (exit code
    3). OUT/deidentification.txt says what was removed and kept, and why; it holds no names.
    Faces stay in the voxels. docs/deidentify.md says more.
    """  # noqa: D301
    from mriprep.core import InputError
    from mriprep.deid.folder import TEXT, NothingLeft
    from mriprep.deid.folder import deidentify as work
    from mriprep.deid.report import people

    if held_list is not None and held_list.resolve().is_relative_to(output.resolve()):
        raise InputError("--held lists names: it must not lie in OUT", hint="give another place")
    passphrase = _passphrase() if key_map else None
    try:
        done = work(
            source,
            output,
            keep=keep,
            secret=_bytes(secret),
            names=_lines(names),
            key_map=key_map,
            passphrase=passphrase,
        )
    except NothingLeft as error:
        if held_list is not None:
            _list(error.held, held_list)
        raise
    files = done.report["files"]
    wrote = ", ".join(f"{n} {kind}" for kind, n in files["written"].items())
    click.echo(f"wrote {wrote}, of {people(done.report['subjects'])}")
    for row in done.report["held_back"]:
        click.secho("held back: ", fg="yellow", nl=False, err=True)
        click.echo(f"{row['files']} file{'s' * (row['files'] != 1)}: {row['why']}", err=True)
    if done.held and held_list is None:
        click.echo("which ones: say --held FILE.tsv", err=True)
    if held_list is not None:
        _list(done.held, held_list)
        click.echo(f"list: {held_list} (names of files: keep it apart from the data)")
    if key_map:
        click.echo(f"map: {key_map} (keep it apart from the data)")
    click.echo(f"report: {output / TEXT}")
    return 3 if done.held else 0


def _passphrase() -> str:
    """From the environment, or asked for where there is somebody to ask."""
    from mriprep.core import InputError

    given = os.environ.get("MRIPREP_MAP_PASSPHRASE")
    if given:
        return given
    if sys.stdin is None or not sys.stdin.isatty():
        raise InputError(
            "--map needs a passphrase, and there is no terminal to ask for it",
            hint="give it in the environment variable MRIPREP_MAP_PASSPHRASE (12 characters or more),"
            " or run the command in a terminal",
        )
    asked: str = click.prompt("passphrase of the map", hide_input=True, confirmation_prompt=True)
    return asked


def _bytes(path: Path | None) -> bytes | None:
    from mriprep.core import InputError

    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        raise InputError(
            f"the secret '{path}' cannot be read",
            hint="make one: head -c 32 /dev/urandom > secret.bin",
        ) from None


def _lines(path: Path | None) -> list[str]:
    from mriprep.core import InputError

    if path is None:
        return []
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        raise InputError(
            f"the names '{path}' cannot be read", hint="give a text file, one name a line"
        ) from None


def _list(held: object, path: Path) -> None:
    from mriprep.io.atomic import atomic_path

    rows = [f"{h.path}\t{h.why}" for h in held]  # type: ignore[attr-defined]
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.chmod(0o600)
        temporary.write_text("\n".join(["file\twhy", *rows]) + "\n", "utf-8", "surrogateescape")
