"""Downloads: resumed, checked, whole or not at all."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from file_server import serving

from mriprep.core import InputError, OutputError
from mriprep.io import download as module
from mriprep.io.download import download
from mriprep.io.hashes import file_hash

BODY = np.random.default_rng(0).bytes(700_000)
SUM = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.delenv("MRIPREP_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server():
    with serving() as running:
        running.files["/a.bin"] = BODY
        yield running


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_arrives_whole_under_its_name_alone(server, tmp_path):
    seen = []
    got = download(
        f"{server.url}/a.bin", tmp_path / "new" / "a.bin",
        checksum=SUM.upper(), size=len(BODY), progress=lambda *p: seen.append(p),
    )  # fmt: skip
    assert got == SUM == file_hash(tmp_path / "new" / "a.bin")
    assert names(tmp_path / "new") == ["a.bin"]
    assert seen[-1] == (len(BODY), len(BODY))
    assert [s[0] for s in seen] == sorted(s[0] for s in seen)


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    (tmp_path / ".a.bin.part").write_bytes(BODY[:300_000])
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM, size=len(BODY))
    assert server.asked == [("/a.bin", "bytes=300000-")]
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert names(tmp_path) == ["a.bin"]


def test_a_connection_that_breaks_off_is_taken_up_again(server, tmp_path):
    server.breaks["/a.bin"] = [400_000, 200_000]
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM)
    assert len(server.asked) == 3
    starts = [int(span[6:-1]) for _, span in server.asked[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_what_broke_off_waits_for_the_next_call(server, tmp_path):
    server.breaks["/a.bin"] = [400_000, 0, 0, 0, 0]
    with pytest.raises(InputError, match="broke off; the next try goes on from there"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM)
    (part,) = tmp_path.iterdir()
    assert part.name == ".a.bin.part"
    kept = part.stat().st_size
    assert 0 < kept <= 400_000
    assert part.read_bytes() == BODY[:kept]
    server.breaks.clear()
    server.asked.clear()
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM)
    assert server.asked == [("/a.bin", f"bytes={kept}-")]
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_server_that_knows_no_ranges_gives_it_from_the_start(server, tmp_path):
    server.ranges = False
    (tmp_path / ".a.bin.part").write_bytes(BODY[:300_000])
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM)
    assert (tmp_path / "a.bin").read_bytes() == BODY


@pytest.mark.parametrize("size", [len(BODY), None])
@pytest.mark.parametrize("beginning", [b"\0" * 1000, b"\0" * len(BODY), b"\0" * (len(BODY) + 9)])
def test_a_beginning_of_another_file_is_thrown_away(server, tmp_path, beginning, size):
    (tmp_path / ".a.bin.part").write_bytes(beginning)
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM, size=size)
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_wrong_checksum_is_told_and_leaves_what_was_good(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"good")
    server.files["/a.bin"] = other = bytes(len(BODY))
    with pytest.raises(InputError) as error:
        download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM)
    assert SUM in error.value.message
    assert hashlib.sha256(other).hexdigest() in error.value.message
    assert (tmp_path / "a.bin").read_bytes() == b"good"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("served", [BODY[:-1], b"<html>not found</html>", BODY + b"more"])
def test_another_size_is_told(server, tmp_path, served):
    server.files["/a.bin"] = served
    with pytest.raises(InputError, match="bytes"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", size=len(BODY))
    assert names(tmp_path) == []


def test_more_than_can_be_meant_is_not_stored(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 300_000)
    with pytest.raises(InputError, match="more than the 300000 bytes"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert names(tmp_path) == []


def test_a_missing_page_is_told(server, tmp_path):
    with pytest.raises(InputError, match="the server says 404 Not Found"):
        download(f"{server.url}/b.bin", tmp_path / "b.bin")
    assert names(tmp_path) == []


def test_no_network_is_told(server, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is there a network here"):
        download("http://127.0.0.1:9/a.bin", tmp_path / "a.bin")
    monkeypatch.setenv("MRIPREP_OFFLINE", "1")
    with pytest.raises(InputError, match="switches the network off"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert server.asked == []
    assert names(tmp_path) == []


def test_encryption_is_not_given_up_on_the_way(server, tmp_path, monkeypatch):
    import requests

    class Answer:
        url = "http://elsewhere/a.bin"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(requests, "get", lambda *_, **__: Answer())
    with pytest.raises(InputError, match="without encryption"):
        download("https://somewhere/a.bin", tmp_path / "a.bin")


def test_a_folder_that_cannot_be_written_to_is_told(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        download(f"{server.url}/a.bin", tmp_path / "file" / "a.bin")


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_two_processes_do_not_write_into_one_file(server, tmp_path):
    import fcntl

    with open(tmp_path / ".a.bin.part", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="being fetched by another process"):
            download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert server.asked == []
    download(f"{server.url}/a.bin", tmp_path / "a.bin", checksum=SUM)
