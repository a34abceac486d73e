"""A name that is planted everywhere is nowhere in what `mriprep deidentify` writes."""

from __future__ import annotations

import json
import os

import nibabel
import numpy as np
import pytest

import mriprep as mp
from deid_scene import SECRET, ball, change, datasets, digest, traces
from mriprep.phantom import write_dicom
from planted import NAME, plant_bids, plant_series


@pytest.fixture(scope="module")
def phantom():
    return ball()


@pytest.fixture(scope="module")
def planted(tmp_path_factory, phantom):
    root = tmp_path_factory.mktemp("in")
    places = plant_series(root / f"exam {NAME}", phantom) + plant_bids(root)
    assert places > 100
    return root


@pytest.fixture(scope="module")
def done(planted, tmp_path_factory):
    before = digest(planted)
    out = tmp_path_factory.mktemp("out") / "shared"
    result = mp.deidentify(planted, out, secret=SECRET)
    assert digest(planted) == before  # the input is as it was
    return result


def test_the_search_finds_what_was_planted(planted):
    """A test that cannot fail proves nothing: in the input the name is in every kind of file."""
    hit = {os.path.splitext(p)[1] for p, _ in traces(planted)}
    assert {".dcm", ".gz", ".nii", ".json", ".txt", ".tsv", ".bvec"} <= hit


def test_a_planted_name_is_nowhere(done, phantom):
    assert traces(done.folder) == []
    written = done.report["files"]["written"]
    assert written == {"DICOM": phantom.grid.shape[2], "JSON": 2, "NIfTI": 3, "gradients": 1}
    # What cannot be vouched for is not there, in any form.
    assert sorted(h.path.suffix for h in done.held) == [".bvec", ".tsv", ".txt"]
    assert not list(done.folder.rglob("*.tsv"))
    assert NAME not in repr(done) + repr(done.held)


@pytest.mark.parametrize("keep", ["dates", "device", "characteristics"])
def test_options_let_no_name_through(planted, tmp_path, keep):
    done = mp.deidentify(planted, tmp_path / "o", keep=[keep])
    assert traces(done.folder) == []


def test_the_series_still_converts_to_the_same_volume(done, phantom, tmp_path):
    from mriprep.phantom import write_dicom

    before = mp.read(write_dicom(phantom, tmp_path / "clean"))
    after = mp.read(next(p for p in done.folder.rglob("series-*")))
    (a,), (b,) = before.volumes.values(), after.volumes.values()
    np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_array_equal(a.grid.affine, b.grid.affine)
    assert after.facts["EchoTime"] == before.facts["EchoTime"]
    assert "age" not in after.facts


def test_images_keep_voxels_and_geometry(done, planted):
    def images(folder):
        return {
            (im.header["sizeof_hdr"].item(), str(p).endswith("gz")): im
            for p in folder.rglob("*.nii*")
            for im in [nibabel.load(p)]
        }

    before, after = images(planted), images(done.folder)
    assert len(before) == 3
    assert before.keys() == after.keys()
    for key, old in before.items():
        np.testing.assert_array_equal(np.asarray(old.dataobj), np.asarray(after[key].dataobj))
        np.testing.assert_array_equal(old.affine, after[key].affine)
        assert after[key].header.get_zooms() == old.header.get_zooms()
        assert not after[key].header.extensions
    sidecar = json.loads(next(done.folder.rglob("sub-*_T1w.json")).read_text())
    assert sidecar == {
        "EchoTime": 0.003, "SeriesDescription": "T1w", "ImageType": ["ORIGINAL", "OTHER"],
        "PhaseEncodingDirection": "j-", "SliceTiming": [0.0, 0.5],
    }  # fmt: skip


@pytest.fixture
def exam(tmp_path):
    return write_dicom(ball(), tmp_path / "exam")


def test_names_that_are_given_are_taken_out_and_leftovers_are_caught(exam, tmp_path):
    change(exam, SeriesDescription="Brain t1", StationName="of Hippocampus")
    done = mp.deidentify(exam, tmp_path / "o", names=["Brain"], secret=SECRET)
    assert all("rain" not in d.SeriesDescription for d in datasets(done)[:1])
    # Eight letters as a number, which the lists let through: the last look at the output finds it.
    number = np.frombuffer(b"ABCDEFGA", "<f8")[0]
    ds = change(exam, PatientName="Abcdefga")
    ds.add_new(0x00189087, "FD", float(number))
    ds.save_as(sorted(exam.iterdir())[0])
    again = mp.deidentify(exam, tmp_path / "p")
    assert [h.why for h in again.held] == [
        "a name or number of somebody was still in it after cleaning"
    ]
