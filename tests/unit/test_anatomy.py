"""Head or brain, centres of mass, what an image shows."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

from mriprep.core import Grid, Volume
from mriprep.io.images import read_image
from mriprep.phantom import head
from mriprep.steps._anatomy import center_of_mass, looks_stripped, surroundings
from mriprep.steps.apply_mask import apply_mask
from mriprep.steps.crop import crop
from mriprep.steps.reorient import reorient
from mriprep.steps.zscore import zscore
from mriprep.templates import find


@functools.cache
def scan(**options):
    return head(**{"spacing": 4, "labels": False, **options})


# -- head or brain ----------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("age", [1.0, 6.0, None])
@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
def test_heads_and_brains_of_all_ages(age, noise, contrast):
    phantom = scan(age=age, noise=noise, contrast=contrast)
    bare = apply_mask(phantom.image, phantom.brain)
    for mask in (None, phantom.brain):
        assert not looks_stripped(phantom.image, mask)
        assert looks_stripped(bare, mask)


def test_a_newborns_head_is_told_by_its_mask():
    phantom = scan(age=0.0, noise=0.0)
    assert looks_stripped(phantom.image), "it fills no more than an adult's brain"
    assert not looks_stripped(phantom.image, phantom.brain)
    assert looks_stripped(apply_mask(phantom.image, phantom.brain), phantom.brain)


def test_stripped_whatever_the_background():
    phantom = scan()
    bare = apply_mask(phantom.image, phantom.brain)
    scored = apply_mask(zscore(phantom.image, phantom.brain), phantom.brain)
    assert scored.data.min() < 0
    outside = bare.floats()
    outside[~phantom.brain.data] = np.nan
    for image in (bare, scored, bare.replace(outside), crop(bare, phantom.brain, margin=5)):
        assert looks_stripped(image)


def test_a_mask_that_is_tighter_than_the_stripping():
    phantom = scan()
    from scipy import ndimage

    tight = phantom.brain.replace(ndimage.binary_erosion(phantom.brain.data))
    assert looks_stripped(apply_mask(phantom.image, phantom.brain), tight)


def test_the_shipped_template_is_a_brain():
    assert looks_stripped(read_image(find("mni152").image))


def test_real_heads_and_brains(data):
    for name in ("colin27", "mni152-2009"):
        assert looks_stripped(read_image(data / "templates" / name / "brain.nii.gz"))
        assert not looks_stripped(read_image(data / "templates" / name / "head.nii.gz"))
    for name in ("ixi012/T1w", "chris/T1w", "tcga-fg6692/FLAIR"):
        assert not looks_stripped(read_image(data / "nifti" / f"{name}.nii.gz"))


# -- centres ----------------------------------------------------------------------------------


def test_the_centre_of_mass_moves_with_the_head():
    # The clean images: noise fills the field of view, which moves with the head as well.
    a, b = (scan(translation=t).clean for t in ((0, 0, 0), (9, -14, 21)))
    assert center_of_mass(b) - center_of_mass(a) == pytest.approx((9, -14, 21), abs=0.5)


def test_the_centre_of_mass_is_in_the_world():
    image = scan().image
    centre = center_of_mass(image)
    for orientation in ("LPS", "SAL"):
        assert center_of_mass(reorient(image, to=orientation)) == pytest.approx(centre, abs=1e-3)
    data = image.floats()
    data[1, 1, 1] = 1e9
    data[2, 2, 2] = np.nan
    assert np.linalg.norm(center_of_mass(image.replace(data)) - centre) < 1


def test_a_ball_and_nothing():
    grid = Grid((20, 30, 40), np.diag([2.0, 1.0, 3.0, 1.0]))
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    ball = np.linalg.norm(points - (22, 13, 60), axis=-1) < 9
    assert center_of_mass(Volume(ball * 50, grid)) == pytest.approx((22, 13, 60), abs=0.5)
    assert center_of_mass(Volume(np.zeros(grid.shape), grid)) == pytest.approx(grid.center)


# -- what is shown ----------------------------------------------------------------------------


def test_the_surroundings_hold_the_head_and_little_else():
    phantom = scan()
    near, far = (surroundings(phantom.image, margin) for margin in (0.0, 8.0))
    assert near.grid == far.grid == phantom.grid
    assert (phantom.brain.data & ~near.data).sum() < 0.001 * phantom.brain.data.sum()
    assert not (phantom.brain.data & ~far.data).any()
    assert (near.data & ~far.data).sum() == 0
    assert far.data.sum() > 1.1 * near.data.sum()
    assert 0.3 < near.data.mean() < far.data.mean() < 0.8
    corners = list(itertools.product((0, -1), repeat=3))
    assert not any(near.data[c] for c in corners)
