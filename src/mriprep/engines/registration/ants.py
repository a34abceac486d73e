"""Registration by ANTs, with the presets "Rigid" and "Affine" of its Python package.

Avants BB et al. A reproducible evaluation of ANTs similarity metric performance
in brain image registration. NeuroImage 2011. doi:10.1016/j.neuroimage.2010.09.025
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mriprep.core import EngineError, Transform, Volume
from mriprep.engines import Engine

ENGINE = Engine(
    title="ANTs: mutual information, gradient descent over four resolutions",
    packages=("antspyx",),
    licence="Apache-2.0",
    memory_mb=600,
    seconds_per_megavoxel=6.0,
)

_PRESETS = {"rigid": "Rigid", "affine": "Affine"}
_SEED = 121212
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


def estimate(
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Volume | None = None,
    moving_mask: Volume | None = None,
    model: Literal["rigid", "affine"] = "rigid",
    start: Transform | None = None,
) -> Transform:
    """Find the transform that brings the moving image onto the fixed one.

    Parameters
    ----------
    fixed, moving : Volume
        Images of any contrast and grid; finite voxels.
    fixed_mask, moving_mask : Volume, optional
        What counts of each.
    model : {"rigid", "affine"}
        6 or 12 degrees of freedom.
    start : Transform, optional
        Where to begin (fixed mm to moving mm); centres of mass laid upon each
        other, otherwise.

    Returns
    -------
    Transform
        Fixed mm to moving mm, RAS+.

    Raises
    ------
    EngineError
        If ANTs gives up, most often because the images hardly overlap.
    """
    import ants

    masks = [None if m is None else _image(ants, m) for m in (fixed_mask, moving_mask)]
    with tempfile.TemporaryDirectory() as name, _one_thread():
        folder = Path(name)
        begin = None
        if start is not None:
            begin = [str(folder / "start.mat")]
            _write(ants, start, begin[0])
        try:
            found = ants.registration(
                _image(ants, fixed),
                _image(ants, moving),
                type_of_transform=_PRESETS[model],
                initial_transform=begin,
                outprefix=str(folder / "found"),
                mask=masks[0],
                moving_mask=masks[1],
                mask_all_stages=True,
                random_seed=_SEED,
            )
            matrix = np.eye(4)
            for path in reversed(found["fwdtransforms"]):
                matrix = _matrix(ants.read_transform(path)) @ matrix
        except (RuntimeError, ValueError, IndexError) as error:
            raise EngineError(
                f"ANTs could not register the images: {error}",
                hint="do the two overlap? `mriprep inspect` shows where each lies",
            ) from error
    if not np.isfinite(matrix).all():
        raise EngineError("ANTs gave a transform that is not finite", hint="use engine=native")
    return Transform(
        _LPS @ matrix @ _LPS,
        fixed.grid,
        moving.grid,
        meta={"engine": "ants", "engine_version": ENGINE.version, "model": model},
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """With more than one thread ANTs adds in any order, and results differ from run to run."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before


def _image(ants: Any, volume: Volume) -> Any:
    """The volume as ANTs' image, in LPS."""
    affine = _LPS @ volume.affine
    spacing = np.asarray(volume.spacing)
    return ants.from_numpy(
        np.ascontiguousarray(volume.data, dtype=np.float32),
        origin=[float(v) for v in affine[:3, 3]],
        spacing=[float(v) for v in spacing],
        direction=affine[:3, :3] / spacing,
    )


def _write(ants: Any, start: Transform, path: str) -> None:
    """A start as a file of ITK's, in LPS."""
    matrix = _LPS @ start.matrix @ _LPS
    transform = ants.new_ants_transform(
        precision="double",
        dimension=3,
        transform_type="AffineTransform",
        parameters=np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]]),
    )
    ants.write_transform(transform, path)


def _matrix(transform: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """An affine transform of ANTs' as a 4x4 matrix, LPS."""
    values = np.asarray(transform.parameters, dtype=np.float64)
    center = np.asarray(transform.fixed_parameters, dtype=np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = values[:9].reshape(3, 3)
    matrix[:3, 3] = center + values[9:] - matrix[:3, :3] @ center
    return matrix
