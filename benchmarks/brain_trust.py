"""The trust score of brain masks: does it tell good ones from spoilt ones?

    MRIPREP_TEST_DATA=... python benchmarks/brain_trust.py [--fit] [--scans N] [--cache FOLDER]

Good: masks that came with the scans, the digital head's true ones, and what
engines find where it overlaps with those (Dice 0.945 or more; of T1w scans
without a mask, deepbet's, which were looked at). Spoilt: a good mask of each
scan eroded, dilated, leaking, in part missing, shifted, turned, and so on;
and what engines find where it overlaps by less than 0.9. No age is given, so that
volumes count as little as they do where none is known. Prints the area under the ROC
curve (of a fit that has not seen the scan, and its person, too), and at the threshold how many of
each kind are flagged. `--fit` prints weights for `mriprep/steps/_brain_trust.py`.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _brain_answers import answer
from _brain_scans import Scan, everything
from _brain_spoilt import spoilt

import mriprep as mp
from mriprep.steps import _brain, _brain_trust
from mriprep.steps._brain_mask import one_piece, overlap
from mriprep.steps._brain_surface import Coarse, measured

#: On which side of its usual range each measure speaks against a mask.
SIDES = {
    "roundness": "both", "reach": "both", "touch": "above", "symmetry": "below", "edges": "below",
    "peak": "both", "rim": "both", "worst_rim": "below", "shell": "both", "worst_shell": "above",
    "least_deep": "both", "deep": "both", "nudged": "below", "moved": "below", "parting": "below", "worst_parting": "below",
}  # fmt: skip
MEASURES = list(SIDES)
#: The usual range is between these percentiles of good masks.
USUAL = (15, 85)
#: Beyond it, distances are measured in standard deviations of good masks; more than this counts no more.
MOST = 8
#: How much large weights cost the fit.
RIDGE = 1e-3
GOOD, SPOILT = 0.945, 0.9


def masks(scan: Scan, cache: Path | None) -> Iterator[tuple[str, bool, np.ndarray]]:
    """Kind, whether good, mask: of the scan's own and the engines' masks."""
    if scan.mask is not None:
        yield "good: given", True, np.asarray(scan.mask.data)
    for engine in filter(_brain.ready, _brain.T1W_ORDER):
        found = answer(engine, scan, cache)
        if found.probability is None:
            continue
        mask = one_piece(found.probability > 0.5)
        if scan.mask is None:
            if engine == "deepbet" and scan.contrast == "T1w":
                yield f"good: {engine}", True, mask
            continue
        dice = overlap(mask, np.asarray(scan.mask.data))
        if dice >= GOOD:
            yield f"good: {engine}", True, mask
        elif dice < SPOILT:
            yield "an engine's failure", False, mask


def scans(data: Path | None) -> Iterator[Scan]:
    """All, and a template whose mask was drawn in more detail than engines' are."""
    yield from everything(data)
    if data is not None:
        name = data / "templates/mni152nlin6/tpl-MNI152NLin6Asym_res-01"
        mask = mp.read(f"{name}_desc-brain_mask.nii.gz", role="mask")
        yield Scan("template", "T1w", mp.read(f"{name}_T1w.nii.gz"), mask, "template")


def area(scores: np.ndarray, good: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a good one scores higher than a spoilt one."""
    high, low = scores[good], scores[~good]
    return float((high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean())


Limits = dict[str, tuple[float, float, float]]


def fitted(x: np.ndarray, good: np.ndarray) -> tuple[float, Limits, Limits]:
    """The constant, and by measure: the usual range's end, the weight of a unit beyond, the most that counts.

    A logistic model of how far each measure lies outside of its usual range; none may count in
    favour of a mask.
    """
    from scipy.optimize import minimize

    low, high = np.percentile(x[good], USUAL, axis=0)
    scale = x[good].std(axis=0) + 1e-9
    below, above = np.clip((low - x) / scale, 0, MOST), np.clip((x - high) / scale, 0, MOST)
    for i, side in enumerate(SIDES.values()):
        below[:, i] *= side != "above"
        above[:, i] *= side != "below"
    excess = np.hstack([below, above])
    share = np.where(good, 0.5 / good.sum(), 0.5 / (~good).sum())
    sign = np.where(good, 1.0, -1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (w[0] - excess @ w[1:])
        value = share @ np.logaddexp(0, -margin) + RIDGE * (w[1:] ** 2).sum()
        slope = -share * sign / (1 + np.exp(np.clip(margin, -50, 50)))
        grad = np.concatenate([[slope.sum()], -slope @ excess + 2 * RIDGE * w[1:]])
        return float(value), grad

    start = np.r_[1.0, np.ones(excess.shape[1])]
    bounds = [(None, None)] + [(0, None)] * excess.shape[1]
    w = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    k = len(MEASURES)
    per, most = w[1:] / np.tile(scale, 2), MOST * scale
    under = {m: (low[i], per[i], most[i]) for i, m in enumerate(MEASURES)}
    over = {m: (high[i], per[k + i], most[i]) for i, m in enumerate(MEASURES)}
    return float(w[0]), kept(under), kept(over)


def kept(limits: Limits) -> Limits:
    """Those that count."""
    return {
        m: tuple(round(float(v), 4) for v in t) for m, t in limits.items() if t[1] * t[2] > 0.05
    }


def rows_of(
    scan: Scan, number: int, cache: Path | None
) -> Iterator[tuple[str, bool, float, dict | None]]:
    """Kind, whether good, volume in ml, measures."""
    image = scan.image.replace(np.nan_to_num(scan.image.floats()))
    coarse = Coarse.of(image)
    best = None
    for kind, good, mask in masks(scan, cache):
        yield kind, good, float(mask.sum()) * image.grid.voxel_volume / 1e3, measured(coarse, mask)
        if good:
            best = mask
    if best is None:
        return
    blocks = Coarse(coarse.values, coarse.spacing, (1, 1, 1), coarse.right)
    axes = image.affine[:3, :3] / np.asarray(image.spacing)
    for kind, mask in spoilt(coarse, coarse.shares(best) >= 0.5, axes, number):
        yield kind, False, float(mask.sum() * coarse.spacing.prod()) / 1e3, measured(blocks, mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--scans", type=int, help="the first N scans only")
    parser.add_argument("--cache", type=Path, help="where engines' answers are kept")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    data = os.environ.get("MRIPREP_TEST_DATA")
    kinds, rows, volumes, good, people = [], [], [], [], []
    for number, scan in enumerate(scans(Path(data) if data else None)):
        if given.scans is not None and number >= given.scans:
            break
        for kind, is_good, volume, measures in rows_of(scan, number, given.cache):
            kinds.append(kind)
            rows.append(measures)
            volumes.append(volume)
            good.append(is_good)
            people.append(scan.name)
            if is_good or kind == "an engine's failure":
                told = "  ".join(f"{k} {v:6.3f}" for k, v in (measures or {}).items())
                print(f"{scan.name:<14} {scan.contrast:<6} {kind:<20} {told}", flush=True)
    report(kinds, rows, volumes, np.array(good), np.array(people), given.fit)


def report(
    kinds: list[str],
    rows: list[dict | None],
    volumes: list[float],
    good: np.ndarray,
    people: np.ndarray,
    fit: bool,
) -> None:
    """Print how well the score does, and weights."""
    shaped = np.array([r is not None for r in rows])  # what has no shape scores 0
    x = np.array([[r[m] for m in MEASURES] if r else [0.0] * len(MEASURES) for r in rows])
    volume = np.array([_brain_trust.right_volume(v) for v in volumes])
    if fit:
        bias, below, above = fitted(x[shaped], good[shaped])
        print(f"BIAS = {bias:.3f}\nBELOW = {below}\nABOVE = {above}")
        _brain_trust.BIAS, _brain_trust.BELOW, _brain_trust.ABOVE = bias, below, above
    score = volume * [_brain_trust.logistic(r) if r else 0.0 for r in rows]
    unseen = np.zeros(len(x))
    persons = list(dict.fromkeys(people))
    for person in persons if len(persons) > 1 else ():
        theirs = people == person
        model = fitted(x[shaped & ~theirs], good[shaped & ~theirs])
        for i in np.flatnonzero(theirs & shaped):
            unseen[i] = volume[i] * _brain_trust.logistic(rows[i], *model)
    print(
        f"\narea under the ROC curve: {area(score, good):.4f} ({good.sum()} good, {(~good).sum()}"
        " spoilt)"
    )
    if len(persons) > 1:
        print(f"  of weights fitted without the person: {area(unseen, good):.4f}")
    for kind in sorted(dict.fromkeys(kinds), key=lambda k: not k.startswith("good")):
        here = np.array([k == kind for k in kinds])
        flagged = (score[here] < _brain_trust.THRESHOLD).mean()
        missed = (unseen[here] < _brain_trust.THRESHOLD).mean()
        told = f" (unseen {missed:6.1%})" if len(persons) > 1 else ""
        print(
            f"  {kind:<22} {here.sum():3d}  flagged {flagged:6.1%}{told}  scores"
            f" {score[here].min():.3f} to {score[here].max():.3f}"
        )


if __name__ == "__main__":
    main()
