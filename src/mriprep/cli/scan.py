"""``scan``: what a dump of DICOM holds, and which series to take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mriprep.io.given import expanded

_FILE = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}

#: Columns of the table on the screen, and those that are numbers.
_SHOWN = (
    "subject", "session", "series", "description", "contrast", "matrix", "spacing", "slices",
    "scanner", "age", "verdict", "why",
)  # fmt: skip
_NUMBERS = ("series", "slices", "age")
_COLOURS = {"good": "green", "repair": "yellow", "refuse": "red"}


@click.command(context_settings=_HELP, short_help="List the series of a dump of DICOM; choose.")
@click.argument("source", type=_FILE, metavar="FOLDER|ZIP")
@click.option("--choose", metavar="CONTRASTS", help="Contrasts to take the best series of, as"
              " T1w,FLAIR; the anatomical ones by default.")  # fmt: skip
@click.option("--write", "selection", type=_FILE, metavar="FILE.tsv", help="Write the choice as a"
              " table to edit and to give to `mriprep run`.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write the choice over one that is there already.")
@click.option("--tsv", type=_FILE, metavar="FILE", help="Write what is listed as a table.")
@click.option("--json", "as_json", type=_FILE, metavar="FILE", help="... as JSON; - is the screen.")
@click.option("--rules", type=_FILE, metavar="FILE.yaml", help="Rules for the contrast, asked"
              " before those that are shipped.")  # fmt: skip
@click.option("--key", type=_FILE, metavar="FILE.tsv", help="Write whose code is whose: patients'"
              " identifiers and dates. Keep it apart from the data.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), help="Processes that read; all cores by default.")
def scan(
    source: Path,
    choose: str | None,
    selection: Path | None,
    force: bool,
    tsv: Path | None,
    as_json: Path | None,
    rules: Path | None,
    key: Path | None,
    jobs: int | None,
) -> int:
    """List the series of a folder or zip of DICOM, of any number of people, from headers alone.

    For each series: whose, what contrast (and why it is taken for that), its
    geometry, and whether it can become a volume: good, repair (what is
    mended, and how) or refuse. Subjects are numbered; no names, identifiers
    or dates are shown or written, but with --key.

    \b
      mriprep scan dump/
      mriprep scan export.zip --choose T1w,FLAIR --write selection.tsv
      mriprep run selection.tsv out/
    """  # noqa: D301
    from mriprep.cases.choice import choose_best
    from mriprep.cases.selection import as_tsv, described, write_selection
    from mriprep.core import InputError
    from mriprep.core.errors import nearest
    from mriprep.io.atomic import atomic_path
    from mriprep.io.dicom_contrast import load_rules
    from mriprep.io.dicom_dump import read_dump

    from .misplaced import for_dicom

    if not source.exists():
        raise InputError(f"'{source}' does not exist", hint="check the path")
    wanted = [w.strip() for w in (choose or "").split(",") if w.strip()]
    known = load_rules(rules)
    accepted = {r.contrast for part in (known.certain, known.text, known.physics) for r in part}
    for contrast in wanted:
        if contrast.lower() not in {a.lower() for a in accepted}:
            raise InputError(f"there is no contrast '{contrast}'", hint=nearest(contrast, accepted))
    if selection is not None and expanded(selection).exists() and not force:
        raise InputError(
            f"'{selection}' is there already, and may have been edited",
            hint="give another name, or --force to write over it",
        )
    with for_dicom(source, "scan"), _bar() as hears:
        found = read_dump(source, processes=jobs or os.cpu_count() or 1, rules=known, hears=hears)
    choices = choose_best(found, wanted)
    rows = [described(c, source) for c in choices]
    if as_json is not None and str(as_json) == "-":
        _write_json(sys.stdout, choices)
    else:
        _show(rows, source.name, wanted)
    if as_json is not None and str(as_json) != "-":
        with atomic_path(as_json) as temporary, temporary.open("w", encoding="utf-8") as file:
            _write_json(file, choices)
    if tsv is not None:
        with atomic_path(tsv) as temporary:
            temporary.write_text(as_tsv(rows), "utf-8")
    if key is not None:
        _write_key(key, found, source)
    _tell_missing(choices, wanted)
    if selection is not None:
        write_selection(selection, choices, source)
        click.echo(f"choice: {selection}; edit it, then: mriprep run {selection} OUT")
    return 0


def _show(rows: Sequence[dict[str, str]], name: str, wanted: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    people = len({r["subject"] for r in rows})
    visits = len({(r["subject"], r["session"]) for r in rows})
    table = Table(
        title=f"{name}: {people} subjects, {visits} sessions, {len(rows)} series",
        title_justify="left",
    )
    with_sessions = any(r["session"] for r in rows)
    shown = [c for c in _SHOWN if c != "session" or with_sessions]
    for column in shown:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    for row in rows:
        cells = [Text(row[c], _COLOURS[row["verdict"]] if c == "verdict" else "") for c in shown]
        table.add_row(*cells, style="bold" if row["use"] == "yes" else "dim")
    width = None if sys.stdout.isatty() else 160
    Console(width=width).print(table)
    taken = [r for r in rows if r["use"] == "yes"]
    about = f" ({', '.join(wanted)})" if wanted else ""
    click.echo(f"chosen{about}: {len(taken)} of {len(rows)} series (bold above)")


def _write_json(file: Any, choices: Sequence[Any]) -> None:
    import json

    content = []
    for c in choices:
        s = c.scanned.series
        content.append(
            {
                "use": c.taken,
                "subject": c.scanned.subject,
                "session": c.scanned.session,
                "series": s.key,
                "description": s.description,
                "contrast": s.contrast,
                "confidence": s.guessed.confidence,
                "reason": s.guessed.reason,
                "matrix": [s.columns, s.rows],
                "spacing": s.spacing,
                "slices": s.slices,
                "volumes": s.volumes,
                "files": len(s.files),
                "verdict": c.scanned.verdict.kind,
                "problems": list(s.problems),
                "hint": c.scanned.verdict.hint,
                "why": c.why,
                "id": c.scanned.id,
                "facts": s.facts,
            }
        )
    json.dump(content, file, indent=1)
    file.write("\n")


def _write_key(path: Path, found: Sequence[Any], source: Path) -> None:
    """Codes beside identifiers and dates, in a file for its owner alone."""
    import zipfile

    import pydicom

    from mriprep.io.atomic import atomic_path

    archive = zipfile.ZipFile(source) if zipfile.is_zipfile(source) else None
    asked = ["PatientID", "StudyDate", "SpecificCharacterSet"]
    lines, done = ["subject\tsession\tpatient_id\tstudy_date"], set()
    for s in found:
        if (s.subject, s.session) in done or not s.files:
            continue
        done.add((s.subject, s.session))
        base = source if source.is_dir() else source.parent
        with archive.open(s.files[0]) if archive else (base / s.files[0]).open("rb") as file:
            ds = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=asked, force=True)
        told = (" ".join(str(ds.get(k) or "").split()) for k in asked[:2])
        lines.append("\t".join([s.subject, s.session or "", *told]))
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.chmod(0o600)
        temporary.write_text("\n".join(lines) + "\n", "utf-8")
    click.echo(f"key: {path} (identifiers and dates: keep it apart from the data)")


def _tell_missing(choices: Sequence[Any], wanted: Sequence[str]) -> None:
    """Say of which sessions a contrast that was asked for is not there."""
    import warnings

    from mriprep.cases.source import name_of
    from mriprep.core import MriprepWarning

    sessions = dict.fromkeys((c.scanned.subject, c.scanned.session) for c in choices)
    for contrast in wanted:
        have = {
            (c.scanned.subject, c.scanned.session)
            for c in choices
            if c.taken and (c.scanned.series.contrast or "").lower() == contrast.lower()
        }
        if without := [name_of(*s) for s in sessions if s not in have]:
            more = f" and {len(without) - 5} more" if len(without) > 5 else ""
            warnings.warn(
                f"no {contrast} to take in {', '.join(without[:5])}{more}",
                MriprepWarning,
                stacklevel=2,
            )


@contextmanager
def _bar() -> Iterator[Any]:
    """A progress bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        "reading headers", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
