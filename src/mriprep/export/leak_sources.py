"""Splits as others wrote them: tables, nnU-Net's and MONAI's lists, folders; read as they are."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriprep.core import InputError
from mriprep.io.given import expanded, read_text
from mriprep.io.strict_json import load_json

from .alike import bare, is_readable

_CASE = ("case", "case_id", "caseid", "id", "name", "image_id")
_FILE = ("image", "file", "path", "filename", "image_path", "filepath")
_SUBJECT = ("subject", "subject_id", "participant_id", "participant", "patient", "patient_id")
_PART = ("split", "part", "set", "partition", "subset")
_FOLD = ("fold",)
#: What folders of parts are called.
_FOLDERS = {
    "train": "train", "training": "train", "imagestr": "train", "val": "val", "valid": "val",
    "validation": "val", "test": "test", "testing": "test", "imagests": "test",
}  # fmt: skip
_LABELS = re.compile(r"(^|[_-])(labels?|labelstr|labelsts|masks?|segs?|dseg|segmentations?)$", re.I)
_SUB = re.compile(r"(?<![A-Za-z0-9])sub-([A-Za-z0-9]+)")
#: Ends of names that tell sessions, runs and copies of one person apart.
_SUFFIX = re.compile(
    r"[._-](?:MR|ses|session|visit|vis|v|tp|timepoint|time|t|scan|run|acq|aug|copy|rot|flip\w{0,4})"
    r"[._-]?\d*$",
    re.I,
)


@dataclass(frozen=True)
class Member:
    """Something that is in a part of a split.

    Parameters
    ----------
    name : str
        The case, or the file's name.
    subject : str or None
        Whose it is, where the split says so, or the name has ``sub-``.
    files : tuple of Path
        Its images, those there are.
    """

    name: str
    subject: str | None = None
    files: tuple[Path, ...] = ()

    @property
    def stem(self) -> str:
        """The name without what may tell sessions and copies of one person apart."""
        text = self.name
        while (shorter := _SUFFIX.sub("", text)) != text and shorter:
            text = shorter
        return text


@dataclass(frozen=True)
class Source:
    """A split of some kind.

    Parameters
    ----------
    kind : str
        What it was read as.
    rounds : mapping of str to mapping
        By round (a fold that has lists of its own), by part, its members.
        Parts of one round must have nobody in common.
    """

    kind: str
    rounds: Mapping[str, Mapping[str, list[Member]]] = field(default_factory=dict)


def read(path: str | Path, images: str | Path | None = None) -> Source:
    """Read a split.

    Parameters
    ----------
    path : path
        A table, a JSON file of nnU-Net or MONAI, or a folder that holds
        ``splits.tsv``, ``splits_final.json``, data lists, or folders
        ``train``, ``val``, ``test``.
    images : path, optional
        Where images are looked for by the names of cases; beside the split
        otherwise.

    Raises
    ------
    InputError
        If it is none of these.
    """
    path = expanded(path)
    if not path.exists():
        raise InputError(f"there is no split '{path}'", hint=_HINT)
    if images is not None and not expanded(images).is_dir():
        raise InputError(f"there is no folder of images '{images}'")
    beside = path if path.is_dir() else path.parent
    finder = _Finder([expanded(images)] if images else [beside])
    if path.is_dir():
        for name in ("splits.tsv", "splits_final.json", "datalist.json", "dataset.json"):
            if (path / name).is_file() and (name != "dataset.json" or not _parts(path)):
                return _file(path / name, finder)
        lists = sorted(path.glob("fold-*.json"))
        if lists:
            rounds = {f.stem.replace("-", " "): _file(f, finder).rounds["all"] for f in lists}
            return Source("MONAI data lists", rounds)
        return _folders(path)
    return _file(path, finder)


_HINT = (
    "accepted: splits.tsv or another table (.tsv, .csv) with a case or subject and a split or fold,"
    " nnU-Net's splits_final.json, a MONAI data list, or folders train/, val/, test/"
)


class _Finder:
    """Finds the images of a case by its name, in folders that are listed once."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._files: dict[str, list[Path]] | None = None

    def __call__(self, case: str) -> tuple[Path, ...]:
        if self._files is None:
            self._files = {}
            for folder in self._folders:
                for place in (folder, folder / "imagesTr", folder / "imagesTs", folder / "images"):
                    if place.is_dir():
                        for file in sorted(place.iterdir()):
                            if _is_image(file):
                                self._files.setdefault(_plain_name(file.name), []).append(file)
        return tuple(self._files.get(_plain_name(case), ()))


def _plain_name(name: str) -> str:
    """A case's name, without nnU-Net's number of a channel."""
    return re.sub(r"_\d{4}$", "", bare(name))


def _is_image(file: Path) -> bool:
    hidden = file.name.startswith(".")
    return (
        not hidden and is_readable(file) and file.is_file() and not _LABELS.search(bare(file.name))
    )


def _member(name: str, subject: str | None, files: Iterable[Path]) -> Member:
    found = _SUB.search(name)
    subject = subject.strip().removeprefix("sub-") if subject else found[1] if found else None
    return Member(name, subject or None, tuple(files))


def _file(path: Path, finder: _Finder) -> Source:
    if path.suffix.lower() in (".tsv", ".csv", ".txt"):
        return _table(path, finder)
    if path.suffix.lower() != ".json":
        raise InputError(f"'{path}' is no split that is known", hint=_HINT)
    try:
        content = load_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from None
    if isinstance(content, list):
        return _nnunet(path, content, finder)
    if isinstance(content, dict) and isinstance(content.get("training"), list):
        return _monai(path, content)
    raise InputError(f"'{path}' is no split that is known", hint=_HINT)


def _nnunet(path: Path, content: list[Any], finder: _Finder) -> Source:
    rounds: dict[str, dict[str, list[Member]]] = {}
    for number, fold in enumerate(content):
        if not isinstance(fold, dict) or not {"train", "val"} <= set(fold):
            raise InputError(f"'{path}': fold {number} has no train and val", hint=_HINT)
        rounds[f"fold {number}"] = {
            part: [_member(str(c), None, finder(str(c))) for c in fold[part]]
            for part in ("train", "val")
        }
    test = path.parent / "imagesTs"
    if test.is_dir() and rounds:
        held = {_plain_name(f.name) for f in sorted(test.iterdir()) if _is_image(f)}
        members = [_member(c, None, finder(c)) for c in sorted(held)]
        for parts in rounds.values():
            parts["test"] = members
    return Source("nnU-Net's splits_final.json", rounds)


def _monai(path: Path, content: Mapping[str, Any]) -> Source:
    parts: dict[str, list[Member]] = {}
    for key, part in (("training", "train"), ("validation", "val"), ("test", "test"),
                      ("testing", "test")):  # fmt: skip
        for entry in content.get(key) or []:
            entry = entry if isinstance(entry, dict) else {"image": entry}
            fold = entry.get("fold")
            named = f"fold {fold}" if part == "train" and fold is not None else part
            parts.setdefault(named, []).append(_of_list(path, entry))
    return Source("a MONAI data list", {"all": parts})


def _of_list(path: Path, entry: Mapping[str, Any]) -> Member:
    given = entry.get("image")
    names = [str(n) for n in (given if isinstance(given, list) else [given]) if n]
    files = [path.parent / n for n in names]
    case = str(entry.get("case") or (bare(names[0]) if names else "") or "a case without a name")
    subject = entry.get("subject")
    return _member(case, str(subject) if subject else None, [f for f in files if f.is_file()])


def _table(path: Path, finder: _Finder) -> Source:
    try:
        text = read_text(path).removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from None
    head = text.partition("\n")[0]
    mark = "\t" if "\t" in head else ";" if head.count(";") > head.count(",") else ","
    rows = csv.DictReader(text.splitlines(), delimiter=mark)
    columns = {(c or "").strip().lower(): c for c in rows.fieldnames or []}

    def column(names: Iterable[str]) -> str | None:
        return next((columns[n] for n in names if n in columns), None)

    case, file, subject = column(_CASE), column(_FILE), column(_SUBJECT)
    part, fold = column(_PART), column(_FOLD)
    if not (case or file or subject) or not (part or fold):
        raise InputError(
            f"'{path}' has no column of cases or subjects, or none of splits or folds", hint=_HINT
        )
    parts: dict[str, list[Member]] = {}
    for row in rows:
        told = {
            c: (row[c] or "").strip() for c in (case, file, subject, part, fold) if c is not None
        }
        name = (case and told[case]) or (file and bare(told[file])) or (subject and told[subject])
        if not name:
            continue
        files: list[Path] = list(finder(name))
        if file and told[file] and (path.parent / told[file]).is_file():
            files = [path.parent / told[file]]
        key = _part_of(told.get(part or "", ""), told.get(fold or "", ""))
        parts.setdefault(key, []).append(
            _member(name, told[subject] if subject else None, files)
        )  # fmt: skip
    return Source("a table", {"all": parts})


def _part_of(part: str, fold: str) -> str:
    """A row's part: the fold in which it validates, where there are folds and it is no test case."""
    known = _FOLDERS.get(part.lower(), part.lower())
    if known == "test":
        return "test"
    if fold and fold.lower() not in ("n/a", "nan", "none"):
        return f"fold {fold}"
    return known or "train"


def _parts(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for inside in sorted(folder.iterdir()):
        if inside.is_dir() and inside.name.lower() in _FOLDERS:
            found.setdefault(_FOLDERS[inside.name.lower()], []).append(inside)
    return found


def _folders(path: Path) -> Source:
    found = _parts(path)
    if len(found) < 2:
        raise InputError(f"'{path}' holds no split", hint=_HINT)
    return Source(
        "folders",
        {"all": {part: list(_inside(folders)) for part, folders in found.items()}},
    )


def _inside(folders: Iterable[Path]) -> Iterator[Member]:
    """Every image of a part; those whose folder or name says labels or mask are left out."""
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            between = file.relative_to(folder).parts[:-1]
            if _is_image(file) and not any(_LABELS.search(p) for p in between):
                name = bare(file.name)
                told = next((m for p in (name, *reversed(between)) if (m := _SUB.search(p))), None)
                # A folder of its own a case: sub-01/T1w.nii.gz, patient7/flair.nii.gz.
                owner = between[-1] if between and between[-1].lower() != "images" else None
                # Without a number it is not somebody, but what files are sorted by: a class.
                owner = owner if owner and any(c.isdigit() for c in owner) else None
                if owner and not told:
                    name = f"{owner}/{name}"
                yield _member(name, told[1] if told else owner, [file])
