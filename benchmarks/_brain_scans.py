"""Heads with a brain mask to compare with: real ones with another tool's mask, phantoms with the true one."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import mriprep as mp
from mriprep.core import Volume

#: Ages of the phantoms, years: a half-year-old's skull holds half of an adult's.
AGES = (0.5, 2.0, 5.0, 10.0, 30.0, 80.0)
CONTRASTS = ("T1w", "T2w", "FLAIR")
OLDER = tuple(f"sub-{n:02d}" for n in range(1, 12))


class Scan(NamedTuple):
    """A head.

    Parameters
    ----------
    name : str
        Short and unique.
    contrast : str
        ``T1w``, ``T1c``, ``T2w``, ``FLAIR`` or ``PDw``.
    image : Volume
        As it was stored.
    mask : Volume or None
        Its brain, on the image's grid; None where nobody drew one.
    source : str
        What the mask is: ``true`` (the phantom's), or the tool that made it.
        ``dlmuse`` is the intracranial volume, with the fluid around the brain.
    """

    name: str
    contrast: str
    image: Volume
    mask: Volume | None
    source: str


def everything(data: Path | None, *, spacing: float = 2.0) -> Iterator[Scan]:
    """All scans, real ones where their folder is there, read when they are asked for.

    Parameters
    ----------
    data : Path or None
        The folder of real scans.
    spacing : float
        Of the phantoms, mm.
    """
    if data is not None:
        yield from real(data)
    yield from phantoms(spacing)


def real(data: Path) -> Iterator[Scan]:
    """The real heads, T1w first."""
    yield from t1w(data)
    yield from others(data)


def t1w(data: Path) -> Iterator[Scan]:
    """T1-weighted heads: adults, older adults, a child."""
    nifti = data / "nifti"
    for name in ("ixi012", *(f"older-adults/{s}" for s in OLDER)):
        folder = nifti / name
        image, mask = mp.read(folder / "T1w.nii.gz"), _labelled(folder / "dlmuse.nii.gz")
        yield Scan(folder.name, "T1w", image, mask, "dlmuse")
    philips = data / "dicom/adult-41y-philips-elition.hdbet-mask.nii.gz"
    image = _dicom(data / "dicom/adult-41y-philips-elition.tar.xz")
    mask = mp.resample(mp.read(philips, role="mask"), to=image, labels="nearest")
    yield Scan("philips", "T1w", image, mask, "hdbet")
    tcga = nifti / "tcga-fg6692"
    yield _carried("tcga", tcga / "T1c.nii.gz", tcga / "T1c_brain-mask.nii.gz", tcga, "T1w")
    yield Scan("chris", "T1w", mp.read(nifti / "chris/T1w.nii.gz"), None, "")
    child = _dicom(data / "dicom/child-10y-siemens-trio.tar.xz")
    yield Scan("child-10y", "T1w", child, None, "")


def others(data: Path) -> Iterator[Scan]:
    """Heads in other contrasts; masks of the same person's T1w (or T1c) carried to them."""
    tcga = data / "nifti/tcga-fg6692"
    drawn = tcga / "T1c_brain-mask.nii.gz"
    mask = mp.read(drawn, role="mask")
    yield Scan("tcga", "T1c", mp.read(tcga / "T1c.nii.gz"), mask, "automatic")
    for contrast in ("T2w", "FLAIR"):
        yield _carried("tcga", tcga / "T1c.nii.gz", drawn, tcga, contrast)
    for name in OLDER:
        folder = data / "nifti/older-adults" / name
        yield _carried(name, folder / "T1w.nii.gz", folder / "dlmuse.nii.gz", folder, "FLAIR")
    yield Scan("chris", "PDw", mp.read(data / "nifti/chris/PDw.nii.gz"), None, "")


def phantoms(spacing: float = 2.0) -> Iterator[Scan]:
    """Digital heads in three contrasts, each at six ages, turned a little; the true masks."""
    from mriprep.phantom import head

    for contrast in CONTRASTS:
        for n, age in enumerate(AGES):
            turn = (4.0 * n - 10, 7.0 - 3 * n, 5.0 * n - 12)
            made = head(
                contrast, age=age, spacing=spacing, rotation=turn, bias=0.4, seed=n, labels=False
            )
            yield Scan(f"phantom-{age:g}y", contrast, made.image, made.brain, "true")


def _labelled(path: Path) -> Volume:
    labels = mp.read(path)
    return labels.replace(labels.data > 0, role="mask")


def _carried(name: str, drawn_on: Path, mask: Path, folder: Path, contrast: str) -> Scan:
    """A contrast with the mask of another one of the same session."""
    image = mp.read(folder / f"{contrast}.nii.gz")
    pose = mp.register(mp.read(drawn_on), to=image)
    source = "dlmuse" if mask.name.startswith("dlmuse") else "automatic"
    return Scan(name, contrast, image, mp.resample(_labelled(mask), to=pose), source)


def _dicom(archive: Path) -> Volume:
    """The T1w of an archive of DICOM files."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        case = mp.read(folder)
        image = case if isinstance(case, Volume) else case["T1w"]
        return image.replace(image.data.copy())
