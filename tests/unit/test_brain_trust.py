"""The score of brain masks: good ones of the digital head against spoilt ones; what is said of them."""

from __future__ import annotations

import functools
import types
import warnings

import numpy as np
import pytest
from scipy import ndimage

from mriprep import engines
from mriprep.core import DoubtWarning, InputError, Volume
from mriprep.declare import keeping
from mriprep.io.images import read_image
from mriprep.phantom import head
from mriprep.steps._brain_input import is_defaced, is_even, stripped
from mriprep.steps._brain_mask import moved
from mriprep.steps._brain_surface import Coarse, measured
from mriprep.steps._brain_trust import THRESHOLD, agreed, expected_ml, judge
from mriprep.steps.reorient import reorient
from mriprep.steps.skullstrip import skullstrip


@functools.cache
def scan(contrast="T1w", age=None):
    return head(contrast, age=age, spacing=3.0, rotation=(5, -4, 8), labels=False, dtype="int16")


def judged(made, mask, **how):
    return judge(Coarse.of(made.image), np.asarray(mask), made.grid, **how)


def world(made):
    index = np.moveaxis(np.indices(made.grid.shape), 0, -1)
    middle = made.grid.to_world(np.argwhere(made.brain.data).mean(axis=0))
    return made.grid.to_world(index) - middle


@pytest.mark.parametrize(
    ("contrast", "age"),
    [("T1w", None), ("T2w", None), ("FLAIR", None), ("T1w", 2.0), ("T2w", 10.0)],
)
def test_true_masks_are_trusted(contrast, age):
    made = scan(contrast, age)
    found = judged(made, made.brain.data, age=age)
    assert found.trusted, (found.score, found.why)


def spoilt():
    made = scan()
    brain, place = np.asarray(made.brain.data), world(made)
    x, y, z = np.moveaxis(place, -1, 0)
    yield "eroded", moved(brain, made.grid, -8)
    yield "dilated", moved(brain, made.grid, 8)
    yield (
        "leaking into the neck",
        brain
        | ((np.hypot(x, y + 15) < 35) & (z < z[brain].min() + 15) & (z > z[brain].min() - 40)),
    )
    eye = (x - 30) ** 2 + (y - y[brain].max() + 5) ** 2 + (z + 35) ** 2
    yield "leaking into an eye", brain | (eye < 25**2)
    yield "half", brain & (x > 0)
    yield "upper half", brain & (z > 0)
    yield "shifted", np.roll(brain, 8, axis=1)
    yield "turned", ndimage.rotate(brain, 60, axes=(0, 2), reshape=False, order=0)
    yield "a ball", (place**2).sum(axis=-1) < 68**2
    yield "everything", np.ones_like(brain)
    tiny = np.zeros_like(brain)
    tiny[30:33, 30:33, 30:33] = True
    yield "tiny", tiny


@pytest.mark.parametrize(("kind", "mask"), list(spoilt()), ids=[k for k, _ in spoilt()])
def test_spoilt_masks_are_not(kind, mask):
    found = judged(scan(), mask)
    assert not found.trusted, (found.score, found.measures)
    assert found.why


def test_the_volume_goes_by_age():
    newborn = expected_ml(0.1)
    adult = expected_ml(30)
    assert newborn[1] < 0.6 * adult[1]
    assert expected_ml(None)[0] <= newborn[0]
    assert expected_ml(None)[1] >= adult[1]
    made = scan()  # an adult's
    assert judged(made, made.brain.data, age=30).trusted
    infant = judged(made, made.brain.data, age=0.1)
    assert not infant.trusted
    assert "at 0.1 years" in infant.why


def test_measures_are_the_same_in_any_orientation():
    made = scan()
    turned, mask = (reorient(v, to="PSR") for v in (made.image, made.brain))
    one = measured(Coarse.of(made.image), np.asarray(made.brain.data))
    two = measured(Coarse.of(turned), np.asarray(mask.data))
    for name in ("roundness", "reach", "touch", "edges", "rim", "shell"):
        assert one[name] == pytest.approx(two[name], abs=0.02), name
    assert one["symmetry"] == pytest.approx(two["symmetry"], abs=0.03)


def test_an_engine_that_is_not_sure_is_not_trusted():
    made = scan()
    brain = np.asarray(made.brain.data)
    sure = judged(made, brain, probability=ndimage.gaussian_filter(brain.astype(np.float32), 0.7))
    unsure = judged(made, brain, probability=ndimage.gaussian_filter(brain.astype(np.float32), 8))
    assert sure.trusted
    assert unsure.score < sure.score / 2
    assert "not sure" in unsure.why


def test_agreement_counts_half():
    made = scan()
    good = judged(made, made.brain.data)
    assert agreed(good, 0.98).score == pytest.approx((good.score + 1) / 2)
    assert agreed(good, 0.5).score == pytest.approx(good.score / 2)
    assert not agreed(good, 0.5).score >= THRESHOLD
    assert "differ" in agreed(good, 0.5).why


def test_a_template_s_mask_is_trusted(data):
    folder, name = data / "templates/mni152nlin6", "tpl-MNI152NLin6Asym_res-01"
    image = read_image(folder / f"{name}_T1w.nii.gz")
    mask = np.asarray(read_image(folder / f"{name}_desc-brain_mask.nii.gz", role="mask").data)
    found = judge(Coarse.of(image), mask, image.grid)
    assert found.trusted, (found.score, found.why)


# -- what kind of scan it is ------------------------------------------------------------------


@pytest.fixture
def answer(monkeypatch):
    """Let deepbet answer with a mask."""

    def let(mask):
        found = types.SimpleNamespace(
            probability=lambda image, device: image.replace(
                np.asarray(mask, dtype=np.float32), role="probability"
            )
        )
        monkeypatch.setattr(engines, "load", lambda kind, name: found)

    return let


def bottle():
    """Water in a cylinder, seen by a coil."""
    rng = np.random.default_rng(0)
    x, y, z = np.meshgrid(*[np.arange(n) * 3.0 - n * 1.5 for n in (70, 70, 60)], indexing="ij")
    inside = (np.hypot(x, y) < 80) & (np.abs(z) < 70)
    field = 1 + 0.3 * x / 100 - 0.2 * (y / 100) ** 2
    data = np.abs(1000 * inside * field + rng.normal(0, 20, inside.shape))
    return Volume(data.astype(np.float32), np.diag([3.0, 3, 3, 1]))


def bare(made):
    return made.image.replace(np.where(made.brain.data, made.image.data, 0))


@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
def test_what_is_stripped_is_taken_as_it_is(contrast, monkeypatch):
    monkeypatch.setattr("mriprep.steps._brain.find", None)  # no engine may be asked
    made = scan(contrast)
    with pytest.warns(UserWarning, match="without its skull already") as seen, keeping() as kept:
        mask = skullstrip(bare(made))
    assert seen[0].filename == __file__
    assert (mask.data != made.brain.data).mean() < 1e-4
    assert kept["brain"]["input"] == "stripped"
    assert kept["brain"]["engine"] == "none"
    assert kept["brain"]["score"] == 1


def test_a_head_is_not_stripped():
    for image in (scan().image, scan("T1w", 0.5).image, bottle()):
        assert stripped(image, 2100) is None


def test_an_infants_head_on_a_blank_background_is_not_taken_for_a_brain():
    made = scan("T1w", 0.3)
    data = np.where(made.image.data > 150, made.image.data, 0)
    blank = made.image.replace(ndimage.median_filter(data, 3))
    assert stripped(blank, expected_ml(0.3)[1]) is None


def test_a_bottle_is_not_a_head(answer):
    assert is_even(Coarse.of(bottle()))
    for contrast in ("T1w", "T2w", "FLAIR", "PDw"):
        assert not is_even(Coarse.of(scan(contrast).image))
    answer(bottle().data > 500)
    with pytest.warns(DoubtWarning, match="no head"), keeping() as kept:
        skullstrip(bottle(), engine="deepbet")
    assert kept["brain"]["score"] == 0


def faceless(made):
    """As programs that deface leave it: nothing in front of a plane below the brow."""
    _, y, z = np.moveaxis(world(made), -1, 0)
    brain = np.asarray(made.brain.data)
    front, low = y[brain].max(), z[brain].min()
    gone = (z < -30) & (y > front - 45) & ~moved(brain, made.grid, 4)
    assert low < -30
    return made.image.replace(np.where(gone, 0, made.image.data))


def test_a_face_that_was_removed_is_seen():
    made = scan()
    assert is_defaced(faceless(made), made.brain.data)
    assert not is_defaced(made.image, made.brain.data)
    for contrast in ("T2w", "FLAIR"):
        assert not is_defaced(scan(contrast).image, scan(contrast).brain.data)


def test_a_part_of_a_head_is_said(answer):
    made = scan()
    index = np.argwhere(made.brain.data)
    cut = int(index[:, 2].max() - 0.35 * np.ptp(index[:, 2]))
    part = Volume(made.image.data[:, :, :cut], made.grid.affine)
    mask = np.asarray(made.brain.data[:, :, :cut])
    found = judge(Coarse.of(part), mask, part.grid)
    assert found.measures["touch"] > 0.05
    answer(mask)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        skullstrip(part, engine="deepbet")
    assert any("border of the scan" in str(w.message) for w in said)


@pytest.mark.parametrize(("axis", "slices"), [(2, 1), (2, 2), (2, 4), (0, 1), (1, 5)])
def test_a_slab_is_a_part_of_a_head(answer, axis, slices):
    made = scan()
    middle = made.grid.shape[axis] // 2
    cut = tuple(slice(middle, middle + slices) if a == axis else slice(None) for a in range(3))
    slab = Volume(made.image.data[cut], made.grid.affine)
    answer(np.asarray(made.brain.data[cut]))
    with keeping() as kept, pytest.warns(DoubtWarning, match="mm thick: it shows a part"):
        skullstrip(slab, engine="deepbet")
    assert kept["brain"]["input"] == "part of a head"
    assert kept["brain"]["score"] == 0


@pytest.mark.parametrize("thick", [4.0, 12.0, 50.0])
def test_a_slab_lies_at_the_border_by_no_more_than_all_of_its_surface(thick):
    made = scan()
    middle = made.grid.shape[2] // 2
    spacing = (3.0, 3.0, thick)
    slab = Volume(made.image.data[:, :, middle : middle + 1], np.diag([*spacing, 1.0]))
    found = measured(Coarse.of(slab), np.asarray(made.brain.data[:, :, middle : middle + 1]))
    assert found is not None
    assert all(np.isfinite(v) for v in found.values()), found
    assert 0.4 < found["touch"] < 1


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_labels_are_no_stripped_scan(dtype):
    made = head("T1w", spacing=3.0, rotation=(5, -4, 8), labels=True)
    labels = made.tissues
    brain = np.where(made.brain.data, labels.data, 0).astype(dtype)
    with pytest.raises(InputError, match="looks like labels"):
        skullstrip(Volume(brain, made.grid))
