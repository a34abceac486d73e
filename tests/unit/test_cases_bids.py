"""Cases of BIDS datasets: sessions, runs, participants, filter files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mriprep.cases import list_cases, open_case
from mriprep.core import InputError, MriprepWarning, Volume
from mriprep.io.images import write_image


@pytest.fixture
def dataset(tmp_path) -> Path:
    spacing = {"sub-02/anat/sub-02_acq-coarse_T1w.nii.gz": 3.0}
    for name in (
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", "sub-01/ses-1/anat/sub-01_ses-1_ce-gad_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w.nii.gz", "sub-01/ses-2/anat/sub-01_ses-2_run-02_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_FLAIR.nii.gz", "sub-01/ses-2/anat/sub-01_ses-2_part-phase_FLAIR.nii.gz",
        "sub-02/anat/sub-02_acq-coarse_T1w.nii.gz", "sub-02/anat/sub-02_acq-fine_T1w.nii.gz",
        "sub-02/func/sub-02_task-rest_bold.nii.gz", "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        affine = np.diag([*[spacing.get(name, 2.0)] * 3, 1.0])
        write_image(Volume(np.ones((3, 4, 5), np.float32), affine), path)
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    (tmp_path / "participants.tsv").write_text(
        "participant_id\tage\tsex\nsub-01\t9\tF\nsub-02\t30\tM\n"
    )
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\nses-2\t10.5\n")
    return tmp_path


def files(cases):
    return {c.name: {i.contrast: Path(i.path).name for i in c.images} for c in cases}


def filtered(dataset: Path, content) -> list:
    path = dataset / "filters.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return list_cases(dataset, filters=path)


def test_a_case_is_a_session(dataset):
    with pytest.warns(MriprepWarning, match=r"left out 2 images for others of the same contrast"):
        cases = list_cases(dataset)
    assert files(cases) == {
        "sub-01_ses-1": {
            "T1w": "sub-01_ses-1_T1w.nii.gz",
            "T1c": "sub-01_ses-1_ce-gad_T1w.nii.gz",
        },
        "sub-01_ses-2": {
            "T1w": "sub-01_ses-2_run-02_T1w.nii.gz",  # the last run
            "FLAIR": "sub-01_ses-2_FLAIR.nii.gz",
        },
        "sub-02": {"T1w": "sub-02_acq-fine_T1w.nii.gz"},
    }
    assert [c.sex for c in cases] == ["F", "F", "M"]
    assert open_case(cases[0]).facts["age"] == 9
    assert open_case(cases[1]).facts["age"] == 10.5  # the session's own table comes first


def test_participants_and_contrasts(dataset):
    assert list(files(list_cases(dataset, participants=["01"], wanted=["FLAIR"]))) == [
        "sub-01_ses-2"
    ]
    with pytest.raises(InputError, match="no participant 7") as error:
        list_cases(dataset, participants=["sub-7"])
    assert error.value.hint


def test_a_filter_file_chooses(dataset):
    found = files(filtered(dataset, {"t1w": {"session": "2", "run": 1}, "bold": {"task": "rest"}}))
    assert found["sub-01_ses-2"]["T1w"] == "sub-01_ses-2_run-1_T1w.nii.gz"
    assert found["sub-01_ses-1"] == {"T1c": "sub-01_ses-1_ce-gad_T1w.nii.gz"}
    assert "sub-02" not in found
    found = files(filtered(dataset, {"t1w": {"acquisition": ["coarse", "other"]}}))
    assert found["sub-02"]["T1w"] == "sub-02_acq-coarse_T1w.nii.gz"
    found = files(filtered(dataset, {"t1w": {"ceagent": None, "acq": None, "run": None}}))
    assert [c for c in found if "T1w" in found[c]] == ["sub-01_ses-1"]
    found = files(filtered(dataset, {"t1w": {"acq": "*"}}))
    assert [c for c in found if "T1w" in found[c]] == ["sub-02"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[]", "must hold a mapping"),
        ({"t1w": "2"}, "must be a mapping of entities"),
        ({"t1w": {"sesion": "2"}}, "'sesion', which is no entity of BIDS"),
        ({"t1w": {"session": "9"}, "t1c": {"run": 3}, "flair": {"run": 3}}, "no image .* passes"),
    ],
)
def test_a_wrong_filter_file_is_refused(dataset, content, message):
    with pytest.raises(InputError, match=message):
        filtered(dataset, content)


def test_a_filter_file_is_for_bids_alone(tmp_path):
    write_image(Volume(np.ones((3, 4, 5), np.float32), np.eye(4)), tmp_path / "T1w.nii.gz")
    (tmp_path / "f.json").write_text("{}")
    with pytest.raises(InputError, match="no BIDS dataset"):
        list_cases(tmp_path, filters=tmp_path / "f.json")
