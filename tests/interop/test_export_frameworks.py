"""Exports opened by the frameworks' own loaders."""

from __future__ import annotations

import json
import re
import types
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

import mriprep as mp
from exported import edit, make, split
from mriprep.core import InputError
from mriprep.export.torchio import subjects_dataset
from mriprep.io.images import read_image

CASES = ("sub-01", "sub-02", "sub-03", "sub-04")
FOLDS = [("sub-01", 0), ("sub-02", 1), ("sub-03", 1), ("sub-04", None)]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return split(make(tmp_path_factory.mktemp("out"), CASES), FOLDS)  # labels 0, 1, 3


@pytest.fixture(scope="module")
def first(out):
    """Voxels of the first case as mriprep reads them: images, labels, affine."""
    folder = out / "sub-01/anat"
    images = [read_image(folder / f"sub-01_desc-preproc_{c}.nii.gz") for c in ("T1w", "FLAIR")]
    labels = read_image(folder / "sub-01_dseg.nii.gz", role="labels")
    return np.stack([i.data for i in images]), labels.data, images[0].affine


def test_nnunet_finds_no_fault(out, tmp_path, capsys, monkeypatch):
    from nnunetv2.experiment_planning import verify_dataset_integrity as verify

    # Threads in the place of processes, each of which would load torch again.
    pool = types.SimpleNamespace(Pool=ThreadPool)
    monkeypatch.setattr(verify.multiprocessing, "get_context", lambda _: pool)
    folder = mp.export(out, to="nnunet", output=tmp_path, number=12, name="Heads").folder
    verify.verify_dataset_integrity(str(folder), num_processes=1)
    said = capsys.readouterr().out
    assert "verify_dataset_integrity Done" in said
    assert "mismatch" not in said
    assert "Warning" not in said


def test_nnunet_finds_a_fault_that_is_there(out, tmp_path):
    """That the check above can fail: labels that dataset.json does not name."""
    from nnunetv2.experiment_planning import verify_dataset_integrity as verify

    folder = mp.export(out, to="nnunet", output=tmp_path).folder
    about = json.loads((folder / "dataset.json").read_text())
    edit(folder / "dataset.json", labels={k: v for k, v in about["labels"].items() if v < 2})
    path = str(folder / "labelsTr" / "sub-01.nii.gz")
    reader = verify.determine_reader_writer_from_dataset_json(about, path)
    assert verify.verify_labels(path, reader, [0, 1, 2])
    assert not verify.verify_labels(path, reader, [0, 1])


def test_monai_loads_the_lists(out, tmp_path, first):
    from monai.data import Dataset, load_decathlon_datalist
    from monai.transforms import LoadImaged

    image, labels, affine = first
    folder = mp.export(out, to="monai", output=tmp_path / "monai").folder
    parts = {
        key: load_decathlon_datalist(folder / "fold-0.json", data_list_key=key)
        for key in ("training", "validation", "test")
    }
    assert {k: [r["case"] for r in rows] for k, rows in parts.items()} == {
        "training": ["sub-02", "sub-03"],
        "validation": ["sub-01"],
        "test": ["sub-04"],
    }
    load = LoadImaged(["image", "label", "mask"], ensure_channel_first=True)
    sample = Dataset(parts["validation"], load)[0]
    assert sample["image"].shape == image.shape
    np.testing.assert_array_equal(np.asarray(sample["image"]), image)
    np.testing.assert_array_equal(np.asarray(sample["label"])[0], labels)
    np.testing.assert_allclose(sample["image"].affine, affine, atol=1e-5)
    assert sample["age"] == 20.0
    every = load_decathlon_datalist(folder / "datalist.json", data_list_key="training")
    assert {r["case"]: r["fold"] for r in every} == {"sub-01": 0, "sub-02": 1, "sub-03": 1}


def test_monai_one_channel_is_a_file(out, tmp_path):
    from monai.data import load_decathlon_datalist

    folder = mp.export(out, to="monai", output=tmp_path / "monai", contrasts=["T1w"]).folder
    rows = load_decathlon_datalist(folder / "datalist.json", data_list_key="training")
    assert {r["image"] for r in rows} == {
        str(folder / f"images/{case}_T1w.nii.gz") for case in ("sub-01", "sub-02", "sub-03")
    }


def test_monai_as_the_docs_have_it(out, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^## MONAI.*?^```python\n(.*?)^```", page, flags=re.DOTALL | re.M)
    mp.export(out, to="monai", output=tmp_path / "monai")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "snippet"}
    exec(compile(code, "MONAI", "exec"), names)
    assert names["batch"]["image"].shape == (2, 2, 22, 18, 14)


def test_torchio_without_a_case(tmp_path):
    empty = tmp_path / "subjects.json"
    empty.write_text('{"schema": 1, "folds": [], "subjects": []}')
    with pytest.raises(mp.core.InputError, match="has no case$"):
        subjects_dataset(empty)
    with pytest.raises(mp.core.InputError, match="is not split, so it has no part 'val'"):
        subjects_dataset(empty, split="val")


@pytest.mark.parametrize("saved", [False, True])
def test_torchio_subjects(out, tmp_path, first, saved):
    import torchio

    image, labels, affine = first
    source = mp.export(out, to="torchio", output=tmp_path / "t").folder if saved else out
    data = subjects_dataset(source, split="val", fold=0)
    assert isinstance(data, torchio.SubjectsDataset)
    assert [s["case"] for s in data.dry_iter()] == ["sub-01"]
    subject = data[0]
    for channel, contrast in enumerate(("T1w", "FLAIR")):
        np.testing.assert_array_equal(subject[contrast].numpy()[0], image[channel])
    np.testing.assert_array_equal(subject["labels"].numpy()[0], labels)
    assert isinstance(subject["mask"], torchio.LabelMap)
    np.testing.assert_allclose(subject["T1w"].affine, affine, atol=1e-5)
    assert subject["age"] == 20.0
    assert len(subjects_dataset(source)) == 4
    assert len(subjects_dataset(source, split="train", fold=1)) == 1
    done = subjects_dataset(source, split="test", transform=torchio.CropOrPad((8, 8, 8)))[0]
    assert done["FLAIR"].shape == (1, 8, 8, 8)
    with pytest.raises(InputError, match="fold 2"):
        subjects_dataset(source, split="val", fold=2)


def test_torchio_from_the_list_alone(out, tmp_path):
    """As the export's README says, without mriprep."""
    import torchio

    folder = mp.export(out, to="torchio", output=tmp_path / "t", link="symbolic").folder
    rows = json.loads((folder / "subjects.json").read_text())["subjects"]
    subjects = [
        torchio.Subject(
            T1w=torchio.ScalarImage(folder / r["images"]["T1w"]),
            labels=torchio.LabelMap(folder / r["labels"]),
        )
        for r in rows
    ]
    assert torchio.SubjectsDataset(subjects)[0].spatial_shape == (22, 18, 14)


def test_torchio_needs_a_split_for_a_part(out, tmp_path):
    bare = make(tmp_path / "bare", ["sub-01"], ["T1w"])
    with pytest.raises(InputError, match="mriprep split"):
        subjects_dataset(bare, split="train")
    saved = mp.export(bare, to="torchio", output=tmp_path / "t").folder
    with pytest.raises(InputError, match="is not split"):
        subjects_dataset(saved, split="train")
    (saved / "subjects.json").write_text('{"subjects": [{}]}')
    with pytest.raises(InputError, match="not a list of subjects"):
        subjects_dataset(saved)


def test_webdataset_reads_the_shards(out, tmp_path, first):
    import webdataset

    image, labels, _ = first
    folder = mp.export(out, to="webdataset", output=tmp_path / "w").folder
    shards = sorted(str(p) for p in folder.glob("fold*.tar"))
    data = webdataset.WebDataset(shards, shardshuffle=False).decode()
    samples = {s["__key__"]: s for s in data}
    assert set(samples) == {"sub-01", "sub-02", "sub-03"}
    np.testing.assert_array_equal(samples["sub-01"]["image.npy"], image)
    np.testing.assert_array_equal(samples["sub-01"]["labels.npy"], labels)
    assert samples["sub-01"]["json"]["facts"]["age"] == 20.0
