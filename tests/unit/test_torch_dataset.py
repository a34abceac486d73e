"""``mriprep.torch.Dataset``: tensors, patches, workers, caching; from a run and from exports."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mriprep as mp
from exported import edit, make, split
from mriprep.core import InputError
from mriprep.io.images import read_image
from mriprep.torch import Dataset

CASES = ("sub-01", "sub-02", "sub-03", "sub-04")
FOLDS = [("sub-01", 0), ("sub-02", 1), ("sub-03", 1), ("sub-04", None)]
SOURCES = ("out", "zarr", "hdf5")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    out = split(make(folder / "out", CASES), FOLDS)
    exports = {to: mp.export(out, to=to, output=folder / to, chunk=8).folder for to in SOURCES[1:]}
    return {"out": out, **exports}


@pytest.fixture(params=SOURCES)
def source(request, sources):
    return sources[request.param]


@pytest.fixture(scope="module")
def truth(sources):
    """Image and labels of each case."""
    found = {}
    for case in CASES:
        folder = sources["out"] / case / "anat"
        images = [read_image(folder / f"{case}_desc-preproc_{c}.nii.gz") for c in ("T1w", "FLAIR")]
        labels = read_image(folder / f"{case}_dseg.nii.gz", role="labels")
        found[case] = np.stack([i.data for i in images]), labels.data, images[0].grid
    return found


def test_a_sample(source, truth):
    data = Dataset(source, split="val")
    assert len(data) == 1
    assert data.contrasts == ("T1w", "FLAIR")
    sample = data[0]
    image, labels, grid = truth["sub-01"]
    assert (sample["image"].dtype, sample["labels"].dtype) == (torch.float32, torch.int64)
    np.testing.assert_array_equal(sample["image"], image)
    np.testing.assert_array_equal(sample["labels"][0], labels)
    assert sample["mask"].shape == (1, *grid.shape)
    assert sample["mask"].dtype == torch.uint8
    np.testing.assert_allclose(sample["affine"], grid.affine, atol=1e-5)
    assert sample["case"] == "sub-01"
    assert sample["facts"] == {"age": 20.0, "sex": "F", "site": "A"}
    assert data[-1]["case"] == "sub-01"
    with pytest.raises(IndexError):
        data[1]


def test_parts_and_folds(source):
    assert Dataset(source).cases == CASES
    assert Dataset(source, split="train").cases == ("sub-02", "sub-03")
    assert Dataset(source, split="train", fold=1).cases == ("sub-01",)
    assert Dataset(source, split="test").cases == ("sub-04",)
    with pytest.raises(InputError, match="fold 2"):
        Dataset(source, split="val", fold=2)
    with pytest.raises(InputError, match="'training' is not a part"):
        Dataset(source, split="training")


@pytest.mark.parametrize("cache", [False, True])
def test_patches_are_parts_of_the_image(source, truth, cache):
    data = Dataset(source, patch=(9, 6, 7), cache=cache)
    for epoch in range(3):
        data.set_epoch(epoch)
        for sample in data:
            image, labels, grid = truth[sample["case"]]
            affine = sample["affine"].numpy()
            x, y, z = np.rint(grid.to_index(affine[:3, 3])).astype(int)
            np.testing.assert_allclose(affine[:3, :3], grid.affine[:3, :3], atol=1e-5)
            at = (slice(x, x + 9), slice(y, y + 6), slice(z, z + 7))
            np.testing.assert_array_equal(sample["image"], image[:, *at])
            np.testing.assert_array_equal(sample["labels"][0], labels[at])


def test_small_cases_are_padded_with_zeros(source, truth):
    sample = Dataset(source, patch=32)[0]
    image, _, grid = truth["sub-01"]
    x, y, z = grid.shape
    assert sample["image"].shape == (2, 32, 32, 32)
    np.testing.assert_array_equal(sample["image"][:, :x, :y, :z], image)
    assert not sample["image"][:, x:].any()
    assert not sample["labels"][:, :, y:].any()
    np.testing.assert_allclose(sample["affine"], grid.affine, atol=1e-5)


def places(samples):
    return [s["affine"][:3, 3].tolist() for s in samples]


def test_every_place_is_as_likely(sources):
    data = Dataset(sources["hdf5"], patch=(21, 18, 14), split="val")  # two places along x
    found = []
    for epoch in range(60):
        data.set_epoch(epoch)
        found.append(tuple(places(data)[0]))
    assert len(set(found)) == 2
    assert 15 < sum(f == found[0] for f in found) < 45


def test_epochs_move_patches_and_seeds_repeat_them(sources):
    def drawn(seed, epoch):
        data = Dataset(sources["hdf5"], patch=5, seed=seed)
        data.set_epoch(epoch)
        return places(data)

    assert drawn(1, 0) == drawn(1, 0)
    assert drawn(1, 0) != drawn(1, 1)
    assert drawn(1, 0) != drawn(2, 0)
    with pytest.raises(InputError, match="count from 0"):
        Dataset(sources["hdf5"]).set_epoch(-1)


def test_without_epochs_patches_follow_from_torchs_seed(sources):
    def drawn():
        torch.manual_seed(5)
        data = Dataset(sources["hdf5"], patch=5)
        return places(data), places(data)

    first, second = drawn()
    assert first != second
    assert drawn() == (first, second)


def batches(loader):
    return [p for batch in loader for p in batch["affine"][:, :3, 3].tolist()]


@pytest.mark.parametrize("to", SOURCES)
def test_workers(sources, truth, to):
    """Workers give the same voxels; patches follow the epoch, whatever their number."""
    data = Dataset(sources[to], patch=6, seed=3)
    data[0]  # opened before workers are forked: they must open their own
    data.set_epoch(0)
    alone = batches(DataLoader(data, batch_size=2))
    loader = DataLoader(data, batch_size=2, num_workers=2, persistent_workers=True)
    assert batches(loader) == alone
    data.set_epoch(1)  # seen by workers that live on
    assert batches(loader) == batches(DataLoader(data, batch_size=2)) != alone
    (batch, *_) = list(loader)
    assert batch["image"].shape == (2, 2, 6, 6, 6)
    assert batch["case"] == ["sub-01", "sub-02"]
    assert batch["facts"]["age"].tolist() == [20.0, 21.0]
    assert batch["facts"]["sex"] == ["F", "M"]


def test_workers_move_patches_from_epoch_to_epoch(sources):
    loader = DataLoader(Dataset(sources["hdf5"], patch=5), batch_size=2, num_workers=2)
    torch.manual_seed(0)
    first, second = batches(loader), batches(loader)
    assert first != second
    torch.manual_seed(0)
    assert batches(loader) == first


def test_spawned_workers_can_have_it(source):
    data = Dataset(source, patch=6)
    data[0]
    copy = pickle.loads(pickle.dumps(data))
    data.set_epoch(0)
    copy.set_epoch(0)
    assert torch.equal(copy[1]["image"], data[1]["image"])


def test_a_cache_reads_once_and_is_not_changed(source, monkeypatch):
    data = Dataset(source, split="train", cache=True)
    kept = data[0]["image"].clone()
    monkeypatch.setattr(data.store, "read", None)  # whoever reads now fails
    data[0]["image"].zero_()
    assert torch.equal(data[0]["image"], kept)
    with pytest.raises(TypeError):
        data[1]


def test_loading_reads_all_at_once(source, monkeypatch):
    data = Dataset(source, patch=4).load()
    monkeypatch.setattr(data.store, "read", None)
    assert [s["case"] for s in data] == list(CASES)


def test_transforms_come_last(sources):
    data = Dataset(sources["out"], patch=4, transform=lambda s: s["image"].mean())
    assert data[0].shape == ()


def test_facts_batch_where_some_are_not_known(tmp_path):
    out = make(tmp_path / "out", ["sub-01", "sub-02"], ["T1w"])
    for path in out.glob("sub-02/anat/*.json"):
        edit(path, facts={"site": "B"})
    batch = next(iter(DataLoader(Dataset(out), batch_size=2)))
    assert batch["facts"]["sex"] == ["F", "n/a"]
    assert batch["facts"]["age"][1].isnan()
    assert batch["facts"]["site"] == ["A", "B"]


def test_labels_that_not_all_have_are_left_out(tmp_path):
    out = make(tmp_path / "out", ["sub-01", "sub-02"], ["T1w"])
    (out / "sub-02/anat/sub-02_dseg.nii.gz").unlink()
    assert set(Dataset(out)[0]) == {"image", "mask", "affine", "case", "facts"}


def test_what_cannot_be_is_refused(sources, tmp_path):
    bare = make(tmp_path / "out", ["sub-01"], ["T1w"])
    with pytest.raises(InputError, match="mriprep split OUT"):
        Dataset(bare, split="train")
    saved = mp.export(bare, to="hdf5", output=tmp_path / "h").folder
    with pytest.raises(InputError, match="is not split"):
        Dataset(saved, split="train")
    monai = mp.export(bare, to="monai", output=tmp_path / "m").folder
    with pytest.raises(InputError, match="loaders of its own"):
        Dataset(monai)
    with pytest.raises(InputError, match="contrasts and labels are what they are"):
        Dataset(saved, contrasts=["T1w"])
    for patch in (0, (4, 4), 2.5, (1, 2, -3)):
        with pytest.raises(InputError, match="one or three edges"):
            Dataset(sources["hdf5"], patch=patch)


def test_a_state_that_has_seen_validation_is_refused(tmp_path):
    out = split(make(tmp_path / "out", CASES, ["T1w"]), FOLDS)
    state = {"kind": "nyul", "fitted_on": {"cases": ["sub-02", "sub-03"]}}
    for path in out.glob("*/anat/*_desc-preproc_*.json"):
        edit(path, states={"nyul": state})
    assert len(Dataset(out, split="train", fold=0)) == 2
    assert len(Dataset(out)) == 4  # no part is asked for
    with pytest.raises(InputError, match="validated in fold 1"):
        Dataset(out, split="val", fold=1)
    saved = mp.export(out, to="hdf5", output=tmp_path / "h", fold=0).folder
    assert len(Dataset(saved, split="test")) == 1
    with pytest.raises(InputError, match="fold 1 was not exported"):
        Dataset(saved, split="val", fold=1)
