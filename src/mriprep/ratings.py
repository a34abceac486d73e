"""What people say of images: ``ratings.tsv``, one row a rating, only ever added to.

Any number of people, pages and servers may rate into one folder at once. The
last row of a rater about an image is what that rater says of it.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from .core import InputError, MriprepWarning
from .core.errors import unwritable
from .io.given import read_text

#: Name of the table in a folder of outputs.
FILE = "ratings.tsv"
#: What an image can be rated.
RATINGS = ("pass", "fail", "unsure")
#: Longest note, in characters.
LONGEST_NOTE = 2000
#: A rater's name: letters, digits, spaces and ``. _ @ -``.
RATER = re.compile(r"[^\W_][\w .@-]{0,39}")

_NONE = "n/a"  # what BIDS writes where there is nothing
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


#: What disks say that know no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass(frozen=True)
class Rating:
    """One rating of one image.

    Parameters
    ----------
    case : str
        ``sub-01``, ``sub-01_ses-2``.
    contrast : str
        ``T1w``, ``FLAIR``, ...
    rating : str
        ``pass``, ``fail`` or ``unsure``.
    note : str
        Free words, also of several lines; may be empty.
    rater : str
        Who rates; need not be a person's name.
    time : str
        ISO 8601, UTC; now by default.

    Raises
    ------
    InputError
        If the rating is none of the three, the rater has no name or one with
        other characters than :data:`RATER`, or the note is too long.
    """

    case: str
    contrast: str
    rating: str
    note: str = ""
    rater: str = "rater-1"
    time: str = ""

    def __post_init__(self) -> None:
        if self.rating not in RATINGS:
            raise InputError(
                f"the rating '{self.rating}' is not one of {', '.join(RATINGS)}",
                hint="give one of them",
            )
        if not RATER.fullmatch(self.rater):
            raise InputError(
                f"'{self.rater[:60]}' cannot be a rater's name",
                hint="give 1 to 40 letters, digits, spaces or . _ @ -, a letter or digit first",
            )
        if len(self.note) > LONGEST_NOTE:
            raise InputError(
                f"the note has {len(self.note)} characters",
                hint=f"give at most {LONGEST_NOTE}",
            )
        if not self.time:
            object.__setattr__(self, "time", datetime.now(UTC).isoformat(timespec="seconds"))


COLUMNS = tuple(f.name for f in fields(Rating))


class NoTable(InputError):
    """A ``ratings.tsv`` that cannot be used; :attr:`why` does not say where it lies."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"'{path}' is no table of ratings: {why}",
            hint=f"its first line must be {' '.join(COLUMNS)}, tabs between, in UTF-8; move the file"
            " away to begin a new one",
        )
        self.why = why


@dataclass(frozen=True)
class Consensus:
    """What the raters of an image say together.

    Parameters
    ----------
    rating : str
        ``pass`` or ``fail``, whichever more raters say; ``unsure`` where as
        many say the one as the other.
    raters : int
        How many rated it.
    agreed : bool
        Whether all of them said the same.
    """

    rating: str
    raters: int
    agreed: bool


def append(folder: Path, rating: Rating) -> Rating:
    """Add a rating to ``ratings.tsv``, on disk when this returns.

    The file is locked for as long as a row is written, so that nobody's row
    ends up in another's; what stands there is never changed.

    Raises
    ------
    NoTable
        If a ``ratings.tsv`` is there that has other columns.
    OutputError
        If it cannot be written.
    """
    import fcntl

    path = Path(folder) / FILE
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is no ordinary file")
        # Written in one call at the end of the file, and locked besides: shared folders of a
        # network know no appending.
        with open(path, "a+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:  # a disk without locks: one call at the end must do
                if error.errno not in _NO_LOCKS:
                    raise
            size = file.seek(0, os.SEEK_END)
            columns, before = COLUMNS, b""
            if size == 0:
                before = _line(COLUMNS)
            else:
                file.seek(0)
                columns = _header(file.readline().decode("utf-8", "replace"), path)
                file.seek(size - 1)
                if file.read(1) != b"\n":  # a row that was cut off when a disk was full
                    before = b"\n"
            row = {c: _escaped(getattr(rating, c)) for c in COLUMNS}
            content = before + _line([row.get(c, _NONE) for c in columns])
            written = file.write(content)
            if written != len(content):
                raise OSError(28, "only a part of the row could be written")
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(error)(
            f"the rating could not be written to '{path}': {error.strerror or error}",
            hint="check that the folder can be written to and that the disk is not full",
        ) from error
    return rating


def read(folder: Path) -> list[Rating]:
    """The ratings that count: of each rater the last of each image, in the order given.

    Rows that are no ratings are left out with a warning. Empty where nothing
    was rated.

    Raises
    ------
    NoTable
        If ``ratings.tsv`` cannot be read or has other columns.
    """
    said, bad = parse(folder)
    if bad:
        lines = ", ".join(str(line) for line, _ in bad[:5]) + (", ..." if len(bad) > 5 else "")
        warnings.warn(
            f"{FILE}: {len(bad)} of its rows are no ratings and were left out (line {lines})",
            MriprepWarning,
            stacklevel=2,
        )
    return said


def parse(
    folder: Path, *, needed: Sequence[str] = COLUMNS
) -> tuple[list[Rating], list[tuple[int, str]]]:
    """The ratings that count, and the rows that are none: their lines, and what is wrong with them.

    Parameters
    ----------
    folder : Path
        A folder of outputs; without ``ratings.tsv`` nothing was rated.
    needed : sequence of str
        Columns that must be there; of others that are not, what
        :class:`Rating` has by default is taken. Tables that were written by
        hand may lack some.

    Raises
    ------
    NoTable
        If ``ratings.tsv`` cannot be read or lacks a column that is needed.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return [], []
    try:
        text = read_text(path).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise NoTable(path, f"it cannot be read: {error}") from error
    except OSError as error:
        raise NoTable(path, f"it cannot be read: {error.strerror}") from error
    header, _, rest = text.partition("\n")
    if not text:
        return [], []
    columns = _header(header, path, needed)
    last: dict[tuple[str, str, str], Rating] = {}
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(rest.split("\n"), 2):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(columns):
            bad.append((number, f"it has {len(cells)} of {len(columns)} cells"))
            continue
        row = dict(zip(columns, cells, strict=True))
        try:
            rating = Rating(**{c: _plain(row[c]) for c in COLUMNS if c in row})
        except InputError as error:
            bad.append((number, error.message))
            continue
        key = (rating.case, rating.contrast, rating.rater)
        last.pop(key, None)
        last[key] = rating
    return list(last.values()), bad


def counts(ratings: Iterable[Rating]) -> dict[tuple[str, str], Counter[str]]:
    """How many raters said what, of each case and contrast."""
    said: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for r in ratings:
        said[r.case, r.contrast][r.rating] += 1
    return dict(said)


def consensus(ratings: Iterable[Rating]) -> dict[tuple[str, str], Consensus]:
    """What the raters say together, of each case and contrast.

    Parameters
    ----------
    ratings : iterable of Rating
        One of each rater and image, as :func:`read` gives them.

    Returns
    -------
    dict
        (case, contrast) to :class:`Consensus`. A rater who is unsure counts
        neither way.
    """
    found = {}
    for image, said in counts(ratings).items():
        more = said["pass"] - said["fail"]
        rating = "pass" if more > 0 else "fail" if more < 0 else "unsure"
        found[image] = Consensus(rating, said.total(), len(said) == 1)
    return found


def _header(line: str, path: Path, needed: Sequence[str] = COLUMNS) -> tuple[str, ...]:
    """The columns of a table, those that are needed among them."""
    columns = tuple(line.removeprefix("\ufeff").rstrip("\r\n").split("\t"))
    if missing := [c for c in needed if c not in columns]:
        raise NoTable(path, f"it has no column {', '.join(missing)}")
    return columns


def _line(cells: Iterable[str]) -> bytes:
    return ("\t".join(cells) + "\n").encode()


def _escaped(text: str) -> str:
    """A cell: no tab, no end of line in it, nor any other character that steers."""
    steering = ("Cc", "Zl", "Zp", "Cs")
    plain = (" " if unicodedata.category(c) in steering else c for c in text)
    return "".join(_ESCAPES.get(c, p) for c, p in zip(text, plain, strict=True)) or _NONE


def _plain(cell: str) -> str:
    if cell.strip() == _NONE:
        return ""
    meant = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    return re.sub(r"\\([tnr\\])", lambda m: meant[m[1]], cell)
