"""Brain extraction by a template, on the digital head, whose brain is known, and on what is no head."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
import pytest

from mriprep import engines
from mriprep.core import EngineError, Grid, InputError, Volume
from mriprep.engines.brain._head import head as drawn_head
from mriprep.phantom import head, template, template_brain

SPACING = 4.0


@functools.cache
def scan(contrast="T1w", **options):
    return head(contrast, labels=False, **{"spacing": SPACING, "seed": 3, **options})


def found(image, **options):
    return engines.load("brain", "template").probability(image, **options)


@functools.cache
def plain():
    return found(scan().image)


def dice(found, true):
    a, b = found.data > 0.5, true.data
    return 2 * (a & b).sum() / (a.sum() + b.sum())


# -- what it finds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contrast", "options"),
    [
        ("T1w", {"age": 1.0, "orientation": "LAS"}),
        ("T2w", {"rotation": (0, 0, 150), "dtype": "uint8"}),
        ("FLAIR", {"spacing": (2.0, 2.0, 6.0), "rotation": (12, -8, 20), "bias": 0.5}),
    ],
)
def test_the_brain_of_a_phantom(contrast, options):
    made = scan(contrast, **options)
    probability = found(made.image)
    assert probability.role == "probability"
    assert probability.data.dtype == np.float32
    assert probability.grid.matches(made.grid)
    assert dice(probability, made.brain) > 0.93


def test_storage_does_not_matter():
    image = scan().image
    axes, flip = image.grid.axes_to("PSL")
    turned = np.flip(image.data.transpose(axes), [a for a in range(3) if flip[a]])
    other = found(Volume(turned, image.grid.reoriented("PSL")))
    same = np.flip(other.data, [a for a in range(3) if flip[a]]).transpose(np.argsort(axes))
    # Blocks of coarser levels begin at another corner: the pose may differ by a fraction of a voxel.
    assert dice(image.replace(same, role="probability"), scan().brain) > 0.93
    here = plain().data > 0.5
    assert (here != (same > 0.5)).sum() < 0.03 * here.sum()


def test_the_same_scan_gives_the_same_voxels():
    np.testing.assert_array_equal(found(scan().image).data, plain().data)


def test_a_stripped_scan_with_nan_outside():
    made = scan()
    stripped = np.where(made.brain.data, made.image.data, np.nan)
    assert dice(found(made.image.replace(stripped)), made.brain) > 0.93


def test_a_part_of_a_head():
    made = scan("T1w")
    cut = made.image.shape[2] // 3
    window = made.grid.window((0, 0, cut), made.image.data[..., cut:].shape)
    probability = found(Volume(made.image.data[..., cut:], window))
    assert dice(probability, Volume(made.brain.data[..., cut:], window, "mask")) > 0.92


# -- templates of one's own ---------------------------------------------------------------------


def test_a_head_with_a_mask_as_template():
    made = scan("T2w")
    own, mask = template("T1w", 3.0), template_brain(3.0)
    assert dice(found(made.image, template=own, template_mask=mask), made.brain) > 0.95
    assert not drawn_head(own, mask).drawn


def test_a_skull_is_drawn_around_a_brain_alone():
    own, mask = template("T1w", 3.0), template_brain(3.0)
    alone = own.replace(np.where(mask.data, own.data, 0))
    for around in (drawn_head(alone, None), drawn_head(alone, mask)):
        assert around.drawn
        skull = (around.distance > 4) & (around.distance < 7) & around.region.data
        scalp = (around.distance > 9) & (around.distance < 14) & around.region.data
        assert around.image.data[skull].mean() < 0.3 < 0.8 < around.image.data[scalp].mean()


def test_a_head_without_a_mask_is_no_template():
    with pytest.raises(InputError, match="no mask tells"):
        found(scan().image, template=template("T1w", 4.0))


def test_a_mask_must_lie_on_its_template():
    with pytest.raises(InputError, match="not on the template's grid"):
        found(scan().image, template=template("T1w", 4.0), template_mask=template_brain(3.0))
    with pytest.raises(InputError, match="without its template"):
        found(scan().image, template_mask=template_brain(4.0))


# -- what is no head ----------------------------------------------------------------------------


def ball(radius=80.0, size=48, spacing=5.0):
    affine = np.diag([spacing] * 3 + [1.0])
    index = (np.indices((size,) * 3) - (size - 1) / 2) * spacing
    noise = np.random.default_rng(0).normal(0, 20, (size,) * 3)
    inside = np.sqrt((index**2).sum(axis=0)) < radius
    # Shading as a bottle of water shows it.
    return Volume(inside * 800 * np.exp(index[1] / 200) + noise, Grid((size,) * 3, affine))


def noise():
    values = np.abs(np.random.default_rng(1).normal(0, 50, (40, 40, 40)))
    return Volume(values, Grid((40, 40, 40), np.diag([5.0, 5, 5, 1])))


@pytest.mark.parametrize("make", [ball, noise])
def test_no_head(make):
    with pytest.raises(EngineError, match="no head in this image"):
        found(make())


def test_an_empty_image():
    with pytest.raises(EngineError, match="every voxel is the same"):
        found(scan().image.replace(np.zeros(scan().image.shape)))


def test_there_are_no_weights():
    with pytest.raises(InputError, match="has no weights"):
        found(scan().image, weights="somewhere")
    assert engines.describe("brain", "template").missing == ()


# -- a real head --------------------------------------------------------------------------------


@pytest.mark.skipif("MRIPREP_TEST_DATA" not in os.environ, reason="needs MRIPREP_TEST_DATA")
def test_a_real_head():
    from mriprep.io.images import read_image

    folder = Path(os.environ["MRIPREP_TEST_DATA"]) / "nifti/older-adults/sub-03"
    labels = read_image(folder / "dlmuse.nii.gz")
    mask = labels.replace(labels.data > 0, role="mask")
    assert dice(found(read_image(folder / "T1w.nii.gz")), mask) > 0.94
