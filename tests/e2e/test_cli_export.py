"""``mriprep export``: what it writes, what it says, what it refuses."""

from __future__ import annotations

import json

import pytest
from command_line import names

from exported import make, split

FOLDS = [("sub-01", 0), ("sub-02", 1), ("sub-03", 1)]


@pytest.fixture
def out(tmp_path):
    return make(tmp_path / "out", ["sub-01", "sub-02", "sub-03"])


def test_a_data_set(cli, out, tmp_path):
    split(out, FOLDS)
    (out / "ratings.tsv").write_text("case\tcontrast\trating\trater\nsub-03\tT1w\tfail\ta\n")
    target = tmp_path / "raw"
    said = cli("export", out, "--to", "nnunet", "-o", target, "--contrasts", "FLAIR, T1w",
               "--number", 7, "--name", "Heads", "--label-name", "1=lesion", "--link", "hard")  # fmt: skip
    assert said.code == 0, said.err
    assert said.out == f"2 cases: {target / 'Dataset007_Heads'}\n"
    assert "left out: sub-03: was rated 'fail'" in said.err
    assert "numbered anew" in said.err
    about = json.loads((target / "Dataset007_Heads/dataset.json").read_text())
    assert about["channel_names"] == {"0": "FLAIR", "1": "T1w"}
    assert about["labels"] == {"background": 0, "lesion": 1, "label_3": 2}
    assert about["numTraining"] == 2


def test_all_takes_what_failed(cli, out, tmp_path):
    (out / "ratings.tsv").write_text("case\tcontrast\trating\trater\nsub-03\tT1w\tfail\ta\n")
    said = cli("export", out, "--to", "webdataset", "-o", tmp_path / "w", "--all")
    assert (said.code, said.out) == (0, f"3 cases: {tmp_path / 'w'}\n")
    assert "mriprep split OUT" in said.err
    assert names(tmp_path / "w") == ["README.txt", "all-000000.tar", "export.json"]
    cli("export", out, "--to", "webdataset", "-o", tmp_path / "w").refused(
        "there is an export", "--force"
    )
    said = cli(
        "export", out, "--to", "webdataset", "-o", tmp_path / "w", "--force", "--exclude-failed"
    )
    assert said.out == f"2 cases: {tmp_path / 'w'}\n"


def test_several_formats_at_once(cli, out, tmp_path):
    split(out, FOLDS)
    target = tmp_path / "sets"
    said = cli("export", out, "--to", "nnunet,monai, slices", "-o", target, "--number", 7,
               "--link", "hard", "--format", "png8")  # fmt: skip
    assert said.code == 0, said.err
    folders = [target / "nnunet/Dataset007_mriprep", target / "monai", target / "slices"]
    assert said.out.splitlines() == [f"3 cases: {f}" for f in folders]
    assert all((f / "export.json").exists() for f in folders)
    assert list((target / "slices").rglob("*.png"))
    again = cli("export", out, "--to", "monai", "-o", target)
    again.refused("exports in several formats: monai, nnunet, slices", "monai")
    wrong = ("export", out, "-o", tmp_path / "x", "--to")
    cli(*wrong, "monai,nnunett").refused("no format 'nnunett'", "nnunet")
    cli(*wrong, "monai,torchio", "--chunk", 64).refused("none of monai, torchio takes 'chunk'")
    cli(*wrong, "zarr,slices", "--link", "hard").refused("takes 'link'", "nnunet, monai, torchio")
    assert not (tmp_path / "x").exists()


def test_what_makes_no_sense_is_refused(cli, out, tmp_path):
    target = ("-o", tmp_path / "x")
    cli("export", out, "--to", "nnunett", *target).refused("no format 'nnunett'", "nnunet")
    cli("export", out, "--to", "zarr", *target, "--link", "hard").refused("nothing to link")
    cli("export", out, "--to", "monai", *target, "--label-name", "x").refused("names no label")
    cli("export", out, "--to", "monai", *target, "--labels", "tumour").refused("no case has labels")
    cli("export", tmp_path, "--to", "monai", *target).refused("holds no preprocessed image")
    assert not (tmp_path / "x").exists()


def test_help_teaches(cli):
    said = cli("export", "--help")
    for format_ in ("nnunet", "monai", "torchio", "zarr", "hdf5", "webdataset"):
        assert format_ in said.out
    assert "Data sets" in cli("--help").out
