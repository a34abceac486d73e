"""Requests of any shape to the viewer: an answer below 500, and nothing from outside of its folder."""

from __future__ import annotations

import contextlib
import json
import socket

import hypothesis.strategies as st
import pytest
import tally
from hypothesis import HealthCheck, given, settings

from viewer_scene import serving

SECRET = b"the secret of another folder"
HOW = {"suppress_health_check": list(HealthCheck), "deadline": None, "database": None}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewed") / "out"
    (folder / "sub-01").mkdir(parents=True)
    (folder / "qc.tsv").write_text("case\n")
    for name in ("secret.json", "secret.html", "secret.tsv", "out-secret.json"):
        (folder.parent / name).write_bytes(SECRET)
    (folder / "link.json").symlink_to(folder.parent / "secret.json")
    (folder / "up").symlink_to(folder.parent)
    with serving(folder) as server:
        yield server


def raw(server, data: bytes, *, whole: bool = False) -> bytes:
    """Send bytes, and what comes back; of a whole request the server itself ends the talk."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(data)
        if not whole:
            line.shutdown(socket.SHUT_WR)
        said = b""
        while part := line.recv(65536):
            said += part
    return said


PIECES = st.sampled_from(["..", "%2e%2e", "%252e%252e", ".", "", "/", "//", "\\", "%5c", "%2f", "%00", "secret.json",
                          "secret.html", "secret.tsv", "link.json", "up", "sub-01", "qc.tsv", "etc", "passwd", "proc",
                          "self", "environ", "%c0%ae%c0%ae", "..;", "~", "C:", "%ff", "?", "#", "a" * 400, "out",
                          "out-secret.json"])  # fmt: skip


@settings(max_examples=tally.examples(150), **HOW)
@given(st.sampled_from(["/out/", "/static/", "/api/images/", "/"]), st.lists(PIECES, max_size=9))
def test_no_way_out(server, start, pieces):
    tally.case()
    target = start + "/".join(pieces)
    ask = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {server.cookie}\r\nConnection: close\r\n\r\n"
    said = raw(server, ask.encode(), whole=True)
    assert said.startswith(b"HTTP/1.1 ")
    assert int(said.split()[1]) < 500, (target, said[:300])
    assert SECRET not in said
    assert b"root:" not in said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
RATING = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("case", "contrast", "rating", "note", "rater", "other"), JSON)
)


@settings(max_examples=tally.examples(100), **HOW)
@given(
    st.sampled_from(["/api/ratings", "/api/enter", "/api/images", "/out/a.json", "/"]),
    st.sampled_from(["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]),
    st.one_of(JSON.map(lambda v: json.dumps(v).encode()), RATING.map(lambda v: json.dumps(v).encode()),
              st.binary(max_size=200), st.just(b"[" * 16_000), st.just(b"1" * 16_000)),
)  # fmt: skip
def test_what_is_sent(server, path, method, body):
    tally.case()
    said = server.ask(path, method, body)
    assert 400 <= said.status < 500, (path, method, body, said.status)


@settings(max_examples=tally.examples(60), **HOW)
@given(st.binary(max_size=300), st.booleans())
def test_bytes_that_are_no_request(server, data, begun):
    tally.case()
    raw(server, (b"GET / HTTP/1.1\r\n" if begun else b"") + data + b"\r\n\r\n")
    assert server.ask("/api/images").status == 200  # it goes on


@pytest.mark.parametrize("size", [10**5, 10**7])
def test_huge_requests(server, size):
    tally.case(3)
    lead = f"POST /api/ratings HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    for data in (f"GET /{'a' * size} HTTP/1.1\r\n\r\n", f"{lead}X: {'a' * size}\r\n\r\n"):
        try:
            said = raw(server, data.encode())
        except OSError:  # it hung up while we were sending
            said = b""
        assert not said or said.split()[1].startswith(b"4")
    with contextlib.suppress(OSError):  # as above
        assert server.ask("/api/ratings", "POST", b" " * size).status == 413
    assert server.ask("/api/images").status == 200


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "http://127.0.0.1:1", "file://", "http://localhost.evil"],
)
@pytest.mark.parametrize("path", ["/api/ratings", "/api/enter"])
def test_other_origins(server, origin, path):
    tally.case()
    assert server.ask(path, "POST", b"{}", Origin=origin).status == 403
    assert (
        server.ask("/api/images", Origin=origin).headers.get("access-control-allow-origin") is None
    )
