"""Damaged, empty and wrong inputs: an error that helps, or a right answer; never nonsense, never silence."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from contract_calls import ON_IMAGES, QUICK, STEPS, call_of, function, volumes_of, wheres
from contract_scene import moved_from

from mriprep import declare
from mriprep.core import (
    GeometryError,
    InputError,
    MriprepError,
    MriprepWarning,
    Role,
    Transform,
    Volume,
)
from mriprep.core.slices import Slices

FLOATS = ("RAS", "isotropic", "float32")
MASKED = [n for n in ON_IMAGES if any(i.slot == "mask" for i in declare.get(n).inputs)]


def spoilt(image: Volume, how: str) -> Volume:
    """The image with something wrong."""
    data = image.data.astype(np.float32)
    if how == "nan":  # inside the object, and a whole slice
        data[tuple(n // 2 for n in data.shape)] = np.nan
        data[0] = np.nan
    elif how == "infinite":
        data[tuple(n // 2 for n in data.shape)] = np.inf
        data[1, 1, 1] = -np.inf
    elif how == "all nan":
        data[:] = np.nan
    elif how == "zero":
        data[:] = 0
    elif how == "constant":
        data[:] = 37
    elif how == "negative":
        data -= 2 * data.max()
    elif how == "huge":
        data *= np.float32(3e35)
    elif how == "tiny":
        data *= np.float32(1e-30)
    return image.replace(data)


def outcome(call, **parameters):
    """The result, or the error of ours; anything else is a fault."""
    try:
        return call(**parameters), None
    except MriprepError as error:
        return None, error


def copied(before: Volume, after: Volume) -> bool:
    """Whether a volume holds nothing but voxels of another, each where it was in the world."""
    if before.data.dtype != after.data.dtype:
        return False
    index = before.grid.to_index(
        after.grid.to_world(np.moveaxis(np.indices(after.shape), 0, -1).reshape(-1, 3))
    )
    near = np.round(index).astype(int)
    inside = ((near >= 0) & (near < before.shape)).all(axis=-1) & np.isclose(
        index, near, atol=1e-3
    ).all(axis=-1)
    values = after.data.reshape(-1)
    there = before.data[tuple(near[inside].T)]
    same = (values[inside] == there) | (np.isnan(values[inside]) & np.isnan(there))
    # What was not copied is the one value that fills.
    rest = np.concatenate([values[inside][~same], values[~inside]])
    return bool(np.unique(rest).size <= 1)


def check(call, result, error):
    if error is not None:
        assert len(error.message.split()) > 4
        assert error.hint or len(error.message.split()) > 8
        return
    for volume in volumes_of(result):
        finite = np.isfinite(volume.data).all()
        assert finite or copied(call.inputs[call.step.inputs[0].name], volume)
    if isinstance(result, Slices):
        assert np.isfinite(result.stack).all()
        assert np.isfinite(result.window).all()
    if isinstance(result, Transform):
        assert np.isfinite(result.matrix).all()


HOWS = ("nan", "infinite", "all nan", "zero", "constant", "negative", "huge", "tiny")


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("full", [True, False], ids=["masked", "bare"])
def test_a_spoilt_image(name, how, full):
    call = call_of(name, FLOATS, full=full)
    call = call.on(spoilt(call.scene.image, how))
    result, error = outcome(call)
    check(call, result, error)
    if error is None and isinstance(result, Volume) and result.role is Role.IMAGE:
        if how in ("nan", "infinite"):
            good = result.replace(np.nan_to_num(result.data, posinf=0, neginf=0))
            assert moved_from(call.scene, good)[0] > 0.7
        elif how in ("negative", "tiny"):
            assert moved_from(call.scene, result)[0] > 0.7


@pytest.mark.parametrize("how", ["nan", "all nan", "zero", "constant"])
@pytest.mark.parametrize("name", [n for n in ON_IMAGES if n not in QUICK])
def test_a_spoilt_image_for_an_engine(name, how):
    call = call_of(name, wheres(name)[0])
    call = call.on(spoilt(call.scene.image, how))
    result, error = outcome(call)
    check(call, result, error)
    assert (error is None) == (how == "nan")


@pytest.mark.parametrize("name", QUICK)
def test_what_is_replaced_is_told(name):
    """A step that does not merely copy says that it takes NaN as something else."""
    call = call_of(name, FLOATS, full=False)
    call = call.on(spoilt(call.scene.image, "nan"))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", MriprepWarning)
        result = function(name)(**call.inputs, **call.parameters)
    if not (isinstance(result, Volume) and copied(call.inputs["image"], result)):
        told = [str(w.message) for w in seen if issubclass(w.category, MriprepWarning)]
        assert all(text.startswith(f"{name}: ") for text in told)
        assert sum("NaN" in text for text in told) == 1


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    "dtype",
    ["int8", "uint16", "int32", "uint32", "int64", "uint64", ">i2", ">f4", "float16", "bool"],
)
def test_every_type_of_voxel(name, dtype):
    call = call_of(name, FLOATS)
    data = call.scene.image.data
    data = data > 90 if dtype == "bool" else (data / 2).astype(dtype)
    call = call.on(call.scene.image.replace(data))
    result = call()
    check(call, result, None)
    if isinstance(result, Volume) and result.role is Role.IMAGE and dtype != "bool":
        likeness, shift = moved_from(call.scene, result)
        assert shift == (0, 0, 0)
        assert likeness > 0.8


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 9), (9, 1, 1), (2, 2, 2), (9, 9, 2)])
def test_thin_and_tiny_volumes(name, shape):
    rng = np.random.default_rng(0)
    image = Volume(rng.uniform(1, 100, shape).astype(np.float32), np.diag([1.0, 2.0, 3.0, 1.0]))
    mask = image.replace(np.ones(shape, bool), role="mask")
    call = call_of(name, FLOATS)
    given = {"image": image, "mask": mask, "labels": mask.replace(role="labels")}
    call.inputs = {i.name: given[i.slot] for i in call.step.inputs if i.slot in given}
    check(call, *outcome(call))


# -- inputs of the wrong kind -----------------------------------------------------------------


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4, 4)), "scan.nii.gz", Path("scan.nii.gz"), 7, [1]], ids=type
)
def test_what_is_no_volume_is_refused(name, wrong):
    call = call_of(name, wheres(name)[0])
    for i in call.step.inputs:
        if i.slot == "source" and isinstance(wrong, str | Path):
            continue
        if i.name in call.inputs or i.slot in ("transform", "grid", "reference"):
            with pytest.raises(InputError, match=rf"{name}(:|\.)? ?{i.name}") as told:
                function(name)(**{**call.inputs, i.name: wrong}, **call.parameters)
            assert told.value.hint
            if isinstance(wrong, np.ndarray) and i.slot != "source":
                assert "Volume(array, affine)" in told.value.hint
            if isinstance(wrong, Path) and not i.words:
                assert "mriprep.read(path)" in told.value.hint


@pytest.mark.parametrize("name", STEPS)
def test_what_is_missing_is_named(name):
    call = call_of(name, wheres(name)[0], full=False)
    for missing in [i.name for i in call.step.inputs if not i.optional]:
        rest = {k: v for k, v in call.inputs.items() if k != missing}
        with pytest.raises(InputError, match=missing):
            function(name)(**rest, **call.parameters)
        with pytest.raises(InputError, match=missing):
            function(name)(**{**call.inputs, missing: None}, **call.parameters)
    required = [p.name for p in call.step.parameters.values() if p.required]
    for parameter in required:
        with pytest.raises(InputError, match=parameter):
            function(name)(**call.inputs)


@pytest.mark.parametrize("name", MASKED)
def test_a_mask_elsewhere_or_of_another_role_is_refused(name):
    call = call_of(name, wheres(name)[0])
    (mask,) = [i.name for i in call.step.inputs if i.slot == "mask"]
    truth = call.inputs[mask]
    affine = truth.affine.copy()
    affine[:3, 3] += truth.affine[:3, 0]
    elsewhere = Volume(truth.data, affine, "mask")
    smaller = truth.replace(
        truth.data[1:], grid=truth.grid.window((1, 0, 0), (truth.shape[0] - 1, *truth.shape[1:]))
    )
    turned = Volume(truth.data, truth.affine @ np.diag([1.02, 1, 1, 1]), "mask")
    for wrong in (elsewhere, smaller, turned):
        with pytest.raises(GeometryError, match="not on the image's grid") as told:
            function(name)(**{**call.inputs, mask: wrong}, **call.parameters)
        assert "resample" in told.value.hint
    for role in ("image", "labels"):
        with pytest.raises(InputError, match="must be a mask"):
            function(name)(**{**call.inputs, mask: truth.replace(role=role)}, **call.parameters)


@pytest.mark.parametrize("name", MASKED)
def test_an_empty_mask_is_refused(name):
    call = call_of(name, wheres(name)[0])
    (mask,) = [i.name for i in call.step.inputs if i.slot == "mask"]
    truth = call.inputs[mask]
    call.inputs[mask] = truth.replace(np.zeros(truth.shape, bool))
    with pytest.raises(MriprepError, match=r"mask|voxels") as told:
        call()
    assert told.value.hint


def test_dicom_that_is_not_there(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(InputError, match="DICOM") as told:
            function("convert")(path)
        assert told.value.hint
