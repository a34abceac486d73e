"""Exports: the same voxels in every format, whole or not at all, nothing foreign overwritten."""

from __future__ import annotations

import io
import json
import tarfile

import h5py
import numpy as np
import pytest
import zarr

import mriprep as mp
import mriprep.export as exports
from exported import record
from exports_scene import CASES, CONTRASTS, every_format, files, four_cases, note, note_of
from mriprep.core import Grid, Volume
from mriprep.core.slices import display_axes
from mriprep.io.hashes import file_hash
from mriprep.io.images import read_image
from mriprep.record import voxel_hash


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Four cases, two folds, one case for the test; labels 0, 1, 2."""
    return four_cases(tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def done(out, tmp_path_factory):
    """Every format, written once."""
    return every_format(out, tmp_path_factory.mktemp("done"))


def truth(out):
    """Hashes of what a run wrote, by case and part."""
    found = {}
    for item in exports.collect(out):
        found[item.case] = {c: voxel_hash(read_image(p)) for c, p in item.images.items()}
        found[item.case]["labels"] = voxel_hash(read_image(item.labels, role="labels"))
        found[item.case]["mask"] = voxel_hash(read_image(item.mask, role="mask"))
    return found


def hashes(image, labels, mask, affine):
    volumes = dict(zip(CONTRASTS, (Volume(c, affine) for c in image), strict=True))
    volumes |= {"labels": Volume(labels, affine, "labels"), "mask": Volume(mask, affine, "mask")}
    return {n: voxel_hash(v) for n, v in volumes.items()}


def from_files(images, labels, mask):
    found = {c: voxel_hash(read_image(p)) for c, p in zip(CONTRASTS, images, strict=True)}
    found["labels"] = voxel_hash(read_image(labels, role="labels"))
    if mask:
        found["mask"] = voxel_hash(read_image(mask, role="mask"))
    return found


def of_nnunet(folder, case):
    part = "Ts" if case == "sub-04" else "Tr"
    images = [folder / f"images{part}/{case}_000{n}.nii.gz" for n in (0, 1)]
    return from_files(images, folder / f"labels{part}/{case}.nii.gz", None)


def of_monai(folder, case):
    rows = json.loads((folder / "datalist.json").read_text())
    (row,) = [r for r in rows["training"] + rows["test"] if r["case"] == case]
    return from_files(
        [folder / p for p in row["image"]], folder / row["label"], folder / row["mask"]
    )


def of_torchio(folder, case):
    rows = json.loads((folder / "subjects.json").read_text())["subjects"]
    (row,) = [r for r in rows if r["case"] == case]
    images = [folder / row["images"][c] for c in CONTRASTS]
    return from_files(images, folder / row["labels"], folder / row["mask"])


def of_zarr(folder, case):
    group = zarr.open_group(str(folder / "dataset.zarr"), mode="r")[case]
    inner = [group[f"labels/{n}/0"][...] for n in ("labels", "mask")]
    return hashes(group["0"][...], *inner, group.attrs["mriprep"]["affine_ras"])


def of_hdf5(folder, case):
    with h5py.File(folder / "dataset.h5") as file:
        arrays = [file[f"{case}/{n}"][...] for n in ("image", "labels", "mask")]
        return hashes(*arrays, file[case].attrs["affine_ras"])


def of_webdataset(folder, case):
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            if f"{case}.json" in tar.getnames():
                about = json.load(tar.extractfile(f"{case}.json"))
                arrays = [
                    np.load(io.BytesIO(tar.extractfile(f"{case}.{n}.npy").read()))
                    for n in ("image", "labels", "mask")
                ]
                return hashes(*arrays, about["affine_ras"])
    raise AssertionError(f"{case} is in no shard")


def of_slices(folder, case):
    grid = Grid.from_dict(note_of(folder)["cases"][case]["grid"])
    order, flip = display_axes(grid, "axial")
    back = [0, 0, 0]
    for place, axis in enumerate(order):
        back[axis] = place
    steps = tuple(slice(None, None, -1 if f else None) for f in flip)

    def whole(kind):
        planes = [np.load(p) for p in sorted((folder / kind / case).glob("*.npy"))]
        stack = np.stack(planes, axis=-3)
        if stack.ndim == 3:
            return stack[steps].transpose(back)
        return np.stack([s[steps].transpose(back) for s in stack])

    return hashes(whole("image"), whole("labels"), whole("mask"), grid.affine)


@pytest.mark.parametrize("to", list(exports.FORMATS))
def test_every_format_holds_the_same_voxels(out, done, to):
    read = globals()[f"of_{to}"]
    for case, expected in truth(out).items():
        found = read(done[to].folder, case)
        if to == "nnunet":  # has no place for masks
            assert found == {k: v for k, v in expected.items() if k != "mask"}
        else:
            assert found == expected


@pytest.mark.parametrize("to", ["zarr", "hdf5", "webdataset", "slices"])
def test_hashes_in_the_note_are_those_of_the_voxels(out, done, to):
    assert {c: a["voxels_sha256"] for c, a in note(done[to])["cases"].items()} == truth(out)


def test_the_hashes_are_those_of_the_records_too(out):
    for case, found in truth(out).items():
        for contrast in CONTRASTS:
            about = json.loads(record(out, case, contrast).read_text())
            assert about["output"]["voxels_sha256"] == found[contrast]


@pytest.mark.parametrize("to", list(exports.FORMATS))
def test_the_note_says_what_came_from_where(done, out, to):
    about = note(done[to])
    assert about["format"] == to
    assert set(about["cases"]) == set(CASES)
    assert about["splits_sha256"] == file_hash(out / "splits.tsv")
    first = about["cases"]["sub-01"]
    assert first["records"]["T1w"]["file"] == "sub-01_desc-preproc_T1w.json"
    assert first["records"]["T1w"]["recipe"] == "small"
    assert (first["split"], first["fold"]) == ("val", 0)
    assert first["facts"] == {"age": 20.0, "sex": "F", "site": "A"}  # no diagnosis: not asked for
    assert sorted([*about["files"], "export.json"]) == files(done[to].folder)
    assert "README.txt" in about["files"]
    assert "Folds: 0, 1. Kept for the test: 1." in (done[to].folder / "README.txt").read_text()


@pytest.mark.parametrize("to", list(exports.FORMATS))
def test_no_paths_of_this_machine(done, out, to):
    for name in files(done[to].folder):
        if name.endswith((".json", ".txt")):
            text = (done[to].folder / name).read_text()
            assert str(out.parent) not in text, name


def test_nnunet_folder_and_folds(done):
    folder = done["nnunet"].folder
    assert folder.name == "Dataset501_mriprep"
    about = json.loads((folder / "dataset.json").read_text())
    assert about["channel_names"] == {"0": "T1w", "1": "FLAIR"}
    assert about["labels"] == {"background": 0, "label_1": 1, "label_2": 2}
    assert (about["numTraining"], about["file_ending"]) == (3, ".nii.gz")
    folds = json.loads((folder / "splits_final.json").read_text())
    assert folds == [
        {"train": ["sub-02", "sub-03"], "val": ["sub-01"]},
        {"train": ["sub-01"], "val": ["sub-02", "sub-03"]},
    ]
    assert [f for f in files(folder) if f.startswith("imagesTs")] == [
        "imagesTs/sub-04_0000.nii.gz",
        "imagesTs/sub-04_0001.nii.gz",
    ]


def test_ome_zarr_metadata(done, out):
    root = zarr.open_group(str(done["zarr"].folder / "dataset.zarr"), mode="r")
    group = root["sub-01"]
    (scale,) = group.attrs["ome"]["multiscales"]
    assert group.attrs["ome"]["version"] == "0.5"
    assert [a["name"] for a in scale["axes"]] == ["c", "x", "y", "z"]
    (data,) = scale["datasets"]
    (first,) = data["coordinateTransformations"]  # oblique: no translation could be right
    assert first["type"] == "scale"
    np.testing.assert_allclose(first["scale"], [1, 1, 1.25, 2], atol=1e-6)
    assert group["labels"].attrs["ome"]["labels"] == ["labels", "mask"]
    assert [c["label"] for c in group.attrs["ome"]["omero"]["channels"]] == ["T1w", "FLAIR"]
    array = group["0"]
    assert array.shards == (2, 64, 64, 64)
    assert array.chunks == (2, 64, 64, 64)
    assert array.metadata.dimension_names == ("c", "x", "y", "z")


@pytest.mark.parametrize("to", ["zarr", "hdf5"])
@pytest.mark.parametrize("compress", [True, False])
def test_packed_or_not_voxels_are_the_same(out, tmp_path, to, compress):
    done = mp.export(out, to=to, output=tmp_path / "x", compress=compress, chunk=16)
    assert globals()[f"of_{to}"](done.folder, "sub-02") == truth(out)["sub-02"]


@pytest.mark.parametrize("to", ["hdf5", "webdataset"])
def test_the_same_data_set_is_the_same_bytes(out, done, tmp_path, to):
    again = mp.export(out, to=to, output=tmp_path / "x").folder
    names = [n for n in files(again) if n.endswith((".h5", ".tar"))]
    assert names
    for name in names:
        assert (again / name).read_bytes() == (done[to].folder / name).read_bytes(), name


def test_shards_hold_one_fold_each(done, out, tmp_path):
    folder = done["webdataset"].folder
    assert sorted(p.name for p in folder.glob("*.tar")) == [
        "fold0-000000.tar",
        "fold1-000000.tar",
        "test-000000.tar",
    ]
    with tarfile.open(folder / "fold1-000000.tar") as tar:
        assert [m.name for m in tar][:4] == [
            "sub-02.image.npy",
            "sub-02.labels.npy",
            "sub-02.mask.npy",
            "sub-02.json",
        ]
        assert {m.mtime for m in tar} == {0}
        assert {(m.uid, m.uname) for m in tar} == {(0, "")}
    small = mp.export(out, to="webdataset", output=tmp_path / "s", shard_mb=0.01).folder
    assert len(list(small.glob("*.tar"))) == 4
