"""Transform files between us and SimpleITK (ITK), both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.testing import assert_allclose

from mriprep.core import InputError, Transform
from mriprep.io.transforms import read_transform, write_transform

RNG = np.random.default_rng(5)
POINTS = RNG.uniform(-120, 120, (100, 3))
FLIP = np.array([-1.0, -1, 1])
RIGID = Transform.rigid((11, -23, 41), (5, -7, 13), (20, 30, 40))
AFFINE = Transform(RIGID.matrix @ np.diag([1.1, 0.9, -1.2, 1]))
CENTRE, SHIFT = (10.0, -20.0, 30.0), (1.5, -2.5, 3.5)


def through_itk(transform: sitk.Transform) -> np.ndarray:
    """Where ITK sends the points, in RAS."""
    return np.array([transform.TransformPoint((p * FLIP).tolist()) for p in POINTS]) * FLIP


def euler(zyx: bool = False) -> sitk.Transform:
    transform = sitk.Euler3DTransform(CENTRE, 0.3, -0.5, 0.7, SHIFT)
    transform.SetComputeZYX(zyx)
    return transform


def versor() -> sitk.Transform:
    transform = sitk.VersorRigid3DTransform()
    transform.SetRotation((1.0, 2.0, -1.0), 0.8)
    transform.SetTranslation(SHIFT)
    transform.SetCenter(CENTRE)
    return transform


def turn() -> sitk.Transform:
    transform = sitk.VersorTransform((0.5, 1.0, -2.0), 0.6)
    transform.SetCenter(CENTRE)
    return transform


def similarity() -> sitk.Transform:
    return sitk.Similarity3DTransform(1.25, (1.0, -1.0, 2.0), 0.9, SHIFT, CENTRE)


def affine() -> sitk.Transform:
    transform = sitk.AffineTransform(3)
    transform.SetMatrix((AFFINE.matrix[:3, :3] + 0.05).ravel().tolist())
    transform.SetTranslation(SHIFT)
    transform.SetCenter(CENTRE)
    return transform


def scale() -> sitk.Transform:
    transform = sitk.ScaleTransform(3, (1.1, 0.8, 1.3))
    transform.SetCenter(CENTRE)
    return transform


KINDS = {
    "euler": euler,
    "euler-zyx": lambda: euler(zyx=True),
    "versor-rigid": versor,
    "versor": turn,
    "similarity": similarity,
    "affine": affine,
    "scale": scale,
    "translation": lambda: sitk.TranslationTransform(3, SHIFT),
    "identity": lambda: sitk.Transform(3, sitk.sitkIdentity),
}


@pytest.mark.parametrize("ending", [".tfm", ".txt", ".mat"])
@pytest.mark.parametrize("transform", [RIGID, AFFINE], ids=["rigid", "affine"])
def test_itk_reads_what_we_write(tmp_path: Path, ending: str, transform: Transform) -> None:
    path = write_transform(transform, tmp_path / f"a{ending}")
    found = sitk.ReadTransform(path)
    assert found.GetTransformEnum() in (sitk.sitkAffine,)
    assert_allclose(through_itk(found), transform(POINTS), atol=1e-6)


@pytest.mark.parametrize("ending", [".tfm", ".txt", ".mat"])
@pytest.mark.parametrize("kind", KINDS)
def test_we_read_what_itk_writes(tmp_path: Path, ending: str, kind: str) -> None:
    transform = KINDS[kind]()
    path = tmp_path / f"a{ending}"
    sitk.WriteTransform(transform, path)
    assert_allclose(read_transform(path)(POINTS), through_itk(transform), atol=1e-6)


def test_a_composite_is_applied_in_itk_s_order(tmp_path: Path) -> None:
    parts = [similarity(), euler(), sitk.TranslationTransform(3, (30, 0, -9)), affine()]
    composite = sitk.CompositeTransform(parts)
    sitk.WriteTransform(composite, tmp_path / "a.tfm")
    expected = through_itk(composite)
    assert_allclose(read_transform(tmp_path / "a.tfm")(POINTS), expected, atol=1e-6)
    backwards = sitk.CompositeTransform(parts[::-1])
    assert np.abs(through_itk(backwards) - expected).max() > 1, "the order matters here"


def test_itk_loses_the_parts_of_a_composite_in_a_mat_and_we_say_so(tmp_path: Path) -> None:
    composite = sitk.CompositeTransform([euler(), affine()])
    sitk.WriteTransform(composite, tmp_path / "a.mat")
    with pytest.raises(InputError, match="composite without its parts"):
        read_transform(tmp_path / "a.mat")


@pytest.mark.parametrize(
    "transform",
    [
        sitk.BSplineTransform(3, 3),
        sitk.Euler2DTransform((1, 2), 0.3),
        sitk.CompositeTransform([affine(), sitk.BSplineTransform(3, 3)]),
        sitk.ScaleSkewVersor3DTransform(),
    ],
    ids=["bspline", "2D", "composite", "skew"],
)
def test_what_is_not_linear_or_not_3d_is_refused(tmp_path: Path, transform: sitk.Transform) -> None:
    sitk.WriteTransform(transform, tmp_path / "a.tfm")
    with pytest.raises(InputError, match=r"linear|three dimensions"):
        read_transform(tmp_path / "a.tfm")


def test_a_displacement_field_is_refused(tmp_path: Path) -> None:
    field = sitk.DisplacementFieldTransform(sitk.Image((4, 4, 4), sitk.sitkVectorFloat64))
    sitk.WriteTransform(field, tmp_path / "a.tfm")
    with pytest.raises(InputError, match="DisplacementFieldTransform"):
        read_transform(tmp_path / "a.tfm")


def test_resampling_through_the_file_moves_the_right_way(tmp_path: Path) -> None:
    """A blob, resampled by ITK with our file, lands where the transform says."""
    moving = sitk.GaussianSource(sitk.sitkFloat32, (48, 48, 48), (2.5, 2.5, 2.5), (30, 20, 26))
    centre = _centroid(moving)
    transform = Transform.rigid((0, 0, 15), (3, -2, 4), centre + 5)
    file = write_transform(transform, tmp_path / "a.mat")
    still = sitk.Resample(moving, moving, sitk.ReadTransform(file), sitk.sitkLinear)
    assert_allclose(_centroid(still), transform.inverse()(centre), atol=0.05)
    assert np.abs(_centroid(still) - transform(centre)).max() > 3, "the direction matters here"


def _centroid(image: sitk.Image) -> np.ndarray:
    """Centre of mass in RAS of an image with unit spacing and its origin at 0."""
    array = sitk.GetArrayFromImage(image).T
    return np.array([(array * i).sum() / array.sum() for i in np.indices(array.shape)]) * FLIP
