"""An engine called in a process of its own: seconds, and the transform to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mriprep.core import Transform, Volume


class Timed(NamedTuple):
    """Seconds of a call (the quickest of several), of all processors, and of the whole process."""

    call: float
    processor: float
    process: float
    matrix: np.ndarray


def timed(
    engine: str, fixed, moving, model: str = "rigid", *, threads: int = 2, repeats: int = 5,
    device: str = "cpu",
) -> Timed:  # fmt: skip
    """Measure an engine in fresh processes: one for a single call, one for the call repeated."""
    number = str(threads)
    limits = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    environment = {**os.environ, **dict.fromkeys(limits, number)}
    with tempfile.TemporaryDirectory() as name:
        for key, image in (("fixed", fixed), ("moving", moving)):
            np.save(f"{name}/{key}.npy", image.floats())
            np.save(f"{name}/{key}-affine.npy", image.affine)

        def child(times: int) -> list[float]:
            told = subprocess.run(
                [sys.executable, __file__, name, engine, model, str(times), device],
                env=environment, check=True, stdout=subprocess.PIPE, text=True,
            ).stdout.split()  # fmt: skip
            return [float(t) for t in told[-2:]]

        child(1)  # what is compiled is in its cache afterwards
        whole = []
        for _ in range(3 if repeats > 1 else 1):
            began = time.perf_counter()
            child(1)
            whole.append(time.perf_counter() - began)
        call, processor = child(repeats)
        return Timed(call, processor, min(whole), np.load(f"{name}/matrix.npy"))


def _plain_elastix(fixed, moving, model: str):
    """elastix as a script calls it: `import itk`, Slicer's rigid preset, one function."""
    import itk

    from mriprep.engines.registration.elastix import _PRESET

    def to_itk(volume):
        affine = np.diag([-1.0, -1, 1, 1]) @ volume.affine
        spacing = np.array(volume.spacing)
        image = itk.image_from_array(np.ascontiguousarray(volume.floats().T))
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        image.SetDirection(itk.matrix_from_array(affine[:3, :3] / spacing))
        return image

    preset = {**_PRESET, "Transform": ("EulerTransform",),
              "AutomaticTransformInitialization": ("true",)}  # fmt: skip
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(preset)
    itk.elastix_registration_method(
        to_itk(fixed), to_itk(moving), parameter_object=parameters, log_to_console=False
    )
    return Transform.identity()  # timed, not compared


def _child(folder: Path, engine: str, model: str, times: int, device: str) -> None:
    warnings.simplefilter("ignore")
    from mriprep import engines

    images = [
        Volume(np.load(folder / f"{key}.npy"), np.load(folder / f"{key}-affine.npy"))
        for key in ("fixed", "moving")
    ]
    plain = engine == "elastix, plain itk"
    estimate = _plain_elastix if plain else engines.load("registration", engine).estimate
    options = {"device": device} if engine == "native" else {}
    seconds, processor = [], []
    for _ in range(times):
        began, spent = time.perf_counter(), time.process_time()
        found = estimate(*images, model=model, **options)
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - spent)
    np.save(folder / "matrix.npy", found.matrix)
    print(min(seconds), min(processor))


if __name__ == "__main__":
    _child(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
