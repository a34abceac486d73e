"""How much the means of tissues vary across scans, before and after each normaliser.

    python benchmarks/normalisers.py [--spacing 3] [--write docs/normalisers.md]

Two cohorts: eleven older adults (T1w; tissues by the DLMUSE labels that come
with them; needs MRIPREP_TEST_DATA), and 30 digital heads from three simulated
scanners, which differ in gain, contrast, bias field and noise; bias fields are
corrected first (n4). Printed is the
standard deviation of a tissue's mean across the scans, in percent of the mean
distance between fluid and white matter: the same measure for intensities that
are scaled and for those that are scored. Smaller is more alike; a normaliser
that throws the contrast away would show as a larger number, not a smaller one.

Cohort normalisers are fitted on one half and applied to the other, and the
other way round: no scan is normalised by a state that has seen it. Deviations
are those within halves, for all. `--write`
puts the table in a Markdown file, between the two comment lines that mark its
place there.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import mriprep as mp
from mriprep.core import Volume
from mriprep.phantom import TISSUES, head

BEGIN, END = "<!-- table: normalisers.py -->", "<!-- end -->"
NAMES = ("CSF", "GM", "WM")
#: Labels of DLMUSE: ventricles; deep grey matter and cortex; white matter of the lobes.
VENTRICLES = (4, 11, 49, 50, 51, 52)
DEEP = (23, 30, 31, 32, 36, 37, 47, 48, 55, 56, 57, 58, 59, 60)
LOBES = tuple(range(81, 89))
#: Gain, exponent of the contrast, bias field, noise.
SCANNERS = {"A": (1.0, 1.0, 0.1, 0.02), "B": (0.35, 0.85, 0.2, 0.03), "C": (4.0, 1.1, 0.15, 0.04)}


@dataclass
class Scan:
    """An image, its brain mask, and where its tissues are (1, 2, 3)."""

    image: Volume
    mask: Volume
    tissues: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)


def older_adults(folder: Path) -> list[Scan]:
    found = []
    for path in sorted((folder / "nifti" / "older-adults").glob("sub-*")):
        muse = mp.read(path / "dlmuse.nii.gz", role="labels")
        mask = muse.replace(muse.data > 0, role="mask")
        image = mp.n4(mp.read(path / "T1w.nii.gz").replace(contrast="T1w"), mask)
        tissues = np.zeros(muse.shape, np.uint8)
        tissues[np.isin(muse.data, VENTRICLES)] = 1
        tissues[np.isin(muse.data, DEEP) | (muse.data >= 100)] = 2
        tissues[np.isin(muse.data, LOBES)] = 3
        found.append(Scan(image, mask, tissues))
    return found


def phantoms(spacing: float, number: int = 30) -> list[Scan]:
    found = []
    for n in range(number):
        site = "ABC"[n % 3]
        gain, exponent, bias, noise = SCANNERS[site]
        gain *= 1 + 0.1 * np.sin(n)  # scans of one scanner differ, too
        scan = head("T1w", spacing=spacing, seed=n, bias=bias, noise=noise)
        data = 1000 * gain * (scan.image.data / 1000) ** exponent
        tissues = np.zeros(scan.grid.shape, np.uint8)
        for number_, name in enumerate(("csf", "gm", "wm"), 1):
            tissues[scan.brain.data & (scan.tissues.data == TISSUES[name])] = number_
        image = mp.n4(scan.image.replace(data), scan.brain)
        found.append(Scan(image, scan.brain, tissues, {"site": site}))
    return found


def single(step: str, **how: Any) -> Callable[[list[Scan]], list[Volume]]:
    return lambda scans: [getattr(mp, step)(s.image, s.mask, **how) for s in scans]


def half(number: int, which: int) -> list[int]:
    """One half of the scans, with scans of every site."""
    return [i for i in range(number) if (i // 3) % 2 == which]


def cohort(kind: str, **how: Any) -> Callable[[list[Scan]], list[Volume]]:
    """Fit on one half, apply to the other."""

    def normalise(scans: list[Scan]) -> list[Volume]:
        result: dict[int, Volume] = {}
        halves = [half(len(scans), h) for h in (0, 1)]
        for fitted, applied in (halves, halves[::-1]):
            part = [scans[i] for i in fitted]
            state = mp.fit(
                kind, [s.image for s in part], [s.mask for s in part],
                facts=[s.facts for s in part], **how,
            )  # fmt: skip
            for i in applied:
                extra = {"site": scans[i].facts["site"]} if kind == "combat" else {}
                result[i] = state.apply(scans[i].image, scans[i].mask, **extra)
        return [result[i] for i in range(len(scans))]

    return normalise


def to_first(scans: list[Scan]) -> list[Volume]:
    first = scans[0]
    return [mp.match_histogram(s.image, s.mask, first.image, first.mask) for s in scans]


METHODS: dict[str, Callable[[list[Scan]], list[Volume]]] = {
    "none": lambda scans: [s.image for s in scans],
    "`rescale` 0 to 100 (min-max)": single("rescale", percentiles=(0, 100), clip=False),
    "`rescale` 0.5 to 99.5": single("rescale", clip=False),
    "`zscore`": single("zscore"),
    "`robust_zscore`": single("robust_zscore"),
    "`fcm`": single("fcm"),
    "`kde`": single("kde"),
    "`whitestripe`": single("whitestripe"),
    "`equalize`": single("equalize"),
    "`clahe`": single("clahe"),
    "`match_histogram` to one image": to_first,
    "`match_histogram`, cohort": cohort("match_histogram"),
    "`least_squares`": cohort("least_squares"),
    "`nyul`": cohort("nyul"),
    "`combat`": cohort("combat", covariates="none"),
    "`whitestripe`, then `combat`": lambda scans: cohort("combat", covariates="none")(
        [
            Scan(v, s.mask, s.tissues, s.facts)
            for v, s in zip(METHODS["`whitestripe`"](scans), scans, strict=True)
        ]
    ),
    "`ravel`": cohort("ravel"),
}


def variation(scans: list[Scan], images: list[Volume]) -> np.ndarray:
    """Deviation of each tissue's mean, in percent of the distance between fluid and white matter."""
    means = np.array(
        [
            [v.data[s.tissues == t].mean(dtype=np.float64) for t in (1, 2, 3)]
            for s, v in zip(scans, images, strict=True)
        ]
    )
    # Each half has a state of its own, and its own scale by it: deviations are those within halves.
    halves = [half(len(scans), h) for h in (0, 1)]
    apart = sum(((means[h] - means[h].mean(axis=0)) ** 2).sum(axis=0) for h in halves)
    deviation = np.sqrt(apart / (len(scans) - 2))
    return 100 * deviation / abs((means[:, 2] - means[:, 0]).mean())


def needs(name: str, scans: list[Scan]) -> str | None:
    """Why a normaliser cannot be tried on a cohort."""
    if "combat" in name and "site" not in scans[0].facts:
        return "one site"
    if "ravel" in name and not all(s.image.grid.matches(scans[0].image.grid) for s in scans):
        return "not registered"
    return None


def row(name: str, cohorts: list[list[Scan]]) -> str:
    cells = []
    for scans in cohorts:
        why = needs(name, scans)
        if why:
            cells += [why, "", ""]
        else:
            cells += [f"{v:.1f}" for v in variation(scans, METHODS[name](scans))]
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spacing", type=float, default=3.0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    cohorts, titles = [], []
    data = os.environ.get("MRIPREP_TEST_DATA")
    if data:
        cohorts.append(older_adults(Path(data)))
        titles.append("adults")
    else:
        print("MRIPREP_TEST_DATA is not set: digital heads alone", file=sys.stderr)
    cohorts.append(phantoms(given.spacing))
    titles.append("phantoms")
    columns = [f"{title} {name}" for title in titles for name in NAMES]
    lines = [
        "| normaliser | " + " | ".join(columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    print("\n".join(lines))
    for name in METHODS:
        began = time.process_time()
        lines.append(row(name, cohorts))
        print(lines[-1], flush=True)
        print(f"{name}: {time.process_time() - began:.1f} s", file=sys.stderr)
    if given.write:
        if len(cohorts) < 2:
            print("nothing written: the older adults are missing", file=sys.stderr)
            return 1
        text = given.write.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END, 1)[1]
        table = "\n".join(lines)
        given.write.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
