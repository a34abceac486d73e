"""What people said of images: ``OUT/ratings.tsv``, as the viewer appends it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from mriprep.core import InputError

#: From the worst.
RATINGS = ("fail", "unsure", "pass")
_NEEDED = ("case", "contrast", "rating", "rater")


def worst_ratings(out: Path) -> Mapping[tuple[str, str], str]:
    """The worst rating of each (case, contrast); the last of each rater counts.

    Parameters
    ----------
    out : Path
        The folder of derivatives; without ``ratings.tsv`` nothing is rated.

    Raises
    ------
    InputError
        If the table lacks a column or holds a rating that is none.
    """
    path = out / "ratings.tsv"
    if not path.is_file():
        return {}
    last: dict[tuple[str, str, str], str] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        if missing := [c for c in _NEEDED if c not in (rows.fieldnames or [])]:
            raise InputError(
                f"'{path}' has no column {', '.join(missing)}",
                hint=f"its columns are {', '.join(_NEEDED)}, note, time",
            )
        for number, row in enumerate(rows, 2):
            if row["rating"] not in RATINGS:
                raise InputError(
                    f"'{path}', line {number}: '{row['rating']}' is not a rating",
                    hint=f"accepted: {', '.join(RATINGS)}",
                )
            last[row["case"], row["contrast"], row["rater"]] = row["rating"]
    worst: dict[tuple[str, str], str] = {}
    for (case, contrast, _), rating in last.items():
        known = worst.get((case, contrast), RATINGS[-1])
        worst[case, contrast] = min(known, rating, key=RATINGS.index)
    return worst
