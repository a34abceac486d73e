"""Templates by path, by the shipped name, and from a stand-in TemplateFlow folder."""

from __future__ import annotations

import numpy as np
import pytest

import mriprep as mp
from mriprep import templates
from mriprep.templates import fetch


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
    assert "tpl-MNIPediatricAsym_cohort-3_res-1_T1w.nii.gz" in str(error.value)
    assert "mriprep templates fetch MNIPediatricAsym:cohort-3" in str(error.value)
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
    monkeypatch.setattr(fetch, "_fetch", lambda *_: pytest.fail("the network was tried"))
    for spec in ("MNIPediatricAsym:cohort-2", "MNI152NLin2009cAsym", "Unlisted"):
        with pytest.raises(mp.InputError, match="network is switched off"):
            templates.find(spec)
    monkeypatch.delenv("MRIPREP_OFFLINE")
    with pytest.raises(mp.InputError, match="network is switched off"):
        templates.find("MNIPediatricAsym:cohort-2", offline=True)
    with (
        templates.staying_offline(),
        pytest.raises(mp.InputError, match="network is switched off"),
    ):
        templates.find("MNIPediatricAsym:cohort-2")
    assert not templates.is_offline()


def test_what_cannot_be_fetched_is_told(flow, monkeypatch) -> None:
    api = pytest.importorskip("templateflow.api")
    asked = []

    def no_network(name: str, **query: object) -> None:
        asked.append((name, query))
        raise OSError("no route to host")

    monkeypatch.setattr(api, "get", no_network)
    monkeypatch.delenv("MRIPREP_OFFLINE")
    with pytest.raises(
        mp.InputError, match="could not fetch it .OSError, no route to host"
    ) as error:
        templates.find("MNIPediatricAsym:cohort-3", contrast="PDw")
    assert str(flow / "tpl-MNIPediatricAsym" / "cohort-3") in error.value.hint
    assert "cohort-3_res-1_PD.nii.gz" in error.value.hint
    assert asked == [
        (
            "MNIPediatricAsym",
            {"suffix": "PD", "desc": None, "extension": ".nii.gz", "cohort": 3, "resolution": 1},
        )
    ]


def test_what_is_fetched_is_found(flow, monkeypatch) -> None:
    """The client is asked for the image and its mask, and what it lays down is taken."""
    api = pytest.importorskip("templateflow.api")
    monkeypatch.delenv("MRIPREP_OFFLINE")
    small = mp.Volume(np.ones((2, 2, 2), np.float32), np.eye(4))
    folder = flow / "tpl-MNIPediatricAsym" / "cohort-3"

    def get(name: str, suffix: str, desc: str | None, **_: object) -> list[str]:
        end = f"{f'desc-{desc}_' if desc else ''}{suffix}.nii.gz"
        return [mp.write(small, folder / f"tpl-{name}_cohort-3_res-1_{end}")]

    monkeypatch.setattr(api, "get", get)
    found = templates.find("NIHPD", age=10)
    assert found.name == "MNIPediatricAsym+3"
    assert found.image.parent == folder
    assert found.mask is not None
    assert "McGill" in found.licence
    facts = found.facts()
    assert facts["template_file"] == "tpl-MNIPediatricAsym_cohort-3_res-1_T1w.nii.gz"
    assert "McGill" in facts["template_licence"]
    assert "10 years" in facts["template_chosen"]


def test_a_missing_mask_is_told_and_the_image_taken(flow, monkeypatch) -> None:
    api = pytest.importorskip("templateflow.api")
    monkeypatch.delenv("MRIPREP_OFFLINE")
    small = mp.Volume(np.ones((2, 2, 2), np.float32), np.eye(4))
    path = flow / "tpl-MNI152NLin6Asym" / "tpl-MNI152NLin6Asym_res-01_T1w.nii.gz"

    def get(name: str, suffix: str, **_: object) -> list[object]:
        if suffix == "mask":
            raise OSError
        return [mp.write(small, path)]

    monkeypatch.setattr(api, "get", get)
    with pytest.warns(mp.MriprepWarning, match="brain mask of 'MNI152NLin6Asym'"):
        found = templates.find("MNI152NLin6Asym")
    assert (found.image, found.mask) == (path, None)


def test_the_contrast_is_the_scans_where_the_template_has_it(flow) -> None:
    small = mp.Volume(np.ones((2, 2, 2), np.float32), np.eye(4))
    for suffix in ("T1w", "T2w", "PD"):
        name = f"tpl-MNI152NLin2009cAsym_res-01_{suffix}.nii.gz"
        mp.write(small, flow / "tpl-MNI152NLin2009cAsym" / name)
    ends = {"T1w": "T1w", "T2w": "T2w", "PDw": "PD", "FLAIR": "T2w", "T1c": "T1w", None: "T1w"}
    for contrast, end in ends.items():
        found = templates.find("MNI152NLin2009cAsym", contrast=contrast)
        assert found.image.name.endswith(f"_{end}.nii.gz"), contrast
    assert "no FLAIR" in templates.find("MNI152NLin2009cAsym", contrast="FLAIR").why
    assert templates.find("mni152", contrast="T2w").contrast == "T1w"


def test_what_a_template_depends_on(flow, tmp_path) -> None:
    path = mp.write(mp.Volume(np.zeros((2, 2, 2)), np.eye(4)), tmp_path / "head.nii.gz")
    assert templates.asks(path) == templates.asks("mni152") == set()
    assert templates.asks("auto") == templates.asks("NIHPD") == {"age", "contrast"}
    assert templates.asks("MNIPediatricAsym") == {"age", "contrast"}
    assert templates.asks("MNIPediatricAsym:cohort-2") == {"contrast"}
    assert templates.asks("MNI152NLin2009cAsym") == templates.asks("Unlisted") == {"contrast"}


@pytest.mark.parametrize("spec", ["auto", "NIHPD", "nihpd", "MNIPediatricAsym", "MNIInfant"])
def test_an_unknown_age_is_told_with_the_ways_to_give_it(flow, spec) -> None:
    with pytest.raises(mp.InputError, match="age is not known") as error:
        templates.find(spec)
    for way in ("--age 7.5", "30mo", "adult", "participants.tsv", "sidecar", "or name a template"):
        assert way in error.value.hint
