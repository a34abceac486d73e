"""``mriprep run`` and ``plan`` on sessions: folders and files, what is written, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import names

import mriprep as mp
from mriprep.phantom import head, template

SETTINGS = {"labels": False, "bias": 0.2}


@pytest.fixture(scope="module")
def heads():
    return {
        "T1w": head(spacing=4, rotation=(5, 0, 6), seed=1, **SETTINGS),
        "FLAIR": head("FLAIR", spacing=(4, 4, 6), orientation="LPS", translation=(2, 6, -5), **SETTINGS),
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(heads, tmp_path_factory):
    folder = tmp_path_factory.mktemp("visit")
    for contrast, phantom in heads.items():
        mp.write(phantom.image, folder / f"sub-5_{contrast}.nii.gz")
    lesion = heads["FLAIR"].brain.replace(heads["FLAIR"].brain.data.astype(np.uint8), role="labels")
    mp.write(lesion, folder / "sub-5_FLAIR_dseg.nii.gz")
    return folder


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "tpl-Phantom_T1w.nii.gz"
    return mp.write(template(spacing=4.0), path)


@pytest.fixture
def recipe(tmp_path, atlas):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "session: {estimate_on: [{n4: {shrink: 8, levels: 2}}]}\nsteps:\n"
        f"- register: {{template: {atlas}}}\n- resample\n- zscore\n"
    )
    return path


def test_a_folder(cli, folder, recipe, tmp_path, heads):
    out = tmp_path / "out"
    said = cli("run", folder, out, "-r", recipe)
    assert said.code == 0, said.err
    assert "sub-5: T1w, FLAIR (reference T1w) in" in said.out
    assert "T1w register" in said.err
    written = names(out)
    stem = "sub-5/anat/sub-5_space-Phantom_res-4mm"
    assert {"sub-5.html", "sub-5_T1w.html", "sub-5_FLAIR.html",
            f"{stem}_desc-preproc_T1w.nii.gz", f"{stem}_desc-preproc_FLAIR.nii.gz",
            f"{stem}_desc-FLAIR_dseg.nii.gz",
            "sub-5/anat/sub-5_from-FLAIR_to-T1w_mode-image_xfm.tfm"} <= set(written)  # fmt: skip
    page = (out / "sub-5.html").read_text()
    assert 'href="sub-5_FLAIR.html"' in page
    assert "edges of the reference" in page
    assert "laid upon T1w" in page
    assert str(tmp_path) not in page
    truth = head(grid=template(spacing=4.0).grid, labels=False).brain.data
    labels = mp.read(out / f"{stem}_desc-FLAIR_dseg.nii.gz", role="labels").data > 0
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.93
    record = json.loads((out / f"{stem}_desc-preproc_FLAIR.json").read_text())
    assert record["session"]["reference"] == "T1w"
    assert [s["step"] for s in record["steps"]] == ["n4", "register", "resample", "zscore"]
    assert record["recipe"]["name"] == "mine"


def test_files_a_reference_and_labels(cli, folder, recipe, tmp_path, heads):
    t1, flair = (folder / f"sub-5_{c}.nii.gz" for c in ("T1w", "FLAIR"))
    brain = mp.write(heads["T1w"].brain, tmp_path / "brain.nii.gz")
    out = tmp_path / "out"
    said = cli("run", t1, flair, out, "-r", recipe, "--reference", "FLAIR", "--no-report",
               "--no-quality", "--labels", f"T1w={brain}", "--name", "9")  # fmt: skip
    assert said.code == 0, said.err
    assert "the template is T1w and the reference FLAIR" in said.err
    stem = "sub-9/anat/sub-9_space-Phantom_res-4mm"
    assert {f"{stem}_desc-T1w_dseg.nii.gz",
            "sub-9/anat/sub-9_from-T1w_to-FLAIR_mode-image_xfm.tfm"} <= set(names(out))  # fmt: skip
    assert not [n for n in names(out) if n.endswith(".html")]


def test_one_contrast_of_a_session(cli, folder, recipe, tmp_path):
    options = ("--contrast", "T1w", "--no-report", "--no-quality")
    said = cli("run", folder, tmp_path / "out", "-r", recipe, *options)
    assert said.code == 0
    assert not [n for n in names(tmp_path / "out") if "FLAIR" in n]


def test_plan(cli, folder, recipe):
    said = cli("plan", folder, "-r", recipe, "--json")
    assert said.code == 0
    planned = json.loads(said.out)
    assert (planned["reference"], planned["contrasts"]) == ("T1w", ["T1w", "FLAIR"])
    assert [(s["contrast"], s["step"]) for s in planned["steps"]][:4] == [
        ("T1w", "n4"), ("FLAIR", "n4"), ("FLAIR", "register"), ("T1w", "register"),
    ]  # fmt: skip
    assert planned["steps"][2]["parameters"]["to"] == "T1w"
    assert "reference T1w" in cli("plan", folder, "-r", recipe).out
    cli("plan", folder, "-r", recipe, "--reference", "T2w").refused("no T2w to be the reference")


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (["-r", "brats"], "registers to an atlas of yours", "--template"),
        (["-r", "multimodal", "--reference", "T2w"], "no T2w to be the reference", "T1w"),
        (["-r", "multimodal", "--contrast", "T2w"], "has no T2w", "T1w"),
        (["-r", "body", "--reference", "T1w"], "takes one contrast", "multimodal"),
        (["-r", "multimodal", "--labels", "T2w=none.nii.gz"], "the session has no T2w", ""),
    ],
)
def test_refused(cli, folder, tmp_path, options, message, hint):
    cli("run", folder, tmp_path / "out", *options).refused(message, hint)


def test_several_files_need_a_recipe_for_sessions(cli, folder, tmp_path):
    t1, flair = (folder / f"sub-5_{c}.nii.gz" for c in ("T1w", "FLAIR"))
    cli("run", t1, flair, tmp_path / "out", "-r", "body").refused(
        "takes one contrast", "multimodal"
    )


def test_a_failure_is_on_record(cli, folder, tmp_path):
    empty = mp.read(folder / "sub-5_FLAIR.nii.gz")
    mp.write(empty.replace(np.zeros_like(empty.data)), tmp_path / "in" / "sub-5_FLAIR.nii.gz")
    mp.write(mp.read(folder / "sub-5_T1w.nii.gz"), tmp_path / "in" / "sub-5_T1w.nii.gz")
    path = tmp_path / "r.yaml"
    path.write_text("session:\nsteps: [resample]\n")
    said = cli("run", tmp_path / "in", tmp_path / "out", "-r", path)
    assert said.code == 2
    assert "stopped at 'FLAIR register'" in said.err
    assert names(tmp_path / "out") == [
        ".bidsignore", "dataset_description.json", "sub-5.html",
        "sub-5/anat/sub-5_FLAIR_quality.json",
        "sub-5/sub-5_FLAIR_desc-failed_record.json", "sub-5_FLAIR.html", "sub-5_T1w.html",
    ]  # fmt: skip
    assert "Stopped at FLAIR register" in (tmp_path / "out" / "sub-5.html").read_text()
