"""What an export takes of ``OUT/ratings.tsv``: the worst that was said of each image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mriprep import ratings
from mriprep.core import InputError

_FROM_WORST = ("fail", "unsure", "pass")
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
    said, bad = ratings.parse(out, needed=_NEEDED)
    if bad:  # what was meant to be left out must not go along
        line, why = bad[0]
        raise InputError(
            f"'{out / ratings.FILE}', line {line}: {why}", hint="mend the line, or take it out"
        )
    return {
        image: min(words, key=_FROM_WORST.index) for image, words in ratings.counts(said).items()
    }
