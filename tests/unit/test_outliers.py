"""Outliers of a cohort: few false alarms on clean data, and what was planted is found."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from mriprep.qc.outliers import FEWEST, cohort_reasons


class Metric:
    def __init__(self, name, better):
        self.name, self.title, self.better = name, name.upper(), better
        self.meaning = self.unit = self.group = ""


def clean(images, seed, kind="mixed", measures=40):
    """Images of three sites that differ, with measures that go together; some are skewed."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(images, 5)) @ rng.normal(size=(5, measures)) / 2
    values = common + rng.normal(size=(images, measures))
    if kind == "heavy":
        values *= np.sqrt(8 / rng.chisquare(8, size=(images, 1)))
    if kind == "skewed":
        values = np.exp(0.25 * values)
    if kind == "mixed":
        values[:, ::3] = np.exp(0.3 * values[:, ::3])
        values[:, 1::3] = 12 + values[:, 1::3]
        values[:, 5] = np.round(values[:, 5])
    site = np.arange(images) % 3
    values += 2.0 * site[:, None] * (kind == "mixed")
    return [
        {
            "case": f"sub-{n:03d}",
            "contrast": "T1w",
            "metrics": {f"m{c}": float(v) for c, v in enumerate(row)},
            "facts": {"site": "ABC"[site[n]]},
        }
        for n, row in enumerate(values)
    ]


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed", "mixed"])
@pytest.mark.parametrize(("images", "times"), [(30, 10), (100, 4), (300, 1)])
def test_at_most_one_in_twenty_clean_images_is_told_of(images, times, kind):
    told = [bool(r) for seed in range(times) for r in cohort_reasons(clean(images, seed, kind))]
    assert len(told) == images * times
    assert np.mean(told) <= 0.05


@pytest.mark.parametrize("images", [30, 100])
def test_a_planted_image_is_found_and_its_measure_named(images):
    for seed in range(5):
        qualities = clean(images, seed, "normal")
        spread = np.std([q["metrics"]["m7"] for q in qualities])
        qualities[4]["metrics"]["m7"] += 12 * spread
        reasons = cohort_reasons(qualities)[4]
        assert reasons[0]["code"] == "cohort-m7"
        assert reasons[0]["level"] == "look"
        assert reasons[0]["metric"] == "m7"
        assert reasons[0]["value"] == qualities[4]["metrics"]["m7"] > reasons[0]["limit"]
        assert f"among the {images // 3} T1w images from B" in reasons[0]["says"]
        assert len({r["code"] for r in reasons}) == len(reasons)


def test_measures_that_are_usual_one_by_one_may_not_go_together():
    rng = np.random.default_rng(3)
    one = rng.normal(size=120)
    qualities = [
        {
            "contrast": "T1w",
            "metrics": {f"m{c}": float(v + 0.1 * rng.normal()) for c in range(6)},
            "facts": {},
        }
        for v in one
    ]
    for c in range(6):
        qualities[9]["metrics"][f"m{c}"] = 1.5 * (-1) ** c
    reasons = cohort_reasons(qualities)
    assert [r["code"] for r in reasons[9]] == ["cohort-together"]
    assert sum(map(bool, reasons)) <= 4


def test_only_the_bad_direction_counts_where_there_is_one():
    known = {"m0": Metric("m0", "higher"), "m1": Metric("m1", "lower"), "m2": Metric("m2", "none")}
    for name, sign, found in [
        ("m0", 1, False), ("m0", -1, True), ("m1", 1, True), ("m1", -1, False),
        ("m2", 1, True), ("m2", -1, True),
    ]:  # fmt: skip
        qualities = clean(19, 1, "normal", measures=3)  # too few to be judged together
        qualities[0]["metrics"][name] = 60.0 * sign
        assert bool(cohort_reasons(qualities, known)[0]) is found, (name, sign)


def test_a_site_is_compared_with_itself():
    qualities = clean(60, 0, "normal", measures=8)
    for q in qualities:
        if q["facts"]["site"] == "B":
            q["metrics"] = {k: v + 100 for k, v in q["metrics"].items()}
    assert sum(map(bool, cohort_reasons(qualities))) <= 3
    stray = next(q for q in qualities if q["facts"]["site"] == "B")
    stray["metrics"]["m2"] -= 100  # usual elsewhere
    reasons = dict(zip((id(q) for q in qualities), cohort_reasons(qualities), strict=True))
    assert "cohort-m2" in [r["code"] for r in reasons[id(stray)]]


def test_few_images_contrasts_and_what_was_not_measured():
    qualities = clean(FEWEST - 1, 0, "normal")
    qualities[0]["metrics"]["m0"] = 1e6
    assert cohort_reasons(qualities) == [[]] * (FEWEST - 1)
    both = clean(30, 0, "normal") + [{**q, "contrast": "FLAIR"} for q in clean(4, 1, "normal")]
    both[-1]["metrics"] = dict.fromkeys(both[-1]["metrics"], 1000000.0)
    failed = {"contrast": "T1w", "metrics": {}, "facts": {}}
    odd = {"contrast": "T1w", "metrics": {"m0": None, "m1": float("nan"), "m2": "x"}, "facts": {}}
    before = copy.deepcopy(both)
    reasons = cohort_reasons([*both, failed, odd])
    assert reasons[-2:] == [[], []]
    assert all(not r for r in reasons[30:34])
    assert reasons[:34] == cohort_reasons(both)
    assert both == before
    assert cohort_reasons([]) == []


def test_equal_images_and_constant_measures_are_no_outliers():
    same = [{"contrast": "T1w", "metrics": {"a": 1.0, "b": 0.0}, "facts": {}} for _ in range(40)]
    assert cohort_reasons(same) == [[]] * 40
    nearly = copy.deepcopy(same)
    nearly[3]["metrics"]["a"] = 1.001  # a thousandth matters to nobody
    assert cohort_reasons(nearly) == [[]] * 40
    nearly[3]["metrics"]["a"] = 2.0
    assert [r["code"] for r in cohort_reasons(nearly)[3]] == ["cohort-a"]
