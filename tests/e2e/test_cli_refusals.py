"""Bad input is the same to every command: exit code 2, words that say what to do, and nothing left behind."""

from __future__ import annotations

import os

import numpy as np
import pytest
from command_line import image

import mriprep as mp

#: Commands that read an image, and write another or a folder.
OF_IMAGES = ("zscore", "resample", "deface", "run")


def nothing(folder):
    """No such file."""
    return folder / "nothing.nii.gz"


def empty(folder):
    (folder / "empty.nii.gz").touch()
    return folder / "empty.nii.gz"


def damaged(folder):
    path = mp.write(image(), folder / "damaged.nii.gz")
    path.write_bytes(path.read_bytes()[:-400])
    return path


def text(folder):
    (folder / "text.nii.gz").write_text("no image")
    return folder / "text.nii.gz"


def bare(folder):
    (folder / "bare").mkdir()
    return folder / "bare"


BAD = (nothing, empty, damaged, text, bare)


@pytest.fixture
def place(tmp_path):
    """A folder for inputs beside the outputs of a test."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.mark.parametrize("command", [*OF_IMAGES, "inspect", "plan", "convert"])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_image(cli, place, tmp_path, command, bad):
    given = bad(place)
    target = tmp_path / "new" / ("out" if command == "run" else "out.nii.gz")
    cli(command, given, *([] if command in ("inspect", "plan") else [target])).refused("")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "command",
    ["report", "view", "split", "check-leaks", "export", "fit", "verify", "freeze", "deidentify"],
)
@pytest.mark.parametrize("bad", [nothing, text, bare])
def test_a_bad_folder(cli, place, tmp_path, command, bad):
    given = bad(place)
    before = sorted(place.rglob("*"))
    more = {
        "export": ["--to", "monai", "-o", tmp_path / "new" / "x"],
        "split": ["--by", "subject", "--folds", 2],
        "fit": ["--contrast", "T1w", "--state", tmp_path / "new" / "x.json"],
        "freeze": [tmp_path / "new" / "x.recipe"],
        "deidentify": [tmp_path / "new" / "x"],
    }.get(command, [])
    first = ["nyul"] if command == "fit" else []
    cli(command, *first, given, *more).refused("")
    assert sorted(place.rglob("*")) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", OF_IMAGES)
def test_an_output_that_cannot_be(cli, place, tmp_path, command):
    """It is a file, or lies below one, or is of no kind that is written."""
    scan = mp.write(image(), place / "scan.nii.gz")
    (tmp_path / "file").write_text("mine")
    outs = [tmp_path / "file" / "x.nii.gz"]
    outs += [tmp_path / "file"] if command == "run" else [tmp_path / "x.foo", tmp_path / "x"]
    for out in outs:
        cli(command, scan, out).refused("")
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "in"]


@pytest.mark.parametrize("of", ["a scan", "a session", "many"])
def test_a_refused_run_leaves_no_folder(cli, place, tmp_path, of):
    """Whatever it is of, and however deep the folder would have been."""
    scan = mp.write(image(), place / "T1w.nii.gz")
    other = damaged(place)
    asked = {
        "a scan": [other],
        "a session": [scan, other, "--recipe", "multimodal"],
        "many": [table(place)],
    }[of]
    (*sources,) = (a for a in asked if not isinstance(a, str))
    options = [a for a in asked if isinstance(a, str)]
    cli("run", *sources, tmp_path / "a" / "b" / "out", *options).refused("")
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()  # one that was there stays
    cli("run", *sources, tmp_path / "mine", *options).refused("")
    assert list((tmp_path / "mine").iterdir()) == []


def table(folder):
    (folder / "table.csv").write_text("who,what\n1,2\n")
    return folder / "table.csv"


def test_outputs_beside_the_scan_are_noted(cli, scan, recipe, monkeypatch):
    """`mriprep run scan.nii.gz .` does what it is told, and says what that means; once."""
    monkeypatch.chdir(scan.parent)
    first = cli("run", scan.name, ".", "-r", recipe, "--no-report", "--no-quality")
    assert first.code == 0, first.err
    assert f"note: OUT is the folder of '{scan.name}'" in first.err
    assert (scan.parent / "sub-01" / "anat").is_dir()
    again = cli("run", scan.name, ".", "-r", recipe, "--no-report", "--no-quality")
    assert "OUT is the folder" not in again.err  # it is a folder of outputs by now
    apart = cli("run", scan.name, "out", "-r", recipe, "--no-report", "--no-quality")
    assert "OUT is the folder" not in apart.err
    assert np.isfinite(mp.read(scan).data).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_output(cli, place, tmp_path):
    scan = mp.write(image(), place / "scan.nii.gz")
    pipe = tmp_path / "out.nii.gz"
    os.mkfifo(pipe)
    cli("zscore", scan, pipe).refused("a pipe")
    assert pipe.is_fifo()


def test_a_run_without_out(cli):
    cli("run", "scan.nii.gz").refused("OUT is missing")


def test_jobs_are_a_number_or_auto(cli, place, tmp_path):
    cli("run", place, tmp_path / "out", "--jobs", "many").refused("neither 'auto' nor")
