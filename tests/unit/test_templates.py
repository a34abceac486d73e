"""Templates by path, by the shipped name, and from a stand-in TemplateFlow folder."""

from __future__ import annotations

import numpy as np
import pytest

import mriprep as mp
from mriprep import templates


@pytest.fixture
def flow(tmp_path, monkeypatch):
    """A TemplateFlow folder with two resolutions and two cohorts."""
    home = tmp_path / "flow"
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(home))
    monkeypatch.setenv("MRIPREP_OFFLINE", "1")
    small = mp.Volume(np.arange(27, dtype=np.float32).reshape(3, 3, 3), np.eye(4))
    for name in (
        "tpl-Ours/tpl-Ours_res-01_T1w.nii.gz",
        "tpl-Ours/tpl-Ours_res-02_T1w.nii.gz",
        "tpl-Ours/tpl-Ours_res-01_desc-brain_T1w.nii.gz",
        "tpl-Ours/tpl-Ours_res-01_desc-brain_mask.nii.gz",
        "tpl-Kids/cohort-1/tpl-Kids_cohort-1_res-1_T1w.nii.gz",
        "tpl-Kids/cohort-2/tpl-Kids_cohort-2_res-1_T1w.nii.gz",
    ):
        mp.write(small, home / name)
    return home


def test_the_shipped_brain() -> None:
    found = templates.find("mni152")
    image = mp.read(found.image)
    assert found.name.startswith("MNI152")
    assert image.spacing == (1.0, 1.0, 1.0)


def test_a_file(tmp_path) -> None:
    path = mp.write(mp.Volume(np.zeros((2, 2, 2)), np.eye(4)), tmp_path / "my_head-2.nii.gz")
    assert templates.find(path).name == "myhead2"
    with pytest.raises(mp.InputError, match="does not exist"):
        templates.find(tmp_path / "none.nii.gz")


def test_templateflow_names(flow) -> None:
    found = templates.find("Ours")
    assert found.image.name == "tpl-Ours_res-01_T1w.nii.gz"
    assert found.mask is not None
    assert found.mask.name == "tpl-Ours_res-01_desc-brain_mask.nii.gz"
    assert templates.find("Ours:res-2").image.name == "tpl-Ours_res-02_T1w.nii.gz"
    kids = templates.find("Kids:cohort-2")
    assert kids.image.name == "tpl-Kids_cohort-2_res-1_T1w.nii.gz"
    assert kids.name == "Kids+2"


def test_what_is_not_there_is_named_with_its_place(flow) -> None:
    with pytest.raises(mp.InputError, match="network is switched off") as error:
        templates.find("MNIPediatricAsym:cohort-3")
    assert "tpl-MNIPediatricAsym_cohort-3_T1w.nii.gz" in str(error.value)
    assert str(flow) in str(error.value)
    with pytest.raises(mp.InputError, match="not a template"):
        templates.find("no such thing")
