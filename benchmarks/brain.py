"""Brain extraction: every engine that is there, on every scan that is there.

    MRIPREP_TEST_DATA=... python benchmarks/brain.py [--engines deepbet auto] [--scans T1w FLAIR]
        [--names tcga sub-01] [--cache FOLDER] [--pictures FOLDER] [--phantoms-only] [--border MM]

Prints, by engine and contrast, Dice, the 95th percentile of the distance between the surfaces
(mm), the error of the volume, seconds and memory, as a table in Markdown, and a line for each scan. Masks that
came with real scans were made by other tools: `dlmuse` is the intracranial volume, with the fluid around the brain.
Phantoms have true masks. `package` is deepbet's own package, where it can be imported.

`--pictures` draws outlines of each scan into a folder. Real heads are among them: keep it outside of
the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _brain_answers import Answer, answer
from _brain_pictures import draw
from _brain_scans import Scan, phantoms, real
from scipy import ndimage

from mriprep import engines
from mriprep.core import Grid, MriprepError
from mriprep.steps import _brain
from mriprep.steps._brain_mask import moved, one_piece, overlap


def surface_distance(a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...]) -> float:
    """95th percentile of the distances from each mask's surface to the other's, mm, symmetric."""
    both = np.argwhere(a | b)
    box = tuple(slice(max(0, i - 2), j + 3) for i, j in zip(both.min(0), both.max(0), strict=True))
    a, b = a[box], b[box]
    edges = [m & ~ndimage.binary_erosion(m, border_value=1) for m in (a, b)]
    far = [
        ndimage.distance_transform_edt(~other, sampling=spacing)[edge]
        for edge, other in (edges, edges[::-1])
    ]
    return float(max(np.percentile(f, 95) for f in far))


def scans(given: argparse.Namespace) -> Iterator[Scan]:
    data = os.environ.get("MRIPREP_TEST_DATA")
    if data and not given.phantoms_only:
        yield from real(Path(data))
    yield from phantoms(given.spacing)


def asked(engine: str, scan: Scan, cache: Path | None) -> Answer:
    """An engine, deepbet's package, or the step's `auto`."""
    if engine not in ("package", "auto"):
        return answer(engine, scan, cache)
    began = time.perf_counter()
    try:
        if engine == "auto":
            import mriprep as mp

            mask = mp.skullstrip(scan.image, contrast=scan.contrast, device="cpu").data
        else:
            mask = _package(scan)
    except MriprepError as error:
        return Answer(None, time.perf_counter() - began, error.message)
    return Answer(np.asarray(mask, np.float32), time.perf_counter() - began)


def _package(scan: Scan) -> np.ndarray:
    import nibabel as nib
    from deepbet.bet import BrainExtraction

    # its command-line class, fed an image in memory
    nifti = nib.Nifti1Image(np.nan_to_num(scan.image.floats()), scan.image.affine)
    _, mask, _ = BrainExtraction(no_gpu=True).run(nifti)
    return np.asarray(mask.dataobj) > 0


def measure(engine: str, given: argparse.Namespace) -> None:
    """One engine, in a process of its own: a line of JSON for each scan."""
    warnings.simplefilter("ignore")
    for scan in scans(given):
        if given.scans and scan.contrast not in given.scans:
            continue
        if given.names and scan.name not in given.names:
            continue
        found = asked(engine, scan, given.cache)
        row = {"engine": engine, "scan": scan.name, "contrast": scan.contrast,
               "source": scan.source, "seconds": found.seconds, "why": found.why}  # fmt: skip
        mask = None
        if found.probability is not None:
            mask = one_piece(found.probability > given.threshold)
            if given.border:
                mask = one_piece(moved(mask, scan.image.grid, given.border))
        if mask is not None and scan.mask is not None:
            true = np.asarray(scan.mask.data)
            row["dice"] = overlap(mask, true)
            row["hd95"] = surface_distance(mask, true, scan.image.spacing) if mask.any() else np.inf
            row["volume_error"] = float(mask.sum() / true.sum() - 1)
        if mask is not None:
            row["ml"] = _ml(mask, scan.image.grid)
        row["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(row), flush=True)
        if given.pictures is not None and mask is not None:
            draw(scan, mask, given.pictures / f"{scan.name}_{scan.contrast}_{engine}.png")


def _ml(mask: np.ndarray, grid: Grid) -> float:
    return float(mask.sum()) * grid.voxel_volume / 1000


def table(rows: list[dict]) -> Iterator[str]:
    """Markdown: a line an engine and contrast; real scans and phantoms apart."""
    yield "| engine | scans | n | Dice mean | least | HD95 mm | volume | s |"
    yield "|---|---|---|---|---|---|---|---|"
    for engine in dict.fromkeys(r["engine"] for r in rows):
        for truth in (False, True):
            for contrast in ("T1w", "T1c", "T2w", "FLAIR", "PDw"):
                these = [
                    r for r in rows
                    if r["engine"] == engine and r["contrast"] == contrast and r["source"]
                    and (r["source"] == "true") == truth
                ]  # fmt: skip
                if not these:
                    continue
                dice = [r.get("dice", 0.0) for r in these]
                far = np.mean([r.get("hd95", np.inf) for r in these])
                volume = np.mean([r.get("volume_error", np.nan) for r in these])
                seconds = np.median([r["seconds"] for r in these])
                kind = "phantoms" if truth else "heads"
                yield (
                    f"| {engine} | {contrast} {kind} | {len(these)} | {np.mean(dice):.3f} |"
                    f" {min(dice):.3f} | {far:.1f} | {volume:+.1%} | {seconds:.1f} |"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    there = [n for n in engines.names("brain") if _brain.ready(n)]
    parser.add_argument("--engines", nargs="+", default=["package", *there, "auto"])
    parser.add_argument("--scans", nargs="+", help="contrasts")
    parser.add_argument("--names", nargs="+", help="of scans: tcga, sub-01, phantom-2y")
    parser.add_argument("--cache", type=Path, help="where engines' answers are kept")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--phantoms-only", action="store_true")
    parser.add_argument("--spacing", type=float, default=2.0, help="of the phantoms, mm")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--border", type=float, default=0.0, help="mm")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        measure(given.only, given)
        return
    rows = []
    for engine in given.engines:
        child = [sys.executable, __file__, "--only", engine, *sys.argv[1:]]
        with subprocess.Popen(child, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                row = json.loads(line)
                rows.append(row)
                told = "  ".join(
                    f"{k} {row[k]:.3f}" for k in ("dice", "hd95", "volume_error") if k in row
                )
                print(
                    f"{engine:<10} {row['scan']:<14} {row['contrast']:<6} {told or row['why']}"
                    f"  {row['seconds']:.1f} s",
                    flush=True,
                )
        if process.returncode:
            print(f"{engine}: gave up")
    print("", *table(rows), sep="\n")
    for engine in dict.fromkeys(r["engine"] for r in rows):
        peak = max(r["mb"] for r in rows if r["engine"] == engine)
        print(f"{engine}: at most {peak:.0f} MB in all")


if __name__ == "__main__":
    main()
