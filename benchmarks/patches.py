"""Random patches for training: from compressed NIfTI, zarr and HDF5, one after another in one process.

    python benchmarks/patches.py                       # three phantoms at 1 mm, patches of 96³
    python benchmarks/patches.py --out OUT --labels brain --contrasts T1w    # what `mriprep run` wrote

Every way of reading gets the same places. What is told is processor time a patch, in milliseconds
(wall time beside it, which lies where others use the machine), and how many times faster than
nibabel reads the file. All is in the page cache: on a cold disk what is compressed gains.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import mriprep as mp

Read = Callable[[str, tuple[slice, slice, slice]], Any]

RECIPE = {
    "name": "plain",
    "title": "Background out, z-scores",
    "steps": [{"background": {"output": "mask"}}, "zscore", "apply_mask"],
}


def phantoms(folder: Path, number: int) -> Path:
    """Whole heads at 1 mm."""
    from mriprep.phantom import head

    for seed in range(number):
        drawn = head("T1w", spacing=1.0, seed=seed, rotation=(2.0 * seed, 0, 3.0), labels=False)
        scan = drawn.image.replace(contrast="T1w")
        case = mp.Case(f"sub-{seed + 1:02d}", {"T1w": scan})
        mp.recipe(RECIPE)(case).write(folder)
    return folder


def by_nibabel(items: dict[str, Any]) -> Read:
    import nibabel

    def read(case: str, at: tuple[slice, slice, slice]) -> Any:
        paths = items[case].images.values()
        return np.stack([np.asanyarray(nibabel.load(p).dataobj)[at] for p in paths])

    return read


def by_mriprep(items: dict[str, Any]) -> Read:
    from mriprep.io.images import read_image

    def read(case: str, at: tuple[slice, slice, slice]) -> Any:
        return np.stack([read_image(p).data[at] for p in items[case].images.values()])

    return read


def by_zarr(folder: Path) -> Read:
    import zarr

    root = zarr.open_group(str(folder / "dataset.zarr"), mode="r")
    arrays = {case: root[f"{case}/0"] for case in root.attrs["mriprep"]["cases"]}
    return lambda case, at: arrays[case][(slice(None), *at)]


def by_hdf5(folder: Path) -> Read:
    import h5py

    file = h5py.File(folder / "dataset.h5", "r")
    return lambda case, at: file[f"{case}/image"][(slice(None), *at)]


def by_dataset(folder: Path) -> Read:
    """As mriprep.torch.Dataset reads them."""
    from mriprep.export.stores import open_store

    store = open_store(folder)
    return lambda case, at: store.read(case, "image", at)


def places(shapes: dict[str, tuple[int, ...]], edge: int, seed: int) -> Iterator[Any]:
    draw = np.random.default_rng(seed)
    cases = list(shapes)
    while True:
        case = cases[int(draw.integers(len(cases)))]
        starts = [int(draw.integers(0, max(n - edge, 0) + 1)) for n in shapes[case]]
        yield case, tuple(slice(s, s + edge) for s in starts)


def measure(read: Read, wanted: list[Any], kept: list[Any]) -> tuple[float, float]:
    """Processor and wall time a patch, s; what is read must be what was read before."""
    read(*wanted[0])
    cpu, wall = [], []
    for number, (case, at) in enumerate(wanted):
        begun = time.process_time(), time.perf_counter()
        patch = np.asarray(read(case, at))
        cpu.append(time.process_time() - begun[0])
        wall.append(time.perf_counter() - begun[1])
        if number < 3:
            if len(kept) <= number:
                kept.append(patch)
            assert np.array_equal(patch, kept[number]), "another patch"
    return float(np.median(cpu)), float(np.median(wall))


def size(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="what `mriprep run` wrote; phantoms without it")
    parser.add_argument("--contrasts", type=lambda t: t.split(","), help="of --out")
    parser.add_argument("--labels", help="of --out")
    parser.add_argument("--cases", type=int, default=3, help="phantoms")
    parser.add_argument("--edge", type=int, default=96, help="of a patch, voxels")
    parser.add_argument("--patches", type=int, default=25, help="of each way of reading")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        out = given.out or phantoms(home / "out", given.cases)
        chosen = {"contrasts": given.contrasts, "labels": given.labels}
        items = {i.case: i for i in mp.export.collect(out, **chosen)}
        ways: dict[str, tuple[Read, float]] = {}
        files = sum(p.stat().st_size for i in items.values() for p in i.images.values()) / 1e6
        ways["nii.gz, nibabel"] = by_nibabel(items), files
        ways["nii.gz, mriprep"] = by_mriprep(items), files
        for to, reader in (("zarr", by_zarr), ("hdf5", by_hdf5)):
            for compress in (True, False):
                name = f"{to}, {'packed' if compress else 'plain'}"
                folder = mp.export(
                    out, to=to, output=home / name, compress=compress, passed_only=False, **chosen
                ).folder
                ways[name] = reader(folder), size(folder)
                if to == "zarr":
                    ways[f"{name}, mriprep.torch"] = by_dataset(folder), size(folder)
        shapes = {c: mp.read(next(iter(i.images.values()))).shape for c, i in items.items()}
        drawn = places(shapes, given.edge, 0)
        wanted = [next(drawn) for _ in range(given.patches)]
        kept: list[Any] = []
        first = 0.0
        print(f"{len(items)} cases, patches of {given.edge}³, median of {given.patches}")
        print(f"{'':<28}{'ms (CPU)':>9}{'ms (wall)':>10}{'faster':>8}{'MB':>8}")
        for name, (read, mb) in ways.items():
            cpu, wall = measure(read, wanted, kept)
            first = first or cpu
            print(f"{name:<28}{1e3 * cpu:9.1f}{1e3 * wall:10.1f}{first / cpu:7.1f}x{mb:8.0f}")


if __name__ == "__main__":
    main()
