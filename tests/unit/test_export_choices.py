"""What an export is asked for: facts, folds, names, chunks; what it leaves out and refuses."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

import mriprep as mp
import mriprep.export as exports
from exported import edit, make
from exports_scene import every_format, files, four_cases, note
from mriprep.core import InputError, OutputError
from mriprep.io.images import read_image


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Four cases, two folds, one case for the test; labels 0, 1, 2."""
    return four_cases(tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def done(out, tmp_path_factory):
    """Every format, written once."""
    return every_format(out, tmp_path_factory.mktemp("done"))


@pytest.fixture
def own(out, tmp_path):
    """An output folder that a test may change."""
    return shutil.copytree(out, tmp_path / "out")


def test_facts_that_are_asked_for_go_along(out, tmp_path):
    done = mp.export(out, to="torchio", output=tmp_path / "x", facts=["diagnosis"])
    assert note(done)["cases"]["sub-01"]["facts"]["diagnosis"] == "none"


def test_what_is_left_out_is_told(own, tmp_path):
    (own / "ratings.tsv").write_text(
        "case\tcontrast\trating\tnote\trater\ttime\nsub-03\tT1w\tfail\t\ta\t2026-01-01\n"
    )
    done = mp.export(own, to="monai", output=tmp_path / "x")
    assert [(x.case, x.why) for x in done.left] == [("sub-03", "was rated 'fail'")]
    assert note(done)["left_out"] == [{"case": "sub-03", "why": "was rated 'fail'"}]
    assert not [f for f in files(done.folder) if "sub-03" in f]
    every = mp.export(own, to="monai", output=tmp_path / "y", passed_only=False)
    assert every.cases == 4


def test_labels_with_gaps_are_numbered_anew_and_it_is_told(tmp_path):
    out = make(tmp_path / "out", ["sub-01", "sub-02"], ["T1w"], values=(0, 2, 7))
    named = {2: "oedema", 7: "core"}
    done = mp.export(out, to="nnunet", output=tmp_path / "Dataset007_Tumour", label_names=named)
    assert done.folder.name == "Dataset007_Tumour"
    about = json.loads((done.folder / "dataset.json").read_text())
    assert about["labels"] == {"background": 0, "oedema": 1, "core": 2}
    assert about["mriprep"]["label_values"] == {"0": 0, "2": 1, "7": 2}
    assert note(done)["label_values"] == {"0": 0, "2": 1, "7": 2}
    assert any("numbered anew" in n for n in done.notes)
    old = read_image(out / "sub-01/anat/sub-01_dseg.nii.gz", role="labels")
    new = read_image(done.folder / "labelsTr/sub-01.nii.gz", role="labels")
    assert new.grid.matches(old.grid, 1e-4)
    for before, now in ((0, 0), (2, 1), (7, 2)):
        np.testing.assert_array_equal(old.data == before, new.data == now)


def test_nnunet_wants_labels(own, tmp_path):
    with pytest.raises(InputError, match="no case has any"):
        mp.export(own, to="nnunet", output=tmp_path / "x", labels="none")
    (own / "sub-02/anat/sub-02_dseg.nii.gz").unlink()
    done = mp.export(own, to="nnunet", output=tmp_path / "x")
    assert [(x.case, x.why) for x in done.left] == [("sub-02", "has no labels")]
    assert json.loads((done.folder / "splits_final.json").read_text())[0]["train"] == ["sub-03"]


def test_nnunet_takes_no_nan(own, tmp_path):
    path = own / "sub-02/anat/sub-02_desc-preproc_T1w.nii.gz"
    volume = read_image(path)
    data = np.array(volume.data)
    data[0, 0, 0] = np.nan
    mp.write(volume.replace(data), path)
    with (
        pytest.warns(mp.MriprepWarning),
        pytest.raises(InputError, match="sub-02: the T1w holds NaN"),
    ):
        mp.export(own, to="nnunet", output=tmp_path / "x")
    assert not list(tmp_path.glob("*x*"))


@pytest.mark.parametrize(
    ("name", "number", "folder"), [("a b", None, "x"), (None, 0, "x"), ("b", 3, "Dataset002_a")]
)
def test_nnunet_names_are_checked(out, tmp_path, name, number, folder):
    with pytest.raises(OutputError):
        mp.export(out, to="nnunet", output=tmp_path / folder, name=name, number=number)


def test_one_fold_alone(own, tmp_path):
    state = {"kind": "nyul", "fitted_on": {"cases": ["sub-02", "sub-03"], "split": "train fold 0"}}
    for path in own.glob("*/anat/*_desc-preproc_*.json"):
        edit(path, states={"nyul": state})
    for to in exports.FORMATS:
        with pytest.raises(InputError, match="validated in fold 1"):
            mp.export(own, to=to, output=tmp_path / to)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    nnunet = mp.export(own, to="nnunet", output=tmp_path / "n", fold=0).folder
    assert len(json.loads((nnunet / "splits_final.json").read_text())) == 1
    monai = mp.export(own, to="monai", output=tmp_path / "m", fold=0).folder
    assert sorted(p.name for p in monai.glob("*.json")) == ["export.json", "fold-0.json"]
    shards = mp.export(own, to="webdataset", output=tmp_path / "w", fold=0)
    assert note(shards)["shards"] == {
        "train": ["train-000000.tar"],
        "fold0": ["fold0-000000.tar"],
        "test": ["test-000000.tar"],
    }
    assert note(shards)["states"] == [{"kind": "nyul", "split": "train fold 0", "fitted_on": 2}]


def test_without_a_split_it_says_how_to_make_one(own, tmp_path):
    (own / "splits.tsv").unlink()
    for to in exports.FORMATS:
        done = mp.export(own, to=to, output=tmp_path / to)
        assert any("mriprep split OUT" in n for n in done.notes), to
        assert "split" not in note(done)["cases"]["sub-01"]
    with pytest.raises(InputError, match="no split"):
        mp.export(own, to="zarr", output=tmp_path / "y", fold=0)


def test_chunks_and_translation(tmp_path):
    grid = mp.Grid((70, 40, 33), [[2, 0, 0, -10], [0, 2, 0, 5], [0, 0, 3, 7], [0, 0, 0, 1]])
    from mriprep.export.arrays import Arrays
    from mriprep.export.zarr import _array, _multiscale

    group = zarr.create_group(store=str(tmp_path / "z"))
    data = np.random.default_rng(0).normal(size=(1, *grid.shape)).astype(np.float32)
    for compress in (True, False):
        _array(group, f"a{compress}", data, 32, compress)
        array = group[f"a{compress}"]
        assert array.shards == (1, 96, 64, 64)
        np.testing.assert_array_equal(array[:, 30:50, 3:39, 31:], data[:, 30:50, 3:39, 31:])
    arrays = Arrays(data, {}, np.array(grid.affine), grid.spacing, {}, ())
    steps = _multiscale(arrays, ("c", "x", "y", "z"), "a")["datasets"][0]
    assert steps["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 2.0, 2.0, 3.0]},
        {"type": "translation", "translation": [0.0, -10.0, 5.0, 7.0]},
    ]


def test_changed_images_are_told(own, tmp_path):
    path = own / "sub-02/anat/sub-02_desc-preproc_T1w.nii.gz"
    volume = read_image(path)
    mp.write(volume.replace(volume.data + 1), path)
    done = mp.export(own, to="hdf5", output=tmp_path / "x")
    assert any("changed after they were written" in n and "sub-02 (T1w)" in n for n in done.notes)
