"""Normalisers that are fitted on a cohort: the fit, and what it does to images whose truth is known."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from normaliser_samples import COHORT, T1W, labels, tissues, volume, whole

import mriprep as mp
from mriprep.core import GeometryError, InputError, MriprepWarning, RecipeError, Volume
from mriprep.fitting import kinds
from mriprep.phantom import TISSUES, head
from mriprep.steps._landmarks import NYUL

IMAGES = [volume(data) for data in COHORT]
MASKS = [whole(data) for data in COHORT]
#: Fitting on the samples; what else each kind needs.
HOW = {
    "combat": {"facts": [{"site": s} for s in "ABAB"], "covariates": "none"},
    "ravel": {"membership": 0.9, "share": 0.5},
}


def fitted(kind, images=IMAGES, masks=MASKS, **how):
    if kind in ("combat", "ravel"):
        images, masks = [*images, volume(tissues(gain=1.3, shift=20))], [*masks, masks[0]]
    return mp.fit(kind, images, masks, **{**HOW.get(kind, {}), **how})


def applied(kind, state, image, mask=None):
    extra = {"site": "A"} if kind == "combat" else {}
    return getattr(mp, kind)(image, MASKS[0] if mask is None else mask, state=state, **extra)


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


# -- RAVEL ------------------------------------------------------------------------------------


def registered(n=8, seed=0, effect=0.0):
    """Images on one grid with one unwanted factor: images, masks, tissues, truth, ages."""
    rng = np.random.default_rng(seed)
    data = tissues()
    tissue = labels()
    # White matter is spared, so that WhiteStripe sees the same in all.
    pattern = np.choose(tissue - 1, (1.0, rng.uniform(-1, 1, data.shape), 0.0))
    # RAVEL removes what varies about the cohort's mean: that is set to 0 here.
    factor = rng.normal(0, 1, n)
    factor -= factor[:8].mean()
    factor[8:9] = 2.0
    ages = np.linspace(20, 80, n)
    noise = rng.normal(0, 2, (n, *data.shape))
    noise -= noise.mean(axis=0)
    aging = effect * (ages - 50)[:, None, None, None] * (tissue == 2)
    clean = data + noise + aging
    unwanted = 15 * factor[:, None, None, None] * pattern
    images = [volume(c + u) for c, u in zip(clean, unwanted, strict=True)]
    known = Volume(tissue, MASKS[0].grid, "labels")
    return images, [MASKS[0]] * n, [known] * n, clean, factor, ages, pattern


def test_ravel_removes_what_fluid_shows():
    """One factor of known pattern: after RAVEL, no voxel follows it any more."""
    images, masks, known, clean, factor, _, pattern = registered()
    state = mp.fit("ravel", images, masks, tissues=known)
    before = np.stack([mp.whitestripe(i, m).data for i, m in zip(images, masks, strict=True)])
    after = np.stack([mp.ravel(i, m, state=state).data for i, m in zip(images, masks, strict=True)])
    centred = factor - factor.mean()

    def follows(stack):
        return np.abs(np.tensordot(centred, stack - stack.mean(axis=0), 1)) / (centred @ centred)

    moved = np.abs(pattern) > 0.5
    assert np.median(follows(after)[moved]) < 0.05 * np.median(follows(before)[moved])
    spread = [s.std(axis=0)[moved].mean() for s in (before, after)]
    assert spread[1] < 0.5 * spread[0]
    truth = np.stack([mp.whitestripe(volume(c), m).data for c, m in zip(clean, masks, strict=True)])
    np.testing.assert_allclose(after.mean(axis=0), truth.mean(axis=0), atol=1.0)


def test_ravel_on_an_image_it_has_not_seen():
    images, masks, known, clean, *_ = registered(9)
    state = mp.fit("ravel", images[:8], masks[:8], tissues=known[:8])
    new, truth = images[8], mp.whitestripe(volume(clean[8]), masks[8]).data
    before = np.abs(mp.whitestripe(new, masks[8]).data - truth).mean()
    after = np.abs(mp.ravel(new, masks[8], state=state).data - truth).mean()
    assert after < 0.5 * before


def test_ravel_keeps_a_covariate():
    images, masks, known, _, _, ages, _ = registered(12, effect=1.0)
    facts = [{"age": a, "sex": "FM"[i % 2]} for i, a in enumerate(ages)]
    grey = labels() == 2

    def slope(covariates):
        state = mp.fit("ravel", images, masks, tissues=known, facts=facts, covariates=covariates)
        results = [mp.ravel(i, m, state=state).data for i, m in zip(images, masks, strict=True)]
        return np.polyfit(ages, [r[grey].mean() for r in results], 1)[0]

    truth = np.polyfit(
        ages,
        [mp.whitestripe(i, m).data[grey].mean() for i, m in zip(images, masks, strict=True)],
        1,
    )[0]
    assert slope("age,sex") == pytest.approx(truth, rel=0.2)


def test_ravel_needs_one_grid_and_fluid():
    images, masks, known, *_ = registered(5)
    state = mp.fit("ravel", images, masks, tissues=known)
    elsewhere = Volume(images[0].data, np.eye(4), meta={"contrast": "T1w"})
    with pytest.raises(GeometryError, match=r"not the cohort's(.|\n)*register all images"):
        mp.ravel(elsewhere, "whole", state=state)
    with pytest.raises(GeometryError, match="not the cohort's"):
        mp.fit("ravel", [images[0], elsewhere, images[1], images[2]], "whole")
    dry = [k.replace(np.maximum(k.data, 2)) for k in known]
    with pytest.raises(InputError, match=r"0 voxels are fluid in 100% of the images"):
        mp.fit("ravel", images, masks, tissues=dry)
    with (
        pytest.raises(InputError, match=r"vary in fewer than 1 ways"),
        pytest.warns(MriprepWarning, match="a and b are the same image"),
    ):
        mp.fit("ravel", [images[0]] * 4, masks[:4], tissues=known[:4], cases=list("abcd"))
    with pytest.raises(InputError, match="at least 3 are needed"):
        mp.fit("ravel", images[:2], masks[:2], tissues=known[:2])


# -- ComBat -----------------------------------------------------------------------------------


def test_combat_is_neurocombats():
    """Numbers of neuroCombat 0.2.12 on the same features (continuous age, categorical sex)."""
    from mriprep.steps._combat import combat

    i = np.arange(12)
    rows = [
        [
            10 * (k + 1)
            + (2 + k) * np.sin(1.3 * j + k)
            + 0.05 * (20 + 3 * j + (j % 5) * 7) * (k + 1)
            for k in range(5)
        ]
        for j in i
    ]
    features = np.array(rows)
    sites = ["a"] * 5 + ["b"] * 7
    features[5:] = 1.4 * features[5:] + 3
    known = np.column_stack([20 + 3 * i + (i % 5) * 7, i % 2]).astype(float)
    theirs = {
        True: [
            [16.194803, 33.221292, 48.446086, 57.149342, 64.030238],
            [18.836068, 33.726214, 44.883808, 57.217271, 73.693146],
        ],
        False: [
            [16.379496, 33.72513, 47.656125, 56.354798, 63.702218],
            [18.603643, 33.240187, 45.339861, 57.739911, 74.117406],
        ],
    }
    for shrink, expected in theirs.items():
        found = combat(features, sites, known, shrink=shrink)
        scale = np.array(found["scale"])
        for row, values in zip((0, 6), expected, strict=True):
            site = found["sites"][sites[row]]
            centre = np.array(found["mean"]) + known[row] @ np.array(found["slopes"])
            standard = (features[row] - centre) / scale
            after = centre + scale * (standard - site["shift"]) / np.sqrt(site["spread"])
            np.testing.assert_allclose(after, values, atol=2e-6)


def cohort_of_sites():
    """Forty scans from two sites; grey matter fades with age, and one site is brighter by 150."""
    rng = np.random.default_rng(4)
    images, facts = [], []
    for n in range(40):
        site, age = "AB"[n % 2], float(rng.uniform(20, 80))
        fade = (1.0, 1 - 0.002 * (age - 50), 1.0)
        parts = tuple((m * f, s, k) for (m, s, k), f in zip(T1W, fade, strict=True))
        data = tissues(parts, gain=1.0 + rng.normal(0, 0.01), shift=150.0 * (site == "B"))
        images.append(volume(data))
        facts.append({"site": site, "age": age, "sex": "FM"[int(rng.integers(2))]})
    return images, facts


def test_combat_removes_sites_and_keeps_age():
    images, facts = cohort_of_sites()
    state = mp.fit("combat", images, "whole", facts=facts)
    grey = labels() == 2
    before = np.array([i.data[grey].mean() for i in images])
    after = np.array(
        [
            mp.combat(i, "whole", state=state, **f).data[grey].mean()
            for i, f in zip(images, facts, strict=True)
        ]
    )
    ages = np.array([f["age"] for f in facts])
    b = np.array([f["site"] == "B" for f in facts])

    def gap_and_slope(values):
        columns = np.column_stack([np.ones(40), b, ages])
        return np.linalg.lstsq(columns, values, rcond=None)[0][1:]

    (gap, slope), (left, kept) = gap_and_slope(before), gap_and_slope(after)
    assert gap == pytest.approx(150, abs=15)
    assert abs(left) < 5
    assert kept == pytest.approx(slope, rel=0.15)


def test_combat_says_what_it_lacks():
    images, facts = cohort_of_sites()
    state = mp.fit("combat", images[:8], "whole", facts=facts[:8], covariates="age")
    image = images[0]
    with pytest.raises(InputError, match=r"it needs the image's site(.|\n)*A, B"):
        mp.combat(image, "whole", state=state)
    with pytest.raises(InputError, match=r"no site 'C'(.|\n)*no known effect"):
        mp.combat(image, "whole", state=state, site="C", age=40)
    with pytest.raises(InputError, match="age is missing, and it is kept"):
        mp.combat(image, "whole", state=state, site="A")
    with pytest.raises(InputError, match=r"fit combat: the site of image-3 is not known"):
        mp.fit("combat", images[:3], "whole", facts=[*facts[:2], {}])
    with pytest.raises(InputError, match="the site 'B' has one image"):
        mp.fit("combat", images[:3], "whole", facts=facts[:3], covariates="none")
    same = [{**f, "age": 30 if f["site"] == "A" else 60} for f in facts[:8]]
    with pytest.raises(InputError, match="cannot be told apart"):
        mp.fit("combat", images[:8], "whole", facts=same, covariates="age")
    with pytest.raises(InputError, match="sex is 'X'"):
        mp.fit("combat", images[:4], "whole", facts=[{**f, "sex": "X"} for f in facts[:4]])


# -- what holds of all ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds())
def test_a_brighter_image_gives_the_same(kind):
    if kind == "combat":
        pytest.skip("a site's effect is in the scanner's units: the gain is part of it")
    state = fitted(kind)
    before = applied(kind, state, IMAGES[0]).data
    after = applied(kind, state, IMAGES[0].replace(COHORT[0] * 64)).data
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=2e-3 * np.ptp(before))


@pytest.mark.parametrize("kind", ["nyul", "match_histogram", "ravel"])
def test_a_shifted_image_gives_the_same(kind):
    state = fitted(kind)
    before = applied(kind, state, IMAGES[0]).data
    after = applied(kind, state, IMAGES[0].replace(COHORT[0] - 512)).data
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=2e-3 * np.ptp(before))


@pytest.mark.parametrize("kind", ["nyul", "match_histogram", "combat", "least_squares"])
@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.uint8])
def test_the_order_of_intensities_is_kept(kind, dtype):
    state = fitted(kind)
    data = np.clip(np.round(COHORT[0] / 5), 0, 255).astype(dtype)
    result = applied(kind, state, IMAGES[0].replace(data)).data
    order = np.argsort(data, axis=None, kind="stable")
    assert (np.diff(result.ravel()[order]) >= 0).all()
    assert np.unique(result).size > 100


@pytest.mark.parametrize("kind", kinds())
def test_the_order_of_images_makes_no_difference(kind):
    how = {"facts": [{"site": s} for s in "AABB"]} if kind == "combat" else {}
    back = {"facts": [{"site": s} for s in "BBAA"]} if kind == "combat" else {}
    images, masks = [*IMAGES, volume(tissues(gain=1.3, shift=20))], [MASKS[0]] * 4
    options = {**HOW.get(kind, {})}
    a = mp.fit(kind, images, masks, **{**options, **how})
    b = mp.fit(kind, images[::-1], masks, **{**options, **back})
    results = [applied(kind, s, IMAGES[1]).data for s in (a, b)]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4 * np.ptp(results[0]))


@pytest.mark.parametrize("kind", kinds())
def test_the_same_again_to_the_bit(kind):
    one, two = fitted(kind), fitted(kind)
    assert one.to_dict() == two.to_dict()
    assert np.array_equal(applied(kind, one, IMAGES[0]).data, applied(kind, two, IMAGES[0]).data)


def test_flat_images_are_refused_by_name():
    flat = volume(np.full((40, 40, 25), 3.0))
    for kind in ("nyul", "match_histogram", "combat", "least_squares"):
        with pytest.raises(InputError, match=r"two: .*fit"):
            mp.fit(
                kind, [IMAGES[0], flat], MASKS[:2], cases=["one", "two"],
                facts=[{"site": "A"}] * 2,
            )  # fmt: skip
