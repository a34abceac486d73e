"""`mriprep deface` on files: what is written, what is said, and what headers keep."""

from __future__ import annotations

import gzip
import json

import nibabel as nib
import numpy as np
import pytest

import mriprep as mp
from mriprep.phantom import head
from mriprep.record import voxel_hash


@pytest.fixture(scope="module")
def made():
    return head("T1w", spacing=4.0, orientation="LPS", dtype="int16", labels=False)


def test_a_scan_on_disk(cli, made, tmp_path):
    scan = mp.write(made.image, tmp_path / "sub-01_T1w.nii.gz")
    brain = mp.write(made.brain, tmp_path / "brain.nii.gz")
    out, face, picture = (tmp_path / n for n in ("out.nii.gz", "face.nii.gz", "head.png"))
    said = cli("deface", scan, out, "--mask", brain, "--face-mask", face, "--picture", picture)
    assert said.code == 0, said.err
    assert "brain voxels touched 0" in said.err
    assert "shows the face" in said.err
    before, after = nib.load(scan), nib.load(out)
    assert after.get_data_dtype() == np.int16
    np.testing.assert_array_equal(after.affine, before.affine)
    gone = np.asarray(nib.load(face).dataobj) > 0
    assert gone.any()
    a, b = (np.asarray(f.dataobj) for f in (before, after))
    assert not b[gone].any()
    np.testing.assert_array_equal(a[~gone], b[~gone])
    assert picture.is_file()
    # Another contrast of the same session takes the mask.
    other = mp.write(made.image.replace(made.image.data // 2), tmp_path / "sub-01_T2w.nii.gz")
    said = cli("deface", other, tmp_path / "t2.nii.gz", "--face", face)
    assert said.code == 0, said.err
    assert not np.asarray(nib.load(tmp_path / "t2.nii.gz").dataobj)[gone].any()


@pytest.mark.parametrize("kind", ["scaled", "series", "big-endian", "NIfTI-2"])
@pytest.mark.parametrize("method", ["blank", "blur"])
def test_a_nifti_stays_the_file_it_is(cli, made, tmp_path, kind, method):
    stored = np.asarray(made.image.data)
    if kind == "series":
        stored = np.stack([stored, stored // 2 + 7], axis=-1)
    if kind == "big-endian":
        stored = stored.astype(">i2")
    given = (nib.Nifti2Image if kind == "NIfTI-2" else nib.Nifti1Image)(stored, made.image.affine)
    if kind == "big-endian":
        given = nib.Nifti1Image(stored, made.image.affine, nib.Nifti1Header(endianness=">"))
    head_ = given.header
    head_.set_data_dtype(stored.dtype)
    head_.set_xyzt_units("mm", "sec")
    head_["pixdim"][4] = 1.5
    head_["cal_max"] = 900
    head_["descrip"] = b"Jane Doe"
    head_.extensions.append(nib.nifti1.Nifti1Extension(6, b"Jane Doe, born 1970"))
    if kind == "scaled":
        values = stored * 0.5 - 20.0
        given = nib.Nifti1Image(values, made.image.affine, head_)
        given.header.set_slope_inter(0.5, -20.0)
    scan, out = tmp_path / "scan.nii", tmp_path / "out.nii.gz"
    nib.save(given, scan)
    face = np.zeros(made.image.shape, bool)
    face[5:30, 2:20, 5:30] = True
    face = mp.write(made.brain.replace(face), tmp_path / "face.nii.gz")
    said = cli("deface", scan, out, "--face", face, "--method", method)
    assert said.code == 0, said.err
    before, after = nib.load(scan), nib.load(out)
    assert type(before) is type(after)
    for field in before.header:
        free_text = field in ("descrip", "aux_file", "db_name", "intent_name", "vox_offset")
        if not free_text:
            np.testing.assert_array_equal(before.header[field], after.header[field], field)
    assert not after.header.extensions
    assert b"Jane" not in gzip.decompress(out.read_bytes())
    a, b = (np.asarray(f.dataobj.get_unscaled()) for f in (before, after))
    assert a.dtype == b.dtype
    gone = np.asarray(nib.load(face).dataobj) > 0
    np.testing.assert_array_equal(a[~gone], b[~gone])
    assert (a[gone] != b[gone]).mean() > 0.5
    if method == "blank":
        # 0, or the least there is.
        least = min(0.0, float(np.asarray(before.dataobj).min()))
        assert (np.asarray(after.dataobj)[gone] == least).all()
    record = json.loads((tmp_path / "out.json").read_text())
    first = mp.read(out, volume=0 if kind == "series" else None)
    assert record["output"]["voxels_sha256"] == voxel_hash(first)
    assert ("removed from all" in said.err) == (kind == "series")


def test_no_output_takes_the_place_of_another(cli, made, tmp_path):
    scan = mp.write(made.image, tmp_path / "t1.nii.gz")
    brain = mp.write(made.brain, tmp_path / "brain.nii.gz")
    out = tmp_path / "out.nii.gz"
    before = scan.read_bytes(), brain.read_bytes()
    asked = ("deface", scan, out, "--mask", brain)
    cli(*asked, "--face-mask", out).refused("--face-mask is the same file as another output")
    cli(*asked, "--face-mask", scan).refused("--face-mask is the same file as an input")
    cli(*asked, "--face-mask", brain).refused("--face-mask is the same file as an input")
    (tmp_path / "out.json").write_text('{"RepetitionTime": 2.3}')
    cli(*asked).refused("out.json' is not mriprep's", "another name")
    assert (tmp_path / "out.json").read_text() == '{"RepetitionTime": 2.3}'
    assert (scan.read_bytes(), brain.read_bytes()) == before
    assert not out.exists()


def test_a_picture_is_png(cli, scan, tmp_path):
    said = cli("deface", scan, tmp_path / "out.nii.gz", "--picture", tmp_path / "head.jpg")
    said.refused("cannot be written as 'head.jpg'", ".png")
    assert not (tmp_path / "out.nii.gz").exists()


def test_labels_are_refused(cli, made, tmp_path):
    labels = made.brain.data.astype(np.uint8)
    labels[: labels.shape[0] // 2] *= 2
    path = mp.write(made.brain.replace(labels, role="labels"), tmp_path / "dseg.nii.gz")
    cli("deface", path, tmp_path / "out.nii.gz").refused("looks like labels", "set them to 0")
