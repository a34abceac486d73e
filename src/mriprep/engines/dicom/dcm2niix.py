"""dcm2niix: the field's converter, run as a program on the files of one series."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError, EngineMissing, Grid, InputError, MriprepWarning, Volume
from mriprep.engines import Engine

ENGINE = Engine(
    title="dcm2niix, the converter of Rorden's lab: every vendor, compressed and multi-frame",
    packages=("dcm2niix",),
    licence="BSD-3-Clause",
)

# A file name of ours, so that nothing of the header gets into it.
_STEM = "image"
# What its own correction of uneven or tilted slices is called.
_CORRECTED = re.compile(r"_(?:Tilt|Eq)[_0-9TiltEq]*$")
_PARTS = re.compile(r"_(?:ph|real|imaginary|fieldmaphz)")
# Remarks that need no attention, or that the header scan makes better.
_QUIET = (
    "Patient Position", "GE protocol data", "Empty protocol name", "determine manufacturer",
    "order is not spatial", "Interslice distance varies", "Missing images", "Unable to rotate",
    "gantry tilt", "Philips enhanced DICOMs", "single slice",
)  # fmt: skip
_UNEVEN = "Only able to make equidistant slices"
_FACTS = ("MagneticFieldStrength", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle")
_SCALING = re.compile("^(?:UsePhilipsFloat|Philips.*(?:Slope|Intercept))")


def convert(files: Sequence[Path], *, strict: bool = True, timeout_s: float = 600.0) -> Volume:
    """Convert the files of one series into a volume.

    Parameters
    ----------
    files : sequence of Path
        DICOM files of one series, in any order.
    strict : bool
        True: slices must be evenly spaced, else the program's resampled copy
        is taken, with a warning. False: the slices as they are, stacked in
        order of position, whatever lies between them.
    timeout_s : float
        Seconds after which the program is stopped.

    Returns
    -------
    Volume
        RAS+ mm. Philips intensities are scaled to "precise" floats
        (https://doi.org/10.1593/tlo.13811 explains these), as dcm2niix does by
        default; ``meta["scaling"]`` holds the factors, ``meta["facts"]`` the
        timing that it found, also in private elements (BIDS names and units).

    Raises
    ------
    EngineMissing
        If the program is not in the package for this platform.
    EngineError
        If it fails or makes nothing.
    InputError
        If the series is not one greyscale volume.

    References
    ----------
    Li et al., J Neurosci Methods 264 (2016), https://doi.org/10.1016/j.jneumeth.2016.03.001
    """
    with tempfile.TemporaryDirectory(prefix="mriprep-") as name:
        inputs, outputs = Path(name, "in"), Path(name, "out")
        inputs.mkdir()
        outputs.mkdir()
        for i, file in enumerate(files):
            _bring(file, inputs / f"{i:06d}.dcm")
        said = _run(inputs, outputs, timeout_s, strict=strict)
        for line in said:
            if line.startswith("Warning") and not _is_quiet(line):
                warnings.warn(f"dcm2niix: {line}", MriprepWarning, stacklevel=2)
        chosen = _select(outputs, said, strict=strict)
        data, affine = _load(chosen)
        numbers = _numbers(chosen)
    corrected = bool(_CORRECTED.search(chosen.stem))
    facts = {k: numbers[k] for k in _FACTS if k in numbers}
    meta: dict[str, Any] = {"engine": ENGINE.version, "facts": facts}
    scaling = {k: v for k, v in numbers.items() if _SCALING.match(k)}
    if scaling:
        meta["scaling"] = scaling
    if corrected:
        meta["interpolated"] = "all slices resampled by dcm2niix to even spacing"
    x, y, z = data.shape
    return Volume(data, Grid((x, y, z), affine), meta=meta)


def _bring(file: Path, to: Path) -> None:
    """Put a file into the folder that the program reads: a link where the system allows one."""
    try:
        to.symlink_to(file.resolve())
    except OSError:
        shutil.copyfile(file, to)


def _run(inputs: Path, outputs: Path, timeout_s: float, *, strict: bool) -> list[str]:
    """Run the program; what it said, without paths."""
    import dcm2niix

    program = Path(dcm2niix.bin)
    if not (program.is_file() or program.with_suffix(".exe").is_file()):
        raise EngineMissing(
            "the dcm2niix package holds no program for this platform",
            hint="pip install --force-reinstall dcm2niix, or --engine dicom2nifti",
        )
    # -g i: a user's defaults file must not change results. -i n keeps derived images, which
    # some converters call everything; -x n never crops; -l o keeps the stored integers.
    command = [
        str(program), "-g", "i", "-b", "y", "-ba", "y", "-z", "n", "-i", "n", "-x", "n", "-l", "o",
        "-m", "2", "-p", "y", "-w", "2", "-d", "0", "-f", _STEM, "-o", str(outputs), str(inputs),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "TZ": "UTC"},
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"dcm2niix did not finish within {timeout_s:g} s",
            hint="is the disk slow? copy the files to a local one",
        ) from None
    except OSError as error:
        raise EngineError(f"dcm2niix cannot be started: {error.strerror}") from error
    text = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    text = text.replace(str(inputs), "").replace(str(outputs), "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # Uneven slices of unsigned 16 bits it stacks, and fails at making them even: so be it, where
    # they are wanted as they are.
    stacked = not strict and any(outputs.glob("*.nii")) and any(_UNEVEN in line for line in lines)
    if done.returncode != 0 and not stacked:
        raise EngineError(
            f"dcm2niix failed with status {done.returncode}: {_complaint(lines)}",
            hint="the files may be damaged or of a kind it does not know; try --engine dicom2nifti",
        )
    return lines


def _is_quiet(line: str) -> bool:
    return any(remark in line for remark in _QUIET)


def _complaint(lines: list[str]) -> str:
    loud = re.compile("error|warning|unable|unsupported|no valid", re.IGNORECASE)
    wrong = [line for line in lines if loud.search(line) and not _is_quiet(line)]
    return "; ".join((wrong or lines)[-3:]) or "it said nothing"


def _select(outputs: Path, said: list[str], *, strict: bool) -> Path:
    """The file that is the series' volume."""
    made = sorted(outputs.glob("*.nii"))
    plain = [f for f in made if not _CORRECTED.search(f.stem)]
    if not plain:
        raise EngineError(
            f"dcm2niix made no volume: {_complaint(said)}", hint="try --engine dicom2nifti"
        )
    if len(plain) > 1:
        names = ", ".join(f.stem.removeprefix(_STEM) or "main" for f in plain)
        magnitude = [f for f in plain if not _PARTS.search(f.stem)]
        if len(magnitude) != 1:
            raise InputError(
                f"dcm2niix made {len(plain)} volumes of this series ({names})",
                hint="it holds several echoes, phases or scans; choose another series",
            )
        warnings.warn(
            f"dcm2niix made {len(plain)} volumes of this series ({names});"
            f" took the magnitude image",
            MriprepWarning,
            stacklevel=3,
        )
        plain = magnitude
    corrected = [f for f in made if f not in plain and f.stem.startswith(plain[0].stem)]
    corrected = [f for f in corrected if _CORRECTED.search(f.stem)]
    if not strict or not corrected:
        return plain[0]
    warnings.warn(
        "the slices are tilted or not evenly spaced: took dcm2niix's resampled copy"
        f" ({corrected[-1].stem.removeprefix(plain[0].stem)}), in which slices are interpolated",
        MriprepWarning,
        stacklevel=3,
    )
    return corrected[-1]


def _load(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    import nibabel

    image = nibabel.load(path, mmap=False)
    if image.get_data_dtype().fields is not None:
        raise InputError(
            "the series is a colour picture", hint="choose the series that it was made from"
        )
    if (image.dataobj.slope, image.dataobj.inter) == (1, 0):
        data = np.asarray(image.dataobj)
    else:
        data = image.get_fdata(dtype=np.float32)
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim == 2:
        data = data[..., None]
    if data.ndim != 3:
        raise InputError(
            f"the series holds {data.shape[3]} volumes, not one",
            hint="mriprep works on single 3D volumes; choose an anatomical series",
        )
    return data, np.asarray(image.affine, dtype=np.float64)


def _numbers(image: Path) -> dict[str, float]:
    """The numbers of the sidecar: its texts may hold what a site wrote there."""
    sidecar = image.with_suffix(".json")
    if not sidecar.is_file():  # corrected copies have none of their own
        sidecar = image.with_name(_CORRECTED.sub("", image.stem) + ".json")
    try:
        content = json.loads(sidecar.read_text("utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}
    return {
        k: v for k, v in content.items() if isinstance(v, int | float) and not isinstance(v, bool)
    }
