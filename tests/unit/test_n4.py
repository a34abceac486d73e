"""Bias correction against a field that is known, and against SimpleITK called by hand."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

import mriprep as mp
from mriprep.declare import keeping
from mriprep.phantom import head


@pytest.fixture(scope="module")
def phantom():
    return head("T1w", spacing=3, noise=0.02, bias=0.5, seed=3)


def test_a_known_field_is_found(phantom) -> None:
    with keeping() as kept:
        corrected = mp.n4(phantom.image, phantom.brain, shrink=6)
    inside = phantom.brain.data
    found = np.log(kept["bias_field"].data[inside])
    true = np.log(phantom.bias_field.data[inside])
    assert np.corrcoef(found, true)[0, 1] > 0.9
    white = phantom.probabilities["wm"].data > 0.95

    def variation(image: mp.Volume) -> float:
        return float(image.data[white].std() / image.data[white].mean())

    assert variation(corrected) < 0.7 * variation(phantom.image)
    np.testing.assert_allclose(
        corrected.data, phantom.image.data / kept["bias_field"].data, rtol=1e-5
    )


def test_the_numbers_are_simpleitks(phantom) -> None:
    with keeping() as kept:
        mp.n4(phantom.image, phantom.brain, engine="sitk", shrink=6, iterations=20)
    image = sitk.GetImageFromArray(phantom.image.data.T.copy())
    image.SetSpacing(phantom.image.spacing)
    mask = sitk.GetImageFromArray(phantom.brain.data.T.astype(np.uint8))
    mask.SetSpacing(phantom.image.spacing)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([20] * 4)
    n4.SetNumberOfThreads(2)
    n4.Execute(sitk.Shrink(image, [2] * 3), sitk.Shrink(mask, [2] * 3))
    theirs = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).T
    theirs = theirs - theirs[phantom.brain.data].mean()
    np.testing.assert_allclose(np.log(kept["bias_field"].data), theirs, atol=1e-3)


def test_the_mean_log_intensity_stays(phantom) -> None:
    corrected = mp.n4(phantom.image, phantom.brain, shrink=6)
    inside = phantom.brain.data & (phantom.image.data > 0)
    before, after = (np.log(v.data[inside]).mean() for v in (phantom.image, corrected))
    assert after == pytest.approx(before, abs=1e-3)


def test_voxels_that_are_not_positive_take_no_part(phantom) -> None:
    data = phantom.image.floats()
    data[phantom.brain.data & (np.indices(data.shape).sum(0) % 7 == 0)] = -50
    data[0, 0, 0] = np.nan
    with pytest.warns(mp.MriprepWarning, match="NaN"):
        corrected = mp.n4(mp.Volume(data, phantom.grid), phantom.brain, shrink=6)
    assert np.isfinite(corrected.data).all()
    assert (corrected.data[data < 0] < 0).all()


def test_too_little_is_refused(phantom) -> None:
    few = np.zeros(phantom.image.shape, bool)
    few[20:22, 20:22, 20:22] = True
    with pytest.raises(mp.InputError, match="too few"):
        mp.n4(phantom.image, mp.Volume(few, phantom.grid, "mask"))
    with pytest.raises(mp.InputError, match="constant"):
        mp.n4(mp.Volume(np.full((8, 8, 8), 5.0), np.eye(4)))
    elsewhere = mp.Volume(few, np.diag([3.0, 3, 3, 1]), "mask")
    with pytest.raises(mp.GeometryError, match="grid"):
        mp.n4(phantom.image, elsewhere)


def test_a_lattice_beyond_reason_is_refused(phantom) -> None:
    for engine in ("native", "sitk"):
        with pytest.raises(mp.InputError, match="spline_distance = 5 mm and levels = 4") as error:
            mp.n4(phantom.image, phantom.brain, engine=engine, spline_distance=5)
        assert "fewer levels" in error.value.hint
    corrected = mp.n4(phantom.image, phantom.brain, spline_distance=40, levels=2, iterations=2)
    assert np.isfinite(corrected.data).all()


def test_weights_that_say_nothing_or_lie_elsewhere_are_refused(phantom) -> None:
    nothing = phantom.image.replace(np.zeros(phantom.image.shape, np.float32))
    with pytest.raises(mp.InputError, match="weights are 0"):
        mp.n4(phantom.image, phantom.brain, nothing)
    with pytest.raises(mp.GeometryError, match="the weights"):
        mp.n4(phantom.image, phantom.brain, mp.reorient(nothing, to="PSR"))
