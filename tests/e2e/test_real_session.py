"""Real sessions: contrasts lie on each other whichever way one goes, and share one face."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import mriprep as mp
from mriprep.core import Case


@pytest.mark.slow
def test_a_patients_contrasts(data):
    folder = data / "nifti" / "tcga-fg6692"
    scans = {c: mp.read(folder / f"{c}.nii.gz") for c in ("T2w", "FLAIR", "T1c")}
    silver = mp.read(folder / "T1c_brain-mask.nii.gz", role="mask")
    recipe = mp.recipe("multimodal").set(resample__spacing=2.0)
    run = recipe(Case("sub-1", scans))
    assert run.reference == "T1c"
    assert not run.session.all_warnings, run.session.all_warnings
    assert all(run[c].image.grid.matches(run.image.grid) for c in scans)
    assert not run["FLAIR"].image.data[~run.mask.data].any()
    truth = mp.resample(silver, to=run.transform, on=run.image.grid).data
    assert 2 * (truth & run.mask.data).sum() / (truth.sum() + run.mask.data.sum()) > 0.95
    # FLAIR straight to T2w, and by way of the reference: two registrations agree with a third.
    direct = mp.register(scans["FLAIR"], to=scans["T2w"])
    t2w, flair = (run[c].outcome.state["to_reference"] for c in ("T2w", "FLAIR"))
    brain = silver.grid.to_world(np.argwhere(silver.data)[::500])
    assert direct.distance(flair @ t2w.inverse(), t2w(brain)) < 1.5


@pytest.mark.slow
def test_a_session_loses_one_face(data, tmp_path, cli):
    """Each contrast on its own grid, with a mask of what was removed; the brain stays, bit by bit."""
    subject = data / "nifti" / "older-adults" / "sub-03"
    (tmp_path / "exam").mkdir()
    for contrast in ("T1w", "FLAIR"):
        shutil.copy(subject / f"{contrast}.nii.gz", tmp_path / "exam")
    done = cli(
        "run",
        tmp_path / "exam",
        tmp_path / "out",
        "--recipe",
        "deface",
        "--name",
        "s",
        "--no-report",
    )
    assert done.code == 0, done.err
    anat = tmp_path / "out" / "sub-s" / "anat"
    brain = mp.read(subject / "dlmuse.nii.gz", role="labels")
    brain = brain.replace(brain.data > 0, role="mask")
    for contrast, name in (("T1w", "face"), ("FLAIR", "faceFLAIR")):
        before = mp.read(subject / f"{contrast}.nii.gz")
        after = mp.read(anat / f"sub-s_desc-preproc_{contrast}.nii.gz")
        face = mp.read(anat / f"sub-s_desc-{name}_mask.nii.gz", role="mask")
        assert face.grid.matches(before.grid)
        assert after.grid.matches(before.grid)
        np.testing.assert_array_equal(after.data[~face.data], before.data[~face.data])
        assert not after.data[face.data].any()
        assert before.data[face.data].max() > np.percentile(before.data, 90)  # a head was there
        moved = brain
        if contrast == "FLAIR":
            pose = mp.read_transform(
                anat / "sub-s_from-FLAIR_to-T1w_mode-image_xfm.tfm", reference=brain
            )
            moved = mp.resample(brain, to=pose.inverse(), on=before.grid)
        assert not (face.data & moved.data).any()
        told = json.loads((anat / f"sub-s_desc-{name}_mask.json").read_text("utf-8"))
        assert told["Type"] == "Face"
        assert told["steps"][-1]["facts"]["face_from"] == "T1w"
