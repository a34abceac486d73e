"""Whether kernels were compiled on this machine."""

from __future__ import annotations

import importlib
import pkgutil

from numba.core.registry import CPUDispatcher

import mriprep.kernels
from mriprep.kernels import compiled, twin


def test_a_cache_with_an_index_counts(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not compiled()
    (tmp_path / "kernels_1234").mkdir()
    (tmp_path / "kernels_1234" / "sample._linear-27.py311.nbi").touch()
    assert compiled()


def test_no_two_kernels_share_a_file() -> None:
    """Files of the cache go by name and line: of two kernels of one function, one would run as the other."""
    found: dict[tuple[str, str, int], CPUDispatcher] = {}
    for module in pkgutil.iter_modules(mriprep.kernels.__path__, "mriprep.kernels."):
        for kernel in vars(importlib.import_module(module.name)).values():
            if isinstance(kernel, CPUDispatcher):
                function = kernel.py_func
                key = function.__module__, function.__qualname__, function.__code__.co_firstlineno
                assert found.setdefault(key, kernel) is kernel, key
    assert len(found) > 30


def test_a_twin_does_the_same() -> None:
    def add(a: int, b: int = 2) -> int:
        return a + b

    assert twin(add)(1) == 3
    assert twin(add).__qualname__ != add.__qualname__
