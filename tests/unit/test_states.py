"""Fitted states: their files, how strictly they are read, and where they are used and recorded."""

from __future__ import annotations

import base64
import copy
import json
import warnings
import zlib

import numpy as np
import pytest
from normaliser_samples import COHORT, IMAGES, MASKS, applied, fitted, tissues, volume

import mriprep as mp
from mriprep.core import InputError, MriprepWarning, RecipeError
from mriprep.fitting import kinds, parameters
from mriprep.record import voxel_hash
from mriprep.steps._states import state_of


@pytest.fixture(scope="module")
def states():
    return {kind: fitted(kind) for kind in kinds()}


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
    one, two, three = (applied(kind, s) for s in (state, again, str(path)))
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
        ("combat", lambda v: v["percentiles"].__setitem__(-1, 101), "from 0 to 100"),
        ("combat", lambda v: v["percentiles"].__setitem__(0, -1), "from 0 to 100"),
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
    with pytest.raises(InputError, match=told):
        applied(kind, state_of(content))


def test_a_bomb_is_not_unpacked(states):
    """Zeros that would fill memory: no more is unpacked than the array holds."""
    content = json.loads(json.dumps(states["ravel"].to_dict()))
    bomb = base64.b64encode(zlib.compress(bytes(10**8), 9)).decode()
    content["values"]["mean"]["zlib"] = bomb
    with pytest.raises(InputError, match="another number of bytes"):
        applied("ravel", state_of(content))


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


# -- recipes and records ----------------------------------------------------------------------


def test_a_recipe_names_a_state_and_the_record_says_what_it_saw(states, tmp_path):
    path = states["nyul"].write(tmp_path / "nyul.json")
    recipe = mp.recipe({"name": "r", "steps": [{"nyul": {"state": str(path)}}]})
    run = recipe(IMAGES[0], mask=MASKS[0])
    assert np.array_equal(run.image.data, applied("nyul", states["nyul"]))
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
