"""One file after another: read, cleaned, written and looked through for names."""

from __future__ import annotations

import io
import json
import shutil
import struct
import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mriprep.io.dicom_headers import unreadable

from . import known, naming, nifti, sidecar
from .dataset import Cleaner, Tally
from .gather import Gathered, Held, Kind, Series, Unknown, read_dataset
from .keyed import Keyed
from .pixels import Unfit, has_text, only_voxels

_NAMED = "a name or number of somebody was still in it after cleaning"


@dataclass
class Work:
    """What was written, held back and counted."""

    keyed: Keyed
    options: frozenset[str]
    known: Collection[str]
    telling: Collection[str]
    out: Path
    written: dict[PurePosixPath, PurePosixPath] = field(default_factory=dict, repr=False)
    held: list[Held] = field(default_factory=list)
    subjects: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    dicom: Tally = field(default_factory=Tally)
    json_kept: Counter[str] = field(default_factory=Counter)
    json_removed: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    series: int = 0


def write_series(work: Work, found: Gathered, series: Series) -> None:
    """Write a series, or hold it back as a whole where text is in one of its pictures."""
    if series.why:
        work.held += [Held(path, series.why) for _, path in series.files]
        return
    subject = f"sub-{work.keyed.subject(series.person)}"
    session = f"ses-{work.keyed.code('study', series.study, 8)}"
    place = PurePosixPath(
        subject, session, f"series-{series.number:03d}-{work.keyed.code('series', series.uid, 6)}"
    )
    folder = work.out / place
    folder.mkdir(parents=True)
    cleaner = Cleaner(work.keyed, work.options, work.known)
    written: dict[PurePosixPath, PurePosixPath] = {}
    held: list[Held] = []
    for _, path in series.files:
        name = f"{len(written) + 1:05d}.dcm"
        try:
            _write_image(
                cleaner, found.root / path, folder / name, subject, series.person, work.telling
            )
        except _Text:
            shutil.rmtree(folder)
            why = "there seems to be text in the pixels of this series"
            work.held += [Held(p, why) for _, p in series.files]
            return
        except (Unfit, Unknown) as error:
            held.append(Held(path, str(error)))
        else:
            written[place / name] = path
    work.held += held
    if not written:
        folder.rmdir()
        return
    work.written |= written
    work.subjects[subject] = (series.person, series.name)
    work.dicom.add(cleaner.tally)
    work.kinds["DICOM"] += len(written)
    work.series += 1


class _Text(Exception):
    """A picture with text in it."""


def _write_image(
    cleaner: Cleaner,
    source: Path,
    target: Path,
    subject: str,
    person: str,
    telling: Collection[str],
) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks quote values
        ds = read_dataset(source, pixels=True)
        try:
            if not hasattr(ds, "file_meta"):
                ds.file_meta = FileMetaDataset()
            voxels = only_voxels(ds)
            if "voxels" not in cleaner.options and any(has_text(picture) for picture in voxels):
                raise _Text
            counted, cleaner = cleaner, Cleaner(cleaner.keyed, cleaner.options, cleaner.known)
            new = cleaner.clean(ds, subject, person)
            _refuse_named(_said(new), telling)
            new.file_meta = FileMetaDataset()
            new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            new.add_new("PixelData", "OB" if voxels.dtype.itemsize == 1 else "OW", _even(voxels))
            buffer = io.BytesIO()
            new.save_as(buffer, enforce_file_format=True, implicit_vr=False, little_endian=True)
        except Unfit:
            raise
        except _failures() as error:
            raise Unfit(f"it cannot be cleaned ({type(error).__name__})") from None
    target.write_bytes(buffer.getvalue())
    counted.tally.add(cleaner.tally)


def _failures() -> tuple[type[Exception], ...]:
    return (*unreadable(), RuntimeError)  # the latter from decoders of compressed pixels


def _even(voxels: Any) -> bytes:
    data: bytes = voxels.tobytes()
    return data + bytes(len(data) % 2)


def _said(ds: Any) -> bytes:
    """All that a data set says, but the UIDs, whose digits are chance."""
    parts = []
    for element in ds.iterall():
        if element.VR in ("SQ", "UI"):
            continue
        parts.append(_as_stored(element))
    return b"\n".join(parts)


_STORED = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "AT": "I"}


def _as_stored(element: Any) -> bytes:
    """A value as its bytes in a file: letters can be read as numbers, and then are still there."""
    value = element.value
    if isinstance(value, bytes):
        return value
    kind = _STORED.get(element.VR)
    if kind is None or value is None:
        return str(value).encode()
    told = list(value) if element.VM > 1 else [value]
    return struct.pack(f"<{len(told)}{kind}", *told)


def _refuse_named(data: bytes, words: Collection[str]) -> None:
    if known.named_in(data, words):
        raise Unfit(_NAMED)


def write_others(work: Work, found: Gathered) -> None:
    """Write images, then their sidecars and tables; of an image that is held back, none of them."""
    images = [entry for entry in found.others if entry[0] == "nifti"]
    for kind, path in images:
        write_other(work, found, kind, path)
    seen = {naming.described(path) for path in work.written.values()}
    gone = {naming.described(held.path) for held in work.held} - seen - {None}
    for kind, path in found.others:
        if kind == "nifti":
            continue
        stem = path.with_name(path.name[: -len(naming.extension(path.name))])
        if stem in gone:
            work.held.append(Held(path, "what it describes is held back"))
        else:
            write_other(work, found, kind, path)


def write_other(work: Work, found: Gathered, kind: Kind, path: PurePosixPath) -> None:
    """Write an image, a sidecar or a table."""
    new = naming.renamed(path, work.keyed)
    source, target = found.root / path, work.out / new
    target.parent.mkdir(parents=True, exist_ok=True)
    stayed: Counter[str] = Counter()
    removed: Counter[str] = Counter()
    try:
        if new in work.written:
            raise Unfit("another file of the same meaning was written already")
        if kind == "nifti":
            _refuse_named(
                nifti.copy(source, target, look="voxels" not in work.options), work.telling
            )
        elif kind == "json":
            data, stayed, removed = sidecar.clean_json(
                source.read_bytes(), work.options, work.known
            )
            text = json.dumps(data, indent=2) + "\n"
            _refuse_named(text.encode(), work.telling)
            target.write_text(text, "utf-8")
        else:
            target.write_text(sidecar.clean_gradients(source.read_bytes()), "utf-8")
    except Unfit as error:
        work.held.append(Held(path, str(error)))
        if new not in work.written:
            target.unlink(missing_ok=True)
        return
    except (OSError, EOFError, ValueError, ArithmeticError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the file
        target.unlink(missing_ok=True)
        work.held.append(Held(path, f"it cannot be read ({type(error).__name__})"))
        return
    work.written[new] = path
    work.json_kept += stayed
    work.json_removed += removed
    work.kinds[{"nifti": "NIfTI", "json": "JSON", "gradients": "gradients"}[kind]] += 1
    label = naming.subject_of(path)
    if label:
        work.subjects.setdefault(f"sub-{work.keyed.subject(label)}", (label, ""))
