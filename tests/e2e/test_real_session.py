"""A glioma patient's contrasts through `multimodal`: they lie on each other, whichever way one goes."""

from __future__ import annotations

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
