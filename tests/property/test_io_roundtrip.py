"""Whatever the geometry, type and shape: what is written is what is read, by us and by others."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import hypothesis.strategies as st
import nibabel as nib
import numpy as np
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from mriprep.core import Grid, MriprepWarning, Transform, Volume
from mriprep.io.images import read_grid, read_image, write_image
from mriprep.io.transforms import read_transform, write_transform

DTYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
ENDINGS = [".nii", ".nii.gz", ".nrrd", ".mha"]

angles = st.tuples(*[st.floats(-180, 180) for _ in range(3)])
shifts = st.tuples(*[st.floats(-300, 300) for _ in range(3)])
shapes = st.tuples(*[st.integers(2, 9) for _ in range(3)])


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Permuted, flipped, turned and anisotropic; whole quarter and half turns too."""
    axes = np.eye(3)[:, draw(st.permutations(range(3)))]
    spacing = np.array(draw(st.tuples(*[st.floats(0.3, 9) for _ in range(3)])))
    flips = np.array(draw(st.tuples(*[st.sampled_from([-1, 1]) for _ in range(3)])))
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing * flips
    turn = draw(st.sampled_from([(0, 0, 0), (180, 0, 0), (0, 180, 0), (0, 0, 179.99)]) | angles)
    return Transform.rigid(turn, draw(shifts)).matrix @ affine


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    elements = st.floats(-1e6, 1e6, width=32, allow_subnormal=False) if dtype.kind == "f" else None
    data = draw(hnp.arrays(dtype, draw(shapes), elements=elements, fill=st.nothing()))
    return np.array(data, order=draw(st.sampled_from(["C", "F"])))


@settings(max_examples=150, deadline=None)
@given(arrays(), affines(), st.sampled_from(ENDINGS))
def test_voxels_and_affine_come_back(data: np.ndarray, affine: np.ndarray, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_image(Volume(data, affine), Path(folder) / f"a{ending}", dtype=data.dtype)
        back = read_image(path)
        assert read_grid(path) == back.grid
    assert back.data.dtype == data.dtype
    assert np.array_equal(back.data, data)
    assert_allclose(back.affine, affine, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(shapes, affines())
def test_every_reader_puts_a_voxel_in_the_same_place(
    shape: tuple[int, int, int], affine: np.ndarray
) -> None:
    grid = Grid(shape, affine)
    with tempfile.TemporaryDirectory() as folder:
        path = write_image(Volume(np.zeros(shape, np.uint8), grid), Path(folder) / "a.nii.gz")
        image, itk = nib.load(path), sitk.ReadImage(path)
        corner = tuple(n - 1 for n in shape)
        for index in ((0, 0, 0), corner):
            world = grid.to_world(index)
            assert_allclose(nib.affines.apply_affine(image.affine, index), world, atol=1e-3)
            lps = np.array(itk.TransformIndexToPhysicalPoint(index))
            assert_allclose(lps * (-1, -1, 1), world, atol=5e-3)
        # The qform alone says the same as far as its 32-bit quaternion can: with a half turn
        # its first part is a small difference of large numbers.
        qform = Grid(shape, image.get_qform())
        assert grid.distance(qform) < 1e-3 * np.linalg.norm(np.multiply(shape, grid.spacing)) + 1e-3


@settings(max_examples=60, deadline=None)
@given(shapes, affines(), st.integers(0, 2), st.sampled_from([0, 1]))
def test_codes_choose_the_form_as_in_nibabel(
    shape: tuple[int, int, int], affine: np.ndarray, sform: int, qform: int
) -> None:
    image = nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
    image.set_qform(affine, qform)
    image.set_sform(affine, sform)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nii"
        nib.save(image, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if sform == qform == 0 else "error", MriprepWarning)
            assert_allclose(read_grid(path).affine, nib.load(path).affine, atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(affines(), st.sampled_from([".tfm", ".txt", ".mat"]))
def test_transforms_come_back(matrix: np.ndarray, ending: str) -> None:
    transform = Transform(matrix)
    with tempfile.TemporaryDirectory() as folder:
        path = write_transform(transform, Path(folder) / f"a{ending}")
        assert np.array_equal(read_transform(path).matrix, transform.matrix)
        points = np.array([[0, 0, 0], [100, -50, 25.0]])
        itk = sitk.ReadTransform(path)
        lps = np.array([itk.TransformPoint((p * (-1, -1, 1)).tolist()) for p in points])
    assert_allclose(lps * (-1, -1, 1), transform(points), atol=1e-6)
