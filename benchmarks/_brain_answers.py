"""What brain engines make of scans, kept on disk so that two benchmarks need not ask twice."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _brain_scans import Scan

from mriprep import engines
from mriprep.core import MriprepError


class Answer(NamedTuple):
    """Probability (X, Y, Z) of being brain, or None where the engine gave up; what it took."""

    probability: np.ndarray | None
    seconds: float
    why: str = ""


def answer(engine: str, scan: Scan, cache: Path | None) -> Answer:
    """Ask an engine, or read what it said before of the same voxels."""
    image = scan.image.replace(np.nan_to_num(scan.image.floats()))
    file = None
    if cache is not None:
        digest = hashlib.sha256(np.ascontiguousarray(image.data)).hexdigest()[:12]
        file = cache / f"{scan.name}_{scan.contrast}_{engine}_{digest}.npz"
        if file.is_file():
            with np.load(file) as kept:
                values = kept["probability"].astype(np.float32) / 255
                return Answer(values if values.size else None, float(kept["seconds"]))
    began = time.perf_counter()
    try:
        found = engines.load("brain", engine).probability(image, device="cpu")
        result = Answer(np.asarray(found.data, np.float32), time.perf_counter() - began)
    except MriprepError as error:
        result = Answer(None, time.perf_counter() - began, error.message)
    if file is not None:
        cache.mkdir(parents=True, exist_ok=True)
        values = np.zeros(0) if result.probability is None else result.probability
        np.savez_compressed(
            file,
            probability=np.round(np.asarray(values) * 255).astype(np.uint8),
            seconds=result.seconds,
        )
    return result
