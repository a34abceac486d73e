"""Many cases on the command line: partial, mended, gone on; BIDS derivatives; the BIDS-App."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from command_line import image, names
from test_cohort_faults import half_written, images

import mriprep as mp
from mriprep.cases import list_cases

RECIPE = (
    "title: A cheap one\nsteps:\n- resample: {spacing: 2.0}\n- zscore\n- slices: {format: npy}\n"
)
#: Writes every kind of file that a run may write, without a network of neurons.
FULL = (
    "title: All there is\nsteps:\n- background: {output: mask}\n- n4: {shrink: 4}\n- resample: {spacing: 2.0}\n"
    "- zscore\n- slices: {format: npy}\n"
)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "cheap.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def bids(tmp_path):
    """A BIDS dataset of eleven subjects, the fourth with a torn scan, the fifth with sessions."""
    root = tmp_path / "bids"
    for i in range(1, 11):
        sessions = ["ses-a", "ses-b"] if i == 5 else [None]
        for j, session in enumerate(sessions):
            name = f"sub-{i:02d}" + (f"_{session}" if session else "")
            path = root.joinpath(*name.split("_"), "anat", f"{name}_T1w.nii.gz")
            path.parent.mkdir(parents=True)
            mp.write(image(20 * i + j), path)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    rows = "".join(f"sub-{i:02d}\t{20 + i}\n" for i in range(1, 11))
    (root / "participants.tsv").write_text(f"participant_id\tage\n{rows}")
    return root


def table(out: Path) -> dict[str, dict[str, str]]:
    """The table of the last run, by case."""
    last = max(p for p in (out / "runs").iterdir() if p.name != "done")
    head, *rows = [line.split("\t") for line in (last / "cases.tsv").read_text().splitlines()]
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def test_ten_good_and_one_torn_then_mended(cli, bids, recipe, tmp_path):
    torn = bids / "sub-04/anat/sub-04_T1w.nii.gz"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:1000])
    out = tmp_path / "out"
    command = ["run", bids, out, "-r", recipe, "--jobs", 2, "--no-report"]
    said = cli(*command)
    assert said.code == 3
    assert "11 cases: 10 done, 1 failed" in said.out
    assert "sub-04" in said.err
    assert "hint:" in said.err
    rows = table(out)
    assert len(rows) == 11
    assert rows["sub-04"]["status"] == "failed"
    assert rows["sub-04"]["hint"] != "n/a"
    assert {r["status"] for n, r in rows.items() if n != "sub-04"} == {"done"}
    assert all(float(r["memory_mb"]) > 10 for r in rows.values())
    first = images(out)
    assert len(first) == 10
    assert "sub-05/ses-b/anat/sub-05_ses-b_res-2mm_desc-preproc_T1w.nii.gz" in first

    torn.write_bytes(whole)
    said = cli(*command)
    assert said.code == 0
    assert "11 cases: 1 done, 10 skipped" in said.out
    assert {k: v for k, v in images(out).items() if k in first} == first
    scores = (out / "group_scores.tsv").read_text().splitlines()
    assert len(scores) == 12
    assert half_written(out) == []
    # Outputs are those of a run of one case.
    alone = mp.recipe(recipe)(torn).image.data
    written = mp.read(out / "sub-04/anat/sub-04_res-2mm_desc-preproc_T1w.nii.gz").data
    assert (alone == written).all()


def test_what_is_done_again(cli, bids, tmp_path):
    recipe = tmp_path / "quick.yaml"
    recipe.write_text("steps: [reorient, zscore]")
    out, scan = tmp_path / "out", bids / "sub-01/anat/sub-01_T1w.nii.gz"

    def status(*more):
        said = cli("run", bids, out, "-r", recipe, "--participant-label", "01", "--no-report",
                   "-j", 1, *more)  # fmt: skip
        assert said.code == 0, said.err
        return table(out)["sub-01"]["status"]

    assert status() == "done"
    assert status() == "skipped"
    os.utime(scan, (1, 1))  # another time of change, the same content
    assert status() == "skipped"
    mp.write(image(99), scan)
    assert status() == "done"
    assert status("--set", "reorient.to=LPS") == "done"
    (out / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz").unlink()
    assert status("--set", "reorient.to=LPS") == "done"
    assert status("--set", "reorient.to=LPS", "--force") == "done"


def test_a_cohort_in_python(bids, recipe, tmp_path):
    done = mp.cohort(
        recipe, bids, tmp_path / "out", jobs=1, participants=["02", "05"], report=False
    )
    assert done.exit_code == 0
    assert {c["case"]: c["status"] for c in done.cases()} == {
        "sub-02": "done", "sub-05_ses-a": "done", "sub-05_ses-b": "done",
    }  # fmt: skip
    cases = list_cases(bids, participants=["02"])
    again = mp.cohort(mp.recipe(recipe), cases, tmp_path / "out", jobs=1, report=False)
    assert again.counts == {"skipped": 1}


def test_a_session_of_one_subject_is_still_one_case(cli, recipe, tmp_path):
    folder = tmp_path / "sub-9" / "anat"
    folder.mkdir(parents=True)
    mp.write(image(), folder / "sub-9_T1w.nii.gz")
    said = cli("run", tmp_path / "sub-9", tmp_path / "out", "-r", recipe, "--no-report")
    assert said.code == 0
    assert "3 steps" in said.out
    assert not (tmp_path / "out" / "runs").exists()


def test_what_is_one_case_and_what_is_many(bids, dicom, scan, tmp_path):
    from mriprep.cli.cohort import holds_many

    table = tmp_path / "cases.csv"
    table.write_text(f"subject,path\n1,{scan}\n")
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("sub-1_T1w", "sub-1_FLAIR", "sub-2_T1w"):
        mp.write(image(), flat / f"{name}.nii.gz")
    many = (bids, table, flat, bids / "sub-05")
    one = (scan, dicom, bids / "sub-01", bids / "sub-05" / "ses-a", tmp_path / "nowhere")
    assert [holds_many((p,), {}) for p in many] == [True] * len(many)
    assert [holds_many((p,), {}) for p in one] == [False] * len(one)
    assert holds_many((scan,), {"jobs": 1})


def validator() -> Path:
    path = Path(sysconfig.get_path("scripts")) / "bids-validator-deno"
    if not path.exists():
        pytest.skip("bids-validator-deno is not installed: pip install bids-validator-deno")
    return path


def test_the_official_validator_is_content(cli, bids, tmp_path):
    program, out = validator(), tmp_path / "out"
    full = tmp_path / "full.yaml"
    full.write_text(FULL)
    for name in ("sub-01", "sub-05"):
        for scan in (bids / name).rglob("*_T1w.nii.gz"):
            labels = image().replace((image().data > 100).astype("uint8"), role="labels")
            mp.write(labels, scan.with_name(scan.name.replace("T1w", "dseg")))
    (bids / "sub-02/anat/sub-02_T1w.nii.gz").write_bytes(b"nothing")
    said = cli("bids", bids, out, "participant", "--participant_label", "01", "02", "sub-05",
               "-r", full, "--nprocs", 2, "-w", tmp_path / "work")  # fmt: skip
    assert said.code == 3
    written = names(out)
    assert "sub-01/anat/sub-01_desc-biasfield_T1w.nii.gz" in written
    assert "sub-05/ses-a/anat/sub-05_ses-a_res-2mm_desc-foreground_mask.nii.gz" in written
    assert [n for n in written if n.endswith("slices.csv")]
    assert "sub-01_T1w.html" in written
    assert cli("bids", bids, out, "group").code == 0
    done = subprocess.run(
        [program, str(out), "--format", "json"], capture_output=True, text=True, timeout=120
    )
    found = json.loads(done.stdout)["issues"]["issues"]
    assert [i for i in found if i["severity"] == "error"] == []
    about = json.loads((out / "sub-01/anat/sub-01_res-2mm_desc-preproc_T1w.json").read_text())
    assert about["SkullStripped"] is False
    assert about["Sources"] == ["sub-01_T1w.nii.gz"]
    assert about["SpatialReference"] == "orig"
    assert "2 x 2 x 2 mm" in about["Resolution"]
    described = json.loads((out / "dataset_description.json").read_text())
    assert described["GeneratedBy"][0]["Name"] == "mriprep"
    # It would not be content with what is wrong.
    shutil.copy(out / "sub-01/anat/sub-01_res-2mm_desc-preproc_T1w.json", out / "sub-01/odd.json")
    done = subprocess.run(
        [program, str(out), "--format", "json"], capture_output=True, text=True, timeout=120
    )
    assert [i for i in json.loads(done.stdout)["issues"]["issues"] if i["severity"] == "error"]


def test_bad_commands(cli, bids, recipe, tmp_path):
    out, scan = tmp_path / "out", bids / "sub-01/anat/sub-01_T1w.nii.gz"
    cli("run", bids, out, "--jobs", 0).refused("--jobs", code=2)
    cli("run", bids, out, "--name", "x").refused("--name speaks of one scan")
    cli("run", bids, out, "--participant-label", "77").refused("no participant 77")
    cli("run", bids, out, "--session-label", "c").refused("no session c", "there are: a, b")
    cli("run", bids, out, "--cluster", "slrum").refused(
        "no cluster 'slrum'", "did you mean 'slurm'?"
    )
    cli("run", bids, out, "--scheduler", "tcp://h:1", "--cluster", "slurm").refused("two places")
    cli("run", bids, out, "--cluster-options", recipe).refused("--cluster")
    cli("run", bids, out, "--scheduler", "tcp://h:1", "--jobs", 2).refused(
        "--jobs is for this machine"
    )
    cli("run", scan, scan, out, "--force").refused("many cases")
    cli("run", bids, out, "-r", "brats").refused("atlas of yours")
    cli("run", bids, out, "--reference", "T1w").refused("--reference is for sessions")
    cli("run", bids, scan, "-r", recipe).refused("cannot be written to")
    cli("bids", tmp_path, out, "participant").refused("no BIDS dataset")
    cli("bids", bids, tmp_path / "empty", "group").refused("no case is done")
    cli("bids", bids, out, "subject").refused("participant")
    assert not (out / "runs").exists()
