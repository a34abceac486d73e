"""TorchIO: subjects, as a list in a file and as a ``SubjectsDataset``.

Perez-Garcia et al. 2021, doi:10.1016/j.cmpb.2021.106236.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mriprep.core import EngineMissing, InputError
from mriprep.io.atomic import write_json
from mriprep.io.given import expanded

from . import splits as splitting
from . import words
from .files import place_all
from .output import Link, Written
from .plain import read_json
from .selection import Progress, Selection, prepare
from .splits import Splits

LIST = "subjects.json"


def write(
    selection: Selection,
    folder: Path,
    *,
    link: Link | None = None,
    progress: Progress | None = None,
) -> Written:
    """Write images, labels and masks, and ``subjects.json``."""
    files = place_all(selection, folder, link, progress)
    subjects = [
        {
            "case": i.case,
            "subject": i.subject,
            **selection.split_of(i),
            "images": dict(files[i.case].images),
            **{k: v for k, v in files[i.case].to_dict().items() if k != "images"},
            "facts": selection.facts_of(i),
        }
        for i in selection.items
    ]
    about = {"schema": 1, "folds": list(selection.folds), "subjects": subjects}
    write_json(about, folder / LIST)
    cases = {c: {"files": f.to_dict()} for c, f in files.items()}
    return Written(selection, {}, cases, words.opening(selection, "TorchIO data set") + _README)


_README = """\
    from mriprep.export.torchio import subjects_dataset

    data = subjects_dataset("subjects.json", split="train", fold=0)    # a torchio.SubjectsDataset

Without mriprep: subjects.json is a list; `images` are torchio.ScalarImage, `labels` and `mask`
torchio.LabelMap. Paths are relative to the list.
"""


def subjects_dataset(
    source: str | Path,
    *,
    split: str | None = None,
    fold: int = 0,
    contrasts: Sequence[str] | None = None,
    labels: str | None = None,
    passed_only: bool = True,
    transform: Callable[[Any], Any] | None = None,
) -> Any:
    """A ``torchio.SubjectsDataset`` of what a run made, or of an export.

    Parameters
    ----------
    source : path
        What `mriprep run` wrote; or an export to TorchIO, or its
        ``subjects.json``.
    split : {"train", "val", "test"}, optional
        Which part; all cases by default.
    fold : int
        Of which fold.
    contrasts, labels, passed_only
        As :func:`mriprep.export.collect`; of an export they are what they
        were.
    transform : callable, optional
        A TorchIO transform.

    Returns
    -------
    torchio.SubjectsDataset
        Each subject has an image a contrast (``subject["T1w"]``), ``labels``
        and ``mask`` where there are any, ``case``, and the facts that are known.

    Raises
    ------
    EngineMissing
        If TorchIO is not installed.
    InputError
        If there is nothing of that part, or a fitted state has seen what
        validates or tests.
    """
    try:
        import torchio
    except ImportError:
        raise EngineMissing(
            "subjects_dataset needs TorchIO, which is not installed", hint="pip install torchio"
        ) from None
    path = expanded(source)
    path = path / LIST if (path / LIST).is_file() else path
    if path.is_file():
        rows, splits = _saved(path, split, fold)
    else:
        rows, splits = _of_run(path, split, fold, contrasts, labels, passed_only)
    if split is not None:
        if splits is None:
            raise InputError(
                f"'{source}' is not split, so it has no part '{split}'",
                hint="make a split: `mriprep split OUT --by subject --folds 5`",
            )
        wanted = set(splits.part(split, fold))
        rows = [r for r in rows if r["case"] in wanted]
    if not rows:
        where = f" in the part '{split}' of fold {fold}" if split is not None else ""
        raise InputError(f"'{source}' has no case{where}")
    return torchio.SubjectsDataset([_subject(torchio, r) for r in rows], transform=transform)


def _of_run(
    out: Path,
    split: str | None,
    fold: int,
    contrasts: Sequence[str] | None,
    labels: str | None,
    passed_only: bool,
) -> tuple[list[dict[str, Any]], Splits | None]:
    if split is not None:
        splitting.read(out)
    selection = prepare(
        out, contrasts=contrasts, labels=labels, passed_only=passed_only,
        fold=None if split is None else fold, check_states=split is not None,
    )  # fmt: skip
    rows = [
        {
            "case": i.case,
            "images": i.images,
            "labels": i.labels,
            "mask": i.mask,
            "facts": selection.facts_of(i),
        }
        for i in selection.items
    ]
    return rows, selection.splits


def _saved(path: Path, split: str | None, fold: int) -> tuple[list[dict[str, Any]], Splits | None]:
    content = read_json(path)
    try:
        subjects = content["subjects"]
        rows = [
            {
                **s,
                "images": {c: path.parent / p for c, p in s["images"].items()},
                **{k: path.parent / s[k] for k in ("labels", "mask") if s.get(k)},
            }
            for s in subjects
        ]
        parted = bool(subjects) and all("split" in s for s in subjects)
        splits = Splits.from_dict({s["case"]: s for s in subjects}) if parted else None
        folds = content["folds"]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is not a list of subjects: {error}",
            hint="give a subjects.json that `mriprep export --to torchio` wrote",
        ) from None
    if splits is not None and split is not None:
        splitting.check_fold(split, fold, folds)
    return rows, splits


def _subject(torchio: Any, row: dict[str, Any]) -> Any:
    images = {c: torchio.ScalarImage(p) for c, p in row["images"].items()}
    maps = {k: torchio.LabelMap(row[k]) for k in ("labels", "mask") if row.get(k)}
    facts = {k: v for k, v in row.get("facts", {}).items() if k not in {*images, *maps}}
    return torchio.Subject({**images, **maps, "case": row["case"], **facts})
