"""What the quality gates catch of scans that were spoilt on purpose, and how often they cry wolf.

    MRIPREP_TEST_DATA=... python benchmarks/gates.py [--cache FILE] [--scans N] [--kinds motion ghost]
        [--phantoms-only] [--ranges]

Good scans are real heads and phantoms. Each is spoilt in every way of `_gates_spoilt.py`, in three
strengths; besides, its brain mask is made to leak, its registration moved, its age mistold, and it is
mirrored. Printed for each kind and strength: the share that is caught (verdict `look` or `fail`), and the
share of the unspoilt that is flagged too. Mask and pose of the spoilt scan are those of the good one: what is
judged is the image. `--ranges` prints what each metric is of the good ones. Measuring takes some
seconds a scan and way; with `--cache`, what has been measured is read from there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _brain_scans import Scan, phantoms, real
from _gates_spoilt import STRENGTHS, spoilt

import mriprep as mp
from mriprep.core import Transform, Volume
from mriprep.declare import keeping
from mriprep.qc.gates import judge, verdict_of
from mriprep.qc.metrics import Measurable, measure
from mriprep.steps import _brain_trust
from mriprep.steps._align import landmarks
from mriprep.steps._brain_mask import moved, one_piece
from mriprep.steps._brain_surface import Coarse
from mriprep.steps._trust import trust
from mriprep.templates.maps import tissue_maps

#: Of what is not the image's: by how much, weakest first.
MASK_MM = (5.0, 8.0, 12.0)
POSE_MM_DEGREES = (8.0, 15.0, 30.0)
AGES = (2.0, 0.5, 0.0)


def values_of(
    image: Volume, brain: Volume, pose: Transform, template: Volume, contrast: str
) -> dict[str, float | None]:
    """Metrics, None where they could not be measured, and the mask's score."""
    with keeping() as kept:
        corrected = mp.n4(image, brain)
    field = kept.get("bias_field")
    with keeping() as found:
        mp.tissues(corrected, brain, pose, contrast=contrast)
    tissues = {name: found[f"tissue_{name}"] for name in ("csf", "gm", "wm")}
    found_in = measure(
        Measurable(
            image, corrected, brain, tissues, field, pose, contrast, {}, template, tissue_maps()
        )
    )
    coarse = Coarse.of(image)
    score = _brain_trust.judge(coarse, np.asarray(brain.data), image.grid).score
    return {**found_in.values, **dict.fromkeys(found_in.missing), "brain_score": score}


def leaking(scan: Scan, brain: Volume, by: float) -> float:
    """The score of a mask that was dilated by so many mm."""
    mask = one_piece(moved(np.asarray(brain.data), brain.grid, by))
    return _brain_trust.judge(Coarse.of(scan.image), mask, brain.grid).score


def mistold(scan: Scan, brain: Volume, age: float) -> float:
    """The mask's score where the age is told wrong."""
    coarse = Coarse.of(scan.image)
    return _brain_trust.judge(coarse, np.asarray(brain.data), brain.grid, age).score


def misplaced(
    scan: Scan, brain: Volume, pose: Transform, template: Volume, by: float, seed: int
) -> float:
    """The score of a registration that was moved and turned by so much."""
    rng = np.random.default_rng(seed)
    direction, axis = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    cross = np.cross(np.eye(3), axis)
    angle = np.deg2rad(by)
    off = np.eye(4)
    off[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    center = brain.grid.center
    off[:3, 3] = center - off[:3, :3] @ center + by * direction
    points = landmarks(template, None)
    moving = mp.apply_mask(scan.image, brain)
    return trust(template, moving, Transform(off @ pose.matrix), points).score


def measured(scan: Scan, kinds: list[str]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Kind, strength (0: unspoilt), values."""
    brain = scan.mask
    if brain is None or scan.source != "true":
        brain = mp.skullstrip(scan.image, contrast=scan.contrast)  # as a run does
    with keeping() as kept:
        pose = mp.register(scan.image, brain, template="mni152", model="affine")
    template = kept["template"]
    yield (
        "good",
        0,
        {
            **values_of(scan.image, brain, pose, template, scan.contrast),
            "registration_score": kept["registration"]["score"],
        },
    )
    for n, kind in enumerate(STRENGTHS):
        for level, strength in enumerate(STRENGTHS[kind], 1):
            if kind in kinds:
                image, mask = spoilt(scan.image, brain, kind, strength, n)
                yield kind, level, values_of(image, mask, pose, template, scan.contrast)
    for level, by in enumerate(MASK_MM, 1):
        if "leaking mask" in kinds:
            yield "leaking mask", level, {"brain_score": leaking(scan, brain, by)}
    for level, by in enumerate(POSE_MM_DEGREES, 1):
        if "failed registration" in kinds:
            score = misplaced(scan, brain, pose, template, by, level)
            yield "failed registration", level, {"registration_score": score}
    for level, age in enumerate(AGES, 1):
        if "wrong age" in kinds:
            yield "wrong age", level, {"brain_score": mistold(scan, brain, age)}
    if "flipped" in kinds:
        image = scan.image.replace(_mirrored(scan.image))
        yield (
            "flipped",
            3,
            values_of(image, brain.replace(_mirrored(brain)), pose, template, scan.contrast),
        )


def _mirrored(volume: Volume) -> np.ndarray:
    """Left and right exchanged, the header as it was: the array reversed along left-right."""
    order, _ = volume.grid.axes_to("RAS")
    return np.ascontiguousarray(np.flip(volume.data, order[0]))


def rows(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All that is measured, or was before."""
    data = os.environ.get("MRIPREP_TEST_DATA")
    known: dict[tuple[str, str], list[dict[str, Any]]] = {}
    if given.cache is not None and given.cache.is_file():
        for line in given.cache.read_text("utf-8").splitlines():
            row = json.loads(line)
            known.setdefault((row["scan"], row["contrast"]), []).append(row)
    found = []
    for number, scan in enumerate(scans(Path(data) if data else None, given)):
        if given.scans is not None and number >= given.scans:
            break
        before = known.get((scan.name, scan.contrast))
        if before is None:
            before = [
                {"scan": scan.name, "contrast": scan.contrast, "kind": kind, "level": level,
                 "values": {k: None if v is None else float(v) for k, v in values.items()}}
                for kind, level, values in measured(scan, given.kinds)
            ]  # fmt: skip
            if given.cache is not None:
                with given.cache.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in before)
        found += before
        print(f"{scan.name} {scan.contrast}: {len(before)} measured", flush=True)
    return found


def scans(data: Path | None, given: argparse.Namespace) -> Iterator[Scan]:
    everything = phantoms(given.spacing)
    if data is not None and not given.phantoms_only:
        everything = itertools.chain(real(data), everything)
    for scan in everything:
        named = not given.names or scan.name in given.names
        if named and (not given.contrasts or scan.contrast in given.contrasts):
            yield scan


def reasons(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Why a row is flagged."""
    values = row["values"]
    missing = {name: "not measured" for name, value in values.items() if value is None}
    found = judge(values, row["contrast"], missing=missing)
    # A run says itself that a mask or a registration is doubtful.
    for name in ("brain_score", "registration_score"):
        score = values.get(name)
        if score is not None and score < _brain_trust.THRESHOLD:
            found.append({"code": f"doubt-{name}", "level": "look"})
    return found


def report(found: list[dict[str, Any]]) -> None:
    """Print what is caught."""
    good = [r for r in found if r["kind"] == "good"]
    wolf = [r for r in good if reasons(r)]
    print(f"\nunspoilt: {len(wolf)} of {len(good)} flagged ({len(wolf) / len(good):.1%})")
    for row in wolf:
        print(f"  {row['scan']} {row['contrast']}: {', '.join(r['code'] for r in reasons(row))}")
    print("\n| spoilt by | weak | middle | strong | by (strong) |\n|---|---|---|---|---|")
    for kind in dict.fromkeys(r["kind"] for r in found if r["kind"] != "good"):
        cells = []
        for level in (1, 2, 3):
            these = [r for r in found if r["kind"] == kind and r["level"] == level]
            caught = [r for r in these if verdict_of(reasons(r)) != "pass"]
            cells.append(f"{len(caught) / len(these):.0%}" if these else "")
        said = Counter(
            x["code"] for r in found if r["kind"] == kind and r["level"] == 3 for x in reasons(r)
        )
        by = ", ".join(f"{code} {n}" for code, n in said.most_common(4))
        print(f"| {kind} | {' | '.join(cells)} | {by} |")


def ranges(found: list[dict[str, Any]]) -> None:
    """Print the range of each metric over the unspoilt, and over the spoilt in each way."""
    names = dict.fromkeys(n for r in found for n in r["values"])
    for name in names:
        print(f"\n{name}")
        for kind in dict.fromkeys(r["kind"] for r in found):
            for level in (0, 1, 2, 3):
                values = [
                    r["values"][name]
                    for r in found
                    if (r["kind"], r["level"]) == (kind, level)
                    and r["values"].get(name) is not None
                ]
                if values:
                    at = np.percentile(values, (0, 5, 50, 95, 100))
                    print(f"  {kind:<20} {level} " + " ".join(f"{v:11.4g}" for v in at))


def main() -> None:
    every = [*STRENGTHS, "leaking mask", "failed registration", "wrong age", "flipped"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="a file that keeps what was measured")
    parser.add_argument("--scans", type=int, help="the first N alone")
    parser.add_argument("--names", nargs="+", help="of scans: ixi012, sub-01, phantom-2y")
    parser.add_argument("--contrasts", nargs="+")
    parser.add_argument(
        "--kinds", nargs="*", default=every, help=f"any of: {', '.join(every)}; none"
    )
    parser.add_argument("--phantoms-only", action="store_true")
    parser.add_argument("--spacing", type=float, default=2.0, help="of the phantoms, mm")
    parser.add_argument("--ranges", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found = rows(given)
    if given.ranges:
        ranges(found)
    report(found)


if __name__ == "__main__":
    main()
