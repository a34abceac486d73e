"""Fitted states: their files, how strictly they are read, and where they are used and recorded."""

from __future__ import annotations

import copy
import json
import sys
import types
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from click.testing import CliRunner
from normaliser_samples import COHORT, labels, tissues, volume, whole

import mriprep as mp
from mriprep.cli import cli, main
from mriprep.core import InputError, MriprepWarning, RecipeError, Volume
from mriprep.fitting import kinds, parameters
from mriprep.record import voxel_hash

IMAGES = [volume(data) for data in (*COHORT, tissues(gain=1.3, shift=20))]
MASKS = [whole(data) for data in (*COHORT, COHORT[0])]
FACTS = [{"site": s} for s in "ABAB"]
HOW = {"combat": {"covariates": "none"}, "ravel": {"membership": 0.9, "share": 0.5}}


def fitted(kind):
    return mp.fit(
        kind, IMAGES, MASKS, cases=["sub-01", "sub-02", "sub-03", "sub-04"], facts=FACTS,
        split="train fold 0", **HOW.get(kind, {}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def states():
    return {kind: fitted(kind) for kind in kinds()}


def apply(kind, state):
    extra = {"site": "A"} if kind == "combat" else {}
    return getattr(mp, kind)(IMAGES[0], MASKS[0], state=state, **extra).data


def test_every_kind_is_known():
    assert kinds() == ("combat", "least_squares", "match_histogram", "nyul", "ravel")
    for kind in kinds():
        for parameter in parameters(kind).values():
            assert parameter.doc.endswith("."), parameter.name
            assert not parameter.required


@pytest.mark.parametrize("kind", kinds())
def test_a_state_is_the_same_from_its_file(states, kind, tmp_path):
    state = states[kind]
    path = state.write(tmp_path / "state.json")
    again = mp.read_state(path)
    assert again.to_dict() == state.to_dict()
    assert again.sha256 == state.sha256
    assert again.cases == tuple((f"sub-0{i}", voxel_hash(v)) for i, v in enumerate(IMAGES, 1))
    one, two, three = (apply(kind, s) for s in (state, again, str(path)))
    assert np.array_equal(one, two)
    assert np.array_equal(one, three)
    extra = {"site": "A"} if kind == "combat" else {}
    assert np.array_equal(one, state.apply(IMAGES[0], MASKS[0], **extra).data)
    content = json.loads(path.read_text())
    assert list(content) == [
        "schema", "kind", "mriprep", "contrast", "fitted_on", "parameters", "values",
    ]  # fmt: skip
    assert content["schema"] == 1
    assert content["fitted_on"]["n"] == 4
    assert content["fitted_on"]["split"] == "train fold 0"
    assert content["contrast"] == "T1w"
    assert path.stat().st_size < (400_000 if kind == "ravel" else 40_000)


def damaged(content):
    """What is wrong with a state, and how that is told."""

    def with_(change):
        one = copy.deepcopy(content)
        change(one)
        return json.dumps(one)

    text = json.dumps(content)
    yield "", "not JSON"
    yield "[" * 100000, "not JSON"
    yield "[1, 2]", "something else"
    yield "{}", "something else"
    yield text[:-1] + ', "kind": "nyul"}', "the same thing twice"
    yield text.replace("100.0", "NaN"), "NaN"
    yield with_(lambda c: c.update(schema=2)), "layout 2"
    yield with_(lambda c: c.update(schema=True)), "layout True"
    yield with_(lambda c: c.update(kind=3)), "'kind' is of another type"
    yield with_(lambda c: c.update(extra=3)), "'extra' is unknown"
    yield with_(lambda c: c.pop("contrast")), "'contrast' is missing"
    yield with_(lambda c: c.update(values=[])), "'values' is of another type"
    yield with_(lambda c: c["fitted_on"].update(n=3)), "tells of 4 cases, and says 3"
    yield with_(lambda c: c["fitted_on"].update(cases=["x"] * 4)), "a name and a sha256"
    yield with_(lambda c: c["fitted_on"].pop("split")), "'split' is missing"
    yield with_(lambda c: c["values"].pop("standard")), "'standard' is missing"
    yield with_(lambda c: c["values"].update(more=1)), "'more' is unknown"
    yield with_(lambda c: c["values"].update(standard="x")), "no array of numbers"
    yield with_(lambda c: c["values"].update(standard=[True] * 11)), "no array of numbers"
    yield with_(lambda c: c["values"].update(standard=[1, [2]])), "is no array"
    yield with_(lambda c: c["values"]["standard"].pop()), "10 numbers where 11 belong"
    yield with_(lambda c: c["values"]["standard"].reverse()), "does not rise"
    yield with_(lambda c: c["values"].update(standard=[5.0] * 11)), "no extent"
    yield with_(lambda c: c["values"]["percentiles"].reverse()), "does not rise"
    yield with_(lambda c: c["values"]["percentiles"].__setitem__(-1, 101)), "from 0 to 100"
    yield text.replace("100.0", "1e999"), "beyond all bounds"


def test_damaged_states_are_refused(states, tmp_path):
    content = json.loads(json.dumps(states["nyul"].to_dict()))
    count = 0
    for text, told in damaged(content):
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(InputError, match=told) as error:
            mp.nyul(IMAGES[0], MASKS[0], state=str(path))
        assert error.value.hint
        count += 1
    assert count == 26


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("combat", lambda v: v.update(covariates="height"), "'covariates' are unknown"),
        ("combat", lambda v: v.update(slopes=[[1.0]]), "'slopes' belong to no covariate"),
        ("combat", lambda v: v.update(sites={}), "'sites' is no mapping"),
        ("combat", lambda v: v["sites"]["A"].pop("n"), "has n, shift and spread"),
        ("combat", lambda v: v["sites"]["A"].update(spread=[0.0] * 11), "above 0"),
        ("combat", lambda v: v.update(scale=[-1.0] * 11), "above 0"),
        ("least_squares", lambda v: v.update(standard=[1.0, 0.0, 2.0]), "above 0"),
        ("least_squares", lambda v: v.update(tissues=["wm"]), "csf, gm, wm"),
        ("match_histogram", lambda v: v.update(quantiles=[1.0, 1.0]), "no extent"),
        ("ravel", lambda v: v.update(shape=[1, 2]), "no shape of a volume"),
        ("ravel", lambda v: v.update(shape=[40, 40, 26]), "another size than the grid"),
        ("ravel", lambda v: v.update(contrast="CT"), "'contrast' is unknown"),
        ("ravel", lambda v: v.update(width=True), "'width'"),
        ("ravel", lambda v: v.update(mean=[1.0]), "no packed array"),
        ("ravel", lambda v: v["mean"].update(zlib="!!"), "damaged"),
        ("ravel", lambda v: v["mean"].update(dtype="<f8"), "another type"),
        ("ravel", lambda v: v["maps"].update(shape=[3, 1]), "another number of bytes|shape"),
        ("ravel", lambda v: v["maps"].update(shape=[10**9, 10**9]), "shape|type"),
    ],
)  # fmt: skip
def test_damaged_values_are_refused(states, kind, change, told):
    content = json.loads(json.dumps(states[kind].to_dict()))
    change(content["values"])
    from mriprep.steps._states import state_of

    with pytest.raises(InputError, match=told):
        apply(kind, state_of(content))


def test_a_bomb_is_not_unpacked(states):
    """Zeros that would fill memory: no more is unpacked than the array holds."""
    import base64
    import zlib

    from mriprep.steps._states import state_of

    content = json.loads(json.dumps(states["ravel"].to_dict()))
    bomb = base64.b64encode(zlib.compress(bytes(10**8), 9)).decode()
    content["values"]["mean"]["zlib"] = bomb
    with pytest.raises(InputError, match="another number of bytes"):
        apply("ravel", state_of(content))


def test_states_of_another_kind_or_contrast(states, tmp_path):
    with pytest.raises(InputError, match="this state is one of 'match_histogram'"):
        mp.nyul(IMAGES[0], MASKS[0], state=states["match_histogram"])
    flair = IMAGES[0].replace(contrast="FLAIR")
    with pytest.raises(InputError, match="fitted on T1w images, this one is FLAIR"):
        mp.nyul(flair, MASKS[0], state=states["nyul"])
    states["nyul"].write(tmp_path / "nyul_T1w.json")
    by_name = str(tmp_path / "nyul_{contrast}.json")
    mp.nyul(IMAGES[0], MASKS[0], state=by_name)
    with pytest.raises(InputError, match=r"nyul_FLAIR\.json' cannot be read"):
        mp.nyul(flair, MASKS[0], state=by_name)
    with pytest.raises(InputError, match="depends on the image's contrast"):
        mp.nyul(volume(COHORT[0], None), MASKS[0], state=by_name)
    with pytest.raises(InputError, match=r"cannot be read(.|\n)*mriprep fit"):
        mp.nyul(IMAGES[0], state=str(tmp_path / "none.json"))


def test_a_region_of_another_kind_is_told(states):
    with pytest.warns(MriprepWarning, match=r"fitted within masks, and here.*Otsu's threshold"):
        mp.nyul(IMAGES[0], state=states["nyul"])
    whole_images = mp.fit("nyul", IMAGES, "whole")
    assert whole_images.parameters["within"] == "whole"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mp.nyul(IMAGES[0], "whole", state=whole_images)
        mp.nyul(IMAGES[0], MASKS[0], state=states["nyul"])


# -- fitting ----------------------------------------------------------------------------------


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(RecipeError, match=r"no normaliser 'nyull'(.|\n)*did you mean 'nyul'"):
        mp.fit("nyull", IMAGES)
    with pytest.raises(RecipeError, match=r"fit nyul has no parameter 'too'(.|\n)*'to'"):
        mp.fit("nyul", IMAGES, too=1)
    with pytest.raises(RecipeError, match=r"fit nyul\.to = "):
        mp.fit("nyul", IMAGES, to=(5, 1))
    with pytest.raises(InputError, match="fewer masks than images"):
        mp.fit("nyul", IMAGES, MASKS[:2])
    with pytest.raises(InputError, match="more masks than images"):
        mp.fit("nyul", IMAGES[:2], MASKS)
    with pytest.raises(InputError, match="images must be several, got one"):
        mp.fit("nyul", IMAGES[0])
    with pytest.raises(InputError, match="0 images of a cohort"):
        mp.fit("nyul", [])
    with pytest.raises(InputError, match="two images are called 'a'"):
        mp.fit("nyul", IMAGES[:2], cases=["a", "a"])
    with pytest.raises(InputError, match="several contrasts: FLAIR, T1w"):
        mp.fit("nyul", [IMAGES[0], IMAGES[1].replace(contrast="FLAIR")])
    with pytest.raises(InputError, match="must be a Volume or a path, got ndarray"):
        mp.fit("nyul", [COHORT[0]])
    with pytest.raises(InputError, match="masks = 'brain' is not accepted"):
        mp.fit("nyul", IMAGES, "brain")


def test_images_are_read_one_by_one(tmp_path):
    paths = []
    for n, image in enumerate(IMAGES, 1):
        paths.append(mp.write(image, tmp_path / f"sub-0{n}_T1w.nii.gz"))
    masks = [mp.write(m, tmp_path / f"mask{n}.nii.gz") for n, m in enumerate(MASKS)]
    state = mp.fit("nyul", iter(paths), iter(masks))
    assert [name for name, _ in state.cases] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    direct = fitted("nyul")
    np.testing.assert_allclose(state.values["standard"], direct.values["standard"], rtol=1e-5)


# -- recipes and records ----------------------------------------------------------------------


def test_a_recipe_names_a_state_and_the_record_says_what_it_saw(states, tmp_path):
    path = states["nyul"].write(tmp_path / "nyul.json")
    recipe = mp.recipe({"name": "r", "steps": [{"nyul": {"state": str(path)}}]})
    run = recipe(IMAGES[0], mask=MASKS[0])
    assert np.array_equal(run.image.data, apply("nyul", states["nyul"]))
    (told,) = run.record["states"]
    assert told["kind"] == "nyul"
    assert told["sha256"] == states["nyul"].sha256
    assert told["fitted_on"]["cases"][0] == {"case": "sub-01", "sha256": voxel_hash(IMAGES[0])}
    assert run.record["steps"][0]["parameters"]["state"] == "nyul.json"
    assert "fitted" not in run.record["steps"][0]["facts"]


def test_a_state_that_is_no_good_is_told_before_anything_runs(states, tmp_path):
    recipe = mp.recipe(
        {"name": "r", "steps": ["zscore", {"nyul": {"state": str(tmp_path / "none.json")}}]}
    )
    with pytest.raises(InputError, match="cannot be read"):
        recipe(IMAGES[0], mask=MASKS[0])
    with pytest.raises(RecipeError, match="the path of a fitted state, not the state itself"):
        mp.recipe({"name": "r", "steps": [{"nyul": {"state": states["nyul"]}}]})
    with pytest.raises(RecipeError, match="nyul needs 'state'"):
        mp.recipe({"name": "r", "steps": ["nyul"]})


def test_combat_takes_site_age_and_sex_from_the_case(tmp_path):
    facts = [
        {"site": s, "age": 30 + 7 * i, "sex": "FM"[i // 2 % 2]} for i, s in enumerate("ABABABAB")
    ]
    images = [volume(tissues(gain=1 + 0.01 * i, shift=3 * i * i)) for i in range(8)]
    state = mp.fit("combat", images, "whole", facts=facts)
    path = state.write(tmp_path / "combat.json")
    case = mp.Case("sub-x", {"T1w": images[3]}, facts[3])
    steps = [{"combat": {"state": str(path), "within": "whole"}}]
    run = mp.recipe({"name": "r", "steps": steps})(case)
    expected = mp.combat(images[3], "whole", state=state, **facts[3]).data
    assert np.array_equal(run.image.data, expected)
    assert run.record["steps"][0]["parameters"]["site"] == "B"


def test_the_contrast_of_a_case_is_what_steps_go_by():
    image = volume(COHORT[0], None)
    case = mp.Case("sub-x", {"T1w": image}, {})
    run = mp.recipe({"name": "r", "steps": [{"fcm": {"within": "whole"}}]})(case)
    assert run.record["steps"][0]["parameters"]["contrast"] == "T1w"
    assert np.array_equal(run.image.data, mp.fcm(image, "whole", contrast="T1w").data)


def test_another_state_under_the_same_name_is_another_recipe(states, tmp_path):
    from mriprep.cohorts.job import Options
    from mriprep.cohorts.resume import key_of
    from mriprep.recipe import load

    def key(name):
        return key_of(load({"name": "r", "steps": [{"nyul": {"state": name}}]}), Options())

    one = tmp_path / "nyul_T1w.json"
    names = (str(one), str(tmp_path / "nyul_{contrast}.json"))
    states["nyul"].write(one)
    before = [key(n) for n in names]
    mp.fit("nyul", IMAGES[:2], MASKS[:2]).write(one)
    assert all(a != b for a, b in zip(before, [key(n) for n in names], strict=True))


# -- the command line -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    lines = ["subject\tpath\tmask\tcontrast\tsite\tsplit"]
    for n, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True), 1):
        mp.write(image, folder / f"sub-0{n}_T1w.nii.gz")
        mp.write(mask, folder / f"sub-0{n}_desc-brain_mask.nii.gz")
        lines.append(
            f"0{n}\tsub-0{n}_T1w.nii.gz\t\tT1w\t{'AB'[n % 2]}\t{'train' if n < 4 else 'test'}"
        )
    (folder / "cohort.tsv").write_text("\n".join(lines) + "\n")
    return folder


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments], standalone_mode=False)


def test_images_on_the_command_line(files, tmp_path, capsys):
    scans = sorted(files.glob("*_T1w.nii.gz"))
    masks = [x for m in sorted(files.glob("*_mask.nii.gz")) for x in ("--mask", m)]
    state, out = tmp_path / "nyul.json", tmp_path / "out_T1w.nii.gz"
    assert run("fit", "nyul", *scans, *masks, "--state", state, "--to", "0 1").exception is None
    found = mp.read_state(state)
    assert [name for name, _ in found.cases] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert found.values["standard"][-1] == 1
    done = run("nyul", scans[0], out, "--state", state, "--within", masks[1])
    assert done.exception is None
    assert "fitted: on 4 images (sha256" in done.output
    record = json.loads((tmp_path / "out_T1w.json").read_text())
    assert record["states"][0]["fitted_on"]["n"] == 4
    assert np.allclose(mp.read(out).data, apply("nyul", found), atol=1e-5)


def test_a_table_on_the_command_line(files, tmp_path):
    state = tmp_path / "s.json"
    done = run(
        "fit", "combat", files / "cohort.tsv", "--within", "whole", "--covariates", "none",
        "--state", state,
    )  # fmt: skip
    assert done.exception is None, done.exception
    assert set(mp.read_state(state).values["sites"]) == {"A", "B"}
    assert (
        run("fit", "nyul", files / "cohort.tsv", "--split", "train", "--state", state).exception
        is None
    )
    found = mp.read_state(state)
    assert found.split == "train"
    assert len(found.cases) == 3
    wrong = run("fit", "nyul", files / "cohort.tsv", "--split", "val", "--state", state)
    assert "no case of 'cohort.tsv' is of the part 'val'" in str(wrong.exception)


def test_tissues_and_references_on_the_command_line(files, tmp_path):
    scan, other = files / "sub-01_T1w.nii.gz", files / "sub-02_T1w.nii.gz"
    mask = files / "sub-01_desc-brain_mask.nii.gz"
    known = Volume(labels(), MASKS[0].grid, "labels")
    tissue_file = mp.write(known, tmp_path / "tissues.nii.gz")
    out = tmp_path / "out_T1w.nii.gz"
    done = run("fcm", scan, out, "--within", mask, "--tissues", tissue_file, "--tissue", "gm")
    assert done.exception is None, done.exception
    expected = mp.fcm(IMAGES[0], MASKS[0], known, tissue="gm").data
    np.testing.assert_allclose(mp.read(out).data, expected, rtol=1e-5)
    done = run(
        "match_histogram", scan, out, "--within", mask, "--reference", other,
        "--reference-within", files / "sub-02_desc-brain_mask.nii.gz",
    )  # fmt: skip
    assert done.exception is None, done.exception
    expected = mp.match_histogram(IMAGES[0], MASKS[0], IMAGES[1], MASKS[1]).data
    np.testing.assert_allclose(mp.read(out).data, expected, rtol=1e-5, atol=1e-3)
    done = run("least_squares", scan, out, "--within", mask, "--means", "1 2 3")
    assert done.exception is None, done.exception
    expected = mp.least_squares(IMAGES[0], MASKS[0], means=(1, 2, 3)).data
    np.testing.assert_allclose(mp.read(out).data, expected, rtol=1e-5)
    state = tmp_path / "s.json"
    scans = sorted(files.glob("*_T1w.nii.gz"))
    given = [x for _ in scans for x in ("--tissues", tissue_file)]
    dry = run("fit", "least_squares", *scans, *given, "--state", state)
    assert str(dry.exception).startswith("sub-01: fit least_squares: no voxel of the region")
    given += ["--within", "whole"]
    assert run("fit", "least_squares", *scans, *given, "--state", state).exception is None
    direct = mp.fit("least_squares", IMAGES, "whole", tissues=[known] * 4)
    np.testing.assert_allclose(
        mp.read_state(state).values["standard"], direct.values["standard"], rtol=1e-5
    )


@dataclass
class Item:
    case: str
    images: dict
    mask: object
    facts: dict = field(default_factory=dict)
    labels: object = None


def test_a_folder_of_outputs_on_the_command_line(files, tmp_path, monkeypatch):
    out = tmp_path / "out"
    items = []
    for n, (image, mask) in enumerate(zip(IMAGES, MASKS, strict=True), 1):
        anat = out / f"sub-0{n}" / "anat"
        path = mp.write(image, anat / f"sub-0{n}_desc-preproc_T1w.nii.gz")
        where = mp.write(mask, anat / f"sub-0{n}_desc-brain_mask.nii.gz")
        items.append(Item(f"sub-0{n}", {"T1w": path, "FLAIR": path}, where, {"site": "A"}))

    known = Volume(labels(), MASKS[0].grid, "labels")
    tissue_file = mp.write(known, tmp_path / "tissues.nii.gz")

    def collect(folder, contrasts=None, labels=None, passed_only=True):
        assert (folder, contrasts, passed_only) == (out, ["T1w"], True)
        found = {"tissues": tissue_file, "none": None}[labels]
        return [replace(item, labels=found) for item in items]

    class Splits:
        test = ("sub-04",)

        def train(self, fold=0):
            return ("sub-01", "sub-02", "sub-03")[fold:]

    for name, content in (
        ("collect", {"collect": collect}), ("splits", {"read": lambda folder: Splits()}),
    ):  # fmt: skip
        module = types.ModuleType(f"mriprep.export.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    state = tmp_path / "s.json"
    done = run(
        "fit", "nyul", out, "--contrast", "T1w", "--split", "train", "--fold", 1, "--state", state
    )
    assert done.exception is None, done.exception
    found = mp.read_state(state)
    assert found.split == "train fold 1"
    assert found.contrast == "T1w"
    expected = mp.fit("nyul", IMAGES[1:3], MASKS[1:3])
    np.testing.assert_allclose(found.values["standard"], expected.values["standard"], rtol=1e-5)
    run("fit", "nyul", out, "--contrast", "T1w", "--split", "test", "--state", state)
    assert mp.read_state(state).split == "test"
    run("fit", "least_squares", out, "--contrast", "T1w", "--use-tissues", "--state", state)
    direct = mp.fit("least_squares", IMAGES, MASKS, tissues=[known] * 4)
    found = mp.read_state(state)
    assert found.parameters == {"contrast": "T1w", "within": "mask", "tissues": True}
    np.testing.assert_allclose(found.values["standard"], direct.values["standard"], rtol=1e-5)
    with pytest.warns(MriprepWarning, match=r"by labels in the fit, and by fuzzy c-means here"):
        mp.least_squares(IMAGES[0], MASKS[0], state=found)


def test_mistakes_on_the_command_line(files, tmp_path, capsys):
    scans = sorted(files.glob("*_T1w.nii.gz"))
    for arguments, told in (
        (["fit", "nyull", *scans, "--state", tmp_path / "s.json"], "did you mean 'nyul'"),
        (["fit", "nyul", *scans, "--state", tmp_path / "s.pkl"], "its name ends on .json"),
        (["fit", "nyul", *scans, "--split", "train", "--state", tmp_path / "s.json"], "no split"),
        (["nyul", scans[0], tmp_path / "o.nii.gz"], "--state"),
        (["nyul", scans[0], tmp_path / "o.nii.gz", "--state", files / "cohort.tsv"], "not JSON"),
    ):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert end.value.code == 2
        assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
