"""The guess of a contrast, on names as scanners' protocols have them and on timing alone."""

from __future__ import annotations

import pytest

from mriprep.io.dicom_contrast import guess


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
        ("ep2d_diff_3scan_trace_p2_ADC", "dwi"),
        ("DTI_64dir", "dwi"),
        ("REST1 w SMS PF7-8", "bold"),
        ("ep2d_bold_moco", "bold"),
        ("pCASL_3D", "perf"),
        ("relCBF", "perf"),
        ("t2_fl2d_tra_hemo", None),
        ("T2*_GRE", None),
        ("SWI_Images", None),
        ("TOF_3D_multi-slab", None),
        ("B0 map", None),
        ("T1 map", None),
        ("locus", None),
        ("", None),
    ],
)
def test_by_name(name, contrast):
    assert guess([name]) == contrast


def test_the_protocol_counts_when_the_description_is_silent():
    assert guess(["Series 5", "t2_tse_tra"]) == "T2w"
    assert guess(["relCBF", "t1_mprage"]) == "perf"


def test_a_double_echo_series_is_told_by_its_echo():
    assert guess(["PD/T2 TSE"], echo_ms=15) == "PDw"
    assert guess(["PD/T2 TSE"], echo_ms=95) == "T2w"


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
        (["EP", "SE"], 8000, 90, None, "dwi"),
        (["SE"], None, None, None, None),
    ],
)
def test_by_timing(sequence, tr, te, ti, contrast):
    found = guess([], sequence=sequence, repetition_ms=tr, echo_ms=te, inversion_ms=ti)
    assert found == contrast


def test_by_the_image_type_and_the_acquisition_contrast():
    assert guess(["x"], image_type=["ORIGINAL", "PRIMARY", "ASL"]) == "perf"
    assert guess(["x"], image_type=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]) == "dwi"
    assert guess(["t1_mprage"], image_type=["ORIGINAL", "PRIMARY", "P", "ND"]) is None
    assert guess(["x"], image_type=["ORIGINAL", "PRIMARY", "LOCALIZER"]) == "localizer"
    assert guess(["x"], acquisition="FLUID_ATTENUATED") == "FLAIR"
    assert guess(["t1_mprage"], contrast_agent=True) == "T1c"
