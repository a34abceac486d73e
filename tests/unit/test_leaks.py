"""Leaks in splits of every kind: found where they are, and nowhere else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import mriprep as mp
from exported import edit, make, record, split
from mriprep.cli.check_leaks import check_leaks as command
from mriprep.core import InputError, Volume
from mriprep.export import alike


def image(seed, shape=(6, 7, 8)):
    data = np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)
    return Volume(data, np.diag([2.0, 2, 3, 1]))


def kinds(report):
    return [(x.kind, x.one, x.other) for x in report.leaks]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = make(
        tmp_path_factory.mktemp("leaks") / "out",
        ["sub-01_ses-1", "sub-01_ses-2", "sub-02", "sub-03", "sub-04"],
        contrasts=("T1w",),
        labels=False,
    )
    edit(record(out, "sub-04"), input=json.loads(record(out, "sub-03").read_text())["input"])
    return out


def test_ours_is_clean(out):
    mp.split(out, folds=2, force=True)
    found = mp.check_leaks(out)
    assert found.clean
    assert not found.leaks
    assert (found.members, found.compared) == (5, 5)


def test_the_table_of_others(out, tmp_path):
    rows = [
        ("sub-01_ses-1", 0),
        ("sub-01_ses-2", 1),
        ("sub-02", 1),
        ("sub-03", 0),
        ("sub-04", None),
    ]
    split(tmp_path, rows)
    found = mp.check_leaks(tmp_path / "splits.tsv", out=out)
    assert not found.clean
    assert kinds(found) == [
        ("same person", "sub-01_ses-1", "sub-01_ses-2"),
        ("same image", "sub-03", "sub-04"),
    ]
    assert found.leaks[1].parts == ("fold 0", "test")
    # Without OUT nothing is known of the images, which is said.
    found = mp.check_leaks(tmp_path / "splits.tsv")
    assert [k for k, *_ in kinds(found)] == ["same person"]
    assert any("no voxels were compared" in n for n in found.notes)


def test_nnunet(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    for n in range(4):
        mp.write(image(n), tmp_path / "imagesTr" / f"brain_{n}_0000.nii.gz")
    mp.write(image(9), tmp_path / "imagesTr" / "brain_0_0001.nii.gz")
    turned = image(0).data[::-1]
    mp.write(Volume(turned, image(0).affine), tmp_path / "imagesTr" / "brain_3_0000.nii.gz")
    names = [f"brain_{n}" for n in range(4)]
    folds = [
        {"train": names[:2], "val": names[2:]},
        {"train": names[2:], "val": [*names[:2], names[2]]},
    ]
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps(folds))
    found = mp.check_leaks(path)
    assert kinds(found) == [
        ("same case", "brain_2", "brain_2"),
        ("turned copy", "brain_0", "brain_3"),
        ("turned copy", "brain_3", "brain_0"),
    ]
    assert found.leaks[0].rounds == ("fold 1",)
    assert found.leaks[1].rounds == ("fold 0",)
    assert "axis 0 flipped" in found.leaks[1].why
    assert mp.check_leaks(tmp_path).leaks == found.leaks
    assert len(mp.check_leaks(path, voxels=False).leaks) == 1


def test_monai(tmp_path):
    mp.write(image(1), tmp_path / "a.nii.gz")
    mp.write(image(1), tmp_path / "b.nii.gz")
    entries = [{"image": "a.nii.gz", "fold": 0}, {"image": "b.nii.gz", "fold": 1},
               {"image": "sub-7_ses-1.nii.gz", "fold": 1}]  # fmt: skip
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": entries, "test": ["x_sub-7.nii.gz"]}))
    found = mp.check_leaks(path)
    assert kinds(found) == [
        ("same person", "sub-7_ses-1", "x_sub-7"),
        ("same image", "a", "b"),
    ]


def test_folders(tmp_path):
    for part, names in {"train": ["p1_slice-3", "p2_slice-3"], "val": ["p3_slice-3"]}.items():
        for name in names:
            (tmp_path / part / "images").mkdir(parents=True, exist_ok=True)
            (tmp_path / part / "masks").mkdir(exist_ok=True)
            data = np.random.default_rng(int(name[1])).integers(0, 255, (20, 24), np.uint8)
            Image.fromarray(data).save(tmp_path / part / "images" / f"{name}.png")
            Image.fromarray(np.zeros((20, 24), np.uint8)).save(
                tmp_path / part / "masks" / f"{name}.png"
            )
    assert not mp.check_leaks(tmp_path).leaks
    data = np.random.default_rng(2).integers(0, 255, (20, 24), np.uint8)
    Image.fromarray(data[:, ::-1].T).save(tmp_path / "val" / "p9.png")
    found = mp.check_leaks(tmp_path)
    assert kinds(found) == [("turned copy", "p2_slice-3", "p9")]
    assert found.members == 4


def test_names_that_are_alike_are_a_guess(tmp_path):
    table = tmp_path / "folds.csv"
    table.write_text("image_id,set\nOAS1_0001_MR1,train\nOAS1_0001_MR2,valid\nOAS1_0002_MR1,test\n")
    found = mp.check_leaks(table)
    assert kinds(found) == [("alike names", "OAS1_0001_MR1", "OAS1_0001_MR2")]
    assert found.clean
    done = CliRunner().invoke(command, [str(table)], standalone_mode=False)
    assert done.return_value == 4
    table.write_text("patient,fold\n7,0\n8,1\n7,1\n")
    done = CliRunner().invoke(command, [str(table)], standalone_mode=False)
    assert done.return_value == 1
    assert "7 (fold 0) and 7 (fold 1)" in done.stdout
    table.write_text("patient,fold\n7,0\n8,1\n7,0\n")
    assert CliRunner().invoke(command, [str(table)], standalone_mode=False).return_value == 0


def test_orientation_and_signature():
    one = image(3).data
    for turned, word in [
        (one, "as it is"),
        (one[:, ::-1], "axis 1 flipped"),
        (one[::-1, :, ::-1], "axes 0, 2 flipped"),
        (one.transpose(1, 0, 2), "axes exchanged"),
    ]:
        assert alike.signature(turned) == alike.signature(one)
        assert alike.orientation(one, turned) == word
    mixed = np.random.default_rng(0).permutation(one.ravel()).reshape(one.shape)
    assert alike.signature(mixed) == alike.signature(one)
    assert alike.orientation(one, mixed) is None
    assert alike.signature(one + 1) != alike.signature(one)


def test_what_is_no_split(tmp_path):
    for name, content in [
        ("a.csv", "x,y\n1,2\n"),
        ("a.json", "{}"),
        ("b.json", "[1]"),
        ("c.json", ""),
    ]:
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError):
            mp.check_leaks(tmp_path / name)
    with pytest.raises(InputError, match="holds no split"):
        mp.check_leaks(tmp_path)
    with pytest.raises(InputError, match="there is no split"):
        mp.check_leaks(tmp_path / "nothing")
