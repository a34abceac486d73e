"""The trust score of registrations: does it tell right ones from spoilt ones?

    MRIPREP_TEST_DATA=... python benchmarks/registration_trust.py [--fit] [--pairs N]

Right: the native engine's results between contrasts of one person and from
heads to a template. Spoilt: the same poses off by 5 to 40 mm or degrees,
upside down, half of the head missing, and another body part. Prints the area
under the ROC curve (of a fit that has not seen the pair, too), and at the
threshold how many of each are flagged. `--fit` prints weights for
`mriprep/steps/_trust.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import mriprep as mp
from mriprep.core import Grid, Transform, Volume
from mriprep.engines.registration import native
from mriprep.steps import _trust
from mriprep.steps._align import head_alone, landmarks

MEASURES = [k for k in _trust.WEIGHTS if k != "bias"]


def pairs(data: Path) -> Iterator[tuple[str, Path, Path, bool]]:
    """Name, fixed, moving, whether of one person."""
    scans, head = data / "nifti", data / "templates/mni152-2009/head.nii.gz"
    for n in range(1, 12):
        folder = scans / f"older-adults/sub-{n:02d}"
        yield f"older-{n:02d} FLAIR to T1w", folder / "T1w.nii.gz", folder / "FLAIR.nii.gz", True
        yield f"older-{n:02d} T1w to template", head, folder / "T1w.nii.gz", False
    glioma = scans / "tcga-fg6692"
    for contrast in ("T1w", "T2w", "FLAIR"):
        yield (
            f"glioma {contrast} to T1c",
            glioma / "T1c.nii.gz",
            glioma / f"{contrast}.nii.gz",
            True,
        )
        yield f"glioma {contrast} to template", head, glioma / f"{contrast}.nii.gz", False
    yield "PDw to T1w", scans / "chris/T1w.nii.gz", scans / "chris/PDw.nii.gz", True
    yield "0.9 mm T1w to template", head, scans / "chris/T1w.nii.gz", False
    yield "2 mm T1w to template", head, scans / "ixi012/T1w.nii.gz", False
    yield "Colin 27 to template", head, data / "templates/colin27/head.nii.gz", False
    other = data / "templates/mni152nlin6/tpl-MNI152NLin6Asym_res-01_T1w.nii.gz"
    yield "template to template", head, other, False


def read(path: Path) -> Volume:
    image = mp.read(path)
    return image.replace(np.nan_to_num(image.floats()))


def found(fixed: Volume, moving: Volume, points: np.ndarray, same: bool) -> Transform:
    if same:
        return native.estimate(fixed, moving)
    return native.estimate(fixed, moving, fixed_mask=head_alone(fixed, points), model="affine")


def cut(image: Volume, axis: int, keep: slice) -> Volume:
    """A part of an image, in its place; `axis` of the world."""
    along = int(np.argmax(np.abs(image.affine[axis, :3])))
    if image.affine[axis, along] < 0:
        keep = slice(
            None if keep.stop is None else 1 - keep.stop,
            None if keep.start is None else 1 - keep.start,
        )
    size = image.shape[along]
    first = 0 if keep.start is None else int(keep.start * size)
    last = size if keep.stop is None else int(keep.stop * size)
    where = [slice(None)] * 3
    where[along] = slice(first, last)
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, along] * first
    data = np.ascontiguousarray(image.data[tuple(where)])
    return Volume(data, Grid(data.shape, affine))


def cases(
    fixed: Volume, moving: Volume, same: bool, seed: int
) -> Iterator[tuple[str, bool, Volume, Transform, np.ndarray]]:
    """Kind, whether right, moving image, transform, points."""
    rng = np.random.default_rng(seed)
    points = landmarks(fixed, None)
    right = found(fixed, moving, points, same)
    yield "right", True, moving, right, points
    turned = Transform.rigid(rng.uniform(-60, 60, 3), rng.uniform(-40, 40, 3), moving.grid.center)
    posed = moving.replace(grid=Grid(moving.shape, turned.matrix @ moving.affine))
    yield "right, from another pose", True, posed, found(fixed, posed, points, same), points
    center = points.mean(axis=0)
    for size in (5, 10, 20, 40):
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        shift = right @ Transform.rigid(translation=size * axis)
        yield f"{size} mm off", False, moving, shift, points
        tilt = right @ Transform.rigid(size * axis, center=center)
        if size > 5:
            yield f"{size} degrees off", False, moving, tilt, points
    for name, angles in (("upside down", (180, 0, 0)), ("back to front", (0, 0, 180))):
        yield name, False, moving, right @ Transform.rigid(angles, center=center), points
    for name, axis, keep in (
        ("right half alone", 0, slice(0.5, None)),
        ("lower half alone", 2, slice(None, 0.5)),
        ("front half alone", 1, slice(0.5, None)),
    ):
        half = cut(moving, axis, keep)
        yield name, False, half, found(fixed, half, points, same), points
    neck = cut(moving, 2, slice(None, 0.33))
    yield "another part of the body", False, neck, found(fixed, neck, points, same), points


def area(scores: np.ndarray, right: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a right one scores higher than a spoilt one."""
    good, bad = scores[right], scores[~right]
    return float((good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean())


def logistic(x: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    scaled, used = (x - middle) / spread, np.ones(x.shape[1], bool)
    signs = np.array([-1 if m == "drift" else 1 for m in MEASURES])
    while True:  # a measure that would count the wrong way round does not count
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000)
        model.fit(scaled[:, used], right)
        wrong = model.coef_[0] * signs[used] < 0
        if not wrong.any():
            break
        used[np.flatnonzero(used)[wrong]] = False
    weights = np.zeros(x.shape[1])
    weights[used] = model.coef_[0] / spread[used]
    return weights, float(model.intercept_[0] - weights @ middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--pairs", type=int, help="the first N pairs only")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = os.environ.get("MRIPREP_TEST_DATA")
    if not folder:
        sys.exit("set MRIPREP_TEST_DATA to the folder of real scans")
    rows, scores, right, group, kinds = [], [], [], [], []
    for number, (name, still, floating, same) in enumerate(
        list(pairs(Path(folder)))[: given.pairs]
    ):
        fixed, moving = read(still), read(floating)
        region = None if same else head_alone(fixed, landmarks(fixed, None))
        for kind, is_right, image, transform, points in cases(fixed, moving, same, number):
            trust = _trust.trust(fixed, image, transform, points, region)
            rows.append([getattr(trust, m) for m in MEASURES])
            scores.append(trust.score)
            right.append(is_right)
            group.append(number)
            kinds.append(kind)
            facts = "  ".join(f"{k} {v:6.3f}" for k, v in trust.facts().items())
            print(f"{name:<28} {kind:<26} {facts}", flush=True)
    x, good, groups = np.array(rows), np.array(right), np.array(group)
    score = np.array(scores)
    print(
        f"\narea under the ROC curve: {area(score, good):.4f} ({good.sum()} right, {(~good).sum()} spoilt)"
    )
    unseen = np.empty(len(x))
    if len(set(group)) > 1:
        for g in set(group):
            w, b = logistic(x[groups != g], good[groups != g])
            unseen[groups == g] = 1 / (1 + np.exp(-(x[groups == g] @ w + b)))
        print(f"  of weights fitted without the pair: {area(unseen, good):.4f}")
    for kind in dict.fromkeys(kinds):
        here = np.array([k == kind for k in kinds])
        flagged = (score[here] < _trust.THRESHOLD).mean()
        print(
            f"  {kind:<26} flagged {flagged:6.1%}   scores {score[here].min():.3f} to {score[here].max():.3f}"
        )
    if given.fit:
        w, b = logistic(x, good)
        print(
            {
                "bias": round(b, 3),
                **{m: round(float(v), 3) for m, v in zip(MEASURES, w, strict=True)},
            }
        )


if __name__ == "__main__":
    main()
