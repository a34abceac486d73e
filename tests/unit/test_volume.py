"""Volumes: what their roles make of the voxels, what is refused, and that nothing is changed."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

from mriprep.core import GeometryError, Grid, InputError, Role, Volume

EYE = np.eye(4)


def ramp(dtype=np.float32, shape=(3, 4, 5)):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def test_the_array_is_neither_copied_nor_changed_nor_locked():
    data = ramp()
    before = data.copy()
    volume = Volume(data, EYE)
    assert np.shares_memory(volume.data, data)
    assert data.flags.writeable
    assert np.array_equal(data, before)
    with pytest.raises(ValueError, match="read-only"):
        volume.data[0, 0, 0] = 1


@pytest.mark.parametrize("role", list(Role))
def test_no_role_changes_its_input(role):
    data = (ramp() > 7).astype(np.float32)
    before = data.copy()
    Volume(data, EYE, role)
    assert np.array_equal(data, before)
    assert data.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "role", "dtype", "expected"),
    [
        ([0, 2, -1, np.nan], "mask", bool, [False, True, False, False]),
        ([0, 0.4, 1, 3], "mask", bool, [False, True, True, True]),
        ([0.0, 2, -1, 7], "labels", np.int32, [0, 2, -1, 7]),
        ([0, 3e9, 1, 2], "labels", np.int64, [0, 3_000_000_000, 1, 2]),
        ([0, 0.25, 1, np.nan], "probability", np.float64, [0, 0.25, 1, np.nan]),
        ([0, 0.25, -np.inf, np.nan], "image", np.float64, [0, 0.25, -np.inf, np.nan]),
    ],
)
def test_roles_of_floats(values, role, dtype, expected):
    volume = Volume(np.array(values).reshape(2, 2, 1), EYE, role)
    assert volume.data.dtype == dtype
    assert volume.role is Role(role)
    assert np.array_equal(volume.data.ravel(), expected, equal_nan=dtype == np.float64)


@pytest.mark.parametrize(
    ("role", "dtype"),
    [("mask", bool), ("labels", np.uint8), ("image", np.uint8), ("probability", np.float32)],
)
def test_roles_of_bools(role, dtype):
    data = ramp() > 7
    volume = Volume(data, EYE, role)
    assert volume.data.dtype == dtype
    assert np.array_equal(volume.data.astype(bool), data)


def test_integers_stay_what_they_are():
    for dtype in (np.int16, np.uint16, np.int64, np.uint8, ">i2"):
        assert Volume(ramp(dtype), EYE).data.dtype == np.dtype(dtype)
        assert Volume(ramp(dtype), EYE, "labels").data.dtype == np.dtype(dtype)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_fractional_labels_are_refused(value):
    data = ramp()
    data[0, 0, 0] = value
    with pytest.raises(InputError, match="whole numbers") as error:
        Volume(data, EYE, "labels")
    assert "original label file" in error.value.hint


@pytest.mark.parametrize("value", [-0.1, 1.1, 255])
def test_probabilities_outside_0_and_1_are_refused(value):
    data = np.zeros((2, 2, 2))
    data[0, 0, 0] = value
    with pytest.raises(InputError, match=r"lie in \[0, 1\]"):
        Volume(data, EYE, "probability")


def test_probabilities_that_are_all_unknown_are_kept_quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Volume(np.full((2, 2, 2), np.nan), EYE, "probability")


@pytest.mark.parametrize("shape", [(4,), (4, 4), (4, 4, 4, 2)])
def test_only_three_axes(shape):
    with pytest.raises(InputError, match="three axes") as error:
        Volume(np.zeros(shape), EYE)
    assert "4D" in error.value.hint


@pytest.mark.parametrize("dtype", [complex, object, "U3", "M8[s]"])
def test_only_real_numbers(dtype):
    with pytest.raises(InputError, match="not supported"):
        Volume(np.zeros((2, 2, 2), dtype), EYE)


def test_the_shape_must_be_the_grids():
    with pytest.raises(GeometryError, match=r"\(3, 4, 5\).*\(3, 4, 6\)"):
        Volume(ramp(), Grid((3, 4, 6), EYE))


def test_an_unknown_role_names_the_nearest():
    for make in (
        lambda: Volume(ramp(), EYE, "label"),
        lambda: Volume(ramp(), EYE).replace(role="label"),
    ):
        with pytest.raises(InputError, match="'label' is not a role") as error:
            make()
        assert "did you mean 'labels'" in error.value.hint


def test_numpy_takes_it_for_an_array():
    data = ramp(np.int16)
    volume = Volume(data, EYE)
    assert np.shares_memory(np.asarray(volume), data)
    assert np.asarray(volume, dtype=float).dtype == np.float64
    assert np.array(volume).flags.writeable
    assert not np.shares_memory(np.array(volume), data)
    assert np.mean(volume) == data.mean()
    assert np.shares_memory(np.array(volume, copy=False), data)
    with pytest.raises(ValueError, match="not possible"):
        np.array(volume, dtype=float, copy=False)


def test_floats_is_a_new_float32_array():
    volume = Volume(ramp(np.float32), EYE)
    values = volume.floats()
    values[:] = 0
    assert values.dtype == np.float32
    assert volume.data.any()


@pytest.mark.parametrize("through", [lambda v: pickle.loads(pickle.dumps(v)), copy.deepcopy])
def test_pickles(through):
    volume = Volume(ramp(np.int16), np.diag([1, 2, 3, 1]), "labels", {"contrast": "T1w"})
    back = through(volume)
    assert np.array_equal(back.data, volume.data)
    assert back.grid == volume.grid
    assert back.role is Role.LABELS
    assert back.meta == {"contrast": "T1w"}
    assert not back.data.flags.writeable


def test_replace_keeps_the_rest():
    volume = Volume(ramp(), EYE, meta={"contrast": "T1w"})
    other = volume.replace(volume.data > 3, role="mask", source="x")
    assert other.role is Role.MASK
    assert other.meta == {"contrast": "T1w", "source": "x"}
    assert volume.role is Role.IMAGE
    assert volume.meta == {"contrast": "T1w"}


def test_meta_cannot_be_changed_from_outside():
    meta = {"contrast": "T1w"}
    volume = Volume(ramp(), EYE, meta=meta)
    meta["contrast"] = "T2w"
    assert volume.meta["contrast"] == "T1w"
    with pytest.raises(TypeError):
        volume.meta["contrast"] = "T2w"
