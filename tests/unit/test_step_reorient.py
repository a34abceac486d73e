"""Where the array axes point."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest

from mriprep.core import GeometryError, Volume
from mriprep.declare import get
from mriprep.steps.reorient import reorient

CODES = [
    "".join(letters)
    for pairs in itertools.permutations(("LR", "PA", "IS"))
    for letters in itertools.product(*pairs)
]


def volume(code, oblique=0.0, dtype=np.int16):
    """An image whose axes point along `code`, turned by `oblique` radians."""
    start = nib.orientations.axcodes2ornt(code)
    turn = nib.eulerangles.euler2mat(oblique, oblique / 2, -oblique / 3)
    affine = nib.affines.from_matvec(turn @ np.diag([1, 2, 3.5]), (5, -6, 7))
    shape = np.array((4, 5, 6))[start[:, 0].astype(int)]
    data = np.random.default_rng(0).integers(-99, 99, shape).astype(dtype)
    # From the array to RAS axes, then to the world.
    to_ras = np.linalg.inv(nib.orientations.inv_ornt_aff(start, shape))
    return Volume(data, affine @ to_ras)


@pytest.mark.parametrize("oblique", [0.0, 0.2])
@pytest.mark.parametrize("code", CODES)
def test_to_ras_as_nibabel(code, oblique):
    image = volume(code, oblique)
    expected = nib.as_closest_canonical(nib.Nifti1Image(image.data, image.affine))
    result = reorient(image)
    assert np.array_equal(result.data, expected.dataobj)
    assert np.allclose(result.affine, expected.affine)
    assert result.data.flags.c_contiguous
    assert result.data.dtype == image.data.dtype


@pytest.mark.parametrize("code", CODES)
def test_there_and_back_is_exact(code):
    image = volume("PSR", 0.3, np.float64)
    there = reorient(image, to=code)
    assert nib.aff2axcodes(there.affine) == tuple(code)
    back = reorient(there, to="PSR")
    assert np.array_equal(back.data, image.data)
    assert np.allclose(back.affine, image.affine, atol=1e-12)


@pytest.mark.parametrize("role", ["mask", "labels"])
def test_roles_are_kept(role):
    image = volume("LPS", dtype=np.int32)
    image = image.replace(np.abs(image.data), role=role)
    result = reorient(image)
    assert result.role == role
    assert result.data.dtype == image.data.dtype
    assert result.data.sum() == image.data.sum()


def test_real_scan(data):
    scan = nib.load(data / "nifti/ixi012/T1w.nii.gz")
    image = Volume(np.asarray(scan.dataobj), scan.affine)
    expected = nib.as_closest_canonical(scan)
    result = reorient(image)
    assert np.array_equal(result.data, np.asarray(expected.dataobj))
    assert np.allclose(result.affine, expected.affine)


@pytest.mark.parametrize("to", ["RAR", "RA", "XYZ", ""])
def test_what_is_no_orientation_is_refused(to):
    with pytest.raises(GeometryError, match="is not an orientation"):
        reorient(volume("RAS"), to=to)


def test_the_plan_is_what_comes_out():
    step, image = get("reorient"), volume("PSR", 0.1)
    assert step.each
    assert step.plan is not None
    assert (
        step.plan({"image": image.grid}, step.validate({"to": "LIP"}))
        == reorient(image, to="LIP").grid
    )
    with pytest.raises(GeometryError):
        step.plan({"image": image.grid}, step.validate({"to": "RAR"}))
