"""Pairs of real heads and of phantoms, random poses, and what is known of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

import mriprep as mp
from mriprep.core import Grid, Transform, Volume
from mriprep.kernels import sample


class Pair(NamedTuple):
    """Two images; whether they show one person; points of the fixed one's brain, mm (N, 3)."""

    name: str
    fixed: Volume
    moving: Volume
    same: bool
    points: np.ndarray


def folder() -> Path | None:
    """Where the real scans are, or None."""
    named = os.environ.get("MRIPREP_TEST_DATA")
    return Path(named) if named else None


def read(path: Path) -> Volume:
    image = mp.read(path)
    return image.replace(np.nan_to_num(image.floats()))


def brain_points(mask: Volume | None, image: Volume, count: int = 500) -> np.ndarray:
    """Points of a brain; where no mask is known, of an ellipsoid as large at the head's middle."""
    if mask is not None:
        index = np.argwhere(mask.data > 0)
        return mask.grid.to_world(index[:: max(1, len(index) // count)])
    from mriprep.engines.registration._pyramid import Pyramid

    points = np.random.default_rng(0).uniform(-1, 1, (2 * count, 3))
    inside = points[(points**2).sum(axis=1) < 1]
    return Pyramid(image).center + inside * (65, 80, 55)


def real_pairs(data: Path) -> list[Pair]:
    """Contrasts of one person, and heads to a template."""
    scans, templates = data / "nifti", data / "templates"
    pairs = []

    def add(name: str, fixed: Path, moving: Path, same: bool, mask: Path | None) -> None:
        image = read(fixed)
        points = brain_points(read(mask) if mask else None, image)
        pairs.append(Pair(name, image, read(moving), same, points))

    older, tcga = scans / "older-adults/sub-01", scans / "tcga-fg6692"
    add("FLAIR to T1w, 2 mm", older / "T1w.nii.gz", older / "FLAIR.nii.gz", True,
        older / "dlmuse.nii.gz")  # fmt: skip
    add("PDw (2.4 mm slices) to T1w", scans / "chris/T1w.nii.gz", scans / "chris/PDw.nii.gz",
        True, None)  # fmt: skip
    for contrast in ("T1w", "T2w", "FLAIR"):
        add(f"glioma {contrast} to T1c, 5.5 mm slices", tcga / "T1c.nii.gz",
            tcga / f"{contrast}.nii.gz", True, tcga / "T1c_brain-mask.nii.gz")  # fmt: skip
    mni = templates / "mni152-2009"
    for name, scan in (
        ("T1w, 0.9 mm, to template", scans / "chris/T1w.nii.gz"),
        ("T1w, 2 mm, to template", scans / "ixi012/T1w.nii.gz"),
        ("older T1w to template", scans / "older-adults/sub-03/T1w.nii.gz"),
        ("glioma T1c to template", tcga / "T1c.nii.gz"),
    ):
        add(name, mni / "head.nii.gz", scan, False, mni / "brain.nii.gz")
    return pairs


def phantom_pairs() -> list[Pair]:
    """Digital heads, 3 mm: another contrast, and a child's head to the adult template."""
    from mriprep.phantom import head, template, template_brain

    fixed = template(spacing=3)
    points = brain_points(template_brain(3), fixed)
    t2 = head("T2w", spacing=3, labels=False, seed=4).image
    child = head("T1w", age=6.0, spacing=3, labels=False, seed=5).image
    return [Pair("phantom T2w to T1w", fixed, t2, True, points),
            Pair("phantom child to template", fixed, child, False, points)]  # fmt: skip


def random_pose(
    rng: np.random.Generator, center: np.ndarray, degrees: float, mm: float, least: float = 0
) -> Transform:
    """A turn of `least` to `degrees` about any axis through `center`, and a shift to `mm`."""
    axis, shift = rng.normal(size=3), rng.normal(size=3)
    axis = axis / np.linalg.norm(axis)
    angle = np.radians(rng.uniform(least, degrees))
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k
    shift = shift / np.linalg.norm(shift) * rng.uniform(0, mm)
    matrix[:3, 3] = center + shift - matrix[:3, :3] @ center
    return Transform(matrix)


def moved(image: Volume, pose: Transform) -> Volume:
    """The image with its world moved by a pose: its header alone changes."""
    return image.replace(grid=Grid(image.shape, pose.matrix @ image.affine))


def another_contrast(image: Volume, pose: Transform, rng: np.random.Generator) -> Volume:
    """The head inverted, biased and noisy on another 1 mm grid, at a known pose (image mm to its mm)."""
    center = image.grid.center
    affine = np.eye(4)
    affine[:3, 3] = center - (95, 110, 95)
    grid = Grid((190, 220, 190), affine)
    values = np.ascontiguousarray(image.floats())
    high = float(np.percentile(values, 99.9))
    to_image = (np.linalg.inv(image.affine) @ pose.inverse().matrix @ grid.affine)[:3]
    seen = np.clip(sample.cubic(values, to_image, grid.shape), 0, high)
    other = np.where(seen > 0.05 * high, 1.1 * high - seen, 0)
    other = other * np.exp(0.25 * np.linspace(-1, 1, grid.shape[1])[None, :, None])
    return Volume((other + rng.normal(0, 0.03 * high, other.shape)).astype(np.float32), grid)
