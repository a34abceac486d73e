"""A name that is planted everywhere is nowhere in what `mriprep deidentify` writes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import zlib
from types import SimpleNamespace

import nibabel
import numpy as np
import pydicom
import pytest

import mriprep as mp
from mriprep.core import Grid, InputError, OutputError, Volume
from planted import NAME, NUMBER, plant_bids, plant_series

SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def phantom():
    return ball()


def ball(shape=(40, 48, 12)):
    """A noisy ball in place of a head: what is tested is not the anatomy."""
    rng = np.random.default_rng(1)
    away = np.indices(shape).T / np.array(shape) - 0.5
    bright = np.where((away**2).sum(-1).T < 0.15, 700.0, 20.0) + 30 * rng.normal(size=shape)
    grid = Grid(shape, np.array([[2.0, 0, 0, -40], [0, 2, 0, -48], [0, 0, 3, 9], [0, 0, 0, 1]]))
    image = Volume(np.abs(bright).astype("f4"), grid)
    facts = {"contrast": "T1w", "age_years": 41.0, "seed": 3}
    return SimpleNamespace(image=image, grid=grid, facts=facts)


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


def digest(folder):
    return {
        p: hashlib.sha256(p.read_bytes()).digest() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def unpacked(data):
    """The bytes, and what is compressed in them."""
    yield data
    for at in (m.start() for m in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x9c\xda]", data)):
        try:
            yield zlib.decompressobj(47).decompress(data[at:])
        except zlib.error:
            continue


def traces(folder, words=(NAME, NUMBER)):
    """Files in which a word is, in any case and encoding, or in their names."""
    found = []
    for path in folder.rglob("*"):
        inside = str(path.relative_to(folder))
        texts = [inside.encode()]
        if path.is_file():
            texts += unpacked(path.read_bytes())
        for data in texts:
            low = data.lower()
            for word in words:
                forms = [
                    word.lower().encode(c) for c in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")
                ]
                forms += [word.lower().encode()[::-1], word.lower().encode().hex().encode()]
                if any(f in low for f in forms):
                    found.append((inside, word))
    return found


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
    a, b = before["T1w"], after["T1w"]
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
