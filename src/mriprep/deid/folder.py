"""``mriprep.deidentify``: a folder in, a folder of what may be shared out."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriprep.core import InputError, OutputRefused
from mriprep.core.errors import nearest, unwritable
from mriprep.io.archive import unzip
from mriprep.io.atomic import no_empty_folder, write_json, write_text
from mriprep.io.given import expanded

from . import known, report
from .allowed import OPTIONS
from .gather import Held, gather
from .images import Work, write_others, write_series
from .keyed import Keyed
from .keymap import check_passphrase, write_map

#: Names of the report, in the output folder.
REPORT, TEXT = "deidentification.json", "deidentification.txt"


class NothingLeft(InputError):
    """Nothing of the input can be let through; `held` says of each file why."""

    def __init__(self, held: list[Held]) -> None:
        super().__init__(
            _nothing(held),
            hint="--held FILE.tsv lists them; docs/deidentify.md says what is let through",
        )
        self.held = tuple(held)


@dataclass(frozen=True)
class Deidentified:
    """What :func:`deidentify` did.

    Attributes
    ----------
    folder : Path
        The output.
    report : dict
        What ``deidentification.json`` says.
    held : tuple of Held
        Files that were not let through, with their names in the input and why.
    """

    folder: Path
    report: dict[str, Any]
    held: tuple[Held, ...] = field(repr=False)

    @property
    def written(self) -> int:
        """How many files were written, without the report."""
        return sum(self.report["files"]["written"].values())


def deidentify(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    keep: Iterable[str] = (),
    secret: bytes | None = None,
    names: Iterable[str] = (),
    key_map: str | os.PathLike[str] | None = None,
    passphrase: str | None = None,
) -> Deidentified:
    """Copy scans without what tells whose they are.

    DICOM (MR images) by the basic profile of PS3.15 Annex E, NIfTI, JSON
    sidecars and gradient tables; what is not known to be harmless is left
    out. A file that cannot be read or vouched for is held back, never copied.

    Parameters
    ----------
    source : path
        A folder, or a zip archive; is not changed.
    output : path
        A folder that is not there yet or is empty; appears whole or not at all.
    keep : iterable of {"dates", "device", "characteristics", "voxels"}
        What is kept beside the basic profile: dates, moved back by a number
        of days for each subject; model, serial number, station and software;
        sex, age (90 for all above 89), weight and size; images in whose voxels
        text seems to be seen, which you have looked at.
    secret : bytes, optional
        At least 16 bytes. The same secret gives the same codes, UIDs and dates; without it they
        are random, and consistent within this call.
    names : iterable of str
        More names or numbers of people that may be in texts, beside those
        that the files themselves say.
    key_map : path, optional
        Where to keep whose code is whose, encrypted; outside `output`. None is
        kept by default.
    passphrase : str, optional
        For `key_map`, 12 characters or more.

    Returns
    -------
    Deidentified

    Raises
    ------
    InputError
        If the source is missing or holds nothing that can be written, or an
        argument is not right.
    OutputError
        If the output is there already or cannot be written.
    EngineMissing
        If a map is to be kept and the package `cryptography` is missing.

    References
    ----------
    DICOM PS3.15, Security and System Management Profiles, Annex E.
    """
    options, keyed = _options(keep), Keyed(secret) if secret is not None else Keyed()
    root, final = expanded(source), expanded(output)
    if not root.exists():
        raise InputError("there is no such folder or archive", hint="check the path")
    kept = None if key_map is None else expanded(key_map)
    _check_places(root, final, kept)
    if kept is not None:
        check_passphrase(passphrase)
    unpacked = unzip(root) if root.is_file() and zipfile.is_zipfile(root) else None
    if not root.is_dir() and unpacked is None:
        raise InputError(
            "that is one file; a folder or a zip archive is needed",
            hint="put the file into a folder of its own: its name is replaced as well",
        )
    try:
        with _whole(final) as part:
            found = gather(unpacked.folder if unpacked else root)
            given = {w for n in names for w in known.words_in(n)}
            people = frozenset(found.words | given)
            work = Work(keyed, options, people, known.telling(people), part)
            work.held += found.held
            for series in found.series.values():
                write_series(work, found, series)
            write_others(work, found)
            _tidy(part)
            files = len(work.held) + len(work.written)
            if not work.written:
                raise NothingLeft(work.held)
            told = report.summary(work, files=files, lasting=secret is not None, mapped=bool(kept))
            write_json(told, part / REPORT)
            write_text(report.readable(told), part / TEXT)
            if kept is not None:
                write_map(_back(work), kept, passphrase or "")
    finally:
        if unpacked:
            unpacked.close()
    return Deidentified(final, told, tuple(work.held))


@contextlib.contextmanager
def _whole(final: Path) -> Iterator[Path]:
    """A folder that takes the place of `final` in the end; after an error nothing of it is left."""
    part = final.absolute().with_name(f".{secrets.token_hex(6)}.part")
    try:
        with no_empty_folder(part.parent):
            try:
                part.mkdir(parents=True)
                yield part
                _check_free(final)
                if final.is_dir():
                    final.rmdir()
                os.replace(part, final)
            finally:
                if part.exists():
                    shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        # Its own words may quote a name of the input.
        raise unwritable(error)(
            f"the output cannot be written: {error.strerror or type(error).__name__}",
            hint="check that the folder can be written to and that the disk is not full",
        ) from None


def _options(keep: Iterable[str]) -> frozenset[str]:
    told = [keep] if isinstance(keep, str) else list(keep)
    for option in told:
        if option not in OPTIONS:
            raise InputError(
                f"there is no option '{option}' to keep", hint=nearest(option, OPTIONS)
            )
    return frozenset(told)


def _check_places(root: Path, final: Path, kept: Path | None) -> None:
    a, b = root.resolve(), final.resolve()
    if a == b or a in b.parents or b in a.parents:
        raise InputError(
            "input and output lie in each other", hint="give an output folder somewhere else"
        )
    if kept is not None and (b == kept.resolve() or b in kept.resolve().parents):
        raise InputError(
            "the map must not lie in the output, with which it would be shared",
            hint="give a place apart from it",
        )
    if kept is not None and kept.exists():
        raise OutputRefused("the map is there already", hint="give another name for it")
    _check_free(final)


def _check_free(final: Path) -> None:
    if final.is_symlink() or (final.exists() and (not final.is_dir() or any(final.iterdir()))):
        raise OutputRefused(
            f"'{final}' is there already, and not empty", hint="give a new or an empty folder"
        )


def _nothing(held: list[Held]) -> str:
    if not held:
        return "there are no files in it"
    reasons = sorted({h.why for h in held})
    return f"none of {len(held)} files can be let through: {'; '.join(reasons)}"


def _tidy(part: Path) -> None:
    """Folders of which nothing was written are gone."""
    for folder, _, _ in os.walk(part, topdown=False):
        if Path(folder) != part:
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _back(work: Work) -> dict[str, Any]:
    return {
        "secret": work.keyed.secret.hex(),
        "subjects": {
            code: {"identifier": person, "name": name, "days_back": work.keyed.days(person)}
            for code, (person, name) in sorted(work.subjects.items())
        },
        "files": {str(new): str(old) for new, old in work.written.items()},
        "held_back": [{"file": str(h.path), "why": h.why} for h in work.held],
    }
