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


def test_placeholders_of_files_that_were_never_fetched_do_not_count(flow) -> None:
    """TemplateFlow's client lays out empty files for all that it could fetch."""
    (flow / "tpl-Ours" / "tpl-Ours_res-03_T1w.nii.gz").touch()
    (flow / "tpl-Ours" / "tpl-Ours_res-01_T2w.nii.gz").touch()
    with pytest.raises(mp.InputError, match="not on this machine"):
        templates.find("Ours:res-3")
    with pytest.raises(mp.InputError, match=r"'Ours' \(T2w\)"):
        templates.find("Ours", contrast="T2w")
    (flow / "tpl-Ours" / "tpl-Ours_res-01_desc-brain_mask.nii.gz").write_bytes(b"")
    assert templates.find("Ours").mask is None


def test_numbers_are_compared_as_numbers(flow) -> None:
    for spec in ("Ours:res-1", "Ours:res-01"):
        assert templates.find(spec).image.name == "tpl-Ours_res-01_T1w.nii.gz"
    with pytest.raises(mp.InputError):
        templates.find("Kids:cohort-12")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("mni152-2009/head.nii.gz", "mni1522009head"),
        ("atlas/T1w.nrrd", "atlasT1w"),
        ("tpl-MNI152NLin6Asym_res-02_T1w.nii.gz", "MNI152NLin6Asym"),
        ("tpl-MNIPediatricAsym_cohort-3_res-1_T1w.nii.gz", "MNIPediatricAsym+3"),
        ("our average (2020).nii", "ouraverage2020"),
        ("头.nii.gz", "template"),
    ],
)
def test_labels_for_file_names(tmp_path, name, label) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    found = templates.find(str(path))
    assert found.name == label
    assert found.image == path.resolve()


def test_the_network_is_not_tried_where_it_is_switched_off(flow, monkeypatch) -> None:
    monkeypatch.setattr(templates, "_fetch", lambda *_: pytest.fail("the network was tried"))
    with pytest.raises(mp.InputError):
        templates.find("MNIPediatricAsym")
    monkeypatch.delenv("MRIPREP_OFFLINE")
    with pytest.raises(mp.InputError):
        templates.find("MNIPediatricAsym", offline=True)


def test_what_cannot_be_fetched_is_told(flow, monkeypatch) -> None:
    api = pytest.importorskip("templateflow.api")

    def no_network(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(api, "get", no_network)
    monkeypatch.delenv("MRIPREP_OFFLINE")
    with (
        pytest.warns(mp.MriprepWarning, match="could not fetch 'MNIPediatricAsym': OSError"),
        pytest.raises(mp.InputError, match="not on this machine") as error,
    ):
        templates.find("MNIPediatricAsym:cohort-3")
    assert str(flow / "tpl-MNIPediatricAsym" / "cohort-3") in error.value.hint
