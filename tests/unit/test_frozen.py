"""Frozen recipes: the same voxels as in training, strict files, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import mriprep as mp
from frozen_home import CASES, GRID, make_home, recipe_of, recorded, run, scan, written
from mriprep import freezing, frozen
from mriprep.core import Case, InputError, MriprepWarning
from mriprep.frozen import read_frozen, write_frozen
from mriprep.phantom import head, template
from mriprep.record import voxel_hash


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def out(home, tmp_path):
    return shutil.copytree(home / "out", tmp_path / "out")


# -- the same voxels --------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", ["T1w", "FLAIR"])
def test_a_new_scan_gets_what_training_got(home, contrast):
    loaded = mp.load(home / "model.recipe", strict=True)
    for case in CASES[:2]:
        done = loaded(home / "scans" / f"{case}_{contrast}.nii.gz")
        about = recorded(home / "out", case, contrast)
        assert voxel_hash(done.image) == about["output"]["voxels_sha256"]
        assert done.record["states"] == about["states"]
        assert done.record["recipe"]["open"] == about["recipe"]["open"]


def test_the_same_outputs_give_the_same_bytes(home, tmp_path):
    one = mp.freeze(home / "out", tmp_path / "a.recipe").read_bytes()
    assert one == (home / "model.recipe").read_bytes()
    with zipfile.ZipFile(home / "model.recipe") as archive:
        names = archive.namelist()
    assert names == ["recipe.json", "states/2/nyul_FLAIR.json", "states/2/nyul_T1w.json"]
    assert str(home) not in one.decode("latin-1")


def test_loading_is_light(home):
    script = (
        f"import sys, mriprep as mp; p = mp.load({str(home / 'model.recipe')!r}); print(p);"
        "print(*(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.startswith("<Recipe small: background, resample, nyul"), done.stderr
    heavy = {"torch", "itk", "SimpleITK", "ants", "scipy", "nibabel", "nilearn", "numba"}
    assert not set(done.stderr.split()) & heavy


def test_predictions_find_their_way(home):
    loaded = mp.load(home / "model.recipe")
    with pytest.raises(InputError, match="no scan yet"):
        loaded.restore(np.zeros((2, 2, 2)))
    done = loaded(home / "scans" / "sub-01_T1w.nii.gz")
    prediction = np.asarray(done.mask.data, np.uint8)
    back = loaded.restore(prediction, role="mask")
    assert back.grid.matches(GRID)
    for other in (done.restore(prediction, role="mask"), mp.restore(prediction, done, role="mask")):
        assert voxel_hash(other) == voxel_hash(back)
    first = np.asarray(done.outcome.native["mask"].data, bool)
    found = np.asarray(back.data, bool)
    assert 2 * (first & found).sum() / (first.sum() + found.sum()) > 0.9
    said = []

    def elsewhere():
        try:
            loaded.restore(prediction)
        except InputError as error:
            said.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert said  # another thread's scan is none of this one's


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A session of the phantom, and a template of the user's."""
    folder = tmp_path_factory.mktemp("heads")
    about = {
        "T1w": {"rotation": (5, 0, 8)},
        "FLAIR": {"rotation": (2, -3, 6), "orientation": "PSR"},
    }
    for seed, (contrast, how) in enumerate(about.items()):
        made = head(contrast, labels=False, bias=0.2, seed=seed, spacing=4, **how)
        mp.write(made.image, folder / f"sub-01_{contrast}.nii.gz")
    mp.write(template(spacing=4.0), folder / "atlas" / "head.nii.gz")
    return folder


@pytest.mark.parametrize("session", [False, True])
def test_phantoms_through_the_whole_pipeline(heads, tmp_path, session):
    steps = [
        "skullstrip" if not session else {"background": {"output": "mask"}},
        {"n4": {"shrink": 8, "levels": 2}},
        {"register": {"template": str(heads / "atlas" / "head.nii.gz")}},
        {"resample": {"spacing": 4.0}},
        "zscore",
        "apply_mask",
    ]
    recipe = {"name": "whole", "steps": steps}
    scans = heads / "sub-01_T1w.nii.gz"
    if session:
        recipe["session"] = {"estimate_on": [{"n4": {"shrink": 8, "levels": 2}}]}
        scans = [scans, heads / "sub-01_FLAIR.nii.gz"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)  # so coarse a head is doubtful
        first = mp.recipe(recipe)(scans)
        first.write(tmp_path / "out", quality=False)
        with pytest.raises(InputError, match="'head.nii.gz' that was used is needed"):
            mp.freeze(tmp_path / "out", tmp_path / "m.recipe")
        path = mp.freeze(tmp_path / "out", tmp_path / "m.recipe", files=[heads])
        again = mp.load(path)(scans)
    ones = [(first[c], again[c]) for c in first.contrasts] if session else [(first, again)]
    for one, other in ones:
        assert voxel_hash(one.image) == voxel_hash(other.image)
        assert one.transform.reference_name == other.transform.reference_name
    assert voxel_hash(first.mask) == voxel_hash(again.mask)
    pins = read_frozen(path)[0]["pins"]
    assert len(pins["templates"]) == 1
    assert session or set(pins["weights"]["deepbet"]) == {"bbox_model.pt", "model.pt"}


# -- what is refused --------------------------------------------------------------------------


def test_cases_that_differ_are_named(home, out, tmp_path):
    recipe = recipe_of(home).set(
        resample__spacing=2.0, nyul__state=str(home / "moved" / "nyul_{contrast}.json")
    )
    recipe(home / "scans" / "sub-02_FLAIR.nii.gz").write(out, quality=False)
    for path in out.glob("sub-02/anat/*res-1p5mm*FLAIR*"):
        path.unlink()
    with pytest.raises(InputError) as told:
        mp.freeze(out, tmp_path / "m.recipe")
    assert "5 agree" in told.value.message
    assert "sub-02 FLAIR (resample.spacing is 2.0 instead of 1.5)" in told.value.message
    assert not (tmp_path / "m.recipe").exists()


def test_states_that_differ_or_were_changed_are_refused(out, tmp_path):
    path = written(out, "sub-03", "T1w").with_suffix("").with_suffix(".json")
    about = json.loads(path.read_text())
    digest = about["states"][0]["sha256"]
    about["states"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(about))
    with pytest.raises(InputError, match="sub-03 T1w was normalised by another state of nyul"):
        mp.freeze(out, tmp_path / "m.recipe")
    about["states"][0]["sha256"] = digest
    path.write_text(json.dumps(about))
    kept = out / "states" / f"nyul-{digest}.json"
    state = json.loads(kept.read_text())
    state["values"]["standard"][3] += 1
    kept.write_text(json.dumps(state))
    with pytest.raises(InputError, match="changed since"):
        mp.freeze(out, tmp_path / "m.recipe")
    kept.unlink()
    with pytest.raises(InputError, match="is not in"):
        mp.freeze(out, tmp_path / "m.recipe")


def test_folders_and_names_that_are_none(home, tmp_path):
    with pytest.raises(InputError, match="no record"):
        mp.freeze(tmp_path, tmp_path / "m.recipe")
    with pytest.raises(InputError, match=r"ends on \.recipe"):
        mp.freeze(home / "out", tmp_path / "m.zip")
    with pytest.raises(InputError, match="no frozen recipe"):
        mp.load(tmp_path / "none.recipe")


def changed(home, path, change):
    content, files = read_frozen(home / "model.recipe")
    content = {k: v for k, v in content.items() if k not in ("schema", "kind", "files")}
    change(content, files)
    return write_frozen(content, files, path)


def test_other_versions_are_told_and_strictly_refused(home, tmp_path):
    def older(content, _):
        content["versions"] |= {"mriprep": "0.0.1", "brain/deepbet": "deepbet 0.1"}

    path = changed(home, tmp_path / "m.recipe", older)
    with pytest.warns(MriprepWarning, match=r"deepbet 0\.1, here .*mriprep 0\.0\.1, here"):
        mp.load(path)
    with pytest.raises(InputError, match="other versions"):
        mp.load(path, strict=True)


def test_other_weights_and_templates_are_refused(home, tmp_path):
    def weights(content, _):
        content["pins"] = {"weights": {"deepbet": {"model.pt": "0" * 64}}}

    with pytest.raises(InputError, match=r"the weights deepbet, model\.pt is not what"):
        mp.load(changed(home, tmp_path / "w.recipe", weights))

    def bundled(content, _):
        from mriprep import templates

        content["pins"] = {"templates": {templates.find("mni152").image.name: "0" * 64}}
        content["recipe"]["steps"].insert(1, {"register": {"template": "mni152"}})
        content["placed"][0]["step"] += 1

    with pytest.raises(InputError, match="the template .* is not what the recipe was frozen with"):
        mp.load(changed(home, tmp_path / "t.recipe", bundled))


def test_pins_hold_where_the_template_depends_on_the_case(home, tmp_path):
    """By age: nothing can be said before there is a case, and everything then."""
    from mriprep import pins, templates
    from mriprep.recipe import load

    image = templates.find("mni152").image.name
    recipe = load(
        {
            "steps": [{"register": {"template": "auto"}}],
            "pins": {"templates": {image: "0" * 64}},
        }
    )
    pins.check(recipe.entries, recipe.pins, early=True)
    told = load({"steps": [{"register": {"template": "mni152"}}], "pins": recipe.pins})
    with pytest.raises(InputError, match="is not what"):
        mp.Pipeline(told)(scan(1))


def plain_recipe(folder):
    """Frozen from one T1w image, by steps that any contrast can go through."""
    mp.write(scan(1), folder / "sub-01_T1w.nii.gz")
    steps = [{"background": {"output": "mask"}}, "zscore"]
    done = mp.recipe({"name": "plain", "steps": steps})(folder / "sub-01_T1w.nii.gz")
    done.write(folder / "out", quality=False)
    return mp.freeze(folder / "out", folder / "plain.recipe")


def test_another_contrast_is_told(tmp_path):
    path = plain_recipe(tmp_path)
    loaded = mp.load(path)
    for name, this in (("T1w", None), ("FLAIR", "is FLAIR"), ("x", "a contrast that is not known")):
        file = mp.write(scan(2), tmp_path / f"sub-02_{name}.nii.gz")
        said = [w for w in loaded(file).record["warnings"] if "frozen from" in w]
        assert len(said) == (this is not None)
        assert all("frozen from images of T1w, and this one" in w and this in w for w in said)
    options = ("--recipe", path, "--no-quality", "--no-report")
    assert run("run", tmp_path / "sub-02_FLAIR.nii.gz", tmp_path / "new", *options) == 0
    assert any("frozen from images of T1w" in w
               for w in recorded(tmp_path / "new", "sub-02", "FLAIR")["warnings"])  # fmt: skip


def test_another_contrast_of_a_session_is_told():
    steps = {"steps": ["zscore"], "session": {}, "pins": {"contrasts": ["FLAIR", "T1w"]}}
    case = Case("sub-01", {c: scan(1) for c in ("T1w", "FLAIR", "T2w")})
    with pytest.warns(MriprepWarning, match="images of FLAIR, T1w, and this one is T2w") as told:
        mp.recipe(steps).plan(case)
    assert sum("frozen from" in str(w.message) for w in told) == 1


def test_where_the_contrast_was_not_known_nothing_is_told():
    from mriprep import pins

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pins.tell_contrasts(["T1w"], {"contrasts": ["image"]})
        pins.tell_contrasts(["T1w"], {})


@pytest.mark.parametrize("contrasts", ["T1w", [1], {"T1w": 1}])
def test_contrasts_of_another_form_are_refused(home, tmp_path, contrasts):
    path = changed(home, tmp_path / "m.recipe", lambda c, _: c["pins"].update(contrasts=contrasts))
    with pytest.raises(InputError, match="'pins' are of another form"):
        mp.load(path)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda a: a | {"../evil.json": b"{}"},
        lambda a: a | {"/evil.json": b"{}"},
        lambda a: a | {"states/0/more.json": b"{}"},
        lambda a: a | {"states/2/nyul_T1w.json": a["states/2/nyul_T1w.json"] + b" "},
        lambda a: {k: v for k, v in a.items() if "T1w" not in k},
        lambda a: {k: v for k, v in a.items() if k != "recipe.json"},
        lambda a: a | {"recipe.json": b"[]"},
        lambda a: a | {"recipe.json": a["recipe.json"].replace(b'"schema": 1', b'"schema": 2')},
        lambda a: a | {"recipe.json": a["recipe.json"].replace(b'"cases": 3', b'"cases": NaN')},
        lambda a: a | {"recipe.json": a["recipe.json"].replace(b'"cases": 3', b'"cases": 3, "cases": 3')},
        lambda a: a | {"recipe.json": a["recipe.json"].replace(b'"cases": 3', b'"case": 3')},
        lambda a: a | {"recipe.json": a["recipe.json"].replace(b'"states/2/nyul_{', b'"../2/nyul_{')},
        lambda a: a | {"recipe.json": a["recipe.json"].replace(b'"step": 2', b'"step": 9')},
    ],
)  # fmt: skip
def test_damaged_files_are_refused(home, tmp_path, break_it):
    with zipfile.ZipFile(home / "model.recipe") as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    path = tmp_path / "m.recipe"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in break_it(dict(members)).items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match="no frozen recipe|layout 2"):
        mp.load(path)


def test_packed_and_cut_files_are_refused(home, tmp_path):
    path = tmp_path / "m.recipe"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recipe.json", " " * 10**6)
    with pytest.raises(InputError, match="packed"):
        mp.load(path)
    whole = (home / "model.recipe").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="damaged|no frozen recipe"):
            mp.load(path)
    flipped = bytearray(whole)
    flipped[whole.index(b"standard") + 20] ^= 1
    path.write_bytes(bytes(flipped))
    with pytest.raises(InputError, match="damaged"):
        mp.load(path)


def test_what_lies_in_the_cache_is_not_trusted(home):
    loaded = mp.load(home / "model.recipe")
    state = next(e.parameters["state"] for e in loaded.recipe.entries if e.step.name == "nyul")
    path = Path(state.replace("{contrast}", "T1w"))
    before = path.read_bytes()
    path.write_text("{}")
    mp.load(home / "model.recipe")
    assert path.read_bytes() == before


# -- on the command line ----------------------------------------------------------------------


def test_frozen_on_the_command_line(home, tmp_path, capsys):
    assert run("freeze", home / "out", tmp_path / "m.recipe") == 0
    assert "states/2/nyul_T1w.json" in capsys.readouterr().out
    new = tmp_path / "new"
    source = home / "scans" / "sub-02_T1w.nii.gz"
    code = run("run", source, new, "--recipe", tmp_path / "m.recipe", "--no-quality", "--no-report")
    assert code == 0
    kept = recorded(home / "out", "sub-02", "T1w")["output"]["voxels_sha256"]
    assert recorded(new, "sub-02", "T1w")["output"]["voxels_sha256"] == kept
    assert run("freeze", tmp_path / "new", tmp_path / "again.recipe") == 0


def test_records_of_earlier_versions_are_refused(out, tmp_path):
    for path in out.glob("sub-*/anat/*.json"):
        about = json.loads(path.read_text())
        about["recipe"].pop("open", None)
        path.write_text(json.dumps(about))
    with pytest.raises(InputError, match="an earlier mriprep") as told:
        mp.freeze(out, tmp_path / "m.recipe")
    assert told.value.hint


def test_names_that_records_hold_are_made_safe():
    assert freezing._clean("../a b{contrast}ö.json") == "a_b{contrast}_.json"
    assert frozen._MEMBER.fullmatch("states/0/" + freezing._clean("/etc/passwd"))
