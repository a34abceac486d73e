"""Templates by age on the command line, with a stand-in for TemplateFlow's folder; no network."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mriprep as mp
from mriprep.phantom import head, template
from mriprep.phantom.dicom import write_dicom
from mriprep.phantom.model import template_brain

SPACING = 5.0
QUICK = ("--skip", "skullstrip", "--skip", "n4", "--skip", "slices", "--no-report",
         "--set", f"resample.spacing={SPACING}")  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """TemplateFlow's folder with a phantom in the place of cohorts 2 to 5, and of the infants' 9."""
    folder = tmp_path_factory.mktemp("flow")
    image, brain = template(spacing=SPACING), template_brain(spacing=SPACING)
    for name, cohorts in (("MNIPediatricAsym", (2, 3, 4, 5)), ("MNIInfant", (9,))):
        for cohort in cohorts:
            stem = f"tpl-{name}/cohort-{cohort}/tpl-{name}_cohort-{cohort}_res-1"
            mp.write(image, folder / f"{stem}_T1w.nii.gz")
            mp.write(brain, folder / f"{stem}_desc-brain_mask.nii.gz")
    return folder


@pytest.fixture(scope="module")
def child():
    return head(spacing=SPACING, age=10, rotation=(4, 0, 6), labels=False, seed=3)


@pytest.fixture(autouse=True)
def no_network(monkeypatch, home):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(home))
    monkeypatch.delenv("MRIPREP_TEMPLATES", raising=False)
    monkeypatch.delenv("MRIPREP_OFFLINE", raising=False)
    refuse = lambda *_: pytest.fail("the network was tried")  # noqa: E731
    monkeypatch.setattr("mriprep.templates.fetch._fetch", refuse)


@pytest.fixture
def scan(tmp_path, child):
    mp.write(child.brain, tmp_path / "mask.nii.gz")
    return mp.write(child.image, tmp_path / "sub-01_T1w.nii.gz")


def run(cli, scan, out, *more):
    mask = scan.with_name("mask.nii.gz")
    return cli("run", scan, out, "-r", "pediatric-t1", "--mask", mask, *QUICK, *more)


def record_of(out):
    (path,) = out.rglob("*_desc-preproc_T1w.json")
    return path.name, json.loads(path.read_text())


def test_a_child_gets_the_template_of_its_age(cli, scan, tmp_path):
    said = run(cli, scan, tmp_path / "out", "--age", "10")
    assert said.code == 0, said.err
    name, record = record_of(tmp_path / "out")
    assert "space-MNIPediatricAsym+3" in name
    assert (record["facts"]["age"], record["facts"]["age_from"]) == (10, "--age")
    register = next(s for s in record["steps"] if s["step"] == "register")
    assert register["parameters"]["template"] == "auto"
    assert (register["parameters"]["age"], register["parameters"]["contrast"]) == (10, "T1w")
    used = register["facts"]["template_used"]
    assert used["template_name"] == "MNIPediatricAsym+3"
    assert used["template_file"] == "tpl-MNIPediatricAsym_cohort-3_res-1_T1w.nii.gz"
    assert "McGill" in used["template_licence"]
    assert "narrowest" in used["template_chosen"]
    assert "MNIPediatricAsym+3" in record["methods"]


def test_the_age_may_stand_in_participants_tsv(cli, scan, tmp_path):
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t12\n")
    said = run(cli, scan, tmp_path / "out")
    assert said.code == 0, said.err
    name, record = record_of(tmp_path / "out")
    assert "space-MNIPediatricAsym+5" in name
    assert record["facts"] == {"age": 12, "age_from": "participants.tsv"}


def test_what_is_given_wins_and_the_disagreement_is_on_record(cli, scan, tmp_path):
    scan.with_name("sub-01_T1w.json").write_text('{"PatientAge": "010Y"}')
    said = run(cli, scan, tmp_path / "out", "--age", "30mo")
    assert said.code == 0, said.err
    assert said.err.count("note: ages disagree: 30 months by --age, 10 years by the sidecar") == 1
    name, record = record_of(tmp_path / "out")
    assert "space-MNIInfant+9" in name
    assert record["facts"] == {"age": 2.5, "age_from": "--age"}
    assert any("ages disagree" in w for w in record["warnings"])


@pytest.mark.parametrize("age", ["40", "adult"])
def test_adults_get_the_adult_template(cli, scan, tmp_path, age):
    said = run(cli, scan, tmp_path / "out", "--age", age)
    assert said.code == 0, said.err
    name, record = record_of(tmp_path / "out")
    assert "space-MNI152NLin2009aSym" in name
    expected = {"age": 40} if age == "40" else {"age_group": "adult"}
    assert record["facts"] == {**expected, "age_from": "--age"}


def test_an_unknown_age_is_refused_before_work_starts(cli, scan, tmp_path):
    said = run(cli, scan, tmp_path / "out")
    said.refused("age is not known", "--age 7.5")
    assert "[1/" not in said.err
    assert not list((tmp_path / "out").rglob("*.nii.gz"))
    cli("plan", scan, "-r", "pediatric-t1").refused("age is not known", "participants.tsv")
    run(cli, scan, tmp_path / "out", "--age", "old").refused("'old' is not an age", "30mo")


def test_a_template_that_is_not_there_is_refused_before_work_starts(cli, scan, tmp_path, home):
    said = run(cli, scan, tmp_path / "out", "--age", "16", "--offline")
    said.refused("network is switched off", "tpl-MNIPediatricAsym_cohort-6_res-1_T1w.nii.gz")
    assert str(home / "tpl-MNIPediatricAsym" / "cohort-6") in said.err
    assert "[1/" not in said.err


def test_plan_finds_the_template(cli, scan):
    said = cli("plan", scan, "-r", "pediatric-t1", "--age", "10", "--json")
    assert said.code == 0, said.err
    (register,) = [s for s in json.loads(said.out)["steps"] if s["step"] == "register"]
    assert (register["parameters"]["age"], register["parameters"]["contrast"]) == (10, "T1w")
    assert register["template"] == "MNIPediatricAsym+3"
    said = cli("plan", scan, "-r", "pediatric-t1", "--age", "12")
    assert "template: MNIPediatricAsym+5" in said.out
    said = cli("plan", scan, "-r", "pediatric-t1", "--age", "16", "--offline")
    said.refused("network is switched off", "cohort-6")


def test_plan_takes_the_age_of_a_dicom_header(cli, child, tmp_path):
    write_dicom(child, tmp_path / "exam")
    said = cli("plan", tmp_path / "exam", "-r", "pediatric-t1", "--json")
    assert said.code == 0, said.err
    (register,) = [s for s in json.loads(said.out)["steps"] if s["step"] == "register"]
    assert register["parameters"]["age"] == 10


def test_in_python(child):
    case = mp.core.Case("sub-01", {"T1w": child.image}, {"age": 10.0})
    quick = mp.recipe({"steps": [{"register": {"template": "NIHPD"}}]})
    assert quick.plan(case).steps[0].parameters["age"] == 10
    done = quick(case, mask=child.brain)
    assert done.transform.reference_name == "MNIPediatricAsym+3"
    with pytest.raises(mp.InputError, match="age is not known"):
        quick(child.image)
    assert quick.set(register__age="12y").plan(child.image).steps[0].parameters["age"] == "12y"
    pose = mp.register(child.image, child.brain, template="NIHPD", age=12)
    assert pose.reference_name == "MNIPediatricAsym+5"


# -- mriprep templates ----------------------------------------------------------------------------


def test_help_of_templates(cli):
    assert "templates" in cli("--help").out
    for words in ((), ("list",), ("choose",), ("fetch",)):
        said = cli("templates", *words, "--help")
        assert said.code == 0
        assert said.out.startswith("Usage: mriprep templates")
        assert "\\b" not in said.out


def test_list(cli, home):
    said = cli("templates", "list")
    assert said.code == 0
    for words in ("MNIPediatricAsym:cohort-3", "7 to 11 years", "2 to 5 months", "licence: McGill",
                  "from 18.5 years", str(home)):  # fmt: skip
        assert words in said.out
    rows = {r["name"]: r for r in json.loads(cli("templates", "list", "--json").out)}
    assert len(rows) == 11 + 6 + 3
    there = home / "tpl-MNIPediatricAsym/cohort-3/tpl-MNIPediatricAsym_cohort-3_res-1_T1w.nii.gz"
    assert rows["MNIPediatricAsym:cohort-3"]["files"] == {
        "T1w": str(there),
        "T2w": None,
        "PDw": None,
    }
    assert rows["MNIPediatricAsym:cohort-6"]["files"]["T1w"] is None
    assert rows["mni152"]["files"]["T1w"]
    assert rows["mni152"]["years"] == [18.5, None]


def test_choose(cli, home):
    said = cli("templates", "choose", "--age", "7", "--contrast", "T1w")
    assert said.code == 0
    assert said.out.startswith("MNIPediatricAsym:cohort-2 (T1w)\n")
    assert "narrowest" in said.out
    assert f"image:   {home / 'tpl-MNIPediatricAsym' / 'cohort-2'}" in said.out
    said = cli("templates", "choose", "--age", "16", "--contrast", "T2w")
    assert said.out.startswith("MNIPediatricAsym:cohort-6 (T2w)\n")
    assert "mriprep templates fetch MNIPediatricAsym:cohort-6 --contrast T2w" in said.out
    assert "tpl-MNIPediatricAsym_cohort-6_res-1_T2w.nii.gz" in said.out
    told = json.loads(cli("templates", "choose", "--age", "adult", "--json").out)
    assert (told["name"], told["contrast"]) == ("mni152", "T1w")
    cli("templates", "choose", "--age", "old").refused("'old' is not an age", "30mo")
    cli("templates", "choose", "--age", "30", "--among", "NIHPD").refused("none .* for 30 years")
    cli("templates", "choose", "--age", "30", "--among", "MNIPediatrc").refused(
        "no 'MNIPediatrc'", "did you mean 'MNIPediatricAsym'"
    )


def test_fetch(cli, home):
    said = cli("templates", "fetch", "MNIPediatricAsym:cohort-3", "--offline")
    assert said.code == 0
    assert f"MNIPediatricAsym+3: {home}" in said.out
    assert "licence: McGill" in said.out
    assert cli("templates", "fetch", "NIHPD", "--age", "12").code == 0
    assert "nilearn" in cli("templates", "fetch", "mni152").out
    said = cli("templates", "fetch", "MNIPediatricAsym:cohort-6", "--offline")
    said.refused("network is switched off", str(home / "tpl-MNIPediatricAsym" / "cohort-6"))
    said = cli("templates", "fetch", "Unlisted", "--offline")
    said.refused("'Unlisted' .T1w. is not on this machine", "tpl-Unlisted_res-01_T1w.nii.gz")
    cli("templates", "fetch", "no such thing").refused("is not a template")


def test_fetch_of_many_lists_all_that_is_missing_and_tries_the_network_once(cli, home, monkeypatch):
    tried = []
    monkeypatch.setattr(
        "mriprep.templates.fetch._fetch", lambda *a: tried.append(a) or "OSError, no route"
    )
    said = cli("templates", "fetch", "MNIPediatricAsym")
    assert said.code == 2
    assert said.out.count("licence: McGill") == 4
    assert "2 of 6 are missing" in said.err
    assert "TemplateFlow could not fetch it (OSError, no route)" in said.err
    for cohort in (1, 6):
        assert f"tpl-MNIPediatricAsym_cohort-{cohort}_res-1_T1w.nii.gz" in said.err
    assert len(tried) == 1


def test_a_folder_of_ones_own(cli, scan, tmp_path, home):
    own = tmp_path / "ours"
    own.mkdir()
    there = home / "tpl-MNIPediatricAsym/cohort-3/tpl-MNIPediatricAsym_cohort-3_res-1_T1w.nii.gz"
    mask = there.with_name("tpl-MNIPediatricAsym_cohort-3_res-1_desc-brain_mask.nii.gz")
    (own / "templates.yaml").write_text(
        f"templates: {{OurKids: {{licence: CC0, ages: [4, 12], T1w: '{there}', mask: '{mask}'}}}}\n"
    )
    said = cli("templates", "choose", "--age", "10", "--folder", own)
    assert said.out.startswith("OurKids (T1w)\n")
    assert "licence: CC0" in said.out
    assert "OurKids" in cli("templates", "list", "--folder", own).out
    said = run(cli, scan, tmp_path / "out", "--age", "10", "--template", own)
    assert said.code == 0, said.err
    name, record = record_of(tmp_path / "out")
    assert "space-OurKids_" in name
    used = next(s for s in record["steps"] if s["step"] == "register")["facts"]["template_used"]
    assert used["template_licence"] == "CC0"
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.parametrize(
    ("age", "recipe", "noted"),
    [(10, "adult-t1", True), (18.4, "adult-t1", True), (18.5, "adult-t1", False), ("adult", "adult-t1", False),
     (10, "pediatric-t1", False)],
)  # fmt: skip
def test_a_child_in_a_recipe_for_adults_is_noted(capsys, age, recipe, noted):
    from mriprep.cli.pipeline import _child
    from mriprep.core import Case, Volume

    case = Case("sub-01", {"T1w": Volume(np.zeros((2, 2, 2)), np.eye(4))}, {"age": age})
    _child(case, recipe)
    assert ("pediatric-t1" in capsys.readouterr().err) is noted
