"""What `mriprep deidentify` keeps, holds back, repeats and writes beside."""

from __future__ import annotations

import gzip
import io
import os

import nibabel
import numpy as np
import pydicom
import pytest

import mriprep as mp
from deid_scene import SECRET, ball, change, datasets, digest, traces, written_into
from mriprep.cli import main
from mriprep.core import InputError, OutputError
from mriprep.phantom import write_dicom


@pytest.fixture
def exam(tmp_path):
    return write_dicom(ball(), tmp_path / "exam")


def test_a_secret_repeats_and_none_does_not(exam, tmp_path):
    runs = [
        mp.deidentify(exam, tmp_path / f"o{n}", secret=secret)
        for n, secret in enumerate((SECRET, SECRET, None, None))
    ]
    hashes = [{str(p.relative_to(r.folder)): h for p, h in digest(r.folder).items()} for r in runs]
    assert hashes[0] == hashes[1]
    assert hashes[2] != hashes[3]
    for run in runs:
        made = datasets(run)
        assert (
            len({d.SeriesInstanceUID for d in made}) == len({d.StudyInstanceUID for d in made}) == 1
        )
        assert len({d.SOPInstanceUID for d in made}) == len(made) == 12
        assert all(d.SOPInstanceUID == d.file_meta.MediaStorageSOPInstanceUID for d in made)
        assert {d.SeriesInstanceUID for d in made}.isdisjoint(
            {pydicom.dcmread(f).SeriesInstanceUID for f in exam.iterdir()}
        )
    with pytest.raises(InputError, match="16 or more"):
        mp.deidentify(exam, tmp_path / "short", secret=b"guess")


def test_options_keep_what_they_say(exam, tmp_path):
    for file in exam.iterdir():
        ds = pydicom.dcmread(file)
        ds.SeriesDate, ds.StationName, ds.PatientAge = "20000103", "MR7", "093Y"
        ds.save_as(file)
    plain = datasets(mp.deidentify(exam, tmp_path / "a", secret=SECRET))[0]
    assert (plain.StudyDate, plain.PatientSex, plain.get("PatientAge")) == ("", "", None)
    assert "StationName" not in plain
    everything = ["dates", "device", "characteristics"]
    kept = datasets(mp.deidentify(exam, tmp_path / "b", secret=SECRET, keep=everything))[0]
    assert (kept.StationName, kept.PatientAge, kept.PatientSex) == ("MR7", "090Y", "O")
    assert kept.StudyDate < "20000101"
    assert int(kept.SeriesDate) - int(kept.StudyDate) == 2 or kept.SeriesDate[6:] < "03"
    codes = {c.CodeValue for c in kept.DeidentificationMethodCodeSequence}
    assert {"113100", "113105", "113107", "113108", "113109"} <= codes
    with pytest.raises(InputError, match="did you mean 'dates'"):
        mp.deidentify(exam, tmp_path / "c", keep=["date"])


def test_what_cannot_be_read_is_held_back(exam, tmp_path):
    files = sorted(exam.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-500])
    files[1].write_bytes(files[1].read_bytes()[:400])
    files[2].write_bytes(b"")
    files[3].unlink()
    noise = nibabel.Nifti1Image(np.random.default_rng(1).normal(size=(9, 9, 9)), np.eye(4))
    (exam / "cut.nii.gz").write_bytes(gzip.compress(noise.to_bytes())[:-900])
    (exam / "cut.json").write_text('{"EchoTime": 0.003}')  # what it is about is not there
    (exam / "no.json").write_text("{")
    (exam / "DICOMDIR.txt").write_text("PatientName")
    os.symlink(files[5], exam / "link.dcm")
    os.mkfifo(exam / "pipe.nii")
    done = mp.deidentify(exam, tmp_path / "o")
    assert done.written == 8, [h.why for h in done.held]
    assert len(done.held) == 9, [(h.path, h.why) for h in done.held]
    assert sum(h["files"] for h in done.report["held_back"]) == 9
    assert {p.suffix for p in done.folder.rglob("*") if p.is_file()} == {".dcm", ".json", ".txt"}
    assert len(list(done.folder.rglob("*.json"))) == 1  # the report


def test_outputs_are_whole_or_not_there(exam, tmp_path, monkeypatch):
    from mriprep.deid import folder

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(OutputError, match="not empty"):
        mp.deidentify(exam, tmp_path / "full")
    for inside in (exam, exam / "o", exam.parent):
        with pytest.raises(InputError, match="lie in each other"):
            mp.deidentify(exam, inside)

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(folder, "write_json", fails)
    with pytest.raises(OutputError, match="No space left"):
        mp.deidentify(exam, tmp_path / "o", key_map=tmp_path / "m", passphrase="long enough it is")
    assert set(tmp_path.iterdir()) == before


def test_a_map_is_encrypted_and_apart(exam, tmp_path):
    from mriprep.deid.keymap import read_map

    change(exam, PatientName="Muster^Max")
    key = tmp_path / "key.map"
    words = "correct horse battery"
    done = mp.deidentify(exam, tmp_path / "o", key_map=key, passphrase=words)
    told = read_map(key, words)
    (code,) = told["subjects"]
    assert told["subjects"][code]["identifier"] == "PHANTOM3"
    assert datasets(done)[0].PatientID == code
    assert sorted(told["files"].values()) == sorted(p.name for p in exam.iterdir())
    assert traces(tmp_path / "o", ("PHANTOM3", "Muster")) == []
    sealed = key.read_bytes()
    assert b"PHANTOM3" not in sealed
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="another passphrase"):
        read_map(key, words + "!")
    again = mp.deidentify(exam, tmp_path / "p", secret=bytes.fromhex(told["secret"]))
    assert datasets(again)[0].PatientID == code
    with pytest.raises(InputError, match="must not lie in the output"):
        mp.deidentify(exam, tmp_path / "q", key_map=tmp_path / "q" / "m", passphrase=words)
    with pytest.raises(InputError, match="passphrase"):
        mp.deidentify(exam, tmp_path / "q", key_map=tmp_path / "m2")


def test_what_describes_an_image_that_is_held_back_is_held_back(tmp_path):
    """Sidecars, gradients and dictionaries of tables go with what they are about, and no others."""
    place = tmp_path / "bids" / "sub-1" / "dwi"
    place.mkdir(parents=True)
    image = ball((40, 48, 3)).image
    voxels = image.data.astype("i2")
    good = nibabel.Nifti1Image(voxels, image.grid.affine)
    text = nibabel.Nifti1Image(written_into(voxels), image.grid.affine)
    for name, made in (("run-1_dwi", good), ("run-2_dwi", text), ("run-3_dwi", text)):
        made.to_filename(place / f"sub-1_{name}.nii.gz")
        (place / f"sub-1_{name}.json").write_text('{"EchoTime": 0.08}')
        (place / f"sub-1_{name}.bval").write_text("0 1000 1000")
        (place / f"sub-1_{name}.bvec").write_text("0 1 0\n0 0 1\n0 0 0")
    good.to_filename(place / "sub-1_run-3_dwi.nii")  # the same once more, without text
    (tmp_path / "bids" / "task-rest_bold.json").write_text('{"RepetitionTime": 2}')  # of all runs
    for table in ("participants", "sub-1/sub-1_sessions"):
        (tmp_path / "bids" / f"{table}.tsv").write_text("participant_id\tname\nsub-1\tMuster\n")
        (tmp_path / "bids" / f"{table}.json").write_text('{"age": {"Description": "of Muster"}}')
    done = mp.deidentify(tmp_path / "bids", tmp_path / "o")
    held = {h.path.name: h.why for h in done.held}
    orphans = {name for name, why in held.items() if why == "what it describes is held back"}
    assert orphans == {
        "sub-1_run-2_dwi.json", "sub-1_run-2_dwi.bval", "sub-1_run-2_dwi.bvec",
        "participants.json", "sub-1_sessions.json",
    }  # fmt: skip
    assert held["participants.tsv"].startswith("a table")
    assert "text" in held["sub-1_run-2_dwi.nii.gz"]
    assert done.report["files"]["written"] == {"JSON": 3, "NIfTI": 2, "gradients": 4}


@pytest.mark.parametrize("stdin", [io.StringIO(""), None], ids=["empty", "closed"])
def test_without_a_terminal_it_is_said_how_to_give_the_passphrase(
    exam, tmp_path, monkeypatch, capsys, stdin
):
    monkeypatch.delenv("MRIPREP_MAP_PASSPHRASE", raising=False)
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(SystemExit) as left:
        main(["deidentify", str(exam), str(tmp_path / "o"), "--map", str(tmp_path / "key.map")])
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "no terminal to ask" in said
    assert "MRIPREP_MAP_PASSPHRASE" in said
    assert not (tmp_path / "o").exists()
