"""Exported slices: channels, neighbours, pictures, the index, and the way back to native space."""

from __future__ import annotations

import csv
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

import mriprep as mp
from exported import make, split
from mriprep.core import InputError, Volume
from mriprep.core.slices import arranged, display_axes
from mriprep.export import collect
from mriprep.io.images import read_image

FOLDS = [("sub-01", 0), ("sub-02", 1), ("sub-03", None)]
PLANES = ("axial", "coronal", "sagittal")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return split(make(tmp_path_factory.mktemp("out"), [c for c, _ in FOLDS]), FOLDS)


def rows_of(done):
    return list(csv.DictReader((done.folder / "index.csv").open()))


def note(done):
    return json.loads((done.folder / "export.json").read_text())


def seen(path, plane, role="image"):
    """A volume's slices as they are seen, (N, H, W)."""
    volume = read_image(path, role=role)
    return arranged(volume.data, *display_axes(volume.grid, plane))


@pytest.mark.parametrize("plane", PLANES)
def test_channels_labels_and_index(out, tmp_path, plane):
    done = mp.export(out, to="slices", output=tmp_path / "x", plane=plane)
    rows = rows_of(done)
    items = {i.case: i for i in collect(out)}
    assert {r["case"] for r in rows} == set(items)
    assert note(done)["channels"] == ["T1w", "FLAIR"]
    for row in rows:
        item, n = items[row["case"]], int(row["index"])
        image = np.load(done.folder / row["image"])
        for channel, contrast in zip(image, ("T1w", "FLAIR"), strict=True):
            assert np.array_equal(channel, seen(item.images[contrast], plane)[n])
        labels = np.load(done.folder / row["labels"])
        assert np.array_equal(labels, seen(item.labels, plane, "labels")[n])
        assert int(row["label_1"]) == (labels == 1).sum()
        assert int(row["label_3"]) == (labels == 3).sum()
        mask = np.load(done.folder / row["mask"])
        assert int(row["mask_pixels"]) == mask.sum() > 0
        assert image.shape[1:] == (int(row["height"]), int(row["width"]))
        grid = read_image(item.images["T1w"]).grid
        centre = (np.array(grid.shape) - 1) / 2
        centre[int(row["axis"])] = n
        world = grid.to_world(centre[None])[0][
            ["axial", "coronal", "sagittal"].index(plane) * -1 + 2
        ]
        assert float(row["position_mm"]) == pytest.approx(world, abs=1e-3)
    first = rows[0]
    assert (first["split"], first["fold"], first["age"], first["sex"]) == ("val", "0", "20", "F")
    assert (rows[-1]["split"], rows[-1]["fold"]) == ("test", "")
    assert first["sample"] == f"sub-01_plane-{plane}_slice-{int(first['index']):04d}"


def test_both_tables_are_the_same(out, tmp_path):
    done = mp.export(out, to="slices", output=tmp_path / "x", format="npz")
    table = parquet.read_table(done.folder / "index.parquet").to_pylist()
    rows = rows_of(done)
    assert list(rows[0]) == list(table[0]) == note(done)["columns"]
    assert [r["sample"] for r in rows] == [r["sample"] for r in table]
    assert [float(r["position_mm"]) for r in rows] == [r["position_mm"] for r in table]
    assert isinstance(table[0]["label_1"], int)
    assert len(rows) == note(done)["samples"]
    again = mp.export(out, to="slices", output=tmp_path / "y", format="npz")
    for path in done.folder.rglob("*"):
        if path.is_file():
            other = again.folder / path.relative_to(done.folder)
            assert other.read_bytes() == path.read_bytes(), path.name


def test_neighbours_are_channels(out, tmp_path):
    done = mp.export(
        out, to="slices", output=tmp_path / "x", format="npz", neighbours=2, content=0.0
    )
    assert note(done)["channels"][:5] == ["T1w-2", "T1w-1", "T1w", "T1w+1", "T1w+2"]
    (item, *_) = collect(out)
    stack = seen(item.images["FLAIR"], "axial")
    last = len(stack) - 1
    for row in rows_of(done)[: len(stack)]:
        n = int(row["index"])
        with np.load(done.folder / row["image"]) as sample:
            assert sample["image"].shape[0] == 10
            for offset in range(-2, 3):
                expected = stack[min(max(n + offset, 0), last)]
                assert np.array_equal(sample["image"][7 + offset], expected)
            assert sample["labels"].shape == sample["mask"].shape == stack.shape[1:]


@pytest.mark.parametrize(("format", "white"), [("png8", 255), ("png16", 65535)])
def test_pictures_within_the_window(out, tmp_path, format, white):
    done = mp.export(out, to="slices", output=tmp_path / "x", format=format, window=(1, 98))
    (item, *_) = collect(out)
    image, mask = read_image(item.images["T1w"]).data, read_image(item.mask).data > 0
    low, high = np.percentile(image[mask], (1, 98))
    for row in [r for r in rows_of(done) if r["case"] == "sub-01"]:
        assert float(row["window_low_T1w"]) == pytest.approx(low, rel=1e-5)
        assert float(row["window_high_T1w"]) == pytest.approx(high, rel=1e-5)
        picture = np.asarray(Image.open(done.folder / row["image_T1w"]))
        values = seen(item.images["T1w"], "axial")[int(row["index"])]
        shown = np.clip((values - low) / (high - low), 0, 1) * white
        assert np.abs(picture - shown).max() <= 1
        labels = np.asarray(Image.open(done.folder / row["labels"]))
        assert set(np.unique(labels)) <= {0, 1, 3}
    assert not list(done.folder.rglob("*.npy"))


def test_what_is_kept(out, tmp_path):
    def taken(**options):
        done = mp.export(out, to="slices", output=tmp_path / "x", replace=True, **options)
        return [int(r["index"]) for r in rows_of(done) if r["case"] == "sub-01"]

    (item, *_) = collect(out)
    labelled = np.flatnonzero(seen(item.labels, "axial", "labels").any(axis=(1, 2)))
    masked = np.flatnonzero(seen(item.mask, "axial").any(axis=(1, 2)))
    assert taken(keep="label", content=0.01) == labelled.tolist()
    assert taken(keep="mask", content=0.01) == masked.tolist()
    assert taken(keep="mask", content=0.01, every=3) == masked[::3].tolist()
    assert taken(keep="mask", content=0.01, spacing=6.5) == masked[::3].tolist()  # slices of 2 mm
    assert taken(content=0) == list(range(14))


def test_cases_without_what_is_kept_are_left_out(tmp_path):
    out = make(tmp_path / "out", ["sub-01", "sub-02"], ["T1w"])
    path = collect(out)[1].labels
    labels = read_image(path, role="labels")
    mp.write(labels.replace(np.zeros_like(labels.data)), path)
    done = mp.export(out, to="slices", output=tmp_path / "x", keep="label")
    assert [(x.case, x.why) for x in done.left] == [
        ("sub-02", "has no slices: no voxel is in a label")
    ]
    assert {r["case"] for r in rows_of(done)} == {"sub-01"}


def test_shards_hold_one_part_each(out, tmp_path):
    done = mp.export(out, to="slices", output=tmp_path / "x", format="webdataset", shard_mb=0.02)
    shards = note(done)["shards"]
    assert set(shards) == {"fold0", "fold1", "test"}
    assert len(shards["fold0"]) >= 1
    names = set()
    for row in rows_of(done):
        with tarfile.open(done.folder / row["shard"]) as tar:
            image = np.load(io.BytesIO(tar.extractfile(f"{row['sample']}.image.npy").read()))
            about = json.load(tar.extractfile(f"{row['sample']}.json"))
        assert image.shape[0] == 2
        assert about["index"] == int(row["index"])
        part = "test" if row["split"] == "test" else f"fold{row['fold']}"
        assert row["shard"] in shards[part]
        names.add(row["sample"])
    assert len(names) == note(done)["samples"]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("format", ["npy", "png8"])
def test_predictions_come_back_to_native_space(tmp_path, plane, format):
    out = make(tmp_path / "out", ["sub-01_ses-2"], ["T1w"])
    done = mp.export(out, to="slices", output=tmp_path / "x", plane=plane, format=format, content=0)
    (item,) = collect(out)
    predicted = tmp_path / "predicted" / "sub-01_ses-2"
    predicted.mkdir(parents=True)
    for row in rows_of(done):  # a network that knows the labels
        name = f"{row['sample']}.{'npy' if format == 'npy' else 'png'}"
        if format == "npy":
            np.save(predicted / name, np.load(done.folder / row["labels"]))
        else:
            Image.open(done.folder / row["labels"]).save(predicted / name)
    back = mp.restore(predicted, out, role="labels")
    truth = read_image(item.labels, role="labels")
    assert isinstance(back, Volume)
    assert back.grid.matches(truth.grid)  # this recipe leaves the grid: native is final
    assert np.array_equal(back.data, truth.data)


def test_from_a_resampled_grid_to_the_scan(tmp_path):
    from exported import AFFINE, SHAPE, drawn, scan
    from mriprep import derivatives
    from mriprep.core import Case, Grid
    from mriprep.recipe import load
    from mriprep.run import execute

    grid = Grid(SHAPE, AFFINE)
    recipe = load(
        {"name": "r", "title": "r", "steps": [{"reorient": {"to": "RAS"}}, {"resample": {"spacing": 0.8}},
                                              {"background": {"output": "mask"}}]}
    )  # fmt: skip
    run = execute(recipe, Case("sub-01", {"T1w": scan(1, grid)}), labels=drawn(1, grid))
    assert run.failure is None, run.error
    out = tmp_path / "out"
    derivatives.write(run, out)
    done = mp.export(out, to="slices", output=tmp_path / "x", content=0)
    back = mp.restore(done.folder / "labels" / "sub-01", out, role="labels")
    given = drawn(1, grid)
    assert back.grid.matches(grid)
    both = ((back.data > 0) & (given.data > 0)).sum()
    assert 2 * both / ((back.data > 0).sum() + (given.data > 0).sum()) > 0.95


def test_what_cannot_be_asked_for(out, tmp_path):
    def refused(match, **options):
        with pytest.raises(InputError, match=match):
            mp.export(out, to="slices", output=tmp_path / "x", **options)
        assert not (tmp_path / "x").exists()

    refused("no plane", plane="oblique")
    refused("no format of slices", format="jpg")
    refused("no way to keep", keep="brain")
    refused("no place for neighbours", format="png8", neighbours=1)
    refused("no case has any", keep="label", labels="none")
    refused("both every and spacing", every=2, spacing=3)
    refused("percentiles", window=(5, 5))
    refused("takes no 'chunk'", chunk=32)
