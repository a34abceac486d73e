"""CSF, grey and white matter: against the digital head's truth, on odd grids and odd inputs."""

from __future__ import annotations

import functools
import warnings

import numba
import numpy as np
import pytest

import mriprep as mp
from mriprep.core import (
    DoubtWarning,
    GeometryError,
    InputError,
    MriprepWarning,
    RecipeError,
    Role,
    Transform,
    Volume,
)
from mriprep.declare import keeping
from mriprep.phantom import head
from mriprep.recipe import load
from mriprep.session import execute_session
from mriprep.steps.tissues import NAMES


@functools.cache
def phantom(contrast="T1w", spacing=3.0, bias=0.2, orientation="RAS", **more):
    return head(contrast, spacing=spacing, bias=bias, orientation=orientation, seed=1, **more)


def found(scan, **how):
    """Labels, and what is kept."""
    with keeping() as kept:
        labels = mp.tissues(scan.image, scan.brain, **how)
    return labels, kept


@functools.cache
def usual(*what):
    """What is found in a scan as it is, once for all that compare with it."""
    return found(phantom(*what))


def overlaps(labels, scan):
    """Dice of CSF, GM and WM."""
    truth = np.stack([scan.probabilities[n].data for n in NAMES]).argmax(axis=0) + 1
    truth[~scan.brain.data] = 0
    pairs = [(labels.data == n, truth == n) for n in (1, 2, 3)]
    return [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]


# -- how good ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [0.0, 0.3])
@pytest.mark.parametrize(("contrast", "least"), [("T1w", 0.91), ("T2w", 0.90), ("FLAIR", 0.90)])
def test_tissues_of_the_digital_head(contrast, least, bias):
    scan = phantom(contrast, 2.5, bias)
    labels, _ = usual(contrast, 2.5, bias)
    dice = overlaps(labels, scan)
    assert np.mean(dice) > least
    assert min(dice) > 0.8


def test_a_template_helps_where_intensities_do_not():
    scan = phantom("FLAIR", 2.5, 0.3)
    alone, with_it = (
        np.mean(overlaps(labels, scan))
        for labels, _ in (usual("FLAIR", 2.5, 0.3), found(scan, transform=scan.pose))
    )
    assert with_it > 0.90
    assert with_it > alone


def test_shading_is_fitted_along():
    scan = phantom(spacing=3.0, bias=0.6)
    with_it, without = (
        np.mean(overlaps(found(scan, bias_fwhm=fwhm)[0], scan)) for fwhm in (22.0, 0.0)
    )
    assert with_it > without + 0.03


def test_fractions_follow_the_truth():
    scan = phantom("T1w", 3.0)
    _, kept = usual("T1w", 3.0)
    inside = scan.brain.data
    for name in NAMES:
        assert kept[f"tissue_{name}"].role is Role.PROBABILITY
        values, truth = kept[f"tissue_{name}"].data[inside], scan.probabilities[name].data[inside]
        assert np.corrcoef(values, truth)[0, 1] > 0.85


def test_probabilities_sum_to_one_and_volumes_to_the_mask():
    scan = phantom("T1w", 3.0)
    labels, kept = usual("T1w", 3.0)
    total = sum(kept[f"tissue_{n}"].data for n in NAMES)
    assert np.allclose(total[scan.brain.data], 1, atol=1e-5)
    assert not total[~scan.brain.data].any()
    assert np.array_equal(labels.data > 0, scan.brain.data)
    ml = scan.brain.data.sum() * scan.grid.voxel_volume / 1000
    assert sum(kept[f"{n}_ml"] for n in NAMES) == pytest.approx(ml, abs=0.5)
    assert kept["tissue_model"]["contrast"] == "T1w"


# -- whatever the file is like ----------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["LAS", "LPS", "PSR"])
def test_orientation_plays_no_part(orientation):
    scan = phantom("T1w", 4.0)
    turned = mp.tissues(
        mp.reorient(scan.image, to=orientation), mp.reorient(scan.brain, to=orientation)
    )
    assert turned.grid.orientation == orientation
    assert np.array_equal(mp.reorient(turned, to="RAS").data, usual("T1w", 4.0)[0].data)


def test_the_number_of_threads_plays_no_part():
    scan = phantom("T1w", 4.0)
    before = numba.get_num_threads()
    results = []
    for number in (1, 2):
        numba.set_num_threads(min(number, numba.config.NUMBA_NUM_THREADS))
        labels, kept = found(scan)
        results.append([labels.data.tobytes(), kept["tissue_gm"].data.tobytes()])
    numba.set_num_threads(before)
    assert results[0] == results[1]


def test_thick_slices():
    scan = phantom(spacing=(1.5, 1.5, 5.0))
    assert np.mean(overlaps(found(scan)[0], scan)) > 0.85


def test_type_of_voxels_and_scale_play_no_part():
    scan = phantom("T1w", 4.0)
    labels = usual("T1w", 4.0)[0].data
    inside = scan.brain.data
    for image in (
        scan.image.replace(scan.image.data.astype(np.float64) * 1e-3),
        scan.image.replace(np.round(scan.image.data).astype(np.int16)),
    ):
        same = (mp.tissues(image, scan.brain).data == labels)[inside].mean()
        assert same > 0.995


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "FLAIR"])
def test_an_unknown_contrast_is_seen(contrast):
    scan = phantom(contrast, 4.0)
    image = Volume(scan.image.data, scan.grid)
    with pytest.warns(MriprepWarning, match=f"taken to be {contrast}-like"):
        labels = mp.tissues(image, scan.brain)
    assert np.array_equal(labels.data, usual(contrast, 4.0)[0].data)


def test_scores_with_negative_values():
    scan = phantom(spacing=3.0, bias=0.0)
    image = mp.zscore(scan.image, scan.brain)
    assert np.mean(overlaps(mp.tissues(image, scan.brain), scan)) > 0.8


# -- what is wrong ----------------------------------------------------------------------------


def test_unknown_voxels_are_as_those_around_them():
    scan = phantom("T1w", 4.0)
    data = scan.image.data.copy()
    point = tuple(np.argwhere(scan.brain.data).mean(axis=0).astype(int))
    data[point] = np.nan
    data[0] = np.nan  # outside the mask: nobody minds
    with pytest.warns(MriprepWarning, match="tissues: 1 voxels of the mask are NaN"):
        labels = mp.tissues(scan.image.replace(data), scan.brain)
    same = labels.data == usual("T1w", 4.0)[0].data
    assert same[scan.brain.data].mean() > 0.99


def test_without_a_mask_it_says_what_to_do():
    scan = phantom("T1w", 4.0)
    with pytest.raises(InputError, match="tissues needs mask") as error:
        mp.tissues(scan.image, None)
    assert "skullstrip" in error.value.hint
    with pytest.raises(RecipeError, match="needs a mask") as error:
        mp.recipe({"name": "t", "steps": ["tissues"]})(scan.image)
    assert "skullstrip" in error.value.hint


def test_masks_that_will_not_do():
    scan = phantom("T1w", 4.0)
    empty = np.zeros(scan.grid.shape, bool)
    with pytest.raises(InputError, match="the mask is empty"):
        mp.tissues(scan.image, scan.brain.replace(empty))
    tiny = empty.copy()
    tiny[20:23, 20:23, 20:23] = True
    with pytest.raises(InputError, match="too small: 27 voxels"):
        mp.tissues(scan.image, scan.brain.replace(tiny))
    with pytest.raises(GeometryError, match="not on the image's grid"):
        mp.tissues(scan.image, phantom("T1w", 3.0).brain)
    with pytest.raises(InputError, match="transform must be a Transform"):
        mp.tissues(scan.image, scan.brain, scan.image)


def test_images_that_will_not_do():
    scan = phantom("T1w", 4.0)
    flat = scan.image.replace(np.full(scan.grid.shape, 7, np.float32))
    with pytest.raises(InputError, match="constant"):
        mp.tissues(flat, scan.brain)
    nothing = scan.image.replace(np.full(scan.grid.shape, np.nan, np.float32))
    with pytest.raises(InputError, match="every voxel of the mask is NaN"):
        mp.tissues(nothing, scan.brain)


def test_noise_is_doubtful():
    scan = phantom("T1w", 4.0)
    noise = np.random.default_rng(0).normal(100, 5, scan.grid.shape).astype(np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        labels = mp.tissues(scan.image.replace(noise), scan.brain, contrast="FLAIR")
    assert np.array_equal(labels.data > 0, scan.brain.data)
    assert any(issubclass(w.category, DoubtWarning) for w in caught)


def test_a_transform_to_an_unknown_template_is_not_used():
    scan = phantom("T1w", 4.0)
    other = Transform(scan.pose.matrix, None, scan.grid, "SRI24", "T1w")
    with pytest.warns(MriprepWarning, match="'SRI24', of which no tissue maps are known"):
        labels, kept = found(scan, transform=other)
    assert kept["tissue_model"]["prior"] == "depth"
    assert np.array_equal(labels.data, usual("T1w", 4.0)[0].data)


def test_a_mask_that_is_no_brain_is_doubtful():
    scan = phantom("T1w", 6.0)
    everywhere = scan.brain.replace(scan.image.data > 0)
    little = scan.brain.data.copy()
    little[:, :, scan.grid.shape[2] // 2 :] = False
    little[scan.grid.shape[0] // 2 :] = False
    for mask in (everywhere, scan.brain.replace(little)):
        ml = mask.data.sum() * scan.grid.voxel_volume / 1000
        with pytest.warns(DoubtWarning, match=f"the mask holds {ml:.0f} ml; a brain has 300 to"):
            labels = mp.tissues(scan.image, mask)
        assert np.array_equal(labels.data > 0, mask.data)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtWarning)
        found(scan)


# -- in a recipe ------------------------------------------------------------------------------

RECIPE = {
    "name": "with tissues",
    "steps": ["tissues", {"resample": {"spacing": 4.0}}, "zscore"],
}


def test_in_a_recipe_they_go_where_the_image_goes(tmp_path):
    scan = phantom(spacing=3.0, orientation="LPS")
    run = mp.recipe(RECIPE)(scan.image, mask=scan.brain, labels=scan.tissues)
    state = run.outcome.state
    assert run.labels.grid.matches(run.image.grid)
    assert np.array_equal(run.labels.data, mp.resample(scan.tissues, spacing=4.0).data)
    assert np.array_equal(run.tissues.data, mp.resample(found(scan)[0], spacing=4.0).data)
    total = sum(state[f"tissue_{n}"].data for n in NAMES)
    assert total.max() <= 1 + 1e-5
    assert run.outcome.kept["tissue_gm"].grid.matches(scan.grid)
    files = {p.name for p in run.write(tmp_path)}
    stem = "sub-phantom_res-4mm"
    assert {f"{stem}_dseg.nii.gz", f"{stem}_desc-tissues_dseg.nii.gz"} <= files
    assert {f"{stem}_label-{n}_probseg.nii.gz" for n in ("CSF", "GM", "WM")} <= files
    table = next(tmp_path.rglob("*_desc-tissues_dseg.tsv")).read_text().splitlines()
    assert table[0].split("\t") == ["index", "name", "abbreviation"]
    assert table[3].split("\t") == ["3", "white matter", "WM"]
    back = mp.read(next(tmp_path.rglob("*label-GM_probseg.nii.gz")), role="probability")
    assert np.allclose(back.data, state["tissue_gm"].data, atol=1e-3)
    page = run.report(tmp_path / "qc.html").read_text()
    assert "edges of the tissues" in page


def test_in_a_session_they_are_the_references():
    t1, flair = phantom("T1w", 6.0), phantom("FLAIR", 6.0)
    recipe = {"name": "both", "session": {}, "steps": ["tissues", {"resample": {"spacing": 6.0}}]}
    case = mp.Case("sub-1", {"T1w": t1.image, "FLAIR": flair.image})
    done = execute_session(load(recipe), case, given={"T1w": {"mask": t1.brain}})
    assert done.failure is None
    of = {c: [s.name for s in o.steps] for c, o in done.outcomes.items()}
    assert "tissues" in of["T1w"]
    assert "tissues" not in of["FLAIR"]
    assert done.main.state["tissues"].grid.matches(done.main.image.grid)
    assert "tissues" not in done.outcomes["FLAIR"].state
