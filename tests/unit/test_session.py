"""Sessions: which contrast leads, what the others get of it, one interpolation, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import mriprep as mp
from mriprep import derivatives, run_record, session_checks, session_plan
from mriprep.core import Case, Grid, InputError, RecipeError, Transform, Volume
from mriprep.declare import keep
from mriprep.phantom import head, template
from mriprep.recipe import load
from mriprep.session import execute_session

SETTINGS = {"labels": False, "bias": 0.2}
#: Contrast, grid and pose of a session at the scanner: all differ.
SCANS = {
    "T2w": {"spacing": (4, 4, 6), "orientation": "LPS", "rotation": (-4, 3, 2), "translation": (-3, 6, 1)},
    "T1w": {"spacing": 4, "rotation": (5, 0, 8), "translation": (3, -2, 4)},
    "FLAIR": {"spacing": (6, 4, 4), "orientation": "PSR", "rotation": (2, -3, 6), "translation": (1, 5, -8)},
}  # fmt: skip
POINTS = [[x, y, z] for x in (-50, 0, 50) for y in (-80, 0, 50) for z in (-30, 0, 60)]


@pytest.fixture(scope="module")
def heads():
    return {c: head(c, **SETTINGS, **how, seed=i) for i, (c, how) in enumerate(SCANS.items())}


@pytest.fixture(scope="module")
def case(heads):
    return Case("sub-01", {c: h.image for c, h in heads.items()}, {"age": 40.0})


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "tpl-Phantom_T1w.nii.gz"
    return mp.write(template(spacing=4.0), path)


def known(heads, **pose):
    """In the place of `register`: the true poses, so that what follows can be asked alone."""

    def found(image, mask=None, to=None, *, template, **_):
        mine = heads[image.meta["contrast"]].pose
        keep(registration={"score": 0.9})
        if to is not None:
            fixed, its = to, heads[to.meta["contrast"]].pose
            return Transform((mine @ its.inverse()).matrix, fixed.grid, image.grid)
        fixed = mp.read(template)
        keep(template=fixed)
        return Transform(mine.matrix, fixed.grid, image.grid, "Phantom", "native")

    return found


def with_function(recipe, name, function):
    """A recipe in which a step is done by another function."""

    def changed(entry):
        if entry.step.name != name:
            return entry
        return dataclasses.replace(entry, step=dataclasses.replace(entry.step, function=function))

    part = dataclasses.replace(recipe.session, register=changed(recipe.session.register))
    entries = tuple(changed(e) for e in recipe.entries)
    return dataclasses.replace(recipe, entries=entries, session=part)


@pytest.fixture
def go(heads, atlas, monkeypatch):
    """Run steps on a session whose registrations are right."""
    monkeypatch.setattr(session_checks, "same_head", lambda *_: (0.01, None))

    def run(case, *steps, session=None, **options):
        recipe = load({"name": "mine", "session": session or {}, "steps": list(steps)})
        recipe = with_function(recipe, "register", known(heads))
        done = execute_session(recipe, case, **options)
        if done.error is not None:
            raise done.error
        return done

    return run


def to(atlas, **more):
    return {"register": {"template": str(atlas), **more}}


# -- which contrast leads ---------------------------------------------------------------------


def on(*spacing):
    return Volume(np.zeros((10, 10, 10), np.uint8), np.diag([*spacing, 1.0]))


@pytest.mark.parametrize(
    ("contrasts", "chosen"),
    [
        ({"T1w": 1, "T1c": 3, "FLAIR": 0.5}, "T1c"),
        ({"T2w": 0.5, "T1w": 5}, "T1w"),
        ({"T2w": 2, "FLAIR": 1}, "FLAIR"),
        ({"FLAIR": 2, "T2w": 2}, "T2w"),
        ({"PDw": 1, "angio": 0.9}, "angio"),
        ({"image": 1}, "image"),
    ],
)
def test_the_reference(contrasts, chosen):
    case = Case("sub-1", {c: on(s, s, s) for c, s in contrasts.items()})
    assert session_plan.pick(case) == chosen
    assert session_plan.pick({c: v.grid for c, v in case.items()}) == chosen
    last = list(contrasts)[-1]
    assert session_plan.pick(case, last) == last
    with pytest.raises(InputError, match="no T3w to be the reference"):
        session_plan.pick(case, "T3w")


# -- what is done -----------------------------------------------------------------------------


def test_all_contrasts_come_to_lie_on_each_other(case, heads, atlas, go):
    done = go(case, to(atlas), {"resample": {"spacing": 4}})
    assert list(done.outcomes) == ["T1w", "T2w", "FLAIR"]
    assert done.reference == "T1w"
    truth = template(spacing=4.0)
    for contrast, outcome in done.outcomes.items():
        assert outcome.image.grid.matches(truth.grid)
        expected = head(contrast, grid=truth.grid, bias=0, noise=0, labels=False).image
        inside = head(grid=truth.grid, labels=False).brain.data
        r = np.corrcoef(outcome.image.data[inside], expected.data[inside])[0, 1]
        assert r > 0.85, contrast
        assert outcome.state["transform"].distance(heads[contrast].pose, POINTS) < 1e-6
        # One interpolation, from the contrast's own grid.
        record = run_record.record(outcome)
        assert [s["step"] for s in record["steps"]].count("resample") == 1
        assert record["session"] == {"reference": "T1w", "contrasts": ["T1w", "T2w", "FLAIR"]}
        assert run_record.chain(outcome).native.matches(case[contrast].grid)
    direct = mp.resample(case["FLAIR"], heads["FLAIR"].pose, truth.grid)
    assert np.allclose(done.outcomes["FLAIR"].image.data, direct.data, atol=1e-2)


def test_without_a_template_they_go_to_the_references_world(case, go):
    done = go(case, {"resample": {"spacing": 5}}, reference="FLAIR")
    final = case["FLAIR"].grid.with_spacing(5)
    for outcome in done.outcomes.values():
        assert outcome.image.grid.matches(final)
    assert done.outcomes["T1w"].state["transform"].reference_name == "FLAIR"


def test_native_means_the_references_world(case, atlas, go, tmp_path):
    done = go(case, to(atlas), {"resample": {"to": "native", "spacing": 5}})
    grid = case["T1w"].grid.with_spacing(5)
    for outcome in done.outcomes.values():
        assert outcome.image.grid.matches(grid)
        assert outcome.state["transform"].reference_name == "Phantom"
    laid = done.outcomes["T2w"].state["to_reference"]
    expected = mp.resample(case["T2w"], laid, grid)
    assert np.allclose(done.outcomes["T2w"].image.data, expected.data, atol=1e-2)
    names = [f.name for f in derivatives.write(done.outcomes["T2w"], tmp_path)]
    assert names[0] == "sub-01_space-T1w_res-5mm_desc-preproc_T2w.nii.gz"


def test_geometry_after_the_resampling_goes_by_the_reference(case, atlas, go):
    done = go(case, to(atlas), "resample", "crop", {"reorient": {"to": "LPS"}})
    grids = [o.image.grid for o in done.outcomes.values()]
    assert grids[0].shape != template(spacing=4.0).shape
    assert grids[0].orientation == "LPS"
    assert all(g.matches(grids[0]) for g in grids)


def test_the_mask_is_the_references(case, heads, atlas, go):
    seen = {}

    def watched(image, mask=None, **_):
        seen[image.meta["contrast"]] = mask
        return image

    recipe_steps = [{"n4": {}}, to(atlas), "resample", "apply_mask"]
    recipe = load({"name": "m", "session": {}, "steps": ["skullstrip", *recipe_steps]})
    recipe = with_function(recipe, "register", known(heads))
    recipe = with_function(recipe, "skullstrip", lambda image, **_: heads["T1w"].brain)
    recipe = with_function(recipe, "n4", watched)
    done = execute_session(recipe, case)
    assert done.failure is None, done.error
    for contrast, mask in seen.items():  # each on its own grid, where its own brain is
        truth = heads[contrast].brain.data
        assert mask.grid.matches(case[contrast].grid)
        assert 2 * (mask.data & truth).sum() / (mask.data.sum() + truth.sum()) > 0.9, contrast
    final = [o.state["mask"] for o in done.outcomes.values()]
    assert all(np.array_equal(m.data, final[0].data) for m in final)
    expected = mp.resample(heads["T1w"].brain, heads["T1w"].pose, template(spacing=4.0).grid)
    assert np.array_equal(final[0].data, expected.data)
    assert not done.outcomes["T2w"].image.data[~final[0].data].any()


def test_registrations_on_copies_leave_the_images_alone(case, atlas, go, heads):
    done = go(case, to(atlas), "resample", session={"estimate_on": [{"n4": {"shrink": 8}}]})
    for contrast, outcome in done.outcomes.items():
        plain = mp.resample(case[contrast], heads[contrast].pose, template(spacing=4.0).grid)
        assert np.allclose(outcome.image.data, plain.data, atol=1e-2)
        assert outcome.steps[0].name == "n4"
        assert outcome.steps[0].facts["on_a_copy"]
        assert "copies" in outcome.steps[0].methods
        assert "bias_lattice" not in outcome.kept


def test_registrations_are_estimated_on_the_copies(case, atlas, heads, monkeypatch):
    monkeypatch.setattr(session_checks, "same_head", lambda *_: (0.01, None))
    used = []
    right = known(heads)

    def watched(image, mask=None, to=None, **how):
        used.extend(float(v.data.max()) for v in (image, to) if v is not None)
        return right(image, mask, to, **how)

    steps = [to(atlas), "resample"]
    recipe = load({"session": {"estimate_on": [{"rescale": {"to": [0, 7]}}]}, "steps": steps})
    execute_session(with_function(recipe, "register", watched), case)
    assert len(used) == 5
    assert np.allclose(used, 7)


def test_a_contrast_may_be_missing(case, atlas, go):
    for left in (["T2w"], ["FLAIR", "T2w"], ["T1w"]):
        some = Case("sub-01", {c: case[c] for c in left})
        done = go(some, to(atlas), "resample")
        assert set(done.outcomes) == set(left)
        assert done.failure is None


def test_what_is_given_with_a_scan_follows_it(case, heads, atlas, go):
    labels = Volume(heads["FLAIR"].brain.data.astype(np.uint8) * 3, case["FLAIR"].grid, "labels")
    lesion = heads["T2w"].brain
    given = {"FLAIR": {"labels": labels}, "T2w": {"mask": lesion, "T2wLesion": lesion}}
    done = go(case, to(atlas), "resample", given=given)
    truth = head(grid=template(spacing=4.0).grid, labels=False).brain.data
    for contrast, slot in (("FLAIR", "labels"), ("T2w", "with:T2w"), ("T2w", "with:T2wLesion")):
        found = done.outcomes[contrast].state[slot]
        assert found.grid.matches(template(spacing=4.0).grid)
        inside = found.data > 0
        assert 2 * (inside & truth).sum() / (inside.sum() + truth.sum()) > 0.9, slot
    assert set(np.unique(done.outcomes["FLAIR"].state["labels"].data)) == {0, 3}
    assert "mask" not in done.main.state  # another contrast's mask is nobody's brain


def test_the_references_mask_is_its_brain(case, heads, atlas, go):
    done = go(case, "skullstrip", to(atlas), "resample", "apply_mask",
              given={"T1w": {"mask": heads["T1w"].brain}})  # fmt: skip
    assert "skullstrip" not in [s.name for s in done.main.steps]
    assert any("taken as the brain" in w for w in done.all_warnings)
    assert not done.outcomes["FLAIR"].image.data[~done.main.state["mask"].data].any()


def test_files_are_named_by_contrast(case, heads, atlas, go, tmp_path):
    renamed = {("T1c" if c == "T1w" else c): v for c, v in case.items()}
    with_agent = {**heads, "T1c": heads["T1w"]}
    renamed["T1c"] = renamed["T1c"].replace(contrast="T1c")
    recipe = load(
        {"session": {}, "steps": [to(atlas), "resample", {"background": {"output": "mask"}}]}
    )
    recipe = with_function(recipe, "register", known(with_agent))
    given = {
        "FLAIR": {
            "labels": Volume(
                heads["FLAIR"].brain.data.astype(np.uint8), case["FLAIR"].grid, "labels"
            )
        }
    }
    done = execute_session(recipe, Case("sub-01", renamed), given=given)
    assert done.failure is None, done.error
    files = [f.name for o in done.outcomes.values() for f in derivatives.write(o, tmp_path)]
    space = "space-Phantom_res-4mm"
    assert files == [
        f"sub-01_ce-gadolinium_{space}_desc-preproc_T1w.nii.gz",
        f"sub-01_{space}_desc-foreground_mask.nii.gz",
        "sub-01_from-T1c_to-Phantom_mode-image_xfm.tfm",
        f"sub-01_{space}_desc-preproc_T2w.nii.gz",
        "sub-01_from-T2w_to-Phantom_mode-image_xfm.tfm",
        "sub-01_from-T2w_to-T1c_mode-image_xfm.tfm",
        f"sub-01_{space}_desc-preproc_FLAIR.nii.gz",
        f"sub-01_{space}_desc-FLAIR_dseg.nii.gz",
        "sub-01_from-FLAIR_to-Phantom_mode-image_xfm.tfm",
        "sub-01_from-FLAIR_to-T1c_mode-image_xfm.tfm",
    ]
    record = json.loads(
        (tmp_path / f"sub-01/anat/sub-01_{space}_desc-preproc_FLAIR.json").read_text()
    )
    assert record["steps"][0]["parameters"]["to"] == "T1c"
    assert "FLAIR was registered to T1c of the same session" in record["methods"]
    back = mp.restore(done.outcomes["FLAIR"].state["labels"], record, like=case["FLAIR"])
    assert back.grid.matches(case["FLAIR"].grid)
    truth = heads["FLAIR"].brain.data
    assert 2 * ((back.data > 0) & truth).sum() / ((back.data > 0).sum() + truth.sum()) > 0.85


# -- for real ---------------------------------------------------------------------------------


def test_a_session_is_registered(heads, atlas):
    case = Case("sub-01", {c: heads[c].image for c in ("T1w", "FLAIR")})
    recipe = load({"session": {}, "steps": [to(atlas), {"resample": {"spacing": 4}}]})
    done = execute_session(recipe, case)
    assert done.failure is None, done.error
    for contrast, outcome in done.outcomes.items():
        assert outcome.state["transform"].distance(heads[contrast].pose, POINTS) < 1.5, contrast
    assert done.outcomes["FLAIR"].steps[0].facts["stretch_to_fit"] < session_checks.SAME_HEAD


def test_another_persons_head_is_flagged(heads):
    other = head("FLAIR", spacing=4, age=2.0, rotation=(3, 0, 2), **SETTINGS)
    case = Case("sub-01", {"T1w": heads["T1w"].image, "FLAIR": other.image})
    done = execute_session(load({"session": {}, "steps": ["resample"]}), case)
    assert any("two people" in w for w in done.all_warnings)


# -- what is refused or flagged ---------------------------------------------------------------


def test_a_2d_image_is_refused(case, go):
    flat = Volume(np.ones((30, 30, 1)), case["T2w"].affine)
    with pytest.raises(InputError, match=r"T2w is a 2D image \(30x30x1\)"):
        go(Case("sub-01", {**case, "T2w": flat}), "resample")


def test_few_slices_and_no_overlap_are_flagged(case):
    far = np.array(case["T2w"].affine)
    far[:3, 3] += 900
    few = Volume(np.ones((30, 30, 3)), case["FLAIR"].affine)
    odd = Case("sub-01", {"T1w": case["T1w"], "T2w": Volume(case["T2w"].data, far), "FLAIR": few})
    with pytest.warns(mp.MriprepWarning, match="T2w and T1w do not overlap"):
        session_checks.placed(odd, "T1w")
    with pytest.warns(mp.MriprepWarning, match="FLAIR has 3 slices only"):
        session_checks.flat(odd)


def test_a_template_of_another_contrast_is_flagged(case, go, tmp_path):
    path = mp.write(template("T2w", spacing=6.0), tmp_path / "tpl-Phantom_T2w.nii.gz")
    done = go(case, to(path), "resample")
    assert any("the template is T2w and the reference T1w" in w for w in done.all_warnings)
    done = go(case, to(path), "resample", reference="FLAIR")
    assert not any("the template is" in w for w in done.all_warnings)


def test_an_atlas_of_another_size_is_flagged(case, atlas, go):
    done = go(case, to(atlas), "resample", session={"shape": [240, 240, 155]})
    assert any("expects 240x240x155 voxels of 1 mm" in w for w in done.all_warnings)


def test_brats_wants_an_atlas(case):
    with pytest.raises(RecipeError, match="registers to an atlas of yours") as caught:
        execute_session(load("brats"), case)
    assert "--template" in caught.value.hint


def test_given_things_are_checked(case, go):
    far = np.array(case["T1w"].affine)
    far[:3, 3] += 900
    labels = Volume(np.ones((5, 5, 5), np.uint8), Grid((5, 5, 5), far), "labels")
    with pytest.raises(InputError, match="do not overlap"):
        go(case, "resample", given={"T1w": {"labels": labels}})
    with pytest.raises(InputError, match="has no PDw"):
        go(case, "resample", given={"PDw": {"labels": labels}})


def test_a_failure_names_contrast_and_step(case, atlas, heads):
    def broken(image, **_):
        if image.meta["contrast"] == "FLAIR":
            raise InputError("nothing there", hint="look")
        return image

    recipe = load({"session": {}, "steps": ["denoise", "zscore"]})
    recipe = with_function(with_function(recipe, "denoise", broken), "register", known(heads))
    done = execute_session(recipe, case)
    assert done.failure.step == "FLAIR denoise"
    assert done.outcomes["FLAIR"].failure.step == "denoise"
    assert [s.name for s in done.main.steps] == ["denoise"]


def test_a_recipe_for_one_contrast_takes_no_session(case):
    with pytest.raises(RecipeError, match="takes one contrast"):
        execute_session(load("adult-t1"), case)
