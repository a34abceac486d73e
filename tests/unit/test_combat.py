"""ComBat: what sites do to images is taken away, what age does stays."""

from __future__ import annotations

import numpy as np
import pytest
from normaliser_samples import T1W, labels, tissues, volume

import mriprep as mp
from mriprep.core import InputError
from mriprep.steps._combat import combat


def test_combat_is_neurocombats():
    """Numbers of neuroCombat 0.2.12 on the same features (continuous age, categorical sex)."""
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
