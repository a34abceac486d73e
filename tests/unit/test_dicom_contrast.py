"""The guess of a contrast, on names as scanners' protocols have them and on timing alone."""

from __future__ import annotations

import pytest

from mriprep.core import InputError
from mriprep.io.dicom_contrast import Guess, guess, load_rules


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("t1_mprage_sag_p2_iso", "T1w"),
        ("WIPmocoMEMPRAGE 1mm FOV 220 RMS", "T1w"),
        ("sT1W_3D_TFE", "T1w"),
        ("SAG FSPGR BRAVO", "T1w"),
        ("AX T1 FLAIR", "T1w"),
        ("T1 AX POST GAD", "T1c"),
        ("t1_tse_tra +Gd", "T1c"),
        ("AX FSE T2", "T2w"),
        ("T2W_TSE", "T2w"),
        ("t2_space_sag", "T2w"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("3D FLAIR CUBE", "FLAIR"),
        ("PD_tra", "PDw"),
        ("localizer", "localizer"),
        ("3-plane Loc", "localizer"),
        ("AAHead_Scout_64ch", "localizer"),
        ("ep2d_diff_3scan_trace_p2_ADC", "ADC"),
        ("DTI_64dir", "DWI"),
        ("REST1 w SMS PF7-8", "bold"),
        ("ep2d_bold_moco", "bold"),
        ("pCASL_3D", "ASL"),
        ("relCBF", "ASL"),
        ("t2_fl2d_tra_hemo", "T2starw"),
        ("T2*_GRE", "T2starw"),
        ("SWI_Images", "SWI"),
        ("TOF_3D_multi-slab", "angio"),
        ("B0 map", "fieldmap"),
        ("T1 map", "map"),
        ("locus", None),
        ("", None),
    ],
)
def test_by_name(name, contrast):
    assert guess([name]).contrast == contrast


def test_the_protocol_counts_when_the_description_is_silent():
    assert guess(["Series 5", "t2_tse_tra"]).contrast == "T2w"
    assert guess(["relCBF", "t1_mprage"]).contrast == "ASL"


def test_a_double_echo_series_is_told_by_its_echo():
    assert guess(["PD/T2 TSE"], echo_ms=15).contrast == "PDw"
    assert guess(["PD/T2 TSE"], echo_ms=95).contrast == "T2w"


@pytest.mark.parametrize(
    ("sequence", "tr", "te", "ti", "contrast"),
    [
        (["GR", "IR"], 2300, 2.98, 900, "T1w"),
        (["GR"], 8.9, 3.2, 450, "T1w"),
        (["GR"], 500, 20, None, None),
        (["SE"], 600, 10, None, "T1w"),
        (["SE"], 5000, 100, None, "T2w"),
        (["SE"], 3000, 15, None, "PDw"),
        (["SE", "IR"], 9000, 110, 2500, "FLAIR"),
        (["SE", "IR"], 4000, 40, 150, None),
        (["EP"], 2000, 30, None, "bold"),
        (["EP", "SE"], 8000, 90, None, "DWI"),
        (["SE"], None, None, None, None),
    ],
)
def test_by_timing(sequence, tr, te, ti, contrast):
    found = guess([], sequence=sequence, repetition_ms=tr, echo_ms=te, inversion_ms=ti)
    assert found.contrast == contrast


@pytest.mark.parametrize(
    ("name", "about", "contrast"),
    [
        ("x", {"image_type": ["ORIGINAL", "PRIMARY", "ASL"]}, "ASL"),
        ("x", {"image_type": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "ADC"),
        ("x", {"image_type": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"]}, "DWI"),
        ("t1_mprage", {"image_type": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase"),
        ("gre_field_mapping", {"image_type": ["ORIGINAL", "PRIMARY", "P"]}, "fieldmap"),
        ("x", {"image_type": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ("x", {"image_type": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screenshot"),
        ("TOF MIP", {"image_type": ["DERIVED", "SECONDARY", "MIP"]}, "angio"),
        ("sub", {"image_type": ["DERIVED", "SECONDARY", "SUBTRACTION"]}, "derived"),
        ("x", {"acquisition": "FLUID_ATTENUATED"}, "FLAIR"),
        ("t1_mprage", {"contrast_agent": True}, "T1c"),
        ("t1_mprage pre", {"contrast_agent": True}, "T1w"),
        ("DSC perfusion", {}, "perf"),
    ],
)
def test_by_what_the_scanner_says(name, about, contrast):
    assert guess([name], **about).contrast == contrast


def test_name_and_timing_together_are_surer_and_against_each_other_less_sure():
    spin = {"sequence": ["SE"], "repetition_ms": 5000, "echo_ms": 100}
    alone, both = guess(["t2_tse"]), guess(["t2_tse"], **spin)
    timing, against = guess([""], **spin), guess(["t1_tse"], **spin)
    assert both.confidence > alone.confidence > timing.confidence > against.confidence
    assert both.reason == "its name, and a spin echo with long repetition and echo times"
    assert against.contrast == "T1w"
    assert "by its timing it could be T2w" in against.reason


OWN = """
text:
  - {contrast: T1w, confidence: 0.9, because: our name for it, when: {name: 'anatomie'}}
  - {contrast: VFL, when: {name: vfl, flip_deg: [10, 20]}}
"""


def test_a_file_of_rules_comes_first(tmp_path):
    (tmp_path / "rules.yaml").write_text(OWN)
    rules = load_rules(tmp_path / "rules.yaml")
    assert guess(["Anatomie T2"], rules=rules) == Guess("T1w", 0.9, "our name for it")
    assert guess(["VFL"], flip_deg=15, rules=rules).contrast == "VFL"
    assert guess(["VFL"], flip_deg=25, rules=rules).contrast is None
    assert guess(["t2_tse"], rules=rules).contrast == "T2w"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not valid YAML"),
        ("- 1", "must hold rules"),
        ("words: []", "no section 'words'"),
        ("text: [{contrast: T1w}]", "rule 1 of text needs conditions"),
        ("text: [{contrast: T1w, when: {names: x}}]", "no condition 'names'"),
        ("text: [{contrast: T1w, when: {name: '('}}]", "no regular expression"),
        ("text: [{contrast: T1w, when: {te_ms: 5}}]", "te_ms must be"),
        ("text: [{contrast: T1w, confidence: 2, when: {name: x}}]", "from 0 to 1"),
        ("text: [{when: {name: x}}]", "with a contrast"),
        ("physics: [{contrast: T1w, when: {sequence: GR}}]", "a list of words"),
    ],
)
def test_wrong_rules_are_refused(tmp_path, text, message):
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_rules(tmp_path / "rules.yaml")
