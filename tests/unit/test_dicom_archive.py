"""Archives: what is unpacked, what is refused, and that nothing is left behind."""

from __future__ import annotations

import gc
import stat
import zipfile

import pytest

from mriprep.core import InputError
from mriprep.io import archive
from mriprep.io.archive import unzip


def pack(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_unpacks_and_deletes_with_its_last_reference(tmp_path):
    unpacked = unzip(pack(tmp_path / "a.zip", {"a/b/1": b"one", "2": b"two"}))
    folder = unpacked.folder
    assert (folder / "a/b/1").read_bytes() == b"one"
    assert (folder / "2").read_bytes() == b"two"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    del unpacked
    gc.collect()
    assert not folder.exists()


EVIL = ["../evil", "a/../../evil", "/evil", "..\\evil", "C:evil"]


@pytest.mark.parametrize("name", EVIL)
def test_a_member_outside_is_refused_and_nothing_is_written(name, tmp_path, monkeypatch):
    inside = tmp_path / "tmp" / "deep"
    inside.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(inside))
    source = pack(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(InputError, match="outside"):
        unzip(source)
    assert {p.name for p in tmp_path.rglob("*")} == {"tmp", "a.zip", "deep"}


def test_links_are_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="link"):
        unzip(tmp_path / "a.zip")


def test_damaged_and_too_large_archives_are_refused(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.zip", {"x": b"0123456789" * 1000})
    content = bytearray(path.read_bytes())
    content[45] ^= 0xFF
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(InputError):
        unzip(tmp_path / "b.zip")
    (tmp_path / "c.zip").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be unpacked"):
        unzip(tmp_path / "c.zip")
    monkeypatch.setattr(archive, "LARGEST", 9999)
    with pytest.raises(InputError, match="GiB"):
        unzip(path)
