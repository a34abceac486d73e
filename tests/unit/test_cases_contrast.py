"""The contrast of a head by its intensities: on phantoms, and on scans of people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriprep.cases import CaseSource, ImageSource, contrast_from_image, open_case
from mriprep.core import MriprepWarning, Volume
from mriprep.io.images import read_image, write_image
from mriprep.phantom import head


@pytest.fixture(scope="module")
def heads() -> dict[str, Volume]:
    return {c: head(contrast=c, spacing=4.0, seed=3).image for c in ("T1w", "T2w", "FLAIR", "PDw")}


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "FLAIR"])
def test_phantoms(heads, contrast):
    found = contrast_from_image(heads[contrast])
    assert found.contrast == contrast
    assert 0.55 <= found.confidence <= 0.9
    assert "skew" in found.reason


def test_a_proton_density_image_is_not_called_anything_else(heads):
    found = contrast_from_image(heads["PDw"])
    assert found.contrast is None
    assert "PDw" in found.reason


def test_neither_axes_nor_scale_nor_the_coil_matter(heads):
    image = heads["FLAIR"]
    turned = Volume(
        np.ascontiguousarray(image.data.transpose(2, 0, 1)[::-1]),
        image.affine[:, [2, 0, 1, 3]] @ np.array(
            [[-1, 0, 0, image.shape[2] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]
        ),
    )  # fmt: skip
    assert contrast_from_image(turned) == contrast_from_image(image)
    ramp = 1 + 0.5 * np.linspace(0, 1, image.shape[1])[None, :, None]
    assert contrast_from_image(image.replace(image.data * ramp * 37)).contrast == "FLAIR"


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((30, 30, 30)),
        np.random.default_rng(1).normal(100, 10, (40, 40, 40)),
        np.full((40, 40, 40), np.nan),
        np.ones((5, 5, 3)),
    ],
)
def test_what_is_no_head_has_no_contrast(data):
    volume = Volume(data.astype(np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    assert contrast_from_image(volume).contrast is None


def test_an_image_without_a_name_is_taken_for_what_it_looks_like(heads, tmp_path):
    path = write_image(heads["T2w"], tmp_path / "scan7.nii.gz")
    source = CaseSource("sub-7", "7", None, (ImageSource(None, str(path)),))
    with pytest.warns(MriprepWarning, match=r"taken for T2w \(\d+% sure\)"):
        case = open_case(source)
    assert tuple(case) == ("T2w",)
    path = write_image(heads["PDw"], tmp_path / "scan8.nii.gz")
    source = CaseSource("sub-8", "8", None, (ImageSource(None, str(path)),))
    with pytest.warns(MriprepWarning, match="not known: fluid is not dark"):
        assert tuple(open_case(source)) == ("image",)


@pytest.mark.parametrize(
    ("file", "contrast"),
    [
        *((f"older-adults/sub-{n:02d}/{c}", c) for n in (1, 6, 7, 10) for c in ("T1w", "FLAIR")),
        ("tcga-fg6692/T1w", "T1w"),
        ("tcga-fg6692/T1c", "T1w"),
        ("tcga-fg6692/T2w", "T2w"),
        ("tcga-fg6692/FLAIR", "FLAIR"),
        ("chris/T1w", "T1w"),
        ("chris/PDw", None),
        ("ixi012/T1w", "T1w"),
    ],
)
def test_people(data, file, contrast):
    image = read_image(Path(data, "nifti", f"{file}.nii.gz"))
    assert contrast_from_image(image).contrast == contrast
