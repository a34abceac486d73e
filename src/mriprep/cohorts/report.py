"""The pages and tables of everything that lies below an output folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mriprep.io.atomic import writable_folder
from mriprep.io.strict_json import load_json
from mriprep.outputs import folder_of_outputs
from mriprep.qc.cohort import Overview, write_overview
from mriprep.qc.cohort_page import Failed

from .ledger import rows
from .resume import DONE


def report(out: str | Path) -> Overview:
    """Compare all images below an output folder, and write what is to be seen of them.

    ``index.html`` shows all images, worst first, how they are spread by site
    and scanner, and the cases that failed; ``qc.tsv`` and ``qc.json`` hold
    the same for programs. The page of each image is told where it stands, and
    what in it is unusual.

    Parameters
    ----------
    out : path
        Where runs were written to.

    Returns
    -------
    Overview
        The page, the tables, how many images have which verdict, and what
        could not be used.

    Raises
    ------
    InputError
        If there is no such folder, or in it neither a quality file nor a case
        that failed.
    OutputError
        If something cannot be written.

    Examples
    --------
    >>> import mriprep as mp
    >>> mp.report("derivatives/").counts                       # doctest: +SKIP
    {'pass': 96, 'look': 3, 'fail': 1}
    """
    from importlib.metadata import version

    folder = writable_folder(folder_of_outputs(out))
    found, problems = failures(folder)
    return write_overview(
        folder,
        version=version("mriprep"),
        failures=found,
        problems=problems,
        done=_done(folder),
    )


def failures(out: Path) -> tuple[list[Failed], list[tuple[str, str]]]:
    """Cases that failed and were not done since, by name; and ledgers that could not be read."""
    last: dict[str, tuple[dict[str, Any], str]] = {}
    problems = []
    for events in sorted((out / "runs").glob("*/events.jsonl")):
        run = events.parent.name
        try:
            for row in rows(events.parent):
                if row["status"] != "stopped":  # it was neither done nor did it fail
                    last[str(row["case"])] = row, run
        except (OSError, ValueError, KeyError) as error:
            what = "it is damaged" if isinstance(error, json.JSONDecodeError) else str(error)
            problems.append((f"runs/{run}/events.jsonl", what))
    found = []
    for case, (row, run) in sorted(last.items()):
        if row["status"] != "failed":
            continue
        log = f"runs/{run}/logs/{case}.log"
        found.append(
            Failed(
                case,
                str(row.get("step") or ""),
                str(row.get("reason") or "nothing was said"),
                str(row.get("hint") or ""),
                log if (out / log).is_file() and os.sep not in case else "",
            )
        )
    return found, problems


def _done(out: Path) -> list[str]:
    """Cases that are noted to be done; a note that cannot be read tells of none."""
    found = []
    for note in sorted((out / DONE).glob("[!.]*.json")):
        try:
            found.append(str(load_json(note)["case"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
