"""How fast a dump of DICOM is scanned: mriprep, pydicom in a plain loop, dcm2niix.

    python benchmarks/scan.py [--full] [--processes 2] [--rounds 3]

Writes 4,000 (with --full 40,000) small synthetic MR files into a temporary folder: people of two sessions with a T1w,
a FLAIR and a T2w each, in one flat folder without extensions; headers as a phantom's, with a private block of 8 kB as scanners add.
They are read in turn, the page cache warm, and the best round of each counts; on a machine that others use, the ratio of processor
time (children's included) says more than the ratio of the clock:

- `mriprep scan`: headers, series, geometry, contrast, verdict and choice, in one and in several processes (whose start counts);
- `pydicom.dcmread(file, stop_before_pixels=True)` in a loop, which makes nothing of what it reads;
- `dcm2niix -n -1`, which lists the series and converts none.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import dcm2niix
import numpy as np
import pydicom

from mriprep.cases.choice import choose_best
from mriprep.io.dicom_dump import read_dump
from mriprep.phantom import head, write_dicom

SLICES = 100
CONTRASTS = ("T1w", "FLAIR", "T2w")


def write_dump(folder: Path, count: int) -> None:
    """Write about `count` files."""
    with tempfile.TemporaryDirectory() as scratch:
        patterns = {}
        for contrast in CONTRASTS:
            image = head(contrast=contrast, spacing=12.0)
            series = write_dicom(image, Path(scratch) / contrast)
            ds = pydicom.dcmread(sorted(series.iterdir())[0])
            ds.PatientID, ds.StudyInstanceUID = "PERSON00000", "1.2.826.0.1.11111111"
            ds.SeriesInstanceUID = "1.2.826.0.1.22222222"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.33333333"
            ds.ImageOrientationPatient, ds.SliceThickness = [1, 0, 0, 0, 1, 0], 1
            ds.ImagePositionPatient = ["0", "0", "44444.5"]
            ds.InstanceNumber, ds.SeriesNumber = "55555", 1 + CONTRASTS.index(contrast)
            block = ds.private_block(0x0029, "BENCHMARK", create=True)
            block.add_new(0x10, "OB", bytes(8192))
            target = Path(scratch) / "one"
            ds.save_as(target)
            patterns[contrast] = target.read_bytes()
    for number in range(math.ceil(count / SLICES)):
        session, contrast = divmod(number, len(CONTRASTS))
        person = session // 2
        series = (
            patterns[CONTRASTS[contrast]]
            .replace(b"PERSON00000", f"PERSON{person:05d}".encode())
            .replace(b"11111111", f"{10000000 + session}".encode())
            .replace(b"22222222", f"{20000000 + number}".encode())
        )
        for k in range(SLICES):
            one = (
                series.replace(b"33333333", f"{30000000 + number * SLICES + k}".encode())
                .replace(b"44444.5", f"{k:05d}.0".encode())
                .replace(b"55555", f"{k + 1:05d}".encode())
            )
            (folder / f"{number * SLICES + k:08d}").write_bytes(one)


def ours(folder: Path, processes: int) -> int:
    found = read_dump(folder, processes=processes)
    taken = [c for c in choose_best(found) if c.taken]
    assert len(taken) == len(found), "every series is the best of its session"
    return sum(len(s.files) for s in found)


def loop(folder: Path) -> int:
    count = 0
    for file in sorted(folder.iterdir()):
        pydicom.dcmread(file, stop_before_pixels=True)
        count += 1
    return count


def theirs(folder: Path) -> int:
    command = [dcm2niix.bin, "-g", "i", "-n", "-1", "-f", "%s", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Found" in done.stdout, done.stdout
    return int(done.stdout.partition("Found ")[2].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="40,000 files")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="mriprep-scan-"))
    ways: dict[str, Callable[[], int]] = {
        "mriprep, 1 process": lambda: ours(folder, 1),
        f"mriprep, {given.processes} processes": lambda: ours(folder, given.processes),
        "pydicom in a loop": lambda: loop(folder),
        "dcm2niix -n -1": lambda: theirs(folder),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    try:
        write_dump(folder, 40_000 if given.full else 4_000)
        files = len(os.listdir(folder))
        size = np.mean([f.stat().st_size for f in list(folder.iterdir())[:100]])
        print(f"{files} files of {size / 1000:.1f} kB")
        for _ in range(given.rounds):
            for name, way in ways.items():
                began, used = time.perf_counter(), processor_seconds()
                assert way() == files, name
                seconds[name].append(time.perf_counter() - began)
                busy[name].append(processor_seconds() - used)
    finally:
        shutil.rmtree(folder)
    base, used = (min(of["pydicom in a loop"]) for of in (seconds, busy))
    print(
        f"{'':24} {'files/s':>8} {'s':>7} {'x the loop':>11} {'processor s':>12} {'x the loop':>11}"
    )
    for name in ways:
        best, work = min(seconds[name]), min(busy[name])
        print(
            f"{name:24} {files / best:8.0f} {best:7.2f} {base / best:11.1f}"
            f" {work:12.2f} {used / work:11.1f}"
        )


def processor_seconds() -> float:
    """Of this process and of those that it waited for."""
    mine, children = (
        resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
