"""dicom2nifti: a converter in pure Python, for parity and for where no program can run."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mriprep.core import EngineError, Grid, InputError, MriprepError, Volume
from mriprep.engines import Engine
from mriprep.io.dicom_files import DEFLATED
from mriprep.io.dicom_headers import PLAIN, unreadable

ENGINE = Engine(
    title="dicom2nifti, a converter in pure Python (icometrix)",
    packages=("dicom2nifti",),
    licence="MIT",
)

# Its validations are switches of the module: one conversion at a time sets and restores them.
_SETTINGS = threading.Lock()
_CHECKS = ("validate_slice_increment", "validate_slicecount", "validate_orthogonal")


_REASONS = {
    "SLICE_INCREMENT_INCONSISTENT": "the slices are not evenly spaced",
    "NON_CUBICAL_IMAGE/GANTRY_TILT": "the slices are tilted against their stacking (gantry tilt)",
    "IMAGE_ORIENTATION_INCONSISTENT": "the slices are not parallel",
    "TOO_FEW_SLICES/LOCALIZER": "there are too few slices",
    "NOT_A_VOLUME": "all images lie at one position",
    "MISSING_DICOM_FILES": "slices are missing",
    "MULTIFRAME_FILES": "several multi-frame files in one series are not known to it",
    "NON_IMAGING_DICOM_FILES": "the files hold no image",
    "MOSAIC_TYPE_NOT_SUPPORTED": "this kind of mosaic is not known to it",
    "IMPLICIT_VR_ENHANCED_DICOM": "multi-frame files in implicit transfer syntax are not known to it",
}


def convert(files: Sequence[Path], *, strict: bool = True) -> Volume:
    """Convert the files of one series into a volume.

    Parameters
    ----------
    files : sequence of Path
        DICOM files of one series, in any order.
    strict : bool
        Whether slices that are uneven, tilted or fewer than four are refused.
        False: they are stacked in order of position, whatever lies between them.

    Returns
    -------
    Volume
        RAS+ mm, array axes as stored: columns, rows, slices. Intensities are
        rescaled by the header's slope and intercept, but for Siemens mosaics,
        whose stored values are kept.

    Raises
    ------
    InputError
        If the series is not one regular greyscale volume.
    EngineError
        If the conversion fails.
    """
    if any(_compressed(file) for file in files):
        return _elsewhere(files, strict)
    return _convert(files, strict)


def _convert(files: Sequence[Path], strict: bool) -> Volume:
    from dicom2nifti.common import is_multiframe_dicom
    from dicom2nifti.convert_dicom import dicom_array_to_nifti
    from dicom2nifti.exceptions import ConversionError, ConversionValidationError

    log = logging.getLogger("dicom2nifti")
    if not log.handlers:  # what it logs is raised below
        log.addHandler(logging.NullHandler())
    try:
        datasets = [_read(file) for file in files]
        if len(datasets) > 1 and is_multiframe_dicom(datasets):  # it would take the first alone
            raise ConversionError("MULTIFRAME_FILES")
        with _checks(strict):
            image = dicom_array_to_nifti(datasets, None, reorient_nifti=False)["NII"]
    except (ConversionError, ConversionValidationError) as error:
        reason = _REASONS.get(str(error), str(error))
        raise InputError(
            f"dicom2nifti refused the series: {reason}",
            hint="try --engine dcm2niix, or choose another series",
        ) from error
    except Exception as error:  # it lets every error of the libraries below through
        raise EngineError(
            f"dicom2nifti failed ({type(error).__name__})", hint="try --engine dcm2niix"
        ) from error
    data = np.asarray(image.dataobj)
    data = data.astype(np.float32 if data.dtype == np.float64 else data.dtype.newbyteorder("="))
    if data.dtype.fields is not None:
        raise InputError(
            "the series is a colour picture", hint="choose the series that it was made from"
        )
    if data.ndim != 3:
        raise InputError(
            f"the series holds {data.shape[-1]} volumes, not one",
            hint="mriprep works on single 3D volumes; choose an anatomical series",
        )
    x, y, z = data.shape
    return Volume(data, Grid((x, y, z), image.affine), meta={"engine": ENGINE.version})


def _compressed(file: Path) -> bool:
    """Whether a file's pixels are for a decoder; where its beginning does not tell, they may be."""
    import pydicom

    try:
        syntax = pydicom.filereader.read_file_meta_info(file).get("TransferSyntaxUID")
    except unreadable():
        return True
    # What is deflated is unpacked by Python's own zlib.
    return syntax is not None and syntax not in (*PLAIN, DEFLATED)


def _elsewhere(files: Sequence[Path], strict: bool) -> Volume:
    """Convert in another process: decoders are written in C and C++, and may crash."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"from {__name__} import _serve; _serve()"],
        input=pickle.dumps(([str(Path(f).absolute()) for f in files], strict)),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if done.returncode != 0 or not done.stdout:
        how = f"with status {done.returncode}"
        if done.returncode < 0:
            with contextlib.suppress(ValueError):  # a signal without a name
                how = f"by {signal.Signals(-done.returncode).name}"
        raise EngineError(
            f"the decoder of the compressed pixels ended its process {how}",
            hint="the files may be damaged, or made to do harm; try --engine dcm2niix",
        )
    answer = pickle.loads(done.stdout)  # noqa: S301 - of a process of our own
    if isinstance(answer, tuple):
        data, affine, meta = answer
        return Volume(data, Grid(data.shape, affine), meta=meta)
    assert isinstance(answer, MriprepError)
    raise answer


def _serve() -> None:
    """Convert what the standard input says, and answer on the standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    files, strict = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    answer: object
    try:
        made = _convert([Path(f) for f in files], strict)
        answer = made.data, made.affine, dict(made.meta)
    except MriprepError as error:
        answer = type(error)(error.message, hint=error.hint)  # without what it came from
    pickle.dump(answer, answers, protocol=pickle.HIGHEST_PROTOCOL)
    answers.close()


def _read(file: Path) -> Any:
    import pydicom

    dataset = pydicom.dcmread(file, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:  # a file without a preamble
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
        )
    return dataset


@contextmanager
def _checks(strict: bool) -> Iterator[None]:
    from dicom2nifti import settings

    with _SETTINGS:
        before = {name: getattr(settings, name) for name in _CHECKS}
        try:
            for name in _CHECKS:
                setattr(settings, name, strict)
            yield
        finally:
            for name, value in before.items():
                setattr(settings, name, value)
