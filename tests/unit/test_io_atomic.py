"""Files appear whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from mriprep.core import InputError, OutputError, Volume
from mriprep.io.atomic import atomic_path, write_json, write_text
from mriprep.io.images import read_image, write_image


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_file_appears_under_its_name_only_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "new" / "T1w.nii.gz"
    with atomic_path(final) as temporary:
        assert temporary.parent == final.parent
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"voxels")
        assert not final.exists()
    assert final.read_bytes() == b"voxels"
    assert names(final.parent) == ["T1w.nii.gz"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text("x", tmp_path / "a.txt")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, InputError])
def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: type) -> None:
    final = tmp_path / "a.txt"
    final.write_text("old")

    def fail() -> None:
        with atomic_path(final) as temporary:
            temporary.write_text("half")
            raise error("stop")

    with pytest.raises(error):
        fail()
    assert final.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_writing_over_a_folder_or_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken.txt").mkdir()
    with pytest.raises(OutputError, match="a folder of that name"):
        write_text("x", tmp_path / "taken.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_text("x", tmp_path / "file" / "b.txt")
    assert names(tmp_path) == ["file", "taken.txt"]


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_full_disk_keeps_the_old_image(tmp_path: Path, ending: str) -> None:
    resource = pytest.importorskip("resource", reason="limits on file sizes are POSIX's")
    path = tmp_path / f"a{ending}"
    rng = np.random.default_rng(0)
    small = Volume(np.ones((4, 5, 6), np.uint8), np.eye(4))
    big = Volume(rng.normal(size=(64, 64, 64)).astype(np.float32), np.eye(4))
    write_image(small, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot write"):
            write_image(big, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert names(tmp_path) == [path.name]
    assert read_image(path).shape == (4, 5, 6)


def test_json_keeps_order_and_makes_numpy_plain(tmp_path: Path) -> None:
    data = {
        "b": np.float32(1.5),
        "a": np.arange(3),
        "c": MappingProxyType({"path": Path("x"), "text": "1 µm"}),
    }
    path = write_json(data, tmp_path / "a.json")
    text = path.read_text(encoding="utf-8")
    assert "µm" in text
    assert text.endswith("}\n")
    back = json.loads(text)
    assert back == {"b": 1.5, "a": [0, 1, 2], "c": {"path": "x", "text": "1 µm"}}
    assert list(back) == ["b", "a", "c"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), object()])
def test_json_refuses_what_it_cannot_hold(tmp_path: Path, value: object) -> None:
    with pytest.raises(OutputError, match="as JSON"):
        write_json({"value": value}, tmp_path / "a.json")
    assert names(tmp_path) == []
