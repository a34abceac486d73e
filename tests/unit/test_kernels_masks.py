"""Packed morphology, exact percentiles, Gaussians and differences against scipy and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as nd

from mriprep.kernels import binary, differences, order, smooth

FACES = nd.generate_binary_structure(3, 1)
EDGES = nd.generate_binary_structure(3, 2)


@pytest.mark.parametrize("shape", [(9, 8, 7), (5, 6, 64), (4, 7, 65), (6, 5, 130), (1, 3, 2)])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_morphology_is_scipys(shape, share) -> None:
    mask = np.random.default_rng(sum(shape)).random(shape) < share
    twice = nd.iterate_structure(EDGES, 2)
    for faces, element in ((False, EDGES), (True, FACES)):
        np.testing.assert_array_equal(
            binary.dilated(mask, 2, faces=faces), nd.binary_dilation(mask, element, 2)
        )
        np.testing.assert_array_equal(
            binary.eroded(mask, faces=faces), nd.binary_erosion(mask, element)
        )
        np.testing.assert_array_equal(
            binary.eroded(mask, faces=faces, outside=True),
            nd.binary_erosion(mask, element, border_value=1),
        )
        np.testing.assert_array_equal(
            binary.opened(mask, faces=faces), nd.binary_opening(mask, element)
        )
    np.testing.assert_array_equal(binary.filled(mask), nd.binary_fill_holes(mask, EDGES))
    if min(shape) >= 5:  # scipy itself crashes where the element is larger than the array
        np.testing.assert_array_equal(binary.filled(mask, 2), nd.binary_fill_holes(mask, twice))
    distance = nd.distance_transform_edt(~mask) if mask.any() else np.full(shape, np.inf)
    for limit in (0, 1, 1.2, 3, 4.7):
        np.testing.assert_array_equal(binary.near(mask, limit), distance < limit)


def test_holes_are_filled_and_dents_are_not() -> None:
    box = np.zeros((20, 20, 20), bool)
    box[4:16, 4:16, 4:16] = True
    box[8:12, 8:12, 8:12] = False
    dented = box.copy()
    dented[8:12, 8:12, :12] = False
    assert binary.filled(box).sum() == 12**3
    np.testing.assert_array_equal(binary.filled(dented), dented)


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 300_001])
@pytest.mark.parametrize("kind", ["normal", "whole", "same"])
def test_percentiles_are_numpys(size, kind) -> None:
    rng = np.random.default_rng(size)
    values = {
        "normal": rng.normal(0, 1, size),
        "whole": rng.integers(0, 4, size),
        "same": np.full(size, 3),
    }[kind].astype(np.float32)
    for percent in (0, 0.02, 5, 50, 99.5, 99.98, 100):
        assert order.percentile(values, percent) == pytest.approx(
            float(np.percentile(values.astype(np.float64), percent)), rel=1e-6, abs=1e-7
        )
    assert order.median(values) == pytest.approx(float(np.median(values.astype(np.float64))))


def test_percentile_of_sorted_values_too() -> None:
    values = np.arange(1_000_000, dtype=np.float32)[::-1]
    assert order.percentile(values, 99.95) == pytest.approx(999_499.05 + 0.0, abs=0.1)
    assert order.percentile(values, 50, without=500_000) == pytest.approx(749_999.5, abs=0.1)


@pytest.mark.parametrize("sigma", [(4.0, 4.0, 4.0), (1.0, 2.0, 0.5)])
def test_gradients_are_scipys(sigma) -> None:
    values = np.random.default_rng(0).normal(100, 20, (23, 18, 31)).astype(np.float32)
    expected = nd.gaussian_gradient_magnitude(values.astype(np.float64), sigma)
    np.testing.assert_allclose(smooth.gradient_magnitude(values, sigma), expected, atol=2e-4)
    np.testing.assert_allclose(
        smooth.gaussian(values, sigma),
        nd.gaussian_filter(values.astype(np.float64), sigma),
        atol=1e-3,
    )


def test_doubling_is_linear_interpolation() -> None:
    coarse = np.random.default_rng(1).random((5, 6, 4)).astype(np.float32)
    fine = nd.zoom(coarse, 2, order=1, mode="nearest", grid_mode=True)
    odd = smooth.doubled_above(coarse, 0.5, (11, 12, 9))
    np.testing.assert_array_equal(odd[:10, :, :8], fine > 0.5)


def test_differences_are_counted_within_the_mask() -> None:
    rng = np.random.default_rng(2)
    values, mask = rng.normal(0, 1, (6, 7, 8)).astype(np.float32), rng.random((6, 7, 8)) < 0.7
    for step in (1, 3):
        for axis, (count, total, squares) in enumerate(differences.steps(values, mask, step)):
            v, m = np.moveaxis(values, axis, 0).astype(np.float64), np.moveaxis(mask, axis, 0)
            d = (v[step:] - v[:-step])[m[step:] & m[:-step]]
            assert (count, total, squares) == pytest.approx((d.size, d.sum(), (d**2).sum()))
