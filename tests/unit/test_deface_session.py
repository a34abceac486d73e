"""One face for a session, in no picture of a run; the picture that shows it."""

from __future__ import annotations

import numpy as np
import pytest

from face_scene import done, scan, true_pose
from mriprep.core import (
    Case,
)
from mriprep.phantom import head
from mriprep.qc import faces
from mriprep.steps import _face


@pytest.fixture
def known(monkeypatch):
    """In the place of a registration: the head's true pose."""
    return true_pose(monkeypatch)


def test_one_face_for_all_contrasts_of_a_session(monkeypatch):
    import dataclasses

    from mriprep import derivatives, session_checks
    from mriprep.core import Transform
    from mriprep.recipe import load
    from mriprep.session import execute_session

    poses = {"FLAIR": {"rotation": (2, -3, 6), "spacing": (3, 3, 5), "orientation": "PSR"},
             "T1w": {"rotation": (5, 0, 8), "translation": (3, -2, 4), "spacing": 4}}  # fmt: skip
    made = {c: head(c, labels=False, **how) for c, how in poses.items()}
    asked = []

    def laid(image, mask=None, to=None, **_):
        mine, its = made[image.meta["contrast"]].pose, made[to.meta["contrast"]].pose
        return Transform((mine @ its.inverse()).matrix, to.grid, image.grid)

    def found(image, mask, contrast=None, values=None):
        asked.append(contrast)
        its = made[image.meta["contrast"]]
        return False, _face.Place(its.brain, np.asarray(its.pose.matrix), 1.0)

    monkeypatch.setattr(session_checks, "same_head", lambda *_: (0.01, None))
    monkeypatch.setattr("mriprep.steps.deface.find", found)
    recipe = load("deface")
    part = recipe.session.register
    step = dataclasses.replace(part.step, function=laid)
    part = dataclasses.replace(recipe.session, register=dataclasses.replace(part, step=step))
    case = Case("sub-01", {c: m.image for c, m in made.items()})
    outcome = execute_session(dataclasses.replace(recipe, session=part), case, reference="FLAIR")
    assert outcome.failure is None, outcome.error
    assert asked == ["T1w"]
    for contrast, its in made.items():
        done_ = outcome.outcomes[contrast]
        face = done_.state["face"]
        assert face.grid == its.grid
        assert not (face.data & its.brain.data).any()
        assert not done_.image.data[face.data].any()
        assert faces.removed(its.image, done_.image, its.pose.matrix)["face"] > 0.98
        record = done_.steps[-1]
        assert record.facts["face_from"] == "T1w"
        # Each contrast's own mask is written.
        name = "face" if contrast == "FLAIR" else f"face{contrast}"
        written = dict(derivatives.volumes(done_))
        assert written[f"sub-01_desc-{name}_mask.nii.gz"].grid == its.grid
        # What was removed is in no picture of the step.
        assert record.snapshots["before"] is record.snapshots["after"]


def test_no_picture_of_a_run_shows_the_face(known):
    from mriprep.qc.comparison import compare
    from mriprep.qc.views import Look, result
    from mriprep.recipe import load
    from mriprep.run import execute

    made = known(scan(0))
    case = Case("sub-01", {"T1w": made.image.replace(contrast="T1w")})
    recipe = load({"steps": ["denoise", "deface", {"resample": {"spacing": 4.0}}]})
    outcome = execute(recipe, case, contrast="T1w", mask=made.brain)
    assert outcome.failure is None, outcome.error
    first, second, _ = outcome.steps
    assert compare(first, "a", False) is None  # a picture before the face was gone
    assert second.snapshots["before"] is second.snapshots["after"]
    shown = Look(outcome).native
    bare = faces.removed(made.image, shown, made.pose.matrix)["face"]
    assert bare > 0.98
    assert result(Look(outcome)).before
    # One that stopped before shows nothing at all.
    empty = made.brain.replace(np.zeros(made.brain.shape, bool))
    stopped = execute(recipe, case, contrast="T1w", mask=empty)
    assert stopped.failure is not None
    assert not Look(stopped).native.data.any()
    result(Look(stopped))


def test_a_picture_of_a_head(tmp_path, known):
    from PIL import Image

    made = known(scan(0))
    result, _, _ = done(made.image, made.brain)
    path = faces.picture(made.image, result, tmp_path / "head.png", made.pose.matrix)
    shown = np.asarray(Image.open(path))
    before, after = np.split(shown, 2)
    assert shown.dtype == np.uint8
    assert 0.2 < (before > 0).mean() < 0.9
    # The patient's left ear, and the nose, stand out of what is left of the head.
    third = before.shape[1] // 3
    assert (before[:, 2 * third :] > 0).sum() > (after[:, 2 * third :] > 0).sum()
    assert list(tmp_path.iterdir()) == [path]
