"""What was done: one record a step, one a run, as plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .core import Grid, MriprepError, Volume
from .declare import Citation
from .snapshot import Snapshot


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

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without pictures."""
        return {
            "step": self.name,
            "parameters": dict(self.parameters),
            "engine": self.engine,
            "engine_version": self.engine_version,
            "makes": self.makes,
            "grid_before": self.before.to_dict(),
            "grid_after": self.after.to_dict(),
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
            "facts": dict(self.facts),
            "citations": [c.doi for c in self.citations],
        }


def voxel_hash(volume: Volume) -> str:
    """SHA-256 of a volume's voxels (their type and values, in C order), shape and affine."""
    digest = hashlib.sha256()
    digest.update(str((volume.data.dtype.str, volume.shape)).encode())
    digest.update(np.round(volume.affine, 6).tobytes())
    digest.update(np.ascontiguousarray(volume.data).data)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def methods_text(steps: tuple[StepRecord, ...], version: str) -> str:
    """The methods paragraph of what was done."""
    sentences = [f"Images were preprocessed with mriprep {version}."]
    sentences += [s.methods for s in steps if s.methods]
    return " ".join(sentences)


def references(steps: tuple[StepRecord, ...]) -> list[Citation]:
    """The papers behind what was done, each once, in order of use."""
    return list({c.key: c for s in steps for c in s.citations}.values())
