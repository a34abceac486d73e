"""What was done: one record a step, one a run, as plain data."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .core import Grid, MriprepError, Transform, Volume
from .declare import Citation
from .io.given import home
from .snapshot import Snapshot

#: The fact of a step that says which fitted state it used; records have them apart.
FITTED = "fitted"


@dataclass(frozen=True)
class Failure:
    """A step that did not succeed: where, why, and what to do."""

    step: str
    code: str
    message: str
    hint: str | None = None
    exit_code: int = 1

    @classmethod
    def of(cls, error: Exception, step: str) -> Failure:
        """The failure that an exception tells of."""
        if isinstance(error, MriprepError):
            return cls(step, error.code, error.message, error.hint, error.exit_code)
        return cls(
            step,
            "unexpected",
            f"{type(error).__name__}: {error}",
            "this is a fault of mriprep or of an engine: run again with --debug and report it",
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"step": self.step, "code": self.code, "message": self.message, "hint": self.hint}


@dataclass(frozen=True)
class StepRecord:
    """One step that was done.

    Parameters
    ----------
    name, title : str
        The step.
    parameters : mapping
        As they were resolved.
    engine, engine_version : str or None
        What did it.
    makes : str
        The slot that it filled.
    before, after : Grid
        The image's grid.
    seconds : float
        How long it took.
    warnings : tuple of str
        What it said.
    facts : mapping
        Numbers by the way: a volume, a threshold, a similarity.
    methods : str
        A sentence for a methods section.
    citations : tuple of Citation
        The papers behind it.
    snapshots : mapping
        ``before`` and ``after``, for the report.
    pulled : Transform or None
        What the image was pulled through: points of its world afterwards to
        points of its world before. None where the world stayed the same.
    """

    name: str
    title: str
    parameters: Mapping[str, Any]
    engine: str | None
    engine_version: str | None
    makes: str
    before: Grid
    after: Grid
    seconds: float
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    methods: str = ""
    citations: tuple[Citation, ...] = ()
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    pulled: Transform | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without pictures."""
        return {
            "step": self.name,
            "parameters": named(self.parameters),
            "engine": self.engine,
            "engine_version": self.engine_version,
            "makes": self.makes,
            "grid_before": self.before.to_dict(),
            "grid_after": self.after.to_dict(),
            **({"after_to_before_ras_mm": self.pulled.matrix.tolist()} if self.pulled else {}),
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
            "facts": {k: v for k, v in self.facts.items() if k != FITTED},
            "citations": [c.doi for c in self.citations],
        }


def scores_of(steps: Iterable[StepRecord]) -> dict[str, float]:
    """The scores that steps gave their own results, 0 to 1: ``registration``, ``brain``."""
    found: dict[str, float] = {}
    for step in steps:
        for name, fact in step.facts.items():
            score = fact.get("score") if isinstance(fact, Mapping) else None
            if name.endswith("_score"):
                score = fact
            if isinstance(score, int | float):
                found[name.removesuffix("_score")] = round(float(score), 4)
    return found


def voxel_hash(volume: Volume) -> str:
    """SHA-256 of a volume's shape, affine and voxels (C order), as a file holds them.

    Whole numbers count as int64, others and the affine as float32, so that a
    volume has one hash in memory and when it is read back from a NIfTI.
    """
    kind = np.dtype("<f4" if volume.data.dtype.kind == "f" else "<i8")
    digest = hashlib.sha256(str((kind.str, volume.shape)).encode())
    digest.update(volume.affine.astype("<f4").tobytes())
    for slab in volume.data:  # one at a time: a whole volume of int64 would be large
        digest.update(np.ascontiguousarray(slab, dtype=kind).data)
    return digest.hexdigest()


#: The folders of an absolute path (or of one from home) within a text.
_FOLDERS = re.compile(r"""(?<![\w.:/\\])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'"<>|:,;()]+[/\\])+""")


def public(data: Any, folders: Iterable[Path] = ()) -> Any:
    """Plain data for a record that others will read: files by name alone, no NaN.

    Paths tell who works where. Numbers that are not finite become None, since
    JSON has no word for them.

    Parameters
    ----------
    data : mappings, sequences, texts, numbers
        What to write.
    folders : iterable of Path
        Folders that are known to be spoken of, for names with spaces.
    """
    known = [f"{f}{os.sep}" for f in _folders(folders) if len(f.parts) > 1]
    known.sort(key=len, reverse=True)

    def plain(value: Any) -> Any:
        match value:
            case str():
                for folder in known:
                    value = value.replace(folder, "")
                return _FOLDERS.sub("", value)
            case Path():
                return value.name
            case Mapping():
                return {str(k): plain(v) for k, v in value.items()}
            case list() | tuple():
                return [plain(v) for v in value]
            case np.ndarray() | np.generic():
                return plain(value.tolist())
            case float() if not math.isfinite(value):
                return None
        return value

    return plain(data)


def _folders(folders: Iterable[Path]) -> Iterator[Path]:
    """Folders that are known to be spoken of: those, the user's, the one at work."""
    yield from folders
    if (own := home()) is not None:
        yield own
    with contextlib.suppress(OSError):  # it may have been removed
        yield Path.cwd()


def named(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with files by name alone."""
    return {
        k: re.split(r"[/\\]", v)[-1] if isinstance(v, str) else v for k, v in parameters.items()
    }


def methods_text(steps: tuple[StepRecord, ...], version: str) -> str:
    """The methods paragraph of what was done."""
    sentences = [f"Images were preprocessed with mriprep {version}."]
    sentences += [s.methods for s in steps if s.methods]
    return " ".join(sentences)


def references(steps: tuple[StepRecord, ...]) -> list[Citation]:
    """The papers behind what was done, each once, in order of use."""
    return list({c.key: c for s in steps for c in s.citations}.values())
