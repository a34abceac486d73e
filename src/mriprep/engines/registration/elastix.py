"""Registration by elastix, with the rigid preset of 3D Slicer's General Registration module.

Klein S et al. elastix: a toolbox for intensity-based medical image registration.
IEEE Trans Med Imaging 2010. doi:10.1109/TMI.2009.2035616
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from mriprep.core import EngineError, Grid, Transform, Volume
from mriprep.engines import Engine

ENGINE = Engine(
    title="elastix: mutual information, adaptive stochastic gradient descent (Slicer's preset)",
    packages=("itk-elastix",),
    licence="Apache-2.0",
    memory_mb=350,
    seconds_per_megavoxel=0.6,
)

#: Slicer's preset. The seed and the number of threads are fixed, since both decide the samples
#: that are drawn and the order of sums: the same images give the same transform on any machine.
_PRESET: dict[str, tuple[str, ...]] = {
    "FixedInternalImagePixelType": ("float",),
    "MovingInternalImagePixelType": ("float",),
    "FixedImageDimension": ("3",),
    "MovingImageDimension": ("3",),
    "UseDirectionCosines": ("true",),
    "Registration": ("MultiResolutionRegistration",),
    "FixedImagePyramid": ("FixedRecursiveImagePyramid",),
    "MovingImagePyramid": ("MovingRecursiveImagePyramid",),
    "Interpolator": ("BSplineInterpolator",),
    "BSplineInterpolationOrder": ("1",),
    "ResampleInterpolator": ("FinalBSplineInterpolator",),
    "FinalBSplineInterpolationOrder": ("3",),
    "Resampler": ("DefaultResampler",),
    "Metric": ("AdvancedMattesMutualInformation",),
    "NumberOfHistogramBins": ("32",),
    "Optimizer": ("AdaptiveStochasticGradientDescent",),
    "NumberOfResolutions": ("4",),
    "MaximumNumberOfIterations": ("250",),
    "ImageSampler": ("Random",),
    "NumberOfSpatialSamples": ("2048",),
    "NewSamplesEveryIteration": ("true",),
    "RandomSeed": ("121212",),
    "AutomaticScalesEstimation": ("true",),
    "HowToCombineTransforms": ("Compose",),
    "ErodeMask": ("false",),
    "WriteResultImage": ("false",),
}
_TRANSFORMS = {"rigid": "EulerTransform", "affine": "AffineTransform"}
_THREADS = 2
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


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
        Where samples are drawn; what of the moving image counts.
    model : {"rigid", "affine"}
        6 or 12 degrees of freedom. The affine one starts from the rigid result.
    start : Transform, optional
        Where to begin (fixed mm to moving mm); middles of the fields of view
        laid upon each other, otherwise.

    Returns
    -------
    Transform
        Fixed mm to moving mm, RAS+.

    Raises
    ------
    EngineError
        If elastix gives up, most often because the images hardly overlap.
    """
    # itk's lazy loader would import some 1300 modules; this submodule is all that is needed.
    from itk import ITKCommonBasePython as common_module
    from itk import elxParameterObjectPython as parameter_module
    from itk import itkElastixRegistrationMethodPython as method_module

    grid = moving.grid
    if start is None:
        start = Transform.rigid(translation=moving.grid.center - fixed.grid.center)
    # An image whose header is moved needs no file of initial parameters.
    moving, moving_mask = _moved(moving, start), moving_mask and _moved(moving_mask, start)
    parameters = parameter_module.elastixParameterObject_New()
    for stage in ("rigid",) if model == "rigid" else ("rigid", "affine"):
        preset = {**_PRESET, "Transform": (_TRANSFORMS[stage],)}
        if stage == "rigid":
            preset["AutomaticTransformInitialization"] = ("false",)
        parameters.AddParameterMap(preset)

    method = method_module.itkElastixRegistrationMethodIF3IF3_New()
    images = [_to_itk(fixed), _to_itk(moving)]  # held: itk borrows the memory of the arrays
    method.SetFixedImage(images[0])
    method.SetMovingImage(images[1])
    masks = [_to_itk(m, "UC3") if m is not None else None for m in (fixed_mask, moving_mask)]
    if masks[0] is not None:
        method.SetFixedMask(masks[0])
    if masks[1] is not None:
        method.SetMovingMask(masks[1])
    method.SetParameterObject(parameters)
    method.SetLogToConsole(False)
    method.SetLogToFile(False)
    method.SetNumberOfThreads(_THREADS)
    # Within a mask elastix draws samples from generators that ITK seeds one after the other, from
    # the clock at first.
    generator = common_module.itkMersenneTwisterRandomVariateGenerator
    generator.GetInstance().SetSeed(int(_PRESET["RandomSeed"][0]))
    generator.ResetNextSeed()
    try:
        method.UpdateLargestPossibleRegion()
    except RuntimeError as error:
        raise EngineError(
            f"elastix could not register the images: {_reason(error)}",
            hint="do the two overlap? `mriprep inspect` shows where each lies",
        ) from error
    result = method.GetTransformParameterObject()
    matrix = np.eye(4)
    for index in range(result.GetNumberOfParameterMaps()):
        stage_map = result.GetParameterMap(index)
        # elastix composes T(x) = T_last(... T_first(x)).
        matrix = _matrix(stage_map) @ matrix
    return Transform(
        start.matrix @ _LPS @ matrix @ _LPS,
        fixed.grid,
        grid,
        meta={"engine": "elastix", "engine_version": ENGINE.version, "model": model},
    )


def _moved(volume: Volume, start: Transform) -> Volume:
    """The volume as it lies in the fixed image's world, if `start` were right; voxels untouched."""
    return volume.replace(grid=Grid(volume.shape, start.inverse().matrix @ volume.affine))


def _matrix(stage: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A parameter map's transform as a 4x4 matrix, LPS."""
    values = np.array([float(v) for v in stage["TransformParameters"]])
    centre = np.array([float(v) for v in stage["CenterOfRotationPoint"]])
    matrix = np.eye(4)
    if stage["Transform"][0] == "EulerTransform":
        cx, cy, cz = np.cos(values[:3])
        sx, sy, sz = np.sin(values[:3])
        x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        matrix[:3, :3] = z @ x @ y  # itk::Euler3DTransform's order
        shift = values[3:]
    else:
        matrix[:3, :3] = values[:9].reshape(3, 3)
        shift = values[9:]
    matrix[:3, 3] = centre + shift - matrix[:3, :3] @ centre
    return matrix


def _to_itk(volume: Volume, kind: str = "F3") -> Any:
    """The volume as an itk image of pixel kind ``F3`` or ``UC3``, in LPS."""
    from itk import itkPyBufferPython as buffers

    dtype = np.float32 if kind == "F3" else np.uint8
    # itk's axes run k, j, i in memory.
    array = np.ascontiguousarray(np.asarray(volume.data, dtype=dtype).T)
    image = getattr(buffers, f"itkPyBufferI{kind}").GetImageFromArray(array)
    affine = _LPS @ volume.affine
    image.SetOrigin([float(v) for v in affine[:3, 3]])
    image.SetSpacing([float(v) for v in volume.spacing])
    image.SetDirection(_itk_matrix(affine[:3, :3] / np.asarray(volume.spacing)))
    return image


def _itk_matrix(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    from itk import itkMatrixPython, vnl_matrix_fixedPython

    fixed = vnl_matrix_fixedPython.vnl_matrix_fixedD_3_3()
    for row in range(3):
        for column in range(3):
            fixed.put(row, column, float(matrix[row, column]))
    return itkMatrixPython.itkMatrixD33(fixed)


def _reason(error: RuntimeError) -> str:
    """The telling line of an itk exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Description" in line or "Too many samples" in line]
    return (telling or lines or ["no reason given"])[-1].removeprefix("Description:").strip()
