"""Whether kernels were compiled on this machine."""

from __future__ import annotations

from mriprep.kernels import compiled


def test_a_cache_with_an_index_counts(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not compiled()
    (tmp_path / "kernels_1234").mkdir()
    (tmp_path / "kernels_1234" / "sample._linear-27.py311.nbi").touch()
    assert compiled()
