"""Normalisers that are fitted on a cohort: the fit, and what it does to images whose truth is known."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from normaliser_samples import COHORT, HOW, T1W, applied, labels, tissues, volume
from normaliser_samples import IMAGES as FOUR
from normaliser_samples import MASKS as FOUR_MASKS

import mriprep as mp
from mriprep.core import InputError, RecipeError, Volume
from mriprep.fitting import kinds
from mriprep.phantom import TISSUES, head
from mriprep.steps._landmarks import NYUL

IMAGES, MASKS = FOUR[:3], FOUR_MASKS[:3]


def fitted(kind, images=IMAGES, masks=MASKS, **how):
    if kind in HOW:  # these need more than three
        images, masks = FOUR, FOUR_MASKS
    return mp.fit(kind, images, masks, **HOW.get(kind, {}), **how)


@functools.cache
def heads():
    """Three heads from as many scanners."""
    scans = [head("T1w", spacing=4, seed=s, bias=0.1, noise=0.02) for s in (1, 2, 3)]
    images = [
        s.image.replace(1000 * g * (s.image.data / 1000) ** p)
        for s, g, p in zip(scans, (1, 0.3, 4), (1, 0.8, 1.15), strict=True)
    ]
    return scans, images, [s.brain for s in scans]


def means(scan, data):
    return np.array(
        [
            data[scan.brain.data & (scan.tissues.data == TISSUES[t])].mean()
            for t in ("csf", "gm", "wm")
        ]
    )


# -- Nyúl and Udupa ---------------------------------------------------------------------------


def test_landmarks_go_exactly_to_the_standard_scale():
    state = fitted("nyul", to=(10, 250))
    standard = np.array(state.values["standard"])
    assert state.values["percentiles"] == [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99]
    assert standard[0] == 10
    assert standard[-1] == 250
    for image, mask in zip(IMAGES, MASKS, strict=True):
        result = mp.nyul(image, mask, state=state).data
        np.testing.assert_allclose(np.percentile(result, NYUL), standard, rtol=2e-5)


def test_the_standard_is_the_mean_of_scaled_landmarks():
    """Nyúl 2000, eq. 1 and the training step."""
    expected = np.mean(
        [(p - p[0]) / (p[-1] - p[0]) for p in (np.percentile(d, NYUL) for d in COHORT)], axis=0
    )
    np.testing.assert_allclose(fitted("nyul", to=(0, 1)).values["standard"], expected, rtol=1e-5)


def test_nyul_on_heads_from_three_scanners():
    scans, images, masks = heads()
    state = mp.fit("nyul", images, masks)
    results = [mp.nyul(i, m, state=state).data for i, m in zip(images, masks, strict=True)]
    before = np.array([means(s, i.data) for s, i in zip(scans, images, strict=True)])
    after = np.array([means(s, r) for s, r in zip(scans, results, strict=True)])
    spread = [v.std(axis=0) / v.mean(axis=0) for v in (before, after)]
    assert (spread[0] > 0.5).all()
    assert (spread[1] < 0.02).all()


# -- least squares ----------------------------------------------------------------------------


def test_the_standard_means_come_from_all_images():
    gains = (1.0, 30.0, 0.2)
    contrasts = ((1, 1, 1), (1.3, 1, 1), (1, 1.2, 1))
    parts = [
        tuple((m * c, s, n) for (m, s, n), c in zip(T1W, contrast, strict=True))
        for contrast in contrasts
    ]
    images = [volume(tissues(p, g)) for p, g in zip(parts, gains, strict=True)]
    known = [Volume(labels(), MASKS[0].grid, "labels")] * 3
    state = mp.fit("least_squares", images, MASKS, tissues=known)
    rows = np.array([[m for m, _, _ in p] for p in parts])
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = rows.mean(axis=0) / rows.mean(axis=0)[-1]
    np.testing.assert_allclose(state.values["standard"], expected, rtol=1e-5)
    for image in images:
        result = mp.least_squares(image, MASKS[0], known[0], state=state).data
        own = np.array([result[known[0].data == i].mean() for i in (1, 2, 3)])
        # The best factor there is: what is left is at right angles to the means.
        assert abs((expected - own) @ own) < 1e-5


# -- histograms -------------------------------------------------------------------------------


def test_the_histogram_of_a_reference():
    rng = np.random.default_rng(0)
    source = rng.gamma(2, 50, (20, 21, 22))
    target = rng.normal(500, 60, (15, 16, 17))
    image, reference = Volume(source, np.eye(4)), Volume(target, np.diag([2, 2, 2, 1]))
    result = mp.match_histogram(image, "whole", reference).data
    shares = np.linspace(0, 100, 41)
    np.testing.assert_allclose(
        np.percentile(result, shares), np.percentile(target, shares), rtol=5e-3
    )
    exposure = pytest.importorskip("skimage.exposure")
    theirs = exposure.match_histograms(source, target)
    apart = np.abs(result - theirs)[
        (source > np.quantile(source, 0.005)) & (source < np.quantile(source, 0.995))
    ]
    assert apart.max() < 0.005 * np.ptp(target)  # the ends of 1001 quantiles are coarser than ranks
    assert np.abs(result - theirs).mean() < 1e-3 * np.ptp(target)


def test_a_template_of_one_image_is_that_image():
    image, mask = IMAGES[1], MASKS[1]
    state = mp.fit("match_histogram", [image], [mask])
    np.testing.assert_allclose(
        mp.match_histogram(image, mask, state=state).data, image.data, rtol=1e-5
    )
    other = mp.match_histogram(IMAGES[2], mask, state=state).data
    direct = mp.match_histogram(IMAGES[2], mask, image, mask).data
    np.testing.assert_allclose(other, direct, rtol=1e-5)


def test_a_template_of_many_counts_each_the_same():
    state = fitted("match_histogram")
    ends = np.mean([np.percentile(d, (1, 99)) for d in COHORT], axis=0)
    quantiles = np.array(state.values["quantiles"])
    found = np.interp((1, 99), np.linspace(0, 100, quantiles.size), quantiles)
    np.testing.assert_allclose(found, ends, rtol=1e-4)
    brighter = mp.fit("match_histogram", [*IMAGES[:2], IMAGES[2].replace(COHORT[2] * 50)], MASKS)
    a, b = (np.array(s.values["quantiles"]) for s in (state, brighter))
    a, b = ((q - q[10]) / (q[-11] - q[10]) for q in (a, b))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_template_is_asked_for_once():
    image, mask = IMAGES[0], MASKS[0]
    state = fitted("match_histogram")
    with pytest.raises(RecipeError, match="got neither"):
        mp.match_histogram(image, mask)
    with pytest.raises(RecipeError, match="got both"):
        mp.match_histogram(image, mask, image, mask, state=state)
    with pytest.raises(RecipeError, match="the image has a mask and the reference has none"):
        mp.match_histogram(image, mask, image)


# -- what holds of all ------------------------------------------------------------------------


# A site's effect, combat's, is in the scanner's units: the gain is part of it.
@pytest.mark.parametrize("kind", [k for k in kinds() if k != "combat"])
def test_a_brighter_image_gives_the_same(kind):
    state = fitted(kind)
    before = applied(kind, state, IMAGES[0])
    after = applied(kind, state, IMAGES[0].replace(COHORT[0] * 64))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=2e-3 * np.ptp(before))


@pytest.mark.parametrize("kind", ["nyul", "match_histogram", "ravel"])
def test_a_shifted_image_gives_the_same(kind):
    state = fitted(kind)
    before = applied(kind, state, IMAGES[0])
    after = applied(kind, state, IMAGES[0].replace(COHORT[0] - 512))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=2e-3 * np.ptp(before))


@pytest.mark.parametrize("kind", ["nyul", "match_histogram", "combat", "least_squares"])
@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.uint8])
def test_the_order_of_intensities_is_kept(kind, dtype):
    state = fitted(kind)
    data = np.clip(np.round(COHORT[0] / 5), 0, 255).astype(dtype)
    result = applied(kind, state, IMAGES[0].replace(data))
    order = np.argsort(data, axis=None, kind="stable")
    assert (np.diff(result.ravel()[order]) >= 0).all()
    assert np.unique(result).size > 100


@pytest.mark.parametrize("kind", kinds())
def test_the_order_of_images_makes_no_difference(kind):
    how = {"facts": [{"site": s} for s in "AABB"]} if kind == "combat" else {}
    back = {"facts": [{"site": s} for s in "BBAA"]} if kind == "combat" else {}
    options = HOW.get(kind, {})
    a = mp.fit(kind, FOUR, FOUR_MASKS, **{**options, **how})
    b = mp.fit(kind, FOUR[::-1], FOUR_MASKS, **{**options, **back})
    results = [applied(kind, s, IMAGES[1]) for s in (a, b)]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4 * np.ptp(results[0]))


@pytest.mark.parametrize("kind", kinds())
def test_the_same_again_to_the_bit(kind):
    one, two = fitted(kind), fitted(kind)
    assert one.to_dict() == two.to_dict()
    assert np.array_equal(applied(kind, one, IMAGES[0]), applied(kind, two, IMAGES[0]))


def test_flat_images_are_refused_by_name():
    flat = volume(np.full((40, 40, 25), 3.0))
    for kind in ("nyul", "match_histogram", "combat", "least_squares"):
        with pytest.raises(InputError, match=r"two: .*fit"):
            mp.fit(
                kind, [IMAGES[0], flat], MASKS[:2], cases=["one", "two"],
                facts=[{"site": "A"}] * 2,
            )  # fmt: skip
