"""The guide's own chain of calls against mriprep's, same scan, a process each, step by step.

    python benchmarks/guide_chain.py [SCAN] [--template HEAD] [--short]

The chain is what a practitioner writes by hand: itk-elastix (Slicer's rigid
preset), a resampling to 1 mm, deepbet's own package where it can be imported,
SimpleITK's N4 at full resolution with 4 x 100 iterations, scipy's median
filter, z-scores, an Otsu threshold, rescaling, 64 bins, slices as PNG. Where ANTsPy is installed, the
same with its rigid registration, resampling and N4 is run as well. Without a SCAN, a digital
head is simulated. `--short` works at 4 mm. What is printed is seconds and
their ratio; only ratios mean something on a machine that others use as well.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

Timings = dict[str, float]


def timed(timings: Timings, name: str, function: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    result = function()
    timings[name] = timings.get(name, 0.0) + time.perf_counter() - began
    return result


def alone(chain: Callable[..., Timings], *given: Any) -> Timings:
    """A chain in a process of its own, so that none finds imported what another one had to import."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(chain, *given).result()


def by_hand(scan: Path, template: Path, folder: Path, spacing: float) -> Timings:
    """The chain, written out as a guide would have it (but keeping its geometry)."""
    t: Timings = {}

    def load_itk() -> Any:
        import itk

        return itk, itk.ParameterObject.New()  # the lazy loader's first use is part of the cost

    itk, parameters = timed(t, "import", load_itk)

    def register() -> tuple[Any, Any]:
        fixed = itk.imread(str(template), itk.F)
        moving = itk.imread(str(scan), itk.F)
        preset = parameters.GetDefaultParameterMap("rigid", 4)
        preset["MaximumNumberOfIterations"] = ["250"]
        preset["NumberOfSpatialSamples"] = ["2048"]
        preset["NewSamplesEveryIteration"] = ["true"]
        preset["AutomaticTransformInitialization"] = ["true"]
        preset["FinalBSplineInterpolationOrder"] = ["3"]
        preset["ResultImagePixelType"] = ["float"]
        parameters.AddParameterMap(preset)
        return itk.elastix_registration_method(
            fixed, moving, parameter_object=parameters, log_to_console=False
        )

    registered, _ = timed(t, "register", register)
    import SimpleITK as sitk

    def rescale() -> Any:
        array = itk.array_from_image(registered)
        image = sitk.GetImageFromArray(np.maximum(array, 0))
        image.SetSpacing([float(s) for s in registered.GetSpacing()])
        size = [
            int(np.ceil(n * s / spacing))
            for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)
        ]
        return sitk.Resample(
            image, size, sitk.Transform(), sitk.sitkBSpline, image.GetOrigin(), (spacing,) * 3,
            image.GetDirection(), 0.0, sitk.sitkFloat32,
        )  # fmt: skip

    image = timed(t, "resample", rescale)
    mask = timed(t, "skullstrip", lambda: _deepbet_package(sitk.GetArrayFromImage(image)))

    def n4() -> Any:
        positive = sitk.Maximum(image, 0.0)
        otsu = sitk.OtsuThreshold(positive, 0, 1, 200)
        corrector = sitk.N4BiasFieldCorrectionImageFilter()
        corrector.SetMaximumNumberOfIterations([100] * 4)
        return corrector.Execute(positive, otsu)

    corrected = sitk.GetArrayFromImage(timed(t, "n4", n4))
    _to_slices(t, corrected, mask, folder / "by-hand")
    return t


def by_ants(scan: Path, template: Path, folder: Path, spacing: float) -> Timings:
    """The chain with what ANTsPy has for it: rigid registration, resampling, N4 as it is by default."""
    t: Timings = {}

    def load() -> Any:
        import ants

        return ants

    ants = timed(t, "import", load)

    def register() -> Any:
        fixed, moving = ants.image_read(str(template)), ants.image_read(str(scan))
        return ants.registration(fixed, moving, type_of_transform="Rigid")["warpedmovout"]

    registered = timed(t, "register", register)
    image = timed(
        t, "resample", lambda: ants.resample_image(registered, (spacing,) * 3, False, interp_type=4)
    )
    mask = timed(t, "skullstrip", lambda: _deepbet_package(image.numpy().T.copy()))

    def n4() -> Any:
        positive = image * (image > 0)
        return ants.n4_bias_field_correction(positive, mask=ants.get_mask(positive))

    corrected = timed(t, "n4", n4).numpy().T.copy()
    _to_slices(t, corrected, mask, folder / "by-ants")
    return t


def _to_slices(t: Timings, corrected: np.ndarray, mask: np.ndarray, out: Path) -> None:
    """The end of both chains: filters, z-scores, bins, slices as PNG. Arrays are (z, y, x)."""

    def filters() -> Any:
        from scipy.signal import medfilt

        return medfilt(corrected, 3)

    smooth = timed(t, "denoise", filters)

    def intensities() -> Any:
        from skimage.filters import threshold_otsu

        clean = np.where(smooth > threshold_otsu(smooth), smooth, 0)
        z = (clean - clean[mask].mean()) / clean[mask].std()
        low, high = np.percentile(z, (0.5, 99.5))
        scaled = np.clip((z - low) / (high - low), 0, 1) * mask
        return np.digitize(scaled, np.linspace(0, 1, 65)[1:-1])

    binned = timed(t, "intensities", intensities)

    def slices() -> None:
        from PIL import Image

        out.mkdir()
        for k in range(binned.shape[0]):
            if (binned[k] > 0).mean() > 0.01:
                Image.fromarray((binned[k] * 4).astype(np.uint8)).save(out / f"{k:04d}.png")

    timed(t, "slices and files", slices)


def _deepbet_package(array: np.ndarray) -> np.ndarray:
    """Deepbet's own code where its package can be imported (it loads a GUI), else ours, said so."""
    import nibabel as nib

    try:
        from deepbet.bet import BrainExtraction
    except ImportError as error:
        print(f"  (deepbet's package cannot be imported here: {error}; its nets run by mriprep)")
        import mriprep as mp

        return np.asarray(mp.skullstrip(mp.Volume(array.T, np.diag([-1.0, -1, 1, 1]))).data).T
    # its command-line class, fed an image in memory: axes x, y, z, LPS as ITK has them
    nifti = nib.Nifti1Image(array.T, np.diag([-1.0, -1.0, 1.0, 1.0]))
    _, mask, _ = BrainExtraction(no_gpu=True).run(nifti)
    return np.asarray(mask.dataobj).T > 0


def ours(scan: Path, template: Path, folder: Path, spacing: float) -> Timings:
    """`mriprep run --recipe guide` from Python, timed by its own record."""
    t: Timings = {}

    def load() -> Any:
        import mriprep

        return mriprep

    mp = timed(t, "import", load)
    pipeline = mp.recipe("guide").set(register__template=str(template), resample__spacing=spacing)
    case = timed(t, "slices and files", lambda: mp.read_case(scan, name="benchmark"))
    began = time.perf_counter()
    run = pipeline(case)
    inside = time.perf_counter() - began
    names = {"background": "intensities", "zscore": "intensities", "rescale": "intensities",
             "apply_mask": "intensities", "bins": "intensities", "slices": "slices and files"}  # fmt: skip
    for step in run.outcome.steps:
        name = names.get(step.name, step.name)
        t[name] = t.get(name, 0.0) + step.seconds
    t["bookkeeping"] = inside - sum(s.seconds for s in run.outcome.steps)
    timed(t, "slices and files", lambda: run.write(folder / "out"))
    timed(t, "report", lambda: run.report(folder / "report.html"))
    return t


def table(hand: Timings, ants: Timings | None, us: Timings) -> str:
    columns = {"by hand, s": hand, **({"ANTsPy, s": ants} if ants else {}), "mriprep, s": us}
    rows = [f"{'step':<18}" + "".join(f"{name:>12}" for name in columns) + f"{'ratio':>9}"]
    for name in dict.fromkeys(n for c in columns.values() for n in c):
        cells = [c.get(name) for c in columns.values()]
        a, b = hand.get(name), us.get(name)
        rows.append(
            f"{name:<18}"
            + "".join(f"{'' if v is None else f'{v:.2f}':>12}" for v in cells)
            + f"{f'{a / b:.1f}' if a is not None and b else '':>9}"
        )
    totals = [sum(c.values()) for c in columns.values()]
    ratio = f"{totals[0] / totals[-1]:>9.1f}"
    rows.append(f"{'total':<18}" + "".join(f"{v:>12.2f}" for v in totals) + ratio)
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", nargs="?", type=Path, help="a T1w head; a digital one without")
    parser.add_argument("--template", type=Path, help="a whole head; the digital one without")
    parser.add_argument("--short", action="store_true", help="everything at 4 mm")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    import mriprep as mp
    from mriprep.phantom import head, template

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spacing = 4.0 if arguments.short else 1.0
        scan = arguments.scan
        if scan is None:
            phantom = head("T1w", spacing=spacing, rotation=(5, -4, 8), bias=0.3, seed=1)
            scan = mp.write(phantom.image, folder / "sub-phantom_T1w.nii.gz")
        head_template = arguments.template or mp.write(
            template("T1w", spacing=spacing), folder / "template.nii.gz"
        )
        print(f"scan: {scan.name}; template: {head_template.name}")
        given = scan, head_template, folder, spacing
        hand = alone(by_hand, *given)
        with_ants = None
        if importlib.util.find_spec("ants"):
            with_ants = alone(by_ants, *given)
        else:
            print("ANTsPy is not installed (pip install antspyx): its column is left out")
        us = alone(ours, *given)
        print(table(hand, with_ants, us))


if __name__ == "__main__":
    main()
