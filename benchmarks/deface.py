"""How much of a face is removed, and what of the brain: the digital head, other tools, real scans.

    python benchmarks/deface.py
    python benchmarks/deface.py --contrasts T1w --spacing 3
    python benchmarks/deface.py SCAN [SCAN ...] --pictures FOLDER

Of the digital head: shares of the face's and the ears' surface that are gone,
voxels of the brain (the truth's) that were changed, faces that a detector
finds in the rendered head (scikit-image's cascade, trained by OpenCV), and
seconds of the clock and of all processors. Every tool is given the true brain.
Quickshear (BSD) is compared where it is installed (`pip install quickshear`);
pydeface (MIT) where it and FSL are, whose FLIRT it calls. Of real scans: the
same without a truth, with pictures to be looked at, which show faces and
belong outside of the repository.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

import mriprep as mp
from mriprep.declare import keeping
from mriprep.qc import faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="*", type=Path)
    parser.add_argument("--spacing", type=float, default=2.0)
    parser.add_argument("--contrasts", nargs="+", default=["T1w", "T2w", "FLAIR"])
    parser.add_argument("--pictures", type=Path, help="folder, outside of the repository")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.scans:
        for path in given.scans:
            real(path, given.pictures)
        return
    made = phantom("T1w", 4.0)  # compiles what is compiled
    mp.deface(made.image, made.brain)
    print(
        f"{'':7}{'':16}{'face':>8}{'ears':>8}{'brain voxels':>14}{'detected':>10}{'s':>7}{'cpu':>7}"
    )
    for contrast in given.contrasts:
        compare(contrast, given.spacing, given.pictures)


def phantom(contrast: str, spacing: float) -> Any:
    from mriprep.phantom import head

    how = {"spacing": spacing, "noise": 0.02, "rotation": (5, -4, 7), "orientation": "LAS"}
    return head(contrast, labels=False, dtype="int16", **how)


def compare(contrast: str, spacing: float, pictures: Path | None) -> None:
    made = phantom(contrast, spacing)
    image, pose = made.image, np.asarray(made.pose.matrix)
    upright = faces.upright(image, pose)
    threshold = faces.level(upright.floats())
    print(f"{contrast:7}{'(before)':16}{detected(upright, threshold):40}")
    for name, tool in tools(made):
        clock, processor = time.perf_counter(), time.process_time()
        done = tool()
        took = time.perf_counter() - clock, time.process_time() - processor
        shares = faces.removed(image, done, pose)
        touched = int((np.asarray(done.data) != image.data)[made.brain.data].sum())
        found = detected(faces.upright(done, pose), threshold)
        print(
            f"{contrast:7}{name:16}{shares['face']:8.3f}{shares['ears']:8.3f}{touched:14}{found:10}"
            f"{took[0]:7.1f}{took[1]:7.1f}",
            flush=True,
        )
        if pictures:
            faces.picture(image, done, pictures / f"{contrast}_{name}.png", pose)


def tools(made: Any) -> Iterator[tuple[str, Callable[[], mp.Volume]]]:
    """What there is to compare, by name."""
    for method in ("blank", "blur", "shear"):
        yield method, lambda m=method: mp.deface(made.image, made.brain, method=m)
    try:
        import quickshear
    except ImportError:
        print("       quickshear      left out: not installed")
    else:

        def sheared() -> mp.Volume:
            # It takes a mask in the scan's own orientation, and gives an image of nibabel's.
            pair = (
                nib.Nifti1Image(np.asarray(v.data).astype(np.int16), v.affine)
                for v in (made.image, made.brain)
            )
            done = quickshear.quickshear(*pair)
            return made.image.replace(np.asarray(done.dataobj).astype(np.int16))

        yield "quickshear", sheared
    if shutil.which("pydeface") and shutil.which("flirt"):
        yield "pydeface", lambda: pydeface(made.image)
    else:
        print("       pydeface        left out: it and FSL's flirt are not both installed")


def pydeface(image: mp.Volume) -> mp.Volume:
    with tempfile.TemporaryDirectory() as folder:
        scan, out = Path(folder, "scan.nii.gz"), Path(folder, "out.nii.gz")
        mp.write(image, scan)
        subprocess.run(["pydeface", scan, "--outfile", out], check=True, capture_output=True)
        return mp.read(out)


def detected(head: mp.Volume, threshold: float) -> int:
    """How many faces a cascade of local binary patterns finds in the rendered head."""
    import skimage
    from skimage.feature import Cascade

    detector = Cascade(skimage.data.lbp_frontal_face_cascade_filename())
    colours = np.repeat(np.pad(faces.render(head, threshold), 40)[..., None], 3, axis=2)
    sizes = {"min_size": (60, 60), "max_size": (220, 220)}
    return len(detector.detect_multi_scale(colours, scale_factor=1.1, step_ratio=1, **sizes))


def real(path: Path, pictures: Path | None) -> None:
    image = mp.read(path)
    clock, processor = time.perf_counter(), time.process_time()
    with keeping() as kept:
        done = mp.deface(image)
    took = time.perf_counter() - clock, time.process_time() - processor
    facts = kept["defaced"]
    said = {k: v for k, v in facts.items() if not isinstance(v, list)}
    print(
        f"{path.name}: {image.grid}\n  {said}, {took[0]:.1f} s, {took[1]:.1f} s of all processors"
    )
    if "template_to_scan_ras_mm" not in facts:
        return
    pose = np.asarray(facts["template_to_scan_ras_mm"])
    print(f"  {faces.removed(image, done, pose)}")
    threshold = faces.level(faces.upright(image, pose).floats())
    found = [detected(faces.upright(v, pose), threshold) for v in (image, done)]
    print(f"  faces detected before {found[0]}, after {found[1]}", flush=True)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        name = f"{path.parent.name}_{path.name.split('.')[0]}.png"
        faces.picture(image, done, pictures / name, pose)


if __name__ == "__main__":
    main()
