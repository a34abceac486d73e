"""``mriprep view``: how it begins, what it refuses, how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys

import pytest
import requests

from mriprep.viewer.app import STATIC
from viewer_scene import quality

built = pytest.mark.skipif(
    not (STATIC / "index.html").is_file(),
    reason="the viewer's page is not built: make web (needs Node.js)",
)


@pytest.fixture
def out(tmp_path):
    quality("sub-01", "T1w", tmp_path / "out", verdict="look", site="A")
    return tmp_path / "out"


@built
def test_from_the_address_to_the_end(out):
    command = [sys.executable, "-m", "mriprep", "view", out, "--port", "0", "--no-browser"]
    with subprocess.Popen([*command, "--rater", "ann"], stdout=subprocess.PIPE, text=True) as child:
        try:
            first = child.stdout.readline()
            url, token = re.search(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)", first).groups()
            assert len(token) >= 43
            visitor = requests.Session()
            assert visitor.get(f"{url}/api/images").status_code == 401
            answer = visitor.post(
                f"{url}/api/enter", json={"token": token}, headers={"Origin": url}
            )
            assert answer.status_code == 200
            assert visitor.get(f"{url}/api/images").json()["rater"] == "ann"
        finally:
            child.send_signal(signal.SIGINT)
        rest = child.stdout.read()
    assert child.returncode == 0
    assert rest.endswith("the viewer has ended\n")


@built
def test_a_port_that_is_taken(cli, out):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = cli("view", out, "--port", port, "--no-browser")
    said.refused(f"cannot listen at 127.0.0.1, port {port}", "--port 0")


@built
@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "scanner.example", "::"])
def test_other_addresses_must_be_allowed(cli, out, host):
    said = cli("view", out, "--host", host, "--no-browser")
    said.refused("not this machine's own address", "--allow-remote")


def test_without_the_page(cli, out, monkeypatch, tmp_path):
    monkeypatch.setattr("mriprep.viewer.app.STATIC", tmp_path / "nothing")
    said = cli("view", out, "--no-browser")
    said.refused("page is not built", "make web")
    assert "Reports need none of it" in said.err


def test_folders_that_cannot_be_viewed(cli, out, tmp_path):
    cli("view", tmp_path / "nothing").refused("does not exist")
    cli("view", out / "sub-01").refused("no images of mriprep", "mriprep run")
    (out / "ratings.tsv").write_text("a\n")
    cli("view", out).refused("no table of ratings", "move the file away")
    (out / "ratings.tsv").unlink()
    cli("view", out, "--rater", "a/b").refused("cannot be a rater's name")
    assert json.loads(next(out.rglob("*.json")).read_text())["verdict"] == "look"
