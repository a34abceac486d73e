"""The viewer's server: who is let in, what is served, what is refused."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

import mriprep as mp
from mriprep import ratings
from mriprep.qc.metrics import METRICS
from mriprep.viewer.app import LARGEST, STATIC
from viewer_scene import outputs, quality, serving

MASK = "sub-01/anat/sub-01_space-MNI152NLin2009aSym_res-4mm_desc-brain_mask.nii.gz"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = outputs(tmp_path_factory.mktemp("cohort") / "out")
    (folder.parent / "secret.json").write_text('{"secret": 1}')
    (folder / "link.json").symlink_to(folder.parent / "secret.json")
    (folder / "up").symlink_to(folder.parent)
    (folder / "inside.json").symlink_to(folder / "sub-02" / "anat" / "sub-02_T1w_quality.json")
    (folder / "disguised.json").symlink_to(folder / "script.py")
    (folder / "script.py").write_text("secret = 1")
    (folder / ".hidden.json").write_text("{}")
    (folder / "odd name #1.json").write_text('{"odd": 1}')
    (folder / "folder.json").mkdir()
    logs = folder / "runs" / "20260101" / "logs"
    logs.mkdir(parents=True)
    (logs / "sub-03.log").write_text("<b>no brain</b>")
    (folder / "mine.log").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def server(cohort):
    with serving(cohort, rater="ann") as server:
        yield server


# -- who is let in ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/api/images", "/api/images/sub-01_T1w", "/api/images/sub-01_T1w/template", f"/out/{MASK}",
     "/out/sub-01_T1w.html", "/out/qc.tsv", "/nothing", "/out/"],
)  # fmt: skip
@pytest.mark.parametrize("cookie", [None, "", "mriprep-view={}", "{name}=wrong", "{name}={token}x"])
def test_nothing_without_the_cookie(server, path, cookie):
    if cookie is not None:
        cookie = cookie.format("x", name=server.keys.cookie, token=server.keys.value)
    said = server.ask(path, Cookie=cookie)
    assert said.status == 401
    assert "mriprep view" in said.data["error"]


def test_rating_needs_the_cookie(server, cohort):
    body = json.dumps(
        {"case": "sub-01", "contrast": "T1w", "rating": "pass", "rater": "r"}
    ).encode()
    assert server.ask("/api/ratings", "POST", body, Cookie=None).status == 401
    assert not (cohort / "ratings.tsv").exists()


def enter(server, token, **headers):
    return server.ask(
        "/api/enter", "POST", json.dumps({"token": token}).encode(), Cookie=None, **headers
    )


def test_the_token_gives_the_cookie(server):
    said = enter(server, server.keys.token)
    assert said.status == 200
    everything, pages = said.cookies
    assert everything.startswith(f"{server.keys.cookie}=")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(everything.split("; "))
    assert {"HttpOnly", "Path=/out/", "SameSite=lax"} <= set(pages.split("; "))
    assert server.keys.token not in everything + pages
    assert server.ask("/api/images", Cookie=everything.split(";")[0]).status == 200


@pytest.mark.parametrize("token", ["", "wrong", "ä", "x" * 201, None, 1])
def test_a_wrong_token_gives_none(server, token):
    said = enter(server, token)
    assert said.status in (403, 422)
    assert said.cookies == []


def test_a_token_for_one_use(server):
    once = server.keys.once()
    assert enter(server, once).status == 200
    assert enter(server, once).status == 403


def test_the_cookie_of_reports_is_good_for_reports_alone(server):
    cookie = f"{server.keys.pages_cookie}={server.keys.pages_value}"
    assert server.ask("/out/sub-01_T1w.html", Cookie=cookie).status == 200
    assert server.ask(f"/out/{MASK}", Cookie=cookie).status == 401
    assert server.ask("/api/images", Cookie=cookie).status == 401
    wrong = f"{server.keys.cookie}={server.keys.pages_value}"
    assert server.ask("/api/images", Cookie=wrong).status == 401


@pytest.mark.parametrize("path", ["/", "/api/images", "/static/app.js"])
@pytest.mark.parametrize("host", [None, "evil.example", "evil.example:80", "127.0.0.1.evil.example",
                                  "10.0.0.1", "[2001:db8::1]:80", ""])  # fmt: skip
def test_other_names_are_refused(server, path, host):
    assert server.ask(path, Host=host).status in (400, 403)


@pytest.mark.parametrize(
    "host",
    ["localhost:1/static/x?", "127.0.0.1/static/x?", "localhost:80/?", "localhost:80#", "a@localhost",
     "localhost:", "localhost:1:2", "localhost:x", "[::1]:80/static/", "[::1", "localhost/static/"],
)  # fmt: skip
def test_a_name_that_passes_for_an_open_address(server, host):
    """Addresses put together with the Host header would have the path that it brings along."""
    assert server.ask("/api/images", Host=host, Cookie=None).status in (400, 401, 403)
    assert server.ask("/api/images", Host=host).status in (400, 403)


@pytest.mark.parametrize(
    "host", ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:8742", "127.0.0.9"]
)
def test_names_of_this_machine_are_not(server, host):
    assert server.ask("/api/images", Host=host).status == 200  # a tunnel has a port of its own


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1", ""])
def test_writing_from_elsewhere_is_refused(server, cohort, origin):
    body = json.dumps(
        {"case": "sub-01", "contrast": "T1w", "rating": "pass", "rater": "r"}
    ).encode()
    assert server.ask("/api/ratings", "POST", body, Origin=origin).status == 403
    assert not (cohort / "ratings.tsv").exists()


def test_headers_keep_browsers_strict(server):
    for path in ("/", "/api/images", f"/out/{MASK}", "/nothing"):
        said = server.ask(path)
        policy = said.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert said.headers["x-content-type-options"] == "nosniff"
        assert said.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in said.headers


def test_reports_run_in_a_sandbox(server):
    policy = server.ask("/out/sub-01_T1w.html").headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy  # default-src 'none' is for them too
    assert "default-src 'none'" in policy


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "../secret.json", "..%2fsecret.json", "%2e%2e/secret.json", "%2e%2e%2fsecret.json",
        "sub-01/../../secret.json", "sub-01/%2e%2e/%2e%2e/secret.json", "..%252fsecret.json",
        "/secret.json", "%2fetc%2fpasswd.json", "//etc/hosts.json", "..%5csecret.json",
        "sub-01_T1w.html%00.json", "%00", "", ".", "sub-01", "sub-01/", "sub-01/anat/",
        "link.json", "up/secret.json", "disguised.json", "script.py", ".hidden.json", "folder.json",
        "ratings.tsv/", "nothing.json", "a" * 5000 + ".json",
    ],
)  # fmt: skip
def test_what_is_not_served(server, path):
    said = server.ask(f"/out/{path}")
    assert said.status in (307, 400, 404)
    assert b"secret =" not in said.body
    assert b'"secret"' not in said.body


def test_logs_of_cases_are_served_as_text(server):
    """The page of all images links to them; logs that lie elsewhere are not its."""
    cookie = f"{server.keys.pages_cookie}={server.keys.pages_value}"
    said = server.ask("/out/runs/20260101/logs/sub-03.log", Cookie=cookie)
    assert said.status == 200
    assert said.headers["content-type"] == "text/plain; charset=utf-8"
    assert said.headers["x-content-type-options"] == "nosniff"
    assert server.ask("/out/runs/20260101/logs/sub-03.log", Cookie=None).status == 401
    for elsewhere in ("mine.log", "runs/mine.log", "runs/20260101/sub-03.log"):
        assert server.ask(f"/out/{elsewhere}").status == 404


def test_what_is_served(server, cohort):
    said = server.ask(f"/out/{MASK}")
    assert said.body == (cohort / MASK).read_bytes()
    assert said.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in said.headers
    assert gzip.decompress(said.body)[344:352]
    assert server.ask("/out/inside.json").data["case"] == "sub-02"  # links within the folder
    assert server.ask("/out/odd%20name%20%231.json").data == {"odd": 1}


def test_parts_and_what_has_not_changed(server, cohort):
    whole = server.ask(f"/out/{MASK}")
    part = server.ask(f"/out/{MASK}", Range="bytes=10-19")
    assert (part.status, part.body) == (206, whole.body[10:20])
    again = server.ask(f"/out/{MASK}", If_None_Match=whole.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    head = server.ask(f"/out/{MASK}", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) == len(whole.body)


def test_static_files_are_those_of_the_page(server):
    assert server.ask("/static/app.js").status == (200 if (STATIC / "app.js").is_file() else 404)
    for name in ("app.py", "../app.py", "%2e%2e%2fapp.py", "index.html"):
        assert server.ask(f"/static/{name}").status == 404


# -- images and ratings -----------------------------------------------------------------------------


def test_the_list(server):
    told = server.ask("/api/images").data
    assert told["rater"] == "ann"
    assert [i["id"] for i in told["images"]][:2] == ["sub-02_T1w", "sub-03_T1w"]
    assert server.ask("/api/images/sub-02_T1w").data["reasons"][0]["code"] == "snr-low"
    assert server.ask("/api/images/..%2f..").status == 404
    assert server.ask("/api/images/sub-99_T1w").status == 404


def test_what_metrics_mean(server):
    told = server.ask("/api/images").data["metrics"]
    assert set(told) == set(METRICS)
    assert told["cjv"]["title"] == METRICS["cjv"].title
    assert told["cjv"]["meaning"].endswith("(lower is better)")
    assert any(m["unit"] == "mm" for m in told.values())


def test_the_page_of_all_images(tmp_path):
    out = tmp_path / "out"
    for n in (1, 2):
        quality(f"sub-0{n}", "T1w", out, verdict="look", site="A")
    with serving(out) as server:
        assert server.ask("/api/images").data["overview"] is None
        mp.report(out)
        page = out / "index.html"
        (tmp_path / "secret.webp").write_bytes(b"secret")
        (out / "figures").mkdir()
        (out / "figures" / "a b.webp").write_bytes(b"picture")
        (out / "figures" / "up.webp").symlink_to(tmp_path / "secret.webp")
        pictures = ["figures/a%20b.webp", "figures/up.webp", "figures/../../secret.webp"]
        page.write_text("".join(f'<img src="{p}">' for p in pictures) + page.read_text())
        assert server.ask("/api/images").data["overview"] == "index.html"
        cookie = f"{server.keys.pages_cookie}={server.keys.pages_value}"
        said = server.ask("/out/index.html", Cookie=cookie)
        inside = base64.b64encode(b"picture").decode()
        whole = page.read_text().replace(pictures[0], f"data:image/webp;base64,{inside}")
        assert said.body.decode() == whole
        assert said.headers["content-type"] == "text/html; charset=utf-8"
        assert said.headers["content-security-policy"].startswith("sandbox ")
        assert server.ask("/out/qc.tsv", Cookie=cookie).status == 200  # it links to them
        assert server.ask("/out/qc.json", Cookie=cookie).status == 200
        assert server.ask("/out/figures/a%20b.webp", Cookie=cookie).status == 401
        assert server.ask("/out/index.html", Cookie=None).status == 401
        page.write_bytes(b"\xff")
        assert "mriprep report" in server.ask("/out/index.html").data["error"]


def test_the_template_of_an_image(server):
    said = server.ask("/api/images/sub-01_T1w/template")
    assert gzip.decompress(said.body)[344:347] == b"n+1"
    assert server.ask("/api/images/sub-03_T1w/template").status == 404


def test_rating(tmp_path):
    quality("sub-01", "T1w", tmp_path, verdict="look", site="A")
    with serving(tmp_path) as server:
        assert server.rate(rating="fail", note="a\tb\nc", rater="Jo Ö").status == 201
        assert server.rate(rating="pass", rater="Jo Ö").status == 201
        (said,) = ratings.read(tmp_path)
        assert (said.rating, said.rater) == ("pass", "Jo Ö")
        assert server.ask("/api/images").data["ratings"] == [vars(said)]
        quality("sub-02", "T1w", tmp_path, verdict="look", site="A")  # a cohort that is under way
        assert server.rate(case="sub-02").status == 201


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"rating": "good"}, 422), ({"rating": None}, 422), ({"case": "sub-99"}, 404),
        ({"case": "../sub-01"}, 404), ({"case": 1}, 422), ({"contrast": "T2w"}, 404),
        ({"rater": ""}, 422), ({"rater": "a\tb"}, 422), ({"rater": "x" * 41}, 422),
        ({"note": "x" * 2001}, 422), ({"note": ["x"]}, 422), ({"more": 1}, 422),
        ({"time": "2026-01-01"}, 422),
    ],
)  # fmt: skip
def test_what_is_no_rating(server, cohort, changed, status):
    said = server.rate(**changed)
    assert said.status == status
    assert said.data["error"]
    assert not (cohort / "ratings.tsv").exists()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 9000])
def test_what_is_no_json(server, body):
    assert server.ask("/api/ratings", "POST", body).status in (400, 422)


def test_what_is_too_large(server):
    assert server.ask("/api/ratings", "POST", b" " * (LARGEST + 1)).status == 413
    assert server.ask("/api/enter", "POST", b" " * (LARGEST + 1), Cookie=None).status == 413


def test_other_content_and_methods(server):
    assert server.ask("/api/ratings", "POST", b"{}", Content_Type="text/plain").status == 415
    for method in ("PUT", "DELETE", "PATCH"):
        assert server.ask("/api/ratings", method, b"{}").status == 405
    assert server.ask("/api/images", "POST", b"{}").status == 405


def test_a_table_that_cannot_be_added_to_is_told(tmp_path):
    quality("sub-01", "T1w", tmp_path, verdict="look", site="A")
    with serving(tmp_path) as server:
        (tmp_path / "ratings.tsv").write_text("a\tb\n")
        said = server.rate()
        assert said.status == 422
        assert "no table of ratings" in said.data["error"]
        assert server.ask("/api/images").status == 500


def test_from_other_machines_names_and_addresses(tmp_path):
    quality("sub-01", "T1w", tmp_path, verdict="look", site="A")
    with serving(tmp_path, remote=True, names=["scanner.example"]) as server:
        assert server.ask("/api/images", Host="10.1.2.3:80").status == 200
        assert server.ask("/api/images", Host="Scanner.example").status == 200
        assert server.ask("/api/images", Host="evil.example").status == 403
        assert server.ask("/api/images", Host="10.1.2.3:80", Cookie=None).status == 401
