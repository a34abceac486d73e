"""``mriprep fetch`` and what ``doctor`` says of weights, against a server on this machine."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from mriprep.weights import catalogue
from mriprep.weights.catalogue import Entry, File

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from file_server import serving

BODY = b"weights" * 20_000


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MRIPREP_OFFLINE", raising=False)
    with serving() as running:
        running.files["/a"] = BODY
        file = File("a.bin", f"{running.url}/a", hashlib.sha256(BODY).hexdigest(), len(BODY))
        other = File("b.bin", f"{running.url}/b", "0" * 64, 5)
        made = {
            "first": Entry("first", (file,), "A net", "brains", "MIT", "A paper", "a page"),
            "second": Entry("second", (other,), "Another", "brains", "MIT", "A paper", "a page"),
        }
        monkeypatch.setattr(catalogue, "_catalogue", lambda: made)
        yield running


def test_fetch_and_list(cli, server, tmp_path):
    said = cli("fetch", "first")
    assert said.code == 0, said.err
    assert said.out == f"first: {tmp_path / 'home' / 'first'}\n"
    assert (tmp_path / "home" / "first" / "a.bin").read_bytes() == BODY
    said = cli("fetch", "--list")
    assert said.code == 0
    assert "first (here, 0.1 MB): A net" in said.out
    assert "second (not here, 0.0 MB)" in said.out
    assert str(tmp_path / "home") in said.out


def test_to_a_folder_of_ones_own(cli, server, tmp_path):
    assert cli("fetch", "first", "--to", tmp_path / "there").code == 0
    assert (tmp_path / "there" / "first" / "a.bin").read_bytes() == BODY
    assert not (tmp_path / "home").exists()


def test_one_that_fails_does_not_keep_the_others(cli, server, tmp_path):
    said = cli("fetch", "--all")
    assert said.code == 2
    assert said.out.startswith("first: ")
    assert "'second' could not be fetched" in said.err
    assert "404" in said.err
    assert str(tmp_path / "home" / "second" / "b.bin") in said.err


def test_offline_and_wrong_names(cli, server):
    cli("fetch", "first", "--offline").refused("the network is switched off", server.url)
    cli("fetch", "frist").refused("there are no weights 'frist'", "did you mean 'first'")
    cli("fetch").refused("say which weights: first, second")
    said = cli("fetch", "--offline")  # of all, what is missing
    said.refused("the weights 'first' are not on this machine", "the weights 'second' are not")
    assert server.asked == []


def test_nothing_is_left_where_nothing_arrived(cli, server, tmp_path):
    assert cli("fetch", "second", "--to", tmp_path / "a" / "w").code == 2
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    cli("fetch", "second", "--to", tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []
