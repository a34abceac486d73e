"""Exports appear whole or not at all, and overwrite nothing that is not theirs."""

from __future__ import annotations

import dataclasses
import os
import shutil

import pytest

import mriprep as mp
import mriprep.export as exports
from exported import make
from exports_scene import files, four_cases, tree
from mriprep.core import EngineMissing, GeometryError, InputError, OutputError
from mriprep.export import exporting, words
from mriprep.export.selection import prepare


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Four cases, two folds, one case for the test; labels 0, 1, 2."""
    return four_cases(tmp_path_factory.mktemp("out"))


@pytest.fixture
def own(out, tmp_path):
    """An output folder that a test may change."""
    return shutil.copytree(out, tmp_path / "out")


@pytest.mark.parametrize("to", list(exports.FORMATS))
def test_a_failure_leaves_nothing_behind(own, tmp_path, to, monkeypatch):
    path = own / "sub-03/anat/sub-03_desc-preproc_FLAIR.nii.gz"
    if exports.FORMATS[to].links:
        monkeypatch.setattr(
            "shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "full"))
        )
        expected = OutputError
    else:
        path.write_bytes(path.read_bytes()[:900])  # its header can still be read
        expected = InputError
    before = tree(tmp_path)
    with pytest.raises(expected):
        mp.export(own, to=to, output=tmp_path / "x" / "y")
    assert tree(tmp_path) == before


def test_grids_are_checked_before_anything_is_written(own, tmp_path):
    other = make(tmp_path / "other", ["sub-03"], ["FLAIR"], shape=(20, 18, 14))
    name = "sub-03/anat/sub-03_desc-preproc_FLAIR.nii.gz"
    shutil.copy(other / name, own / name)
    for to in exports.FORMATS:
        with pytest.raises(GeometryError, match="sub-03"):
            mp.export(own, to=to, output=tmp_path / to)
        assert not (tmp_path / to).exists()


def test_foreign_folders_are_left_alone(out, tmp_path):
    target = tmp_path / "x"
    target.mkdir()
    mp.export(out, to="monai", output=target)  # empty: welcome
    with pytest.raises(OutputError, match="there is an export"):
        mp.export(out, to="monai", output=target)
    mp.export(out, to="hdf5", output=target, replace=True)
    assert files(target) == ["README.txt", "dataset.h5", "export.json"]
    (target / "my-model.pt").write_text("a week of training")
    with pytest.raises(OutputError, match=r"no part of the export: my-model.pt"):
        mp.export(out, to="hdf5", output=target, replace=True)
    (target / "export.json").unlink()
    with pytest.raises(OutputError, match="did not write"):
        mp.export(out, to="hdf5", output=target, replace=True)
    assert (target / "my-model.pt").read_text() == "a week of training"
    with pytest.raises(OutputError, match="a file or a link"):
        mp.export(out, to="hdf5", output=target / "my-model.pt")
    with pytest.raises(InputError, match="OUT itself"):
        mp.export(out, to="hdf5", output=out)
    assert not list(tmp_path.glob(".*"))


def test_the_readme_says_which_labels_there_are(own, tmp_path):
    def said(**changes):
        return words.opening(dataclasses.replace(prepare(own), **changes), "A title")

    assert "Labels: given with the scan.\n" in said()
    assert "Labels: given with T1w.\n" in said(labels="T1w")  # as a session names them
    assert "Labels: tissues (1 CSF).\n" in said(labels="tissues", label_names={1: "CSF"})
    (own / "sub-02/anat/sub-02_dseg.nii.gz").unlink()
    assert "Labels: given with the scan, of 3 cases.\n" in said()
    bare = mp.export(own, to="monai", output=tmp_path / "x", labels="none").folder
    assert "Labels: none.\n" in (bare / "README.txt").read_text()
    unlabelled = tuple(i for i in prepare(own).items if not i.labels)
    assert "Labels: none.\n" in said(items=unlabelled)  # those that had some were left out


@pytest.mark.parametrize("to", ["nnunet", "monai", "torchio"])
def test_links(out, tmp_path, to):
    source = out / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    for link in ("hard", "symbolic"):
        folder = mp.export(out, to=to, output=tmp_path / link, link=link).folder
        (name,) = [
            n for n in files(folder) if n.endswith(("sub-01_T1w.nii.gz", "sub-01_0000.nii.gz"))
        ]
        assert os.path.samefile(folder / name, source)
        assert (folder / name).is_symlink() == (link == "symbolic")


def test_links_that_cannot_be_made_are_told(out, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "other disk")))
    with pytest.raises(OutputError, match=r"cannot be linked \(hard\)"):
        mp.export(out, to="monai", output=tmp_path / "x", link="hard")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"to": "nnunett"}, InputError, "did you mean 'nnunet'"),
        ({"to": "zarr", "link": "hard"}, InputError, "nothing to link"),
        ({"to": "monai", "link": "soft"}, InputError, "no way to link"),
        ({"to": "monai", "chunk": 32}, InputError, "monai takes no 'chunk'"),
        ({"to": "monai", "chunks": 32}, InputError, "no option 'chunks'"),
        ({"to": "zarr", "chunk": 4}, InputError, "chunks of 4 voxels"),
        ({"to": "webdataset", "shard_mb": 0}, InputError, "above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(out, tmp_path, options, error, message):
    with pytest.raises(error) as caught:
        mp.export(out, output=tmp_path / "x", **options)
    assert message in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_missing_packages_are_named(out, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EngineMissing, match="needs the package zarr") as error:
        mp.export(out, to="zarr", output=tmp_path / "x")
    assert "mriprep[export]" in error.value.hint
