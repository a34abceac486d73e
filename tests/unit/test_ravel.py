"""RAVEL: the unwanted factor of registered images, known here, is found and removed."""

from __future__ import annotations

import numpy as np
import pytest
from normaliser_samples import MASKS, labels, tissues, volume

import mriprep as mp
from mriprep.core import GeometryError, InputError, MriprepWarning, Volume


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
