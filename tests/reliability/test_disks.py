"""Disks that fail, of this machine and of networks: said in words, what was there stays, and what is written is whole."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tally
from bad_disk import Disk, failing

import mriprep as mp
from mriprep import ratings
from mriprep.cli import main as command
from mriprep.core import InputError, MriprepWarning, OutputError
from mriprep.intake import read_case
from mriprep.io.dicom import scan
from mriprep.outputs import check_spelling

RECIPE = "name: cheap\nsteps: [zscore, slices]\n"
ERRORS = {"rename": (errno.EIO, errno.ESTALE, errno.EROFS, errno.EXDEV, errno.EACCES), "write": (errno.ENOSPC, errno.EDQUOT, errno.EIO),
          "close": (errno.EDQUOT, errno.ENOSPC), "create": (errno.EROFS, errno.ESTALE, errno.EMFILE), "mkdir": (errno.EROFS, errno.ESTALE),
          "read": (errno.EIO, errno.ESTALE), "list": (errno.EIO, errno.ESTALE)}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("disks")
    rng = np.random.default_rng(0)
    data = rng.integers(0, 99, (12, 10, 5)).astype(np.int16)
    mp.write(mp.Volume(data, np.eye(4)), folder / "in" / "sub-01_T1w.nii.gz")
    (folder / "cheap.yaml").write_text(RECIPE)
    return folder


def run(place: Path, out: Path) -> int:
    """One case, by the command."""
    scan = place / "in" / "sub-01_T1w.nii.gz"
    try:
        command(
            [
                "run",
                str(scan),
                str(out),
                "--recipe",
                str(place / "cheap.yaml"),
                "--no-report",
                "--no-quality",
            ]
        )
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def whole(out: Path) -> dict[str, bytes]:
    """The files of a run, each of them whole; temporary ones are none of them."""
    found = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = path.relative_to(out).as_posix()
        assert ".part-" not in name, "a temporary file was left"
        data = path.read_bytes()
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        elif name.endswith(".json"):
            json.loads(data)
            data = b""  # it holds times
        found[name] = data
    return found


def test_a_run(place, capsys):
    """Wherever the disk fails: an exit code, words, whole files; and the next run has them all."""
    usual = place / "usual"
    with failing(Disk(place)) as disk:
        assert run(place, usual) == 0
    wanted = whole(usual)
    assert sum(n.endswith(".png") for n in wanted) > 1
    for kind, errors in ERRORS.items():
        count = disk.seen[kind]
        tried = range(count) if tally.LONG else sorted({0, count // 2, count - 1})
        for number in tried:
            error = errors[number % len(errors)]
            for before in (False, True) if tally.LONG or number == 0 else (False,):
                out = place / f"out-{kind}-{number}-{before}"
                if before:
                    shutil.copytree(usual, out)
                capsys.readouterr()
                with failing(Disk(place, kind, number, error)) as bad:
                    code = run(place, out)
                said = capsys.readouterr().err
                about = (kind, number, errno.errorcode[error], code, said)
                if not bad.failed:  # where files are there already, fewer are written
                    assert before, about
                    shutil.rmtree(out)
                    continue
                assert ".part-" not in said, about
                assert "fault of mriprep" not in said, about
                assert code != 0 or whole(out) == wanted, about  # it is told, or it did not matter
                if code:
                    assert os.strerror(error) in said or "cannot be" in said, about
                there = whole(out)
                assert there.items() <= wanted.items(), about
                if before:
                    assert {n for n in wanted if not n.startswith("sub-01/slices")} <= set(there), (
                        about
                    )
                assert run(place, out) == 0, about
                assert whole(out) == wanted, about
                shutil.rmtree(out)
                tally.case()


def test_an_export(place, capsys):
    """An export is there whole, or the one before it is."""
    made = place / "made"
    assert run(place, made) == 0
    out = place / "export"
    call = ["export", str(made), "--to", "slices", "--output", str(out), "--force"]

    def export() -> int:
        try:
            command(call)
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    with failing(Disk(place)) as disk:
        assert export() == 0
    wanted = sorted(p.relative_to(out) for p in out.rglob("*"))
    for kind in ("rename", "write", "close", "create", "mkdir", "read"):
        for number in sorted({0, disk.seen[kind] // 2, disk.seen[kind] - 1}):
            capsys.readouterr()
            with failing(Disk(place, kind, number, errno.EIO)) as bad:
                code = export()
            said = capsys.readouterr().err
            about = (kind, number, code, said)
            assert bad.failed, about
            assert "fault of mriprep" not in said, about
            if not code:  # as where a folder is there already
                assert kind == "mkdir", about
            assert sorted(p.relative_to(out) for p in out.rglob("*")) == wanted, about
            assert not [p for p in place.iterdir() if p.name.startswith(".export")], about
            tally.case()
    shutil.rmtree(out)


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_slice_that_the_disk_does_not_give(tmp_path, monkeypatch, error):
    """It is not there for now: that is no slice that is missing, which would be filled in."""
    for i in range(30):
        (tmp_path / f"{i}.dcm").write_bytes(bytes(128) + b"DICM")
    real = os.open

    def opened(path, *more, **named):
        if os.fspath(path).endswith("17.dcm"):
            raise OSError(error, os.strerror(error), path)
        return real(path, *more, **named)

    monkeypatch.setattr(os, "open", opened)
    tally.case()
    with pytest.raises(InputError, match=re.escape(os.strerror(error))):
        scan(tmp_path)


def test_tables_that_the_disk_does_not_give(tmp_path):
    """An age that cannot be seen is told of: a template goes by it."""
    path = mp.write(mp.Volume(np.ones((3, 4, 5), "i2"), np.eye(4)), tmp_path / "sub-01_T1w.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t7\n")
    (tmp_path / "sub-01_T1w.json").write_text('{"EchoTime": 0.003}')
    assert read_case(path).facts["age"] == 7
    real = Path.open

    def opened(self, *more, **named):
        if self.name == "participants.tsv":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(self, *more, **named)

    tally.case()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.warns(MriprepWarning, match=r"participants\.tsv cannot be read"):
            assert "age" not in read_case(path).facts


@pytest.mark.parametrize(
    ("there", "new", "fits"),
    [(["sub-A"], "sub-a", False), (["sub-a"], "sub-a", True), (["sub-A", "sub-a"], "sub-a", True), ([], "sub-a", True),
     (["sub-\u00e9"], "sub-e\u0301", True), (["sub-STRASSE"], "sub-stra\u00dfe", False)],
)  # fmt: skip
def test_a_disk_that_takes_names_for_one(tmp_path, monkeypatch, there, new, fits):
    """A case whose folder the disk says is there already, as another one's, is not written into it."""
    for name in there:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(os.path, "exists", lambda _: bool(there))  # as such a disk answers
    tally.case()
    if fits:
        check_spelling(tmp_path / new)
    else:
        with pytest.raises(InputError, match="one name"):
            check_spelling(tmp_path / new)


def test_no_two_outputs_of_a_run_differ_by_case_alone(place):
    out = place / "cased"
    assert run(place, out) == 0
    names = [p.relative_to(out).as_posix() for p in out.rglob("*")]
    assert len({unicodedata.normalize("NFC", n).casefold() for n in names}) == len(names) > 5
    tally.case()


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_ratings_on_a_disk_without_locks(tmp_path, monkeypatch, error):
    """A rating is a row at the end, in one call: where there are no locks, that must do."""
    import fcntl

    def no_locks(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    for rating in ("pass", "fail"):
        ratings.append(tmp_path, ratings.Rating("sub-01", "T1w", rating))
    assert [r.rating for r in ratings.read(tmp_path)] == ["fail"]
    tally.case()


@pytest.mark.parametrize("error", [errno.EIO, errno.EDQUOT, errno.ESTALE])
def test_a_rating_that_does_not_reach_the_disk(tmp_path, monkeypatch, error):
    """It is told, and what stood there stands."""
    ratings.append(tmp_path, ratings.Rating("sub-01", "T1w", "pass"))

    def fails(_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OutputError, match=re.escape(os.strerror(error))):
        ratings.append(tmp_path, ratings.Rating("sub-02", "T1w", "pass"))
    assert "sub-01" in {r.case for r in ratings.read(tmp_path)}
    tally.case()
