"""The parts of cohorts that need no process of their own."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import ClassVar

import pytest

from mriprep.cases import CaseSource, ImageSource
from mriprep.cohorts import clusters, guard, machine, resume
from mriprep.cohorts.clusters import Where, read_options, slots
from mriprep.cohorts.estimate import Estimate
from mriprep.cohorts.job import Job, Options, Result, failed
from mriprep.cohorts.ledger import Ledger, rows, write_cases
from mriprep.cohorts.run import Summary, narrow, plain, run_cohort
from mriprep.cohorts.scores import write_scores
from mriprep.cohorts.work import cause_of, do, scores
from mriprep.core import EngineMissing, InputError, OutputError, RecipeError
from mriprep.recipe import load, presets


def job(tmp_path, **changes) -> Job:
    about = {"run": "r", "recipe": {}, "output": str(tmp_path), "key": "k", "options": Options()}
    return Job(**{**about, "work": do, **changes})


# -- exit codes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "more", "code"),
    [
        ({"done": 3}, {}, 0),
        ({"done": 1, "skipped": 2}, {}, 0),
        ({"skipped": 2}, {}, 0),
        ({"done": 2, "doubtful": 1}, {}, 4),
        ({"done": 2, "doubtful": 1, "failed": 1}, {}, 3),
        ({"skipped": 2, "failed": 1}, {}, 3),
        ({"failed": 2}, {}, 1),
        ({"done": 2}, {"stopped": True}, 130),
        ({"done": 2, "failed": 1}, {"stopped": True, "why": "No space left on device"}, 3),
        ({"failed": 1}, {"stopped": True, "why": "No space left on device"}, 1),
        # What ran out of room after its last case is not all good.
        ({"done": 2}, {"why": "cannot write cases.tsv"}, 3),
    ],
)
def test_exit_codes(counts, more, code):
    assert Summary(Path(), counts, **more).exit_code == code


# -- what is to blame -------------------------------------------------------------------------


def wrapped(inner: Exception, outer: Exception) -> Exception:
    try:
        raise outer from inner
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (InputError("no image"), "scan"),
        (ValueError("x"), "scan"),
        (FileNotFoundError(errno.ENOENT, "gone"), "scan"),
        (PermissionError(errno.EACCES, "denied"), "scan"),
        (MemoryError(), "machine"),
        (OSError(errno.EIO, "broken disk"), "machine"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "machine"),
        (wrapped(OSError(errno.ENOSPC, "full"), OutputError("cannot write")), "output"),
        (wrapped(OSError(errno.EROFS, "read-only"), OutputError("cannot write")), "output"),
        (wrapped(OSError(errno.EACCES, "denied"), OutputError("cannot write")), "scan"),
    ],
)
def test_what_is_to_blame(error, cause):
    assert cause_of(error) == cause


# -- resuming ---------------------------------------------------------------------------------


def source(folder: Path, text: str = "voxels", **about) -> CaseSource:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "T1w.nii.gz"
    path.write_text(text)
    return CaseSource("sub-1", "1", None, (ImageSource("T1w", str(path)),), **about)


def test_fingerprints(tmp_path):
    one = source(tmp_path / "a")
    quick, content = resume.quick(one), resume.thorough(one)
    assert (resume.quick(one), resume.thorough(one)) == (quick, content)
    os.utime(one.images[0].path, (5, 5))
    assert resume.quick(one) != quick
    assert resume.thorough(one) == content
    assert resume.thorough(source(tmp_path / "b")) == content  # moved elsewhere
    assert resume.thorough(source(tmp_path / "a", "other")) != content
    assert resume.thorough(source(tmp_path / "a", age="7")) != content  # may choose the template
    (tmp_path / "participants.tsv").write_text(f"participant_id\tage\n{one.name}\t3\n")
    young = resume.quick(one)
    (tmp_path / "participants.tsv").write_text(f"participant_id\tage\n{one.name}\t40\n")
    assert resume.quick(one) != young  # the age of a dataset's table may choose it too
    Path(one.images[0].path).with_name("T1w.json").write_text("{}")
    assert resume.thorough(one) != content  # facts come from there
    Path(one.images[0].path).unlink()
    with pytest.raises(FileNotFoundError):
        resume.quick(one)


def test_a_folder_of_dicom_is_fingerprinted_file_by_file(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    whole = CaseSource("sub-1", "1", None, (ImageSource("T1w", str(tmp_path)),))
    part = CaseSource("sub-1", "1", None, (ImageSource("T1w", str(tmp_path), files=("a", "b")),))
    before = resume.quick(whole), resume.quick(part)
    (tmp_path / "c").write_text("changed")
    assert resume.quick(whole) != before[0]
    assert resume.quick(part) == before[1]


def test_the_note_that_a_case_is_done(tmp_path):
    out = tmp_path / "out"
    one, what = source(tmp_path / "in"), job(out)
    image = out / "sub-1" / "image.nii.gz"
    image.parent.mkdir(parents=True)
    image.write_text("written")
    assert resume.is_done(what, one, content=True) is None
    resume.note_done(what, one, resume.quick(one), [image], {"scores": {"s": 0.5}})
    assert resume.is_done(what, one, content=False)["scores"] == {"s": 0.5}
    assert resume.is_done(job(out, key="other"), one, content=True) is None
    assert resume.is_done(job(out, options=Options(contrast="T2w")), one, content=True) is None
    os.utime(one.images[0].path, (5, 5))
    assert resume.is_done(what, one, content=False) is None
    assert resume.is_done(what, one, content=True) is not None
    resume.note_done(what, one, "changed meanwhile", [image], {})
    assert resume.is_done(what, one, content=True) is None
    resume.note_done(what, one, resume.quick(one), [image], {})
    image.write_text("cut off")
    assert resume.is_done(what, one, content=True) is not None  # as long as it was
    image.write_text("cut")
    assert resume.is_done(what, one, content=True) is None
    resume.place(what, "sub-1").write_text("{")
    assert resume.is_done(what, one, content=True) is None


def test_the_key_follows_recipe_options_and_templates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    template = tmp_path / "my.head.nii.gz"
    template.write_text("head")
    recipe = load("guide").with_settings({"register.template": str(template)})
    key = resume.key_of(recipe, Options())
    assert resume.key_of(recipe, Options()) == key
    assert resume.key_of(recipe, Options(offline=True)) == key  # the network changes no voxel
    assert resume.key_of(recipe, Options(age="7")) != key
    assert resume.key_of(recipe.with_settings({"zscore.within": "foreground"}), Options()) != key
    template.write_text("another head")
    assert resume.key_of(recipe, Options()) != key


@pytest.mark.parametrize("name", presets())
def test_a_recipe_travels_as_plain_data(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "axial").mkdir()  # a word that happens to be a folder's name stays a word
    recipe = load(name)
    again = load(json.loads(json.dumps(plain(recipe))))
    assert again.to_dict() == recipe.to_dict()
    (tmp_path / "t.nii.gz").touch()
    if any(e.step.name == "register" for e in recipe.entries):
        found = load(plain(recipe.with_settings({"register.template": "t.nii.gz"})))
        templates = [e.parameters["template"] for e in found.entries if e.step.name == "register"]
        assert templates == [str(tmp_path / "t.nii.gz")]


def test_what_a_killed_run_leaves_is_swept_of_this_case_alone(tmp_path):
    anat = tmp_path / "sub-1" / "anat"
    (tmp_path / "sub-1" / "slices" / ".slices-abc").mkdir(parents=True)
    anat.mkdir()
    torn = [
        anat / ".sub-1_T1w.part-0123456789ab.nii.gz",
        tmp_path / ".sub-1_T1w.part-0123456789ab.html",
    ]
    kept = [
        anat / "sub-1_T1w.nii.gz",
        anat / ".sub-1_notes",
        tmp_path / ".sub-2_T1w.part-0123456789ab.html",
        tmp_path / ".sub-10_T1w.part-0123456789ab.html",
        tmp_path / ".sub-1_ses-a_T1w.part-0123456789ab.html",
    ]
    for path in (*torn, *kept):
        path.touch()
    resume.sweep(job(tmp_path), CaseSource("sub-1", "1"))
    assert not any(p.exists() for p in torn)
    assert all(p.exists() for p in kept)
    assert list((tmp_path / "sub-1" / "slices").iterdir()) == []


def test_folders_of_dead_processes_are_removed(tmp_path):
    dead, mine = (tmp_path / f"{guard._FOLDER}{pid}-x" for pid in (2**22 + 1, os.getpid()))
    for folder in (dead, mine, tmp_path / "mriprep-elsewhere-77-x"):
        folder.mkdir()
    guard.tidy(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {mine.name, "mriprep-elsewhere-77-x"}


# -- the ledger -------------------------------------------------------------------------------


def test_ledger(tmp_path):
    ledger = Ledger(tmp_path / "run", {"run": "run"})
    ledger.result(failed("sub-2", "a\ttab and\na line", code="x", hint="do", step="n4"))
    ledger.event("retry", case="sub-1")
    ledger.result(Result("sub-1", "failed"))
    ledger.result(Result("sub-1", "done", 1.23456, 99.99, ("w1", "w2"), {"T1w_mask": 0.9}))
    path = ledger.close(why=None)
    assert [r["case"] for r in rows(tmp_path / "run")] == ["sub-1", "sub-2"]
    head, first, second = (line.split("\t") for line in path.read_text().splitlines())
    assert dict(zip(head, first, strict=True)) == {
        "case": "sub-1", "status": "done", "seconds": "1.235", "memory_mb": "100.0",
        "attempts": "1", "step": "n/a", "code": "n/a", "reason": "n/a", "hint": "n/a",
        "warnings": "w1; w2", "worker": "n/a", "T1w_mask": "0.9",
    }  # fmt: skip
    assert dict(zip(head, second, strict=True))["reason"] == "a tab and a line"
    events = [json.loads(line) for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["case", "retry", "case", "case", "end"]


def test_a_torn_line_of_a_killed_run_is_no_case(tmp_path):
    ledger = Ledger(tmp_path, {})
    ledger.result(Result("sub-1", "done"))
    ledger.file.write(b'{"time": "t", "event": "case", "case": "sub-2", "sta')
    assert [r["case"] for r in rows(tmp_path)] == ["sub-1"]
    assert len(write_cases(tmp_path).read_text().splitlines()) == 2


def test_scores_of_nothing(tmp_path):
    with pytest.raises(InputError, match="no case is done"):
        write_scores(tmp_path)


def test_scores_are_found_in_the_facts_of_steps():
    class Step:
        facts: ClassVar = {"registration": {"score": 0.91, "near": 0.2}, "brain_volume_ml": 1234.5,
                 "threshold": 3, "mask_score": 0.8}  # fmt: skip

    class Outcome:
        contrast, steps = "T1w", [Step]

    assert scores([Outcome]) == {
        "T1w_registration": 0.91, "T1w_brain_volume_ml": 1234.5, "T1w_mask": 0.8,
    }  # fmt: skip


# -- machines ---------------------------------------------------------------------------------


def test_jobs_fill_a_machine_and_do_not_overfill_it(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "memory_mb", lambda: 10_000.0)
    assert slots(Where(), 1000) == 8
    assert slots(Where(), 2000) == 4
    assert slots(Where(), 50_000) == 1
    assert slots(Where(memory_mb=4000), 1000) == 4
    assert slots(Where(threads=4), 1000) == 2
    assert slots(Where(jobs=3), 50_000) == 3


def test_every_library_is_told_its_threads_before_it_is_loaded():
    told = machine.environment(3)
    assert set(told.values()) == {"3"}
    assert {"OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"} <= set(
        told
    )
    assert machine.cores() >= 1
    assert machine.memory_mb() > 10


def test_options_of_a_cluster(tmp_path):
    path = tmp_path / "slurm.yaml"
    path.write_text("{cores: 4, memory: 8GB, jobs: 3}")
    assert read_options(path) == {"cores": 4, "memory": "8GB", "jobs": 3}
    for text in ("- a\n- b", "{", ""):
        path.write_text(text)
        with pytest.raises(InputError, match="options of the cluster"):
            read_options(path)


def test_a_batch_system_is_checked_before_anything_is_begun(monkeypatch):
    clusters.check(Where())
    with pytest.raises(InputError, match="no cluster 'slrum'"):
        clusters.check(Where(cluster="slrum"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    clusters.check(Where(cluster="slurm", cluster_options={"jobs": 2}))
    with pytest.raises(InputError, match="whole number, got 'many'"):
        clusters.check(Where(cluster="slurm", cluster_options={"jobs": "many"}))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineMissing, match="needs dask-jobqueue"):
        clusters.check(Where(cluster="slurm"))


# -- cases ------------------------------------------------------------------------------------


def test_a_recipe_for_one_contrast_takes_one(tmp_path):
    images = tuple(
        ImageSource(c, f"{c}{r}.nii.gz", role=r)
        for c, r in (("T1w", "image"), ("FLAIR", "image"), ("FLAIR", "mask"), (None, "labels"))
    )
    case = CaseSource("sub-1", "1", None, images)
    taken = narrow(case, load("body"), Options())
    assert [(i.contrast, i.role) for i in taken.images] == [("T1w", "image"), (None, "labels")]
    assert all(os.path.isabs(i.path) for i in taken.images)
    taken = narrow(case, load("body"), Options(contrast="FLAIR"))
    assert [i.role for i in taken.images] == ["image", "mask", "labels"]
    assert len(narrow(case, load("multimodal"), Options()).images) == 4


def test_memory_is_expected_by_plan_and_corrected(tmp_path):
    import numpy as np

    import mriprep as mp

    def case(size: int) -> CaseSource:
        path = tmp_path / f"{size}.nii.gz"
        if not path.exists():
            mp.write(mp.Volume(np.zeros((size,) * 3, np.uint8), np.eye(4)), path)
        return CaseSource(f"sub-{size}", str(size), None, (ImageSource("T1w", str(path)),))

    estimate = Estimate(load({"steps": ["n4"]}))
    small, large = estimate.of(case(8)), estimate.of(case(128))
    assert large > small > 100
    estimate.learn(case(8), 2 * small)
    assert estimate.of(case(128)) == pytest.approx(2 * large)
    estimate.learn(case(8), small)  # one that took less does not lower it
    assert estimate.of(case(128)) == pytest.approx(2 * large)
    with pytest.raises(RecipeError):
        Estimate(load({"steps": ["apply_mask"]})).check(case(8))


@pytest.mark.parametrize("session", [None, {}])
def test_masks_that_come_with_cases_count(tmp_path, session):
    import numpy as np

    import mriprep as mp

    path = str(mp.write(mp.Volume(np.ones((8, 8, 8), np.uint8), np.eye(4)), tmp_path / "a.nii.gz"))
    image, mask, other = (
        ImageSource(c, path, role=r) for c, r in (("T1w", "image"), (None, "mask"), ("T2w", "mask"))
    )
    recipe = {"steps": ["apply_mask"]}
    estimate = Estimate(load(recipe if session is None else {**recipe, "session": session}))
    estimate.check(CaseSource("sub-1", "1", None, (image, mask)))
    with pytest.raises(RecipeError, match="needs a mask"):
        estimate.check(CaseSource("sub-1", "1", None, (image, other)))


def test_two_cases_of_one_name_and_none(tmp_path):
    recipe = load({"steps": ["zscore"]})
    with pytest.raises(InputError, match="two cases are called sub-1"):
        run_cohort(recipe, [CaseSource("sub-1", "1"), CaseSource("sub-1", "1")], tmp_path)
    with pytest.raises(InputError, match="no case"):
        run_cohort(recipe, [], tmp_path)
