"""Registration: capture, precision, landmarks, seconds; the native engine, beside elastix and ANTs.

    MRIPREP_TEST_DATA=... python benchmarks/registration.py
        [--only capture precision landmarks time threads] [--poses 200] [--short]

capture    random poses (turns to 60 and to 120 degrees about any axis, shifts to 50 mm) given by
           the moving image's header alone, within a person across contrasts and from heads to a
           template: the share within 2 mm, mean over the brain, of the consensus (the median
           over the poses of a pair). `--poses`: of each range, over all pairs together.
precision  one head against itself inverted, biased, noisy, on another grid at a known pose of 10
           to 60 degrees: the mean error over the brain; the same from other starts; forward
           and backward; phantoms at a known pose, of 1 mm and with 5 mm slices.
landmarks  Colin 27 to MNI152NLin6Asym: mean distance of 32 expert landmarks.
time       1 mm heads, two threads: arrays to transform, and a whole Python process.
threads    1, 2 and 4 threads give the same matrix to the last bit.

Without real scans, and with `--short`, phantoms take their place. Between different people a
rigid transform is the rigid part of an affine one over the brain. Exit code 1 if a goal is
missed.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from _registration_landmarks import errors, plausible, read_fcsv
from _registration_process import timed
from _registration_scenes import (
    Pair,
    another_contrast,
    brain_points,
    folder,
    moved,
    phantom_pairs,
    random_pose,
    read,
    real_pairs,
)

from mriprep import engines
from mriprep.core import EngineError, EngineMissing, Grid, Transform, Volume
from mriprep.steps._align import head_alone
from mriprep.steps._align import landmarks as landmarks_of

PARTS = ("capture", "precision", "landmarks", "time", "threads")


class Line(NamedTuple):
    """A row of the final table; `met` is None where there is no goal."""

    what: str
    found: str
    goal: str = ""
    met: bool | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--poses", type=int, default=200)
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    lines: list[Line] = []
    for part in given.only:
        print(f"-- {part}", flush=True)
        lines += RUNS[part](given.short or folder() is None, given.poses)
    print(f"\n{'measure':<58}{'found':<34}{'goal':<16}")
    for line in lines:
        verdict = {None: "", True: "PASS", False: "FAIL"}[line.met]
        print(f"{line.what:<58}{line.found:<34}{line.goal:<16}{verdict}")
    return int(any(line.met is False for line in lines))


def rigid(engine: str, pair: Pair, fixed: Volume, moving: Volume, points: np.ndarray) -> Transform:
    """A rigid transform as the step finds it: at once within a person, through an affine one between people."""
    estimate = engines.load("registration", engine).estimate
    if pair.same:
        return estimate(fixed, moving)
    region = head_alone(fixed, landmarks_of(fixed, None))
    return estimate(fixed, moving, fixed_mask=region, model="affine").rigid_part(points)


# -- capture ----------------------------------------------------------------------------------


def capture(short: bool, poses: int) -> list[Line]:
    pairs = phantom_pairs() if short else real_pairs(folder())
    poses = min(poses, 8) if short else poses
    lines = []
    for degrees, least in ((60, 0.99), (120, 0.95)):
        off: list[float] = []
        for number, pair in enumerate(pairs):
            share = poses // len(pairs) + (number < poses % len(pairs))
            rng = np.random.default_rng([degrees, number])
            landed, seconds = [], []
            for pose in [Transform.identity()] + [
                random_pose(rng, pair.moving.grid.center, degrees, 50) for _ in range(share)
            ]:
                began = time.perf_counter()
                found = rigid("native", pair, pair.fixed, moved(pair.moving, pose), pair.points)
                seconds.append(time.perf_counter() - began)
                landed.append(pose.inverse()(found(pair.points)))
            points = np.array(landed)
            distance = np.linalg.norm(points - np.median(points, axis=0), axis=2).mean(axis=1)
            off += list(distance[1:])
            text = f"within 2 mm {(distance < 2).sum()} of {len(distance)}, median {np.median(distance):.3f}"
            print(
                f"{degrees:>4} degrees  {pair.name:<40}{text}, most {distance.max():.2f} mm;"
                f" {np.median(seconds):.2f} s", flush=True,
            )  # fmt: skip
        within = float((np.array(off) < 2).mean())
        text = f"{within:.1%} of {len(off)} poses (median {np.median(off):.3f} mm)"
        lines.append(Line(f"capture: turns to {degrees} degrees, within 2 mm", text,
                          f"{least:.0%}", within >= least))  # fmt: skip
    return lines


# -- precision --------------------------------------------------------------------------------


def precision(short: bool, poses: int) -> list[Line]:
    from mriprep.phantom import head

    data = folder()
    count = 3 if short else 18
    if short:
        image = head(spacing=2, labels=False, noise=0.02).image
        points = brain_points(None, image)
    else:
        image = read(data / "templates/colin27/head.nii.gz")
        points = brain_points(read(data / "templates/colin27/brain.nii.gz"), image)
    limit = 0.2 if short else 0.1
    lines = []
    scenes = []
    for number in range(count):
        rng = np.random.default_rng(number)
        angle = (10, 20, 30, 40, 50, 60)[number % 6]
        pose = random_pose(rng, image.grid.center, angle, 0.8 * angle, angle)
        scenes.append((pose, another_contrast(image, pose, rng)))
    for engine in ("native",) if short else ("native", "elastix", "ants"):
        off, seconds = [], []
        try:
            estimate = engines.load("registration", engine).estimate
        except EngineMissing:
            continue
        for pose, moving in scenes:
            began = time.perf_counter()
            try:
                off.append(estimate(image, moving).distance(pose, points))
            except EngineError:
                off.append(np.inf)
            seconds.append(time.perf_counter() - began)
        e = np.array(off)
        print(f"  {engine}: {np.round(e, 3).tolist()}; {np.median(seconds):.2f} s", flush=True)
        text = f"{(e < limit).sum()} of {count} (median {np.median(e):.3f}, most {e.max():.3f} mm)"
        ours = engine == "native"
        lines.append(Line(f"precision: {engine}, itself in another contrast", text,
                          f"all < {limit} mm" if ours else "",
                          bool((e < limit).all()) if ours else None))  # fmt: skip
    estimate = engines.load("registration", "native").estimate
    lines.append(_same_answer(estimate, image, scenes[2], points, count, limit))
    lines.append(_forth_and_back(short, lines))
    return lines + _phantoms(estimate, short)


def _same_answer(
    estimate: Callable[..., Transform], image: Volume, scene: tuple[Transform, Volume],
    points: np.ndarray, count: int, limit: float,
) -> Line:  # fmt: skip
    landed = []
    rng = np.random.default_rng(1)
    for _ in range(count):
        pose = random_pose(rng, image.grid.center, 90, 50)
        landed.append(pose.inverse()(estimate(image, moved(scene[1], pose))(points)))
    apart = np.linalg.norm(np.array(landed)[:, None] - np.array(landed), axis=3).mean(axis=2)
    print(f"  from {count} starts: {apart.max():.4f} mm apart at most", flush=True)
    return Line(f"precision: from {count} starts, most apart", f"{apart.max():.3f} mm",
                f"< {limit} mm", bool(apart.max() < limit))  # fmt: skip


def _forth_and_back(short: bool, lines: list[Line]) -> Line:
    off = []
    for pair in phantom_pairs() if short else real_pairs(folder()):
        forth = rigid("native", pair, pair.fixed, pair.moving, pair.points)
        back = rigid("native", pair, pair.moving, pair.fixed, forth(pair.points))
        off.append((back @ forth).distance(Transform.identity(), pair.points))
        print(f"  forward and backward: {pair.name:<40}{off[-1]:.3f} mm", flush=True)
    text = f"{sum(e < 0.2 for e in off)} of {len(off)} (median {np.median(off):.3f}, most {max(off):.3f} mm)"
    return Line("precision: forward and backward, pairs", text, "all < 0.2 mm", max(off) < 0.2)


def _phantoms(estimate: Callable[..., Transform], short: bool) -> list[Line]:
    from mriprep.phantom import head, template, template_brain

    size = 2.0 if short else 1.0
    fixed = template(spacing=size)
    points = brain_points(template_brain(size), fixed)
    limit = 0.1 * size
    thick = np.diag([0.9, 0.9, 5.0, 1.0])
    grid = Grid((250, 270, 48), thick)
    thick[:3, 3] = -grid.center
    lines = []
    for name, options, most in (
        (f"phantom T1w, {size:g} mm", {"spacing": size}, limit),
        (f"phantom T2w, {size:g} mm", {"spacing": size, "contrast": "T2w"}, limit),
        ("phantom T1w, 0.9 x 0.9 x 5 mm", {"grid": Grid(grid.shape, thick)}, 1.0),
        ("phantom T2w, 0.9 x 0.9 x 5 mm", {"grid": Grid(grid.shape, thick), "contrast": "T2w"}, 1.0),
    ):  # fmt: skip
        off = []
        for turn, shift in (((8, -10, -20), (-10, 5, 20)), ((-30, 20, 15), (5, -8, 4))):
            truth = head(**options, rotation=turn, translation=shift, labels=False, seed=4)
            off.append(estimate(fixed, truth.image).distance(truth.pose, points))
        print(f"  {name}: {np.round(off, 3).tolist()}", flush=True)
        lines.append(Line(f"precision: {name}", f"{max(off):.3f} mm", f"< {most:g} mm",
                          max(off) < most))  # fmt: skip
    return lines


# -- landmarks --------------------------------------------------------------------------------


def landmarks(short: bool, poses: int) -> list[Line]:
    if short:
        return [Line("landmarks", "(needs real scans)")]
    data = folder()
    where = data / "templates/mni152nlin6"
    stem = "tpl-MNI152NLin6Asym_res-01"
    fixed = read(where / f"{stem}_T1w.nii.gz")
    points = brain_points(read(where / f"{stem}_desc-brain_mask.nii.gz"), fixed)
    moving = read(data / "templates/colin27/head.nii.gz")
    sets = {}
    for name in ("Colin27", "MNI152NLin6Asym"):
        labels, sets[name] = read_fcsv(data / f"landmarks/tpl-{name}_afids.fcsv")
        print(f"  {name}: {len(labels)} landmarks, plausible: {plausible(labels, sets[name])}")
    here, there = sets["MNI152NLin6Asym"], sets["Colin27"]
    best = np.linalg.lstsq(np.c_[here, np.ones(len(here))], there, rcond=None)[0]
    off = np.linalg.norm(np.c_[here, np.ones(len(here))] @ best - there, axis=1)
    lines = [_distances("headers alone", errors(Transform.identity(), here, there)),
             _distances("affine map fitted to the landmarks", off)]  # fmt: skip
    for engine in ("native", "elastix", "ants"):
        try:
            estimate = engines.load("registration", engine).estimate
        except EngineMissing:
            continue
        affine = estimate(fixed, moving, model="affine")
        lines.append(_distances(f"{engine}, affine", errors(affine, here, there)))
        through = affine.rigid_part(points)
        lines.append(_distances(f"{engine}, rigid through affine", errors(through, here, there)))
        lines.append(_distances(f"{engine}, rigid", errors(estimate(fixed, moving), here, there)))
        print(f"  {engine} done", flush=True)
    return lines


def _distances(name: str, off: np.ndarray) -> Line:
    return Line(f"landmarks: {name}", f"mean {off.mean():.2f}, median {np.median(off):.2f} mm")


# -- seconds and threads ----------------------------------------------------------------------


def _heads(short: bool) -> tuple[Volume, Volume]:
    if short:
        pair = phantom_pairs()[0]
        return pair.fixed, pair.moving
    templates = folder() / "templates"
    return read(templates / "mni152-2009/head.nii.gz"), read(templates / "colin27/head.nii.gz")


def seconds(short: bool, poses: int) -> list[Line]:
    fixed, moving = _heads(short)
    ours = timed("native", fixed, moving)
    lines = [Line("time: native, rigid, call (processor)", f"{ours.call:.2f} s ({ours.processor:.2f} s)",
                  "<= 1.5 s", ours.call <= 1.5)]  # fmt: skip
    affine = timed("native", fixed, moving, "affine", repeats=3)
    lines.append(
        Line(
            "time: native, affine, call (processor)",
            f"{affine.call:.2f} s ({affine.processor:.2f} s)",
        )
    )
    lines.append(Line("time: native, rigid, whole process", f"{ours.process:.2f} s"))
    for engine in () if short else ("elastix", "elastix, plain itk", "ants"):
        try:
            engines.load("registration", engine.split(",")[0])
        except EngineMissing:
            continue
        other = timed(engine, fixed, moving, repeats=3 if engine == "elastix" else 1)
        goals = (None, None) if engine == "ants" else (3, 8)
        for name, a, b, goal in (("call", other.call, ours.call, goals[0]),
                                 ("whole process", other.process, ours.process, goals[1])):  # fmt: skip
            lines.append(Line(f"time: {engine}, rigid, {name}", f"{a:.2f} s, {a / b:.1f} times ours",
                              f">= {goal} times" if goal else "", a / b >= goal if goal else None))  # fmt: skip
    return lines + _gpu(fixed, moving)


def _gpu(fixed: Volume, moving: Volume) -> list[Line]:
    from mriprep.engines._device import on_gpu

    if not on_gpu("auto"):
        return [Line("time: native, on a GPU", "(no GPU here)")]
    found = timed("native", fixed, moving, device="cuda")
    return [
        Line("time: native, rigid, on a GPU", f"{found.call:.2f} s", "<= 0.3 s", found.call <= 0.3)
    ]


def threads(short: bool, poses: int) -> list[Line]:
    fixed, moving = _heads(short)
    lines = []
    for model in ("rigid", "affine"):
        found = [
            timed("native", fixed, moving, model, threads=n, repeats=1).matrix for n in (1, 2, 4)
        ]
        same = all(np.array_equal(found[0], m) for m in found)
        lines.append(Line(f"threads: 1, 2 and 4, {model}", "identical" if same else "different",
                          "identical", same))  # fmt: skip
    return lines


RUNS = {"capture": capture, "precision": precision, "landmarks": landmarks, "time": seconds, "threads": threads}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
