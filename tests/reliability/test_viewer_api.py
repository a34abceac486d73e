"""Requests that fit the viewer's API, and those that just do not, by Schemathesis: answers as described, in the token's keeping."""

from __future__ import annotations

import pytest
import schemathesis
import tally
import viewer_api
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import unsupported_method

from viewer_scene import outputs, serving

SECRET = b"the secret of another folder"

schema = schemathesis.openapi.from_dict(viewer_api.described())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = outputs(tmp_path_factory.mktemp("api") / "out")
    (folder / "qc.json").write_text('{"images": []}')
    for name in ("secret.json", "secret.html", "secret.tsv"):
        (folder.parent / name).write_bytes(SECRET)
    (folder / "link.json").symlink_to(folder.parent / "secret.json")
    (folder / "up").symlink_to(folder.parent)
    with serving(folder) as server:
        yield server


@schema.parametrize()
@settings(max_examples=tally.examples(25), deadline=None, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
def test_as_described(case, server):
    def ask(cookies: dict[str, str]):
        tally.case()
        case.cookies = {}  # a call adds to them
        return case.call(
            headers={"Origin": server.origin}, base_url=server.origin, cookies=cookies, timeout=20
        )

    keys = server.keys
    said = ask({keys.cookie: keys.value})
    assert SECRET not in said.content
    # Before it looks for what is asked, the guard refuses methods that could write: not with 405.
    case.validate_response(said, excluded_checks=[unsupported_method])
    if case.operation.path in viewer_api.OPEN:
        return
    for cookies in ({}, {keys.cookie: "0" * 64}, {keys.cookie: keys.pages_value}):
        alone = ask(cookies)
        assert alone.request.headers.get("cookie", "") == "".join(
            f"{k}={v}" for k, v in cookies.items()
        )
        assert 400 <= alone.status_code < 500
        assert alone.status_code in (401, 403, 415), (case, alone.status_code)
        assert len(alone.content) < 300


@pytest.mark.parametrize("path", ["/out/a%0A", "/nowhere", "/api/images/a/b/c"])
def test_where_no_route_is(server, path):
    said = server.ask(path)
    assert said.status == 404
    assert said.data["error"]
    tally.case()


def test_all_is_described(server, tmp_path):
    """Each address that answers something has its line in the description."""
    from mriprep.viewer.app import Viewer

    assert len(viewer_api.described()["paths"]) == len(viewer_api.GOOD)
    assert len(Viewer(tmp_path, server.keys).routes()) == len(viewer_api.GOOD)
