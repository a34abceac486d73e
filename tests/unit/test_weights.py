"""Weights of networks: the catalogue, finding them, fetching them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import sys
import warnings
import zipfile

import pytest
from file_server import serving

from mriprep import weights
from mriprep.core import EngineMissing, InputError, MriprepWarning, OutputError, RecipeError
from mriprep.weights import catalogue
from mriprep.weights.catalogue import Entry, File
from mriprep.weights.find import PINS, how_to_get, pins

ONE, TWO = b"one" * 1000, b"two" * 5000


def digest(data):
    return hashlib.sha256(data).hexdigest()


def packed(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


NET = {"plans.json": b"{}", "fold_all/final.pth": b"weights" * 99}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server, and a catalogue of three networks that it has."""
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MRIPREP_OFFLINE", raising=False)
    with serving() as running:
        running.files.update({"/one": ONE, "/two": TWO, "/net.zip": packed(NET)})
        made = {
            "pair": Entry("pair", (
                File("one.bin", f"{running.url}/one", digest(ONE), len(ONE)),
                File("two.bin", f"{running.url}/two", digest(TWO), len(TWO)),
            ), licence="MIT"),
            "single": Entry("single", (File("one.bin", f"{running.url}/one", digest(ONE)),)),
            "net": Entry("net", (
                File("net.zip", f"{running.url}/net.zip", None, None, tuple(NET)),
            ), licence="CC BY 4.0"),
        }  # fmt: skip
        monkeypatch.setattr(catalogue, "_catalogue", lambda: made)
        yield running


def test_the_catalogue_says_all_that_matters():
    assert weights.names() == ["hd-bet", "mindgrab", "synthstrip"]
    for name in weights.names():
        entry = weights.describe(name)
        assert all((entry.title, entry.use, entry.licence))
        assert "doi:10." in entry.citation
        for file in (*entry.files,):
            assert file.url.startswith("https://")
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert entry.wanted
    with pytest.raises(RecipeError, match="no weights 'mindgrub'") as error:
        weights.describe("mindgrub")
    assert "did you mean 'mindgrab'" in error.value.hint


def test_the_published_mindgrab_is_recognised(data, monkeypatch, tmp_path):
    shutil.copytree(data / "models" / "mindgrab", tmp_path / "mindgrab")
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path))
    found = weights.find("mindgrab")
    told = weights.facts("mindgrab", found)
    assert told["weights_checked"] == "published"
    assert told["weights_licence"] == "MIT"
    sizes = {f.name: f.size for f in weights.describe("mindgrab").files}
    assert sizes == {f: (found / f).stat().st_size for f in told["weights_files"]}


def test_what_is_missing_is_told_with_address_place_and_command(server, tmp_path):
    with pytest.raises(EngineMissing, match=r"'pair' are not on this machine") as error:
        weights.find("pair")
    hint = error.value.hint
    for part in (f"{server.url}/one", digest(ONE), str(tmp_path / "home" / "pair" / "two.bin"),
                 "mriprep fetch pair", "MRIPREP_WEIGHTS", "--weights"):  # fmt: skip
        assert part in hint
    assert server.asked == [], "nothing is fetched unasked"
    assert not weights.is_here("pair")
    assert "--offline`, which unpacks it" in how_to_get(weights.describe("net"), tmp_path)


def test_fetched_once_and_found(server, tmp_path):
    seen = []
    folder = weights.fetch("pair", progress=lambda *p: seen.append(p))
    assert folder == tmp_path / "home" / "pair" == weights.find("pair")
    assert weights.is_here("pair")
    assert {s[0] for s in seen} == {"one.bin", "two.bin"}
    assert seen[-1] == ("two.bin", len(TWO), len(TWO))
    assert sorted(p.name for p in folder.iterdir()) == ["one.bin", "two.bin"]
    assert weights.facts("pair", folder) == {
        "weights": "pair",
        "weights_files": {"one.bin": digest(ONE), "two.bin": digest(TWO)},
        "weights_licence": "MIT",
        "weights_checked": "published",
    }
    server.asked.clear()
    assert weights.fetch("pair") == folder
    assert weights.fetch("pair", offline=True) == folder
    assert server.asked == []


def test_a_single_file_is_found_as_that_file(server, tmp_path):
    weights.fetch("single", to=tmp_path / "there")
    with pytest.raises(EngineMissing):
        weights.find("single")
    path = tmp_path / "there" / "single" / "one.bin"
    for given in (path, str(path), path.parent, tmp_path / "there"):
        assert weights.find("single", given) == path


def test_the_cache_is_looked_in_last(server, tmp_path, monkeypatch):
    monkeypatch.delenv("MRIPREP_WEIGHTS")
    cache = weights.home()
    weights.fetch("single")
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path / "home"))
    assert weights.find("single") == cache / "single" / "one.bin"
    weights.fetch("single")
    assert weights.find("single") == tmp_path / "home" / "single" / "one.bin"


def test_a_changed_file_is_refused_and_fetched_anew(server, tmp_path):
    folder = weights.fetch("pair")
    (folder / "two.bin").write_bytes(b"tow" * 5000)
    with pytest.raises(EngineMissing) as error:
        weights.find("pair")
    assert digest(TWO) in error.value.message
    assert digest(b"tow" * 5000) in error.value.message
    server.asked.clear()
    weights.fetch("pair")
    assert [path for path, _ in server.asked] == ["/two"]
    assert weights.is_here("pair")


def test_a_wrong_file_on_the_server_removes_nothing(server, tmp_path):
    server.files["/two"] = b"x" * len(TWO)
    with pytest.raises(EngineMissing) as error:
        weights.fetch("pair")
    assert digest(TWO) in error.value.message
    assert digest(b"x" * len(TWO)) in error.value.message
    assert f"{server.url}/two" in error.value.hint
    assert (tmp_path / "home" / "pair" / "one.bin").read_bytes() == ONE
    assert not (tmp_path / "home" / "pair" / "two.bin").exists()


@pytest.mark.parametrize("variable", [True, False])
def test_offline_says_what_is_missing(server, monkeypatch, variable):
    if variable:
        monkeypatch.setenv("MRIPREP_OFFLINE", "1")
    with pytest.raises(EngineMissing, match="the network is switched off") as error:
        weights.fetch("pair", offline=not variable)
    assert f"{server.url}/one" in error.value.hint
    assert server.asked == []


def test_files_of_ones_own_are_used_and_said(server, tmp_path):
    own = tmp_path / "own.bin"
    own.write_bytes(b"trained anew")
    with pytest.warns(MriprepWarning, match="weights of your own are used"):
        assert weights.find("single", own) == own
    assert weights.facts("single", own)["weights_checked"] == "not"
    assert weights.facts("single", own)["weights_files"] == {"own.bin": digest(b"trained anew")}
    for given in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError):
            weights.find("single", given)


def test_an_archive_without_a_published_checksum_is_pinned(server, tmp_path):
    with pytest.warns(MriprepWarning, match=r"no SHA-256 of it is published") as caught:
        folder = weights.fetch("net")
    archive = digest(server.files["/net.zip"])
    assert archive in str(caught[0].message)
    assert {w: (folder / w).read_bytes() for w in NET} == NET
    assert sorted(p.name for p in folder.iterdir()) == ["fold_all", PINS, "plans.json"]
    assert pins(folder) == {"net.zip": archive, **{k: digest(v) for k, v in NET.items()}}
    assert weights.facts("net", weights.find("net"))["weights_checked"] == "pinned"
    server.asked.clear()
    weights.fetch("net")
    assert server.asked == []
    (folder / "plans.json").write_bytes(b"[]")
    with pytest.raises(EngineMissing, match=digest(b"[]")):
        weights.find("net")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights.fetch("net")
    assert weights.is_here("net")
    # Another archive in its place later on is not the one that was trusted.
    (folder / "plans.json").unlink()
    server.files["/net.zip"] = packed({**NET, "plans.json": b"other"})
    with pytest.raises(EngineMissing, match=archive):
        weights.fetch("net")
    assert (folder / "fold_all/final.pth").read_bytes() == NET["fold_all/final.pth"]


def test_an_archive_put_there_by_hand_is_unpacked_offline(server, tmp_path):
    folder = tmp_path / "home" / "net"
    folder.mkdir(parents=True)
    inside = {f"release/{name}": data for name, data in NET.items()}
    (folder / "net.zip").write_bytes(packed(inside))
    with pytest.warns(MriprepWarning, match="could not be checked"):
        weights.fetch("net", offline=True)
    assert weights.find("net") == folder
    assert server.asked == []


@pytest.mark.parametrize(
    ("served", "told"),
    [
        (b"no archive", "cannot be unpacked"),
        (packed({"../evil": b"x", **NET}), "outside the target folder"),
        (packed({"plans.json": b"{}"}), "does not hold what is wanted"),
    ],
)
def test_bad_archives_leave_nothing(server, tmp_path, served, told):
    server.files["/net.zip"] = served
    with pytest.raises(EngineMissing, match=told):
        weights.fetch("net")
    assert list((tmp_path / "home" / "net").iterdir()) == [], "not even a note to hold it to"
    assert not (tmp_path / "home" / "evil").exists()


def test_a_bomb_is_not_unpacked(server, monkeypatch):
    monkeypatch.setattr(sys.modules["mriprep.weights.fetch"], "_LARGEST", 500)
    with pytest.raises(EngineMissing, match="would unpack to"):
        weights.fetch("net")


def test_a_note_that_is_damaged_is_no_note(tmp_path):
    for text in ("", "{", "[]", "\0"):
        (tmp_path / PINS).write_text(text)
        assert pins(tmp_path) == {}
    (tmp_path / PINS).write_text(json.dumps({"a": "b"}))
    assert pins(tmp_path) == {"a": "b"}


def test_a_place_that_cannot_be_written_to_is_told(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        weights.fetch("single", to=tmp_path / "file")


def test_a_plan_refuses_missing_weights_before_anything_is_read(server, monkeypatch):
    from dataclasses import replace

    from mriprep import plan
    from mriprep.core import Grid
    from mriprep.engines.brain import deepbet
    from mriprep.recipe import load

    needs = replace(deepbet.ENGINE, weights="pair")
    monkeypatch.setattr(deepbet, "ENGINE", needs)
    wanted = load({"steps": [{"skullstrip": {"engine": "deepbet"}}]})
    grids = {"image": Grid((10, 10, 10), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])}
    with pytest.raises(EngineMissing, match="'pair' are not on this machine"):
        plan.make(wanted, grids)
    weights.fetch("pair")
    assert plan.make(wanted, grids).steps[0].name == "skullstrip"
