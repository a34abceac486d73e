"""What careless commands must not do: write over a scan, blur labels, take anything for a mask."""

from __future__ import annotations

import json

import numpy as np

import mriprep as mp


def test_a_scan_is_never_written_over(cli, scan):
    before = scan.read_bytes()
    cli("zscore", scan, scan).refused("same file as an input", "another name")
    cli("zscore", scan.parent / ".." / scan.parent.name / scan.name, scan).refused("same file")
    assert scan.read_bytes() == before


def test_one_file_does_not_take_the_record_of_another(cli, scan, tmp_path):
    """x.nii.gz, x.nrrd and x.tfm would share x.json: the second is refused, the first may be repeated."""
    first, second = tmp_path / "x.nii.gz", tmp_path / "x.nrrd"
    assert cli("zscore", scan, first, "--within", "whole").code == 0
    before = (tmp_path / "x.json").read_bytes()
    cli("bins", scan, second).refused("record of 'x.nii.gz'", "more than its ending")
    assert (tmp_path / "x.json").read_bytes() == before
    assert not second.exists()
    assert cli("zscore", scan, first, "--within", "whole").code == 0
    first.unlink()
    assert cli("bins", scan, second).code == 0  # the record told of nothing that is left
    assert json.loads((tmp_path / "x.json").read_text())["output"]["file"] == "x.nrrd"


def test_an_option_without_effect_is_refused(cli, scan, tmp_path):
    said = cli("denoise", scan, tmp_path / "d.nii.gz", "--method", "nlm", "--size", "5")
    said.refused("--size 5 has no effect with method 'nlm'", "'nlm' takes noise and strength")
    assert list(tmp_path.glob("d.*")) == []


def test_labels_are_seen_and_stay_labels(cli, tmp_path):
    numbers = np.zeros((20, 20, 20), np.int16)
    numbers[2:10, 2:18, 2:18] = 7
    numbers[10:18, 2:18, 2:18] = 40
    path = mp.write(mp.Volume(numbers, np.eye(4), "labels"), tmp_path / "regions.nii.gz")
    said = cli("resample", path, tmp_path / "fine.nii.gz", "--spacing", "0.7")
    assert "looks like labels" in said.err
    assert set(np.unique(mp.read(tmp_path / "fine.nii.gz").data)) == {0, 7, 40}
    said = cli("resample", path, tmp_path / "asked.nii.gz", "--spacing", 0.7, "--role", "image")
    assert "looks like labels" in said.err  # a warning now
    assert len(np.unique(mp.read(tmp_path / "asked.nii.gz").data)) > 3


def test_what_is_no_mask_is_said(cli, scan, tmp_path):
    said = cli("zscore", scan, tmp_path / "z.nii.gz", "--within", scan)
    assert "more than two values" in said.err


def test_sizes_beyond_any_machine_are_refused(cli, scan, tmp_path):
    said = cli("resample", scan, tmp_path / "z.nii.gz", "--spacing", "0.001")
    said.refused("voxels", "coarser")


def test_series_of_an_image_are_refused(cli, scan, tmp_path):
    cli("run", scan, tmp_path / "out", "--series", "3").refused("no series")


def test_a_picture_is_no_scan(cli, tmp_path):
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG")
    cli("run", picture, tmp_path / "out").refused("neither an image", "DICOM")
